//! General purpose pins 0 to 15.
//!
//! GPIO6 to GPIO8 and GPIO11 carry the flash chip and are no [`Pin`]s; GPIO16 belongs to the real-time clock and has
//! registers of its own.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

use crate::mmio::{Access, Register, Registers};

const OUT_W1TS: Register = Register::new(0x6000_0304);
const OUT_W1TC: Register = Register::new(0x6000_0308);
const ENABLE_W1TS: Register = Register::new(0x6000_0310);
const ENABLE_W1TC: Register = Register::new(0x6000_0314);
const IN: Register = Register::new(0x6000_0318);
const PINS: Registers<16> = Registers::new(0x6000_0328);

/// Selects open drain.
const PIN_OPEN_DRAIN: u32 = 1 << 2;
/// Pad: pull-up.
const PAD_PULL_UP: u32 = 1 << 7;
/// Pad: pull-down.
const PAD_PULL_DOWN: u32 = 1 << 6;
/// Pad: bits of the function number, 5:4 and 8.
const PAD_FUNCTION: u32 = 0x130;

/// A pin that is free to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin(u8);

impl Pin {
    /// Returns the pin of this GPIO number; none where it carries the flash chip or does not exist.
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            0..=5 | 9 | 10 | 12..=15 => Some(Pin(number)),
            _ => None,
        }
    }

    fn mask(self) -> u32 {
        1 << self.0
    }

    /// Makes the pin an open-drain line that is let go, with the pad's pull-up.
    pub fn make_open_drain(self, access: &mut impl Access) {
        access.write(ENABLE_W1TC, self.mask());
        access.write(OUT_W1TC, self.mask());
        self.set_up(access, PIN_OPEN_DRAIN, true);
    }

    /// Lets go of an open-drain line (`true`) or pulls it low. Atomic: the register changes one bit.
    #[inline(always)]
    pub fn let_go(self, access: &mut impl Access, high: bool) {
        access.write(if high { ENABLE_W1TC } else { ENABLE_W1TS }, self.mask());
    }

    /// Returns the level of the pad.
    #[inline(always)]
    pub fn is_high(self, access: &mut impl Access) -> bool {
        access.read(IN) & self.mask() != 0
    }

    /// Makes the pin a GPIO with these settings.
    fn set_up(self, access: &mut impl Access, settings: u32, pull_up: bool) {
        let (_, function) = self.pad();
        critical_section::with(|_| access.write(PINS.at(self.0.into()), settings));
        self.set_function(access, function, pull_up);
    }

    /// Connects the pad to a function of this number (`pin_mux_register.h`), with its pull-up or without.
    pub(crate) fn set_function(self, access: &mut impl Access, function: u32, pull_up: bool) {
        let (pad, _) = self.pad();
        let pull = if pull_up { PAD_PULL_UP } else { 0 };
        let function = (function & 3) << 4 | (function >> 2) << 8;
        critical_section::with(|_| {
            access.change(pad, PAD_FUNCTION | PAD_PULL_DOWN | PAD_PULL_UP, function | pull);
        });
    }

    /// Returns the pad's register, which are not in the order of GPIO numbers, and the number of its GPIO function: 0 on
    /// GPIO0, 2, 4 and 5, and 3 on every other.
    fn pad(self) -> (Register, u32) {
        const PADS: Registers<17> = Registers::new(0x6000_0800);
        let (index, function) = match self.0 {
            0 => (13, 0),
            1 => (6, 3),
            2 => (14, 0),
            3 => (5, 3),
            4 => (15, 0),
            5 => (16, 0),
            9 => (10, 3),
            10 => (11, 3),
            12 => (1, 3),
            13 => (2, 3),
            14 => (3, 3),
            _ => (4, 3),
        };
        (PADS.at(index), function)
    }
}

/// A pin that is read.
#[derive(Debug)]
pub struct Input<A> {
    access: A,
    pin: Pin,
}

impl<A: Access> Input<A> {
    /// Makes the pin an input; `pull_up` switches the pad's pull-up on, which has about 45 kΩ.
    pub fn new(mut access: A, pin: Pin, pull_up: bool) -> Self {
        access.write(ENABLE_W1TC, pin.mask());
        pin.set_up(&mut access, 0, pull_up);
        Input { access, pin }
    }
}

impl<A: Access> ErrorType for Input<A> {
    type Error = Infallible;
}

impl<A: Access> InputPin for Input<A> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.pin.is_high(&mut self.access))
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.pin.is_high(&mut self.access))
    }
}

/// A pin that is driven, such as one that selects a device.
#[derive(Debug)]
pub struct Output<A> {
    access: A,
    pin: Pin,
}

impl<A: Access> Output<A> {
    /// Makes the pin an output that is high or low from its first moment on.
    pub fn new(mut access: A, pin: Pin, high: bool) -> Self {
        access.write(if high { OUT_W1TS } else { OUT_W1TC }, pin.mask());
        pin.set_up(&mut access, 0, false);
        access.write(ENABLE_W1TS, pin.mask());
        Output { access, pin }
    }
}

impl<A: Access> ErrorType for Output<A> {
    type Error = Infallible;
}

impl<A: Access> OutputPin for Output<A> {
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.access.write(OUT_W1TS, self.pin.mask());
        Ok(())
    }

    fn set_low(&mut self) -> Result<(), Infallible> {
        self.access.write(OUT_W1TC, self.pin.mask());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_are_where_the_header_puts_them() {
        // pin_mux_register.h: GPIO0 +0x34, GPIO2 +0x38, GPIO4 +0x3c, GPIO5 +0x40, U0TXD +0x18, U0RXD +0x14, MTDI +0x04,
        // MTCK +0x08, MTMS +0x0c, MTDO +0x10, SD_DATA2 +0x28, SD_DATA3 +0x2c.
        let offsets = [
            (0, 0x34),
            (2, 0x38),
            (4, 0x3c),
            (5, 0x40),
            (1, 0x18),
            (3, 0x14),
            (12, 0x04),
            (13, 0x08),
            (14, 0x0c),
            (15, 0x10),
            (9, 0x28),
            (10, 0x2c),
        ];
        for (number, offset) in offsets {
            let (pad, _) = Pin::new(number).unwrap().pad();
            assert_eq!(pad.address(), 0x6000_0800 + offset, "GPIO{number}");
        }
    }

    #[test]
    fn pins_of_the_flash_chip_are_none() {
        for number in [6, 7, 8, 11, 16, 17, 255] {
            assert_eq!(Pin::new(number), None);
        }
    }
}
