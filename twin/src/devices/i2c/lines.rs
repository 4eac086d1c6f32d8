//! The bus at the level of its two lines: what a master does with them, and what the devices do back.
//!
//! The bytes that the levels spell go through the same hooks as those of the native board, with the same faults. A device
//! reads a bit when the clock rises and changes the data line when it falls (UM10204, section 3.1.3); START and STOP are
//! changes of the data line while the clock is high (section 3.1.4).

use super::{Acknowledge, Direction, I2cBus};
use embassy_time::Instant;

/// What the devices do with their end of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nobody is addressed.
    #[default]
    Idle,
    /// Bits of a byte come in: the bits so far, and how many.
    Incoming { bits: u8, count: u8, is_address: bool },
    /// The ninth bit of a byte that came in.
    Acknowledging { ack: bool, then_read: bool },
    /// Bits of a byte go out: the byte, and how many bits the master has taken.
    Outgoing { byte: u8, count: u8 },
    /// The master's ninth bit, once it has been clocked.
    Acknowledged { ack: bool },
}

/// The levels of a bus, and where in a byte it is.
#[derive(Clone, Debug)]
pub struct Lines {
    phase: Phase,
    /// Whether the master lets go of the data and the clock line.
    master: (bool, bool),
    /// Whether the devices let go of the data line.
    device_sda: bool,
    /// Until when a device holds the clock line low.
    held_until: Instant,
    /// Levels after the last change.
    levels: (bool, bool),
    /// Whether a transaction is under way: a START of it is a repeated one.
    is_busy: bool,
    refused: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Lines {
            phase: Phase::Idle,
            master: (true, true),
            device_sda: true,
            held_until: Instant::from_ticks(0),
            levels: (true, true),
            is_busy: false,
            refused: false,
        }
    }
}

impl Lines {
    /// Returns lines that are high.
    pub fn new() -> Self {
        Lines::default()
    }

    /// Returns the levels of data and clock line at `now`.
    pub fn levels(&mut self, bus: &mut I2cBus, now: Instant) -> (bool, bool) {
        self.settle(bus, now);
        self.levels
    }

    /// The master lets go of each line (`true`) or pulls it low.
    pub fn drive(&mut self, bus: &mut I2cBus, sda: bool, scl: bool, now: Instant) {
        self.settle(bus, now);
        // A master that changes both at once has changed the clock first.
        self.master.1 = scl;
        self.settle(bus, now);
        self.master.0 = sda;
        self.settle(bus, now);
    }

    /// Lets the devices see what the lines do, until nothing changes any more.
    fn settle(&mut self, bus: &mut I2cBus, now: Instant) {
        for _ in 0..4 {
            let sda = self.master.0 && self.device_sda && !bus.data_held();
            let scl = self.master.1 && now >= self.held_until;
            let before = self.levels;
            if before == (sda, scl) {
                return;
            }
            self.levels = (sda, scl);
            match (before, (sda, scl)) {
                ((true, true), (false, true)) => self.start(),
                ((false, true), (true, true)) => {
                    self.phase = Phase::Idle;
                    self.is_busy = false;
                    self.device_sda = true;
                    bus.line_stop(now);
                }
                ((_, false), (sda, true)) => self.rise(bus, sda),
                ((_, true), (_, false)) => self.fall(bus, now),
                _ => {}
            }
        }
    }

    fn start(&mut self) {
        self.phase = Phase::Incoming { bits: 0, count: 0, is_address: true };
        self.device_sda = true;
    }

    /// The clock rises: a bit is valid.
    fn rise(&mut self, bus: &mut I2cBus, sda: bool) {
        bus.line_pulse();
        match &mut self.phase {
            Phase::Incoming { bits, count, .. } => {
                *bits = *bits << 1 | u8::from(sda);
                *count += 1;
            }
            Phase::Outgoing { count, .. } => *count += 1,
            Phase::Acknowledged { ack } => *ack = !sda,
            Phase::Idle | Phase::Acknowledging { .. } => {}
        }
    }

    /// The clock falls: devices change the data line.
    fn fall(&mut self, bus: &mut I2cBus, now: Instant) {
        match self.phase {
            Phase::Incoming { bits, count: 8, is_address } => {
                let (ack, then_read) = if is_address {
                    let direction = if bits & 1 == 0 { Direction::Write } else { Direction::Read };
                    let is_first = !std::mem::replace(&mut self.is_busy, true);
                    let ack = bus.line_address(bits >> 1, direction, is_first, &mut self.refused, now);
                    (ack == Acknowledge::Ack, direction == Direction::Read)
                } else {
                    (bus.line_write(bits, now) == Acknowledge::Ack, false)
                };
                self.device_sda = !ack;
                self.phase = Phase::Acknowledging { ack, then_read };
                self.held_until = now + bus.line_stretch(now);
            }
            Phase::Acknowledging { ack: false, .. } | Phase::Acknowledged { ack: false } => {
                self.device_sda = true;
                self.phase = Phase::Idle;
            }
            Phase::Acknowledging { then_read: true, .. } | Phase::Acknowledged { ack: true } => {
                let byte = bus.line_read(now);
                self.device_sda = byte & 0x80 != 0;
                self.phase = Phase::Outgoing { byte, count: 0 };
                self.held_until = now + bus.line_stretch(now);
            }
            Phase::Acknowledging { .. } => {
                self.device_sda = true;
                self.phase = Phase::Incoming { bits: 0, count: 0, is_address: false };
            }
            Phase::Outgoing { count: 8, .. } => {
                self.device_sda = true;
                self.phase = Phase::Acknowledged { ack: false };
            }
            Phase::Outgoing { byte, count } => self.device_sda = byte & 0x80 >> count != 0,
            Phase::Idle | Phase::Incoming { .. } => {}
        }
    }
}

impl I2cBus {
    /// An address byte was sent.
    fn line_address(
        &mut self,
        address: u8,
        direction: Direction,
        is_first: bool,
        refused: &mut bool,
        now: Instant,
    ) -> Acknowledge {
        self.counters.bytes += 1;
        if is_first {
            self.counters.transactions += 1;
            *refused = self.refused(address);
        }
        let mut answer = Acknowledge::Nack;
        for slot in self.slots.iter_mut().filter(|slot| slot.connected) {
            slot.selected = !*refused && slot.device.start(address, direction, now) == Acknowledge::Ack;
            if slot.selected {
                answer = Acknowledge::Ack;
            }
        }
        self.counters.failures += u64::from(answer == Acknowledge::Nack);
        answer
    }

    fn line_write(&mut self, byte: u8, now: Instant) -> Acknowledge {
        self.counters.bytes += 1;
        let mut is_taken = false;
        for slot in self.slots.iter_mut().filter(|slot| slot.selected) {
            is_taken |= slot.device.write(byte, now) == Acknowledge::Ack;
        }
        if is_taken { Acknowledge::Ack } else { Acknowledge::Nack }
    }

    fn line_read(&mut self, now: Instant) -> u8 {
        self.counters.bytes += 1;
        let selected = self.slots.iter_mut().filter(|slot| slot.selected);
        selected.fold(0xff, |line, slot| line & slot.device.read(now))
    }

    fn line_stretch(&mut self, now: Instant) -> embassy_time::Duration {
        let selected = self.slots.iter_mut().filter(|slot| slot.selected);
        selected.map(|slot| slot.device.stretch(now)).max().unwrap_or(embassy_time::Duration::from_ticks(0))
    }

    fn line_stop(&mut self, now: Instant) {
        for slot in self.slots.iter_mut().filter(|slot| slot.connected) {
            slot.selected = false;
            slot.device.stop(now);
        }
    }

    /// The clock line rose: a device that holds the data line counts.
    fn line_pulse(&mut self) {
        if let Some(Some(pulses)) = &mut self.held {
            *pulses = pulses.saturating_sub(1);
            if *pulses == 0 {
                self.held = None;
            }
        }
    }
}
