//! An I2C bus at the level of bytes: devices, transactions with their real durations, and what goes wrong on the wire.
//!
//! After NXP UM10204 (I2C-bus specification and user manual, revision 7). The bus knows devices only through
//! [`I2cDevice`], and time only as what it is given: a transaction returns how long it took, and whoever asked for it
//! lets that time pass ([`Wiring`] does it for an agent).
//!
//! # Durations
//! A byte takes nine bit times at the bus frequency (eight bits and the acknowledge bit, section 3.1.5), a START, a
//! repeated START and a STOP one each. A device that holds the clock line low adds what it asks for
//! ([`I2cDevice::stretch`]), up to the master's limit.
//!
//! # Faults
//! * A device is gone ([`I2cBus::disconnect`]): nothing acknowledges its address. When it is back it starts from power-on.
//! * A device refuses ([`I2cBus::refuse`]): its address is not acknowledged for a number of transactions, or until told.
//! * The data line is held low ([`I2cBus::hold_data`]): no START is possible until the device has seen as many clock
//!   pulses as it wants (section 3.1.16, bus clear), or until power goes off and on.

mod exchange;
mod lines;
mod wiring;

pub use exchange::{BusError, Counters, Transaction};
pub use lines::Lines;
pub use wiring::{Wiring, WiringBus, WiringMaster};

use embassy_time::{Duration, Instant};
use std::collections::VecDeque;

/// The ninth bit of a byte: whether the receiver pulled the data line low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// The line was pulled low.
    Ack,
    /// The line stayed high.
    Nack,
}

/// The direction bit of an address byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Master to device (bit 0).
    Write,
    /// Device to master (bit 1).
    Read,
}

/// A device on an I2C bus, at the level of bytes.
///
/// # For callers
/// Every device sees every START, also one that is meant for another; a device that answered [`Acknowledge::Ack`] is
/// selected, and gets the bytes until the next START or STOP. `now` never goes backwards. A byte is given or taken at
/// the end of its eighth bit.
///
/// # For implementers
/// No sequence of calls may panic. A device that does something in the background (a conversion) catches up with `now`
/// in each call, and in nothing else: there is no call just because time passes.
pub trait I2cDevice {
    /// Returns the 7-bit address by which faults name the device.
    fn address(&self) -> u8;

    /// Supply voltage came up at `now`: every register has its default.
    fn power_on(&mut self, now: Instant);

    /// A START or repeated START with this 7-bit address was sent. Returns `Ack` if the device is meant.
    fn start(&mut self, address: u8, direction: Direction, now: Instant) -> Acknowledge;

    /// The master sent a byte.
    fn write(&mut self, byte: u8, now: Instant) -> Acknowledge;

    /// The master clocks a byte out of the device. A device with nothing to say leaves the line high, which reads as 0xff.
    fn read(&mut self, now: Instant) -> u8;

    /// A STOP was sent. Also called for a device that is not selected.
    fn stop(&mut self, now: Instant);

    /// Returns how many whole measurements a master has read from the device so far.
    fn samples(&self) -> u64 {
        0
    }

    /// Returns how long the device holds the clock line low after the byte (or address) that ended at `now`.
    fn stretch(&mut self, now: Instant) -> Duration {
        let _ = now;
        Duration::from_ticks(0)
    }
}

struct Slot {
    device: Box<dyn I2cDevice>,
    connected: bool,
    selected: bool,
}

/// How often a device does not acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// This many transactions more.
    Times(u32),
    /// Until [`I2cBus::accept`].
    UntilAccepted,
}

/// Devices on one pair of lines.
#[derive(Default)]
pub struct I2cBus {
    slots: Vec<Slot>,
    refusals: Vec<(u8, Refusal)>,
    /// `Some` while the data line is held low: the clock pulses that free it, `None` inside if only power does.
    held: Option<Option<u32>>,
    counters: Counters,
    log: Option<VecDeque<Transaction>>,
}

impl I2cBus {
    /// Returns a bus without devices; both lines are pulled up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a device that gets power at `now`.
    pub fn attach(&mut self, mut device: Box<dyn I2cDevice>, now: Instant) {
        device.power_on(now);
        self.slots.push(Slot { device, connected: true, selected: false });
    }

    /// Returns whether a device with this address is on the bus, or was before it was taken off.
    pub fn has(&self, address: u8) -> bool {
        self.slots.iter().any(|slot| slot.device.address() == address)
    }

    /// Takes the devices at `address` off the bus, as if their cable were pulled.
    pub fn disconnect(&mut self, address: u8) {
        for slot in self.slots.iter_mut().filter(|slot| slot.device.address() == address) {
            slot.connected = false;
            slot.selected = false;
        }
    }

    /// Puts the devices at `address` back; those that were gone start from power-on.
    pub fn connect(&mut self, address: u8, now: Instant) {
        for slot in self.slots.iter_mut().filter(|slot| slot.device.address() == address && !slot.connected) {
            slot.connected = true;
            slot.device.power_on(now);
        }
    }

    /// From now on `address` is not acknowledged in the next `times` transactions, or, with `None`, until
    /// [`accept`](Self::accept). Replaces what was said before for this address.
    pub fn refuse(&mut self, address: u8, times: Option<u32>) {
        self.accept(address);
        self.refusals.push((address, times.map_or(Refusal::UntilAccepted, Refusal::Times)));
    }

    /// Ends what [`refuse`](Self::refuse) began.
    pub fn accept(&mut self, address: u8) {
        self.refusals.retain(|&(each, _)| each != address);
    }

    /// A device holds the data line low until it has seen `pulses` clock pulses; with `None` until power goes off and on
    /// or [`release_data`](Self::release_data).
    pub fn hold_data(&mut self, pulses: Option<u32>) {
        self.held = (pulses != Some(0)).then_some(pulses);
    }

    /// Ends what [`hold_data`](Self::hold_data) began.
    pub fn release_data(&mut self) {
        self.held = None;
    }

    /// Returns whether the data line is held low.
    pub fn data_held(&self) -> bool {
        self.held.is_some()
    }

    /// Power of every connected device goes off and on: registers have their defaults, and the data line is free.
    pub fn power_cycle(&mut self, now: Instant) {
        self.held = None;
        for slot in self.slots.iter_mut().filter(|slot| slot.connected) {
            slot.selected = false;
            slot.device.power_on(now);
        }
    }

    /// Returns what happened on the bus so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns how many whole measurements were read from the devices so far.
    pub fn samples(&self) -> u64 {
        self.slots.iter().map(|slot| slot.device.samples()).sum()
    }

    /// Keeps the last `capacity` transactions for [`take_log`](Self::take_log); 0 keeps none, which is the default.
    pub fn keep_log(&mut self, capacity: usize) {
        self.log = (capacity > 0).then(|| VecDeque::with_capacity(capacity));
    }

    /// Returns the transactions kept, oldest first, and forgets them.
    pub fn take_log(&mut self) -> Vec<Transaction> {
        self.log.as_mut().map(|log| log.drain(..).collect()).unwrap_or_default()
    }
}
