//! One transaction on the bus: START, address, bytes, STOP, and the time that each takes.

use super::{Acknowledge, Direction, I2cBus, Refusal};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource, Operation};

/// Bit times of a byte with its acknowledge bit.
const BYTE_BITS: u64 = 9;

/// Clock pulses of a bus clear (UM10204, section 3.1.16).
const CLEAR_PULSES: u32 = 9;

/// Why a transaction ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusError {
    /// No device acknowledged the address.
    AddressNotAcknowledged,
    /// The device did not acknowledge a byte.
    DataNotAcknowledged,
    /// A device holds the data line low, so that no START was possible.
    DataHeld,
    /// A device held the clock line low for longer than the master's limit.
    ClockHeld,
}

impl embedded_hal::i2c::Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            BusError::AddressNotAcknowledged => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            BusError::DataNotAcknowledged => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            BusError::DataHeld => ErrorKind::Bus,
            BusError::ClockHeld => ErrorKind::Other,
        }
    }
}

/// What happened on a bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions, failed ones included.
    pub transactions: u64,
    /// Bytes with their acknowledge bit, addresses included.
    pub bytes: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Bus clears.
    pub clears: u64,
    /// Time during which the bus was busy, in nanoseconds.
    pub busy_ns: u64,
}

/// A record of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When its START began.
    pub at: Instant,
    /// How long it took.
    pub duration: Duration,
    /// The 7-bit address.
    pub address: u8,
    /// Bytes sent, without addresses.
    pub written: Vec<u8>,
    /// Bytes received.
    pub read: Vec<u8>,
    /// How it ended.
    pub outcome: Result<(), BusError>,
}

/// A master's settings for one transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Master {
    pub(super) frequency_hz: u32,
    pub(super) stretch_limit: Duration,
}

/// Time and bytes of the transaction under way.
struct Progress {
    start: Instant,
    elapsed_ns: u64,
    bit_ns: u64,
    stretch_limit: Duration,
    bytes: u64,
}

impl Progress {
    fn new(start: Instant, master: Master) -> Self {
        let bit_ns = 1_000_000_000 / u64::from(master.frequency_hz.max(1));
        Progress { start, elapsed_ns: 0, bit_ns, stretch_limit: master.stretch_limit, bytes: 0 }
    }

    fn bits(&mut self, count: u64) {
        self.elapsed_ns = self.elapsed_ns.saturating_add(count.saturating_mul(self.bit_ns));
    }

    fn byte(&mut self) {
        self.bytes += 1;
        self.bits(BYTE_BITS);
    }

    /// Lets a device hold the clock after a byte, up to the master's limit.
    fn stretch(&mut self, held: Duration) -> Result<(), BusError> {
        let length = held.min(self.stretch_limit);
        self.elapsed_ns = self.elapsed_ns.saturating_add(length.as_micros().saturating_mul(1000));
        if held > length { Err(BusError::ClockHeld) } else { Ok(()) }
    }

    fn now(&self) -> Instant {
        self.start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_ns / 1000)
    }
}

impl I2cBus {
    /// Carries out one transaction; returns how it ended and how long it took.
    pub(super) fn transact(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
        start: Instant,
        master: Master,
    ) -> (Result<(), BusError>, Duration) {
        let mut progress = Progress::new(start, master);
        let outcome = self.exchange(address, operations, &mut progress);
        self.counters.transactions += 1;
        self.counters.bytes += progress.bytes;
        self.counters.failures += u64::from(outcome.is_err());
        self.counters.busy_ns = self.counters.busy_ns.saturating_add(progress.elapsed_ns);
        if let Some(log) = &mut self.log {
            if log.len() == log.capacity() {
                log.pop_front();
            }
            log.push_back(record(address, operations, &progress, outcome));
        }
        (outcome, progress.elapsed())
    }

    fn exchange(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
        progress: &mut Progress,
    ) -> Result<(), BusError> {
        progress.bits(1);
        if self.held.is_some() {
            return Err(BusError::DataHeld);
        }
        let refused = self.refused(address);
        let mut result = Ok(());
        let mut last = None;
        for operation in operations {
            let direction = match operation {
                Operation::Write(_) => Direction::Write,
                Operation::Read(_) => Direction::Read,
            };
            if last != Some(direction) {
                if last.is_some() {
                    progress.bits(1); // repeated START
                }
                last = Some(direction);
                result = self.begin(address, direction, refused, progress);
            }
            if result.is_ok() {
                result = self.carry_out(operation, progress);
            }
            if result.is_err() {
                break;
            }
        }
        progress.bits(1);
        self.finish(progress.now());
        result
    }

    pub(super) fn refused(&mut self, address: u8) -> bool {
        let Some(index) = self.refusals.iter().position(|&(each, _)| each == address) else { return false };
        if let Some((_, Refusal::Times(left))) = self.refusals.get_mut(index) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.refusals.remove(index);
            }
        }
        true
    }

    fn begin(
        &mut self,
        address: u8,
        direction: Direction,
        refused: bool,
        progress: &mut Progress,
    ) -> Result<(), BusError> {
        progress.byte();
        let now = progress.now();
        let (mut acknowledged, mut held) = (false, Duration::from_ticks(0));
        for slot in self.slots.iter_mut().filter(|slot| slot.connected) {
            slot.selected = !refused && slot.device.start(address, direction, now) == Acknowledge::Ack;
            if slot.selected {
                acknowledged = true;
                held = held.max(slot.device.stretch(now));
            }
        }
        if !acknowledged {
            return Err(BusError::AddressNotAcknowledged);
        }
        progress.stretch(held)
    }

    fn carry_out(&mut self, operation: &mut Operation<'_>, progress: &mut Progress) -> Result<(), BusError> {
        match operation {
            Operation::Write(bytes) => {
                for &byte in bytes.iter() {
                    self.write_byte(byte, progress)?;
                }
            }
            Operation::Read(buffer) => {
                for byte in buffer.iter_mut() {
                    *byte = self.read_byte(progress)?;
                }
            }
        }
        Ok(())
    }

    fn write_byte(&mut self, byte: u8, progress: &mut Progress) -> Result<(), BusError> {
        progress.byte();
        let now = progress.now();
        let mut acknowledged = false;
        let mut held = Duration::from_ticks(0);
        for slot in self.slots.iter_mut().filter(|slot| slot.selected) {
            acknowledged |= slot.device.write(byte, now) == Acknowledge::Ack;
            held = held.max(slot.device.stretch(now));
        }
        if !acknowledged {
            return Err(BusError::DataNotAcknowledged);
        }
        progress.stretch(held)
    }

    fn read_byte(&mut self, progress: &mut Progress) -> Result<u8, BusError> {
        progress.byte();
        let now = progress.now();
        // Open-drain outputs: a line is high only if nobody pulls it low (section 3.1.1).
        let (mut line, mut held) = (0xff, Duration::from_ticks(0));
        for slot in self.slots.iter_mut().filter(|slot| slot.selected) {
            line &= slot.device.read(now);
            held = held.max(slot.device.stretch(now));
        }
        progress.stretch(held)?;
        Ok(line)
    }

    fn finish(&mut self, now: Instant) {
        for slot in self.slots.iter_mut().filter(|slot| slot.connected) {
            slot.selected = false;
            slot.device.stop(now);
        }
    }

    /// Sends up to nine clock pulses and a STOP; returns whether the data line is high afterwards, and the time taken.
    pub(super) fn clear(&mut self, start: Instant, master: Master) -> (bool, Duration) {
        self.counters.clears += 1;
        let mut progress = Progress::new(start, master);
        for _ in 0..CLEAR_PULSES {
            progress.bits(1);
            match &mut self.held {
                None => break,
                Some(None) => {}
                Some(Some(pulses)) => {
                    *pulses = pulses.saturating_sub(1);
                    if *pulses == 0 {
                        self.held = None;
                    }
                }
            }
        }
        progress.bits(1);
        if self.held.is_none() {
            self.finish(progress.now());
        }
        self.counters.busy_ns = self.counters.busy_ns.saturating_add(progress.elapsed_ns);
        (self.held.is_none(), progress.elapsed())
    }
}

fn record(
    address: u8,
    operations: &[Operation<'_>],
    progress: &Progress,
    outcome: Result<(), BusError>,
) -> Transaction {
    let mut written = Vec::new();
    let mut read = Vec::new();
    for operation in operations {
        match operation {
            Operation::Write(bytes) => written.extend_from_slice(bytes),
            Operation::Read(buffer) => read.extend_from_slice(buffer),
        }
    }
    Transaction { at: progress.start, duration: progress.elapsed(), address, written, read, outcome }
}
