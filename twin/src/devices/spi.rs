//! A device on a serial peripheral interface, at the level of bytes.

use embassy_time::Instant;

/// When a device that is driven with SPI takes and gives bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// The clock idles high (CPOL).
    pub idles_high: bool,
    /// Bits are taken with the clock's second edge (CPHA).
    pub takes_late: bool,
}

/// A device on an SPI bus.
///
/// # For callers
/// `select`, any number of `exchange`, `deselect`; `now` never goes backwards. A byte is exchanged at the end of its eighth
/// bit.
///
/// # For implementers
/// No sequence of calls may panic. There is no call just because time passes.
pub trait SpiDevice {
    /// The select line fell.
    fn select(&mut self, now: Instant);

    /// Eight clock pulses: takes what the master sends and returns what the device had ready. In a mode that the device
    /// doesn't know it answers what its data line would give, which is seldom what was meant.
    fn exchange(&mut self, byte: u8, mode: Mode, now: Instant) -> u8;

    /// The select line rose.
    fn deselect(&mut self, now: Instant);
}
