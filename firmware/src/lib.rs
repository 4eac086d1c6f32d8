//! The drivers of the ESP8266 image, and the board that they make up.
//!
//! What decides is kept apart from what touches registers: the bit sequence of I2C, the arithmetic of the clock, the steps
//! of a flash operation and the rings of the serial line work over small traits, and run in ordinary tests on a computer
//! against the models of the twin. What touches registers names them through [`mmio`] alone. It has run in the twin and
//! never on silicon yet.
#![cfg_attr(not(test), no_std)]
#![deny(clippy::indexing_slicing)]

pub mod adc;
pub mod board;
pub mod clock;
pub mod cpu;
pub mod efuse;
pub mod entropy;
pub mod executor;
pub mod fault;
pub mod flash;
pub mod gpio;
pub mod hspi;
pub mod i2c;
pub mod idle;
pub mod image;
pub mod mmio;
pub mod onewire;
pub mod ring;
pub mod rom;
pub mod rtc;
pub mod stack;
pub mod uart;
pub mod watchdog;
