//! I2C masters on any two GPIO pins.
//!
//! A pin is never driven high: its output is a constant 0, and the output driver is switched on and off, so that two devices
//! can't fight. The pads' own pull-ups (about 45 kΩ) help a little; a bus needs resistors of its own.

pub mod wire;

use dunlin_agent::platform::{CLOCK_STRETCH_LIMIT, ClearBus, I2cMaster, I2cPins};
use embedded_hal::i2c::{ErrorType, I2c, Operation};

use crate::cpu;
use crate::gpio::Pin;
use crate::mmio::Mmio;
use wire::{I2cError, Lines, Timing, Wire};

/// The I2C masters of the chip. Holding it is the right to use pins as buses.
#[derive(Debug)]
pub struct Masters(());

impl Masters {
    /// Returns the masters; to be called once.
    pub const fn new() -> Self {
        Masters(())
    }
}

impl Default for Masters {
    fn default() -> Self {
        Masters::new()
    }
}

impl I2cMaster for Masters {
    type Bus<'a> = Bus;

    fn bus(&mut self, pins: I2cPins) -> Bus {
        let timing =
            Timing::new(pins.frequency_hz, cpu::FREQUENCY_HZ, CLOCK_STRETCH_LIMIT.as_micros() as u32);
        let lines = Pin::new(pins.sda)
            .zip(Pin::new(pins.scl))
            .filter(|_| pins.sda != pins.scl)
            .map(|(sda, scl)| Wire::new(PinLines { sda, scl }, timing));
        Bus { wire: lines, is_prepared: false }
    }
}

/// A bus for one exchange.
#[derive(Debug)]
pub struct Bus {
    wire: Option<Wire<PinLines>>,
    is_prepared: bool,
}

impl Bus {
    /// Returns the master, with its pins set up.
    fn wire(&mut self) -> Result<&mut Wire<PinLines>, I2cError> {
        let wire = self.wire.as_mut().ok_or(I2cError::NoSuchPin)?;
        if !self.is_prepared {
            self.is_prepared = true;
            wire.lines().prepare();
        }
        Ok(wire)
    }
}

impl ErrorType for Bus {
    type Error = I2cError;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        self.wire()?.transaction(address, operations)
    }
}

impl ClearBus for Bus {
    fn clear_bus(&mut self) -> bool {
        self.wire().is_ok_and(Wire::clear)
    }
}

/// Two pins as bus lines.
#[derive(Debug)]
struct PinLines {
    sda: Pin,
    scl: Pin,
}

impl PinLines {
    fn prepare(&self) {
        self.sda.make_open_drain(&mut Mmio);
        self.scl.make_open_drain(&mut Mmio);
    }
}

impl Lines for PinLines {
    fn set_sda(&mut self, high: bool) {
        self.sda.let_go(&mut Mmio, high);
    }

    fn set_scl(&mut self, high: bool) {
        self.scl.let_go(&mut Mmio, high);
    }

    fn sda(&mut self) -> bool {
        self.sda.is_high(&mut Mmio)
    }

    fn scl(&mut self) -> bool {
        self.scl.is_high(&mut Mmio)
    }

    fn now(&mut self) -> u32 {
        cpu::cycles()
    }
}
