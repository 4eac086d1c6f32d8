//! The bit sequence of the I2C master, against a device of the twin behind lines that are watched level by level.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_firmware::i2c::wire::{I2cError, Lines, Timing, Wire};
use dunlin_twin::devices::i2c::{Acknowledge, Direction, I2cDevice};
use dunlin_twin::devices::tsl2591::{Part, Tsl2591};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::Operation;

const COUNTER_HZ: u32 = 80_000_000;

/// What the device does with its end of the lines.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Not addressed, or nothing begun.
    Idle,
    /// Bits of a byte come in.
    In { bits: u8, count: u8, is_address: bool },
    /// The ninth bit of a byte that came in; whether a byte goes out afterwards.
    Answer { reads: bool },
    /// Bits of a byte go out.
    Out { byte: u8, count: u8 },
    /// The master's ninth bit.
    Asked { acknowledged: bool },
}

/// A bus with one device: what the device does follows from the levels alone.
struct Bus {
    device: Box<dyn I2cDevice>,
    phase: Phase,
    master: (bool, bool),
    /// The device lets go of the data line.
    sda_free: bool,
    /// Clock pulses until a device that hangs lets go of the data line.
    stuck: Option<u32>,
    clock_held_until: u64,
    /// Every byte is stretched for so long.
    stretch: u64,
    time: u64,
    /// When the clock line last changed, and the shortest times that it was low and high.
    edge: u64,
    shortest: (u64, u64),
    /// Times between a START and the clock's fall, and the clock's rise and a STOP.
    conditions: Vec<u64>,
    starts: u32,
    stops: u32,
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Bus>>);

fn instant(time: u64) -> Instant {
    Instant::from_micros(time / u64::from(COUNTER_HZ / 1_000_000))
}

impl Bus {
    fn with(device: Box<dyn I2cDevice>) -> Shared {
        Shared(Rc::new(RefCell::new(Bus {
            device,
            phase: Phase::Idle,
            master: (true, true),
            sda_free: true,
            stuck: None,
            clock_held_until: 0,
            stretch: 0,
            time: 0,
            edge: 0,
            shortest: (u64::MAX, u64::MAX),
            conditions: Vec::new(),
            starts: 0,
            stops: 0,
        })))
    }

    fn levels(&self) -> (bool, bool) {
        let sda = self.master.0 && self.sda_free && self.stuck.is_none();
        (sda, self.master.1 && self.time >= self.clock_held_until)
    }

    /// Changes something and lets the device see what it does to the lines.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.levels();
        change(self);
        let after = self.levels();
        match (before, after) {
            ((true, true), (false, true)) => {
                self.starts += 1;
                self.edge = self.time;
                self.phase = Phase::In { bits: 0, count: 0, is_address: true };
            }
            ((false, true), (true, true)) => {
                self.stops += 1;
                self.conditions.push(self.time - self.edge);
                self.device.stop(instant(self.time));
                self.phase = Phase::Idle;
            }
            ((_, false), (sda, true)) => {
                self.shortest.0 = self.shortest.0.min(self.time - self.edge);
                self.edge = self.time;
                self.rise(sda);
            }
            ((_, true), (_, false)) => {
                self.shortest.1 = self.shortest.1.min(self.time - self.edge);
                self.edge = self.time;
                self.fall();
            }
            _ => {}
        }
    }

    fn rise(&mut self, sda: bool) {
        if let Some(pulses) = &mut self.stuck {
            *pulses -= 1;
            if *pulses == 0 {
                self.stuck = None;
            }
        }
        match &mut self.phase {
            Phase::In { bits, count, .. } => {
                *bits = *bits << 1 | u8::from(sda);
                *count += 1;
            }
            Phase::Asked { acknowledged } => *acknowledged = !sda,
            _ => {}
        }
    }

    fn fall(&mut self) {
        let now = instant(self.time);
        self.sda_free = true;
        self.phase = match self.phase {
            Phase::In { bits, count: 8, is_address } => {
                let direction = if bits & 1 == 1 { Direction::Read } else { Direction::Write };
                let answer = if is_address {
                    self.device.start(bits >> 1, direction, now)
                } else {
                    self.device.write(bits, now)
                };
                self.clock_held_until = self.time + self.stretch;
                if answer == Acknowledge::Ack {
                    self.sda_free = false;
                    Phase::Answer { reads: is_address && direction == Direction::Read }
                } else {
                    Phase::Idle
                }
            }
            Phase::Answer { reads: false } => Phase::In { bits: 0, count: 0, is_address: false },
            Phase::Answer { reads: true } | Phase::Asked { acknowledged: true } => {
                let byte = self.device.read(now);
                self.sda_free = byte & 0x80 != 0;
                Phase::Out { byte, count: 1 }
            }
            Phase::Out { count: 8, .. } => Phase::Asked { acknowledged: false },
            Phase::Out { byte, count } => {
                self.sda_free = byte << count & 0x80 != 0;
                Phase::Out { byte, count: count + 1 }
            }
            Phase::Asked { acknowledged: false } => Phase::Idle,
            other => other,
        };
    }
}

impl Lines for Shared {
    fn set_sda(&mut self, high: bool) {
        self.0.borrow_mut().change(|bus| bus.master.0 = high);
    }

    fn set_scl(&mut self, high: bool) {
        self.0.borrow_mut().change(|bus| bus.master.1 = high);
    }

    fn sda(&mut self) -> bool {
        self.0.borrow().levels().0
    }

    fn scl(&mut self) -> bool {
        self.0.borrow().levels().1
    }

    fn now(&mut self) -> u32 {
        let mut bus = self.0.borrow_mut();
        bus.change(|bus| bus.time += 8);
        bus.time as u32
    }
}

fn sensor() -> Shared {
    let mut sensor = Tsl2591::new(Part::default(), |_| Default::default());
    sensor.power_on(Instant::from_ticks(0));
    Bus::with(Box::new(sensor))
}

fn wire(bus: &Shared, frequency_hz: u32) -> Wire<Shared> {
    Wire::new(bus.clone(), Timing::new(frequency_hz, COUNTER_HZ, 25_000))
}

#[test]
fn registers_of_a_sensor_are_written_and_read_back() {
    for frequency_hz in [10_000, 100_000, 400_000] {
        let bus = sensor();
        let mut wire = wire(&bus, frequency_hz);
        // The data sheet's identification: register 0x12 holds 0x50.
        let mut id = [0];
        wire.transaction(0x29, &mut [Operation::Write(&[0xa0 | 0x12]), Operation::Read(&mut id)]).unwrap();
        assert_eq!(id, [0x50]);
        // Thresholds: four bytes in one transfer, in two operations, and back in two.
        wire.transaction(0x29, &mut [Operation::Write(&[0xa4, 1, 2]), Operation::Write(&[3, 4])]).unwrap();
        let (mut first, mut rest) = ([0; 1], [0; 3]);
        let mut operations =
            [Operation::Write(&[0xa4]), Operation::Read(&mut first), Operation::Read(&mut rest)];
        wire.transaction(0x29, &mut operations).unwrap();
        assert_eq!((first, rest), ([1], [2, 3, 4]));
        let bus = bus.0.borrow();
        assert_eq!((bus.starts, bus.stops, bus.levels()), (5, 3, (true, true)));
    }
}

#[test]
fn levels_last_as_long_as_the_specification_asks() {
    // UM10204, table 10: t_LOW, t_HIGH and t_SU;STO in nanoseconds.
    for (frequency_hz, low_ns, high_ns, stop_ns) in
        [(100_000, 4_700, 4_000, 4_000), (400_000, 1_300, 600, 600)]
    {
        let bus = sensor();
        wire(&bus, frequency_hz).transaction(0x29, &mut [Operation::Write(&[0xa0, 3])]).unwrap();
        let bus = bus.0.borrow();
        let ns = |counts: u64| counts * 1_000_000_000 / u64::from(COUNTER_HZ);
        assert!(ns(bus.shortest.0) >= low_ns && ns(bus.shortest.1) >= high_ns, "{:?}", bus.shortest);
        assert!(bus.conditions.iter().all(|counts| ns(*counts) >= stop_ns));
    }
}

#[test]
fn what_is_refused_is_told_and_the_bus_is_free_again() {
    let bus = sensor();
    let mut wire = wire(&bus, 100_000);
    assert_eq!(wire.transaction(0x2a, &mut [Operation::Write(&[1])]), Err(I2cError::AddressNotAcknowledged));
    assert_eq!(
        wire.transaction(0x2a, &mut [Operation::Read(&mut [0])]),
        Err(I2cError::AddressNotAcknowledged)
    );
    assert_eq!(wire.transaction(0x29, &mut []), Ok(()));
    assert_eq!((bus.0.borrow().stops, bus.0.borrow().levels()), (2, (true, true)));
    wire.transaction(0x29, &mut [Operation::Write(&[0xa0])]).unwrap();
}

#[test]
fn a_device_may_hold_the_clock_for_a_while_but_not_for_ever() {
    let bus = sensor();
    let mut wire = wire(&bus, 100_000);
    let mut id = [0];
    // Three bytes go to the device: 24 ms in one transaction, and as much in the next.
    bus.0.borrow_mut().stretch = 8_000 * 80;
    for _ in 0..2 {
        wire.transaction(0x29, &mut [Operation::Write(&[0xb2]), Operation::Read(&mut id)]).unwrap();
        assert_eq!(id, [0x50]);
    }
    bus.0.borrow_mut().stretch = 40_000 * 80;
    let result = wire.transaction(0x29, &mut [Operation::Write(&[0xb2]), Operation::Read(&mut id)]);
    assert_eq!(result, Err(I2cError::ClockHeld));
    // It lets go in the end.
    bus.0.borrow_mut().stretch = 0;
    for _ in 0..40_000 * 80 / 8 {
        wire.lines().now();
    }
    assert!(wire.clear());
    wire.transaction(0x29, &mut [Operation::Write(&[0xb2]), Operation::Read(&mut id)]).unwrap();
}

#[test]
fn short_holds_of_the_clock_add_up_over_a_transaction() {
    let bus = sensor();
    let mut wire = wire(&bus, 100_000);
    // Each of three is far below 25 ms.
    bus.0.borrow_mut().stretch = 9_000 * 80;
    let mut id = [0];
    let result = wire.transaction(0x29, &mut [Operation::Write(&[0xb2]), Operation::Read(&mut id)]);
    assert_eq!(result, Err(I2cError::ClockHeld));
}

#[test]
fn nine_pulses_free_a_data_line_and_ten_are_not_sent() {
    for pulses in 1..=9 {
        let bus = sensor();
        bus.0.borrow_mut().stuck = Some(pulses);
        let mut wire = wire(&bus, 100_000);
        assert_eq!(wire.transaction(0x29, &mut [Operation::Write(&[0xa0])]), Err(I2cError::DataHeld));
        let left = bus.0.borrow().stuck;
        assert!(left.is_none_or(|left| left <= pulses));
        assert!(wire.clear(), "{pulses} pulses");
        wire.transaction(0x29, &mut [Operation::Write(&[0xa0])]).unwrap();
    }
    let bus = sensor();
    bus.0.borrow_mut().stuck = Some(40);
    assert!(!wire(&bus, 100_000).clear());
    assert_eq!(bus.0.borrow().stuck, Some(30), "nine pulses and the one of the STOP");
}

#[test]
fn time_outs_are_those_of_the_agent() {
    let limit = dunlin_agent::platform::CLOCK_STRETCH_LIMIT;
    assert_eq!(limit, Duration::from_millis(25));
    let timing = Timing::new(100_000, COUNTER_HZ, limit.as_micros() as u32);
    assert_eq!((timing.low, timing.high, timing.stretch_limit), (400, 400, 2_000_000));
    // Whatever a body asks for, a bus is never faster than fast mode.
    assert_eq!(Timing::new(u32::MAX, COUNTER_HZ, 25), Timing::new(400_000, COUNTER_HZ, 25));
    assert!(Timing::new(0, COUNTER_HZ, 25).low > 0);
}

#[test]
fn a_device_that_was_left_in_a_byte_is_freed_wherever_it_stands() {
    for byte in 0..=255_u8 {
        for count in 1..=8 {
            let bus = sensor();
            {
                // Its bit is on the line, and the clock is high: the master was reset here.
                let mut bus = bus.0.borrow_mut();
                bus.phase = Phase::Out { byte, count };
                bus.sda_free = byte >> (8 - count) & 1 == 1;
            }
            let mut wire = wire(&bus, 100_000);
            assert!(wire.clear(), "{byte:#010b}, bit {count}");
            wire.transaction(0x29, &mut [Operation::Write(&[0xa0])]).unwrap();
        }
    }
}
