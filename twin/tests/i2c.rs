//! The bus: durations, errors as an agent sees them, and every fault.
#![cfg(test)]

mod bench;

use bench::{Bench, PINS};
use dunlin_agent::platform::{CLOCK_STRETCH_LIMIT, ClearBus};
use dunlin_twin::devices::i2c::{Acknowledge, BusError, Direction, I2cDevice};
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, Tsl2591};
use dunlin_twin::world::environment::Irradiance;
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::{Error, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use proptest::prelude::*;

/// A device that echoes, takes three bytes at most, and can hold the clock line.
struct Echo {
    address: u8,
    bytes: Vec<u8>,
    stretch: Duration,
}

impl I2cDevice for Echo {
    fn address(&self) -> u8 {
        self.address
    }
    fn power_on(&mut self, _now: Instant) {
        self.bytes.clear();
    }
    fn start(&mut self, address: u8, direction: Direction, _now: Instant) -> Acknowledge {
        if direction == Direction::Write {
            self.bytes.clear();
        }
        if address == self.address { Acknowledge::Ack } else { Acknowledge::Nack }
    }
    fn write(&mut self, byte: u8, _now: Instant) -> Acknowledge {
        self.bytes.push(byte);
        if self.bytes.len() > 3 { Acknowledge::Nack } else { Acknowledge::Ack }
    }
    fn read(&mut self, _now: Instant) -> u8 {
        self.bytes.pop().unwrap_or(0xff)
    }
    fn stop(&mut self, _now: Instant) {}
    fn stretch(&mut self, _now: Instant) -> Duration {
        self.stretch
    }
}

fn bench_with(address: u8, stretch: Duration) -> Bench {
    let bench = Bench::empty();
    attach(&bench, address, stretch);
    bench
}

fn attach(bench: &Bench, address: u8, stretch: Duration) {
    let device = Box::new(Echo { address, bytes: Vec::new(), stretch });
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.attach(device, Instant::from_ticks(0)));
}

const NONE: Duration = Duration::from_ticks(0);

#[test]
fn a_transaction_takes_nine_bit_times_a_byte() {
    let mut bench = bench_with(0x10, NONE);
    bench.bus().write(0x10, &[1, 2]).unwrap();
    // START, address and two bytes, STOP: 29 bit times of 2.5 µs.
    assert_eq!(bench.clock.now().as_micros(), 72);
    let mut buffer = [0xa5; 2];
    bench.bus().write_read(0x10, &[7, 8], &mut buffer).unwrap();
    assert_eq!(buffer, [8, 7]);
    // START, address, two bytes, repeated START, address, two bytes, STOP: 57 bit times.
    assert_eq!(bench.clock.now().as_micros(), 72 + 142);
    let counters = bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.counters());
    assert_eq!((counters.transactions, counters.bytes, counters.failures), (2, 9, 0));
    assert_eq!(counters.busy_ns, (29 + 57) * 2500);
}

#[test]
fn operations_of_one_direction_need_no_repeated_start() {
    let mut bench = bench_with(0x10, NONE);
    bench.bus().transaction(0x10, &mut [Operation::Write(&[1]), Operation::Write(&[2])]).unwrap();
    assert_eq!(bench.clock.now().as_micros(), 72);
}

#[test]
fn absent_devices_and_refused_bytes_are_told_apart() {
    let mut bench = bench_with(0x10, NONE);
    let error = bench.bus().write(0x11, &[1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
    let error = bench.bus().write(0x10, &[1, 2, 3, 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
}

#[test]
fn a_device_may_hold_the_clock_up_to_the_limit() {
    let mut bench = bench_with(0x10, CLOCK_STRETCH_LIMIT);
    bench.bus().write(0x10, &[]).unwrap();
    assert_eq!(bench.clock.now(), Instant::from_ticks(0) + CLOCK_STRETCH_LIMIT + Duration::from_micros(27));
    let mut bench = bench_with(0x10, CLOCK_STRETCH_LIMIT + Duration::from_micros(1));
    let error = bench.bus().write(0x10, &[]).unwrap_err();
    assert_eq!((error, error.kind()), (BusError::ClockHeld, ErrorKind::Other));
}

#[test]
fn two_devices_at_one_address_pull_the_same_line() {
    let mut bench = bench_with(0x10, NONE);
    attach(&bench, 0x10, NONE);
    let mut buffer = [0xa5];
    bench.bus().write_read(0x10, &[0x5a], &mut buffer).unwrap();
    assert_eq!(buffer, [0x5a], "both answer alike");
}

#[test]
fn a_device_that_is_gone_comes_back_from_power_on() {
    let mut bench = Bench::with_chip(Tsl2591::new(Part::default(), |_| Irradiance::default()));
    bench.bus().write(ADDRESS, &[0xa1, 0x20]).unwrap();
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.disconnect(ADDRESS));
    bench.wait_ms(1);
    assert_eq!(bench.bus().write(ADDRESS, &[0xa1, 0x10]), Err(BusError::AddressNotAcknowledged));
    let now = bench.clock.now();
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.connect(ADDRESS, now));
    let mut buffer = [0xa5];
    bench.bus().write_read(ADDRESS, &[0xa1], &mut buffer).unwrap();
    assert_eq!(buffer, [0]);
}

#[test]
fn refusals_end_by_count_or_by_word() {
    let mut bench = bench_with(0x10, NONE);
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.refuse(0x10, Some(2)));
    let outcomes: Vec<bool> = (0..3).map(|_| bench.bus().write(0x10, &[1]).is_ok()).collect();
    assert_eq!(outcomes, [false, false, true]);
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.refuse(0x10, None));
    assert!((0..9).all(|_| bench.bus().write(0x10, &[1]).is_err()));
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.accept(0x10));
    bench.bus().write(0x10, &[1]).unwrap();
}

#[test]
fn a_held_data_line_is_freed_by_clock_pulses_or_by_power() {
    let mut bench = bench_with(0x10, NONE);
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.hold_data(Some(12)));
    let error = bench.bus().write(0x10, &[1]).unwrap_err();
    assert_eq!((error, error.kind()), (BusError::DataHeld, ErrorKind::Bus));
    assert!(!bench.bus().clear_bus(), "nine of twelve pulses");
    assert!(bench.bus().clear_bus());
    bench.bus().write(0x10, &[1]).unwrap();
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.hold_data(None));
    assert!((0..10).all(|_| !bench.bus().clear_bus()));
    let now = bench.clock.now();
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.power_cycle(now));
    bench.bus().write(0x10, &[1]).unwrap();
}

#[test]
fn the_log_keeps_the_last_transactions() {
    let mut bench = bench_with(0x10, NONE);
    bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.keep_log(2));
    for byte in 0..3 {
        bench.bus().write_read(0x10, &[byte], &mut [0]).unwrap();
    }
    let log = bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.take_log());
    let bytes: Vec<_> = log.iter().map(|each| (each.written.clone(), each.read.clone())).collect();
    assert_eq!(bytes, [(vec![1], vec![1]), (vec![2], vec![2])]);
    assert!(log.iter().all(|each| each.outcome.is_ok() && each.duration.as_micros() > 0));
}

#[test]
fn unwired_pins_acknowledge_nothing() {
    let bench = bench_with(0x10, NONE);
    let mut master = bench.wiring.master(bench.clock.clone());
    let swapped = dunlin_agent::platform::I2cPins { sda: PINS.scl, scl: PINS.sda, ..PINS };
    let mut bus = dunlin_agent::platform::I2cMaster::bus(&mut master, swapped);
    assert_eq!(bus.write(0x10, &[1]), Err(BusError::AddressNotAcknowledged));
}

proptest! {
    /// Any transaction with any fault ends, in time that is bounded by its bytes and the stretch limit.
    #[test]
    fn every_transaction_ends(
        address in 0u8..0x80, written in proptest::collection::vec(any::<u8>(), 0..40), read in 0usize..40,
        frequency_hz in any::<u32>(), held in proptest::option::of(proptest::option::of(0u32..20)),
    ) {
        let bench = bench_with(0x10, Duration::from_micros(50));
        if let Some(pulses) = held {
            bench.wiring.with_bus(PINS.sda, PINS.scl, |bus| bus.hold_data(pulses));
        }
        let mut master = bench.wiring.master(bench.clock.clone());
        let pins = dunlin_agent::platform::I2cPins { frequency_hz, ..PINS };
        let mut bus = dunlin_agent::platform::I2cMaster::bus(&mut master, pins);
        let mut buffer = vec![0xa5; read];
        let result = bus.transaction(address, &mut [Operation::Write(&written), Operation::Read(&mut buffer)]);
        prop_assert_eq!(result.is_ok(), address == 0x10 && written.len() <= 3 && !matches!(held, Some(None | Some(1..))));
        let bits = 4 + 9 * (2 + written.len() + read) as u64;
        let most = bits * 1_000_000 / u64::from(frequency_hz.max(1)) + 50 * 82 + 1;
        prop_assert!(bench.clock.now().as_micros() <= most);
    }
}
