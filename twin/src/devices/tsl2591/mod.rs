//! The ams TSL2591 light-to-digital converter, at register level.
//!
//! Knows irradiance and counts, and nothing of lux: how counts become illuminance is the business of drivers.
//!
//! # Sources
//! The data sheet, ams TSL2591 (2013, "ams163.5"; reissued as DS000338): pages 11 (COMMAND) and 14 (interrupt
//! thresholds) were read, its register map and electrical figures as they are quoted by public drivers: registers and
//! special functions in `Adafruit_TSL2591_Library`, `Adafruit_CircuitPython_TSL2591` 1.4.8 and Linux's
//! `drivers/iio/light/tsl2591.c`; irradiance responsivity and the gain at which it is specified in published loggers
//! that cite the data sheet. What no source says is marked *choice of this model* where it is made.
//!
//! # What is modelled
//! * COMMAND with its transaction types, address with automatic increment, and the special functions.
//! * ENABLE, CONTROL, thresholds, PERSIST, PID, ID, STATUS and the data registers; a low byte read latches its high byte.
//! * Integration cycles of (ATIME + 1) steps of nominally 100 ms that go on while the converter is enabled, on the time
//!   that comes in with each call; saturation of the converter; both interrupts, the interrupt pin, sleep after interrupt.
//! * A change of gain takes effect at once, so that a cycle in which it happens counts partly with either gain and is
//!   worth nothing, as on the chip.
//!
//! Not modelled: supply current, temperature, dark counts (0 typical). A scan of a bus with this chip shows a second
//! address, 0x28; the model acknowledges it, takes what is written for nothing, and answers 0 (*choice of this model*).

mod adc;
mod registers;

use super::i2c::{Acknowledge, Direction, I2cDevice};
use crate::world::environment::Irradiance;
use adc::Adc;
use embassy_time::Instant;
use registers::{Registers, SpecialFunction, address};

pub use adc::Part;

/// The 7-bit address of the TSL25911 (data sheet, ordering information).
pub const ADDRESS: u8 = 0x29;

/// The other address that the chip acknowledges.
pub const SECOND_ADDRESS: u8 = 0x28;

/// The register that the next data byte goes to or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pointer {
    /// No register is chosen: data is ignored and reads as 0.
    Nowhere,
    /// A register's address, 0 to 31.
    At(u8),
}

/// One TSL2591.
pub struct Tsl2591 {
    light: Box<dyn FnMut(Instant) -> Irradiance>,
    registers: Registers,
    adc: Adc,
    pointer: Pointer,
    addressed: bool,
    command_expected: bool,
    misuses: u64,
    samples: u64,
}

impl Tsl2591 {
    /// Returns a chip on which `light` falls; its registers have their defaults.
    ///
    /// `light` is asked for moments that never go backwards, at least once for each 100 ms of integration.
    pub fn new(part: Part, light: impl FnMut(Instant) -> Irradiance + 'static) -> Self {
        Self {
            light: Box::new(light),
            registers: Registers::default(),
            adc: Adc::new(part),
            pointer: Pointer::Nowhere,
            addressed: false,
            command_expected: false,
            misuses: 0,
            samples: 0,
        }
    }

    /// Returns how often a master did what the data sheet reserves or forbids: a command without its CMD bit, a reserved
    /// transaction type, special function, integration time or register.
    pub fn misuses(&self) -> u64 {
        self.misuses
    }

    /// Returns whether the interrupt pin is pulled low at `now`.
    pub fn interrupt_pin_low(&mut self, now: Instant) -> bool {
        self.catch_up(now);
        self.registers.interrupt_pin_low()
    }

    #[inline]
    fn catch_up(&mut self, now: Instant) {
        self.adc.advance(now, &mut self.registers, &mut self.light);
    }

    fn command(&mut self, byte: u8, now: Instant) {
        // Page 11, figure "Command register": CMD 7, TRANSACTION 6:5, ADDR/SF 4:0.
        let field = byte & 0x1f;
        self.pointer = Pointer::Nowhere;
        match byte >> 5 {
            0b101 => self.pointer = Pointer::At(field),
            0b111 => match SpecialFunction::from_field(field) {
                Some(function) => {
                    self.registers.special(function);
                    self.adc.enable_changed(now, &self.registers);
                }
                None => self.misuses += 1,
            },
            _ => self.misuses += 1,
        }
    }

    fn write_register(&mut self, register: u8, value: u8, now: Instant) {
        match register {
            address::CONTROL if value & registers::CONTROL_SRESET != 0 => self.power_on(now),
            address::CONTROL => {
                self.misuses += u64::from(value & registers::CONTROL_ATIME > registers::ATIME_MAX);
                self.registers.control = value & registers::CONTROL_WRITABLE;
            }
            address::ENABLE => {
                self.registers.write_enable(value);
                self.adc.enable_changed(now, &self.registers);
            }
            _ => self.misuses += u64::from(!self.registers.write(register, value)),
        }
    }

    fn advance_pointer(&mut self) -> Option<u8> {
        let Pointer::At(register) = self.pointer else { return None };
        self.pointer = Pointer::At((register + 1) & 0x1f);
        Some(register)
    }
}

impl I2cDevice for Tsl2591 {
    fn address(&self) -> u8 {
        ADDRESS
    }

    fn power_on(&mut self, now: Instant) {
        self.registers = Registers::default();
        self.pointer = Pointer::Nowhere;
        self.command_expected = false;
        self.adc.power_on(now);
    }

    fn start(&mut self, address: u8, direction: Direction, now: Instant) -> Acknowledge {
        self.catch_up(now);
        self.addressed = address == ADDRESS;
        self.command_expected = direction == Direction::Write;
        if self.addressed || address == SECOND_ADDRESS { Acknowledge::Ack } else { Acknowledge::Nack }
    }

    fn write(&mut self, byte: u8, now: Instant) -> Acknowledge {
        self.catch_up(now);
        if !self.addressed {
            return Acknowledge::Ack;
        }
        if self.command_expected {
            self.command_expected = false;
            self.command(byte, now);
        } else if let Some(register) = self.advance_pointer() {
            self.write_register(register, byte, now);
        } else {
            self.misuses += 1;
        }
        Acknowledge::Ack
    }

    fn read(&mut self, now: Instant) -> u8 {
        self.catch_up(now);
        if !self.addressed {
            return 0;
        }
        match self.advance_pointer() {
            Some(register) => {
                // The last of the four bytes of both channels.
                self.samples += u64::from(register == address::C1DATAH);
                self.registers.read(register)
            }
            None => {
                self.misuses += 1;
                0
            }
        }
    }

    fn stop(&mut self, now: Instant) {
        self.catch_up(now);
    }

    fn samples(&self) -> u64 {
        self.samples
    }
}
