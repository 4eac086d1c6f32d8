//! The chip's time: fine enough that a cycle of every clock it may have is a whole number.

use embassy_time::Instant;

/// A moment, in units of 1/2080 µs since power-on: a cycle takes 40 of them at 52 MHz, 26 at 80 MHz and 13 at 160 MHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// Units in a microsecond.
pub const PER_MICROSECOND: u64 = 2080;

impl Time {
    /// Returns the moment `us` microseconds after power-on.
    pub const fn from_micros(us: u64) -> Self {
        Time(us * PER_MICROSECOND)
    }

    /// Returns the whole microseconds since power-on.
    pub const fn micros(self) -> u64 {
        self.0 / PER_MICROSECOND
    }

    /// Returns the moment on the world's clock, whose `origin` is power-on.
    pub fn instant(self, origin: Instant) -> Instant {
        origin + embassy_time::Duration::from_micros(self.micros())
    }
}
