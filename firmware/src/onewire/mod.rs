//! 1-Wire masters on any GPIO pin.
//!
//! As on an I2C bus the pin is never driven high. The line needs a resistor of about 4.7 kΩ; the pad's own pull-up is too weak.

pub mod wire;

use crate::clock;
use crate::gpio::Pin;
use crate::mmio::Access;
use wire::{Line, Wire};

/// A pin as a 1-Wire line.
#[derive(Debug)]
pub struct PinLine<A> {
    access: A,
    pin: Pin,
}

/// Returns the master on `pin`, with the line let go. The clock must have been started.
pub fn master<A: Access>(mut access: A, pin: Pin) -> Wire<PinLine<A>> {
    pin.make_open_drain(&mut access);
    Wire::new(PinLine { access, pin }, clock::COUNTS_PER_US)
}

impl<A: Access> Line for PinLine<A> {
    #[inline(always)]
    fn set(&mut self, high: bool) {
        self.pin.let_go(&mut self.access, high);
    }

    #[inline(always)]
    fn is_high(&mut self) -> bool {
        self.pin.is_high(&mut self.access)
    }

    #[inline(always)]
    fn now(&mut self) -> u32 {
        clock::count_by(&mut self.access)
    }

    #[inline(always)]
    fn undisturbed<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T {
        critical_section::with(|_| action(self))
    }
}
