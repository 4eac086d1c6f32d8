//! Chip models at register level, and the buses that connect them to a board.
//!
//! A model knows its own registers and pins, the bytes on its bus, and the time; what it senses comes in through a
//! closure. It does not know which board it sits on, who talks to it, or what the bytes are for. The native board calls
//! the byte hooks through [`i2c::I2cBus`]; the chip twin calls the same hooks from its pin decoder.
//!
//! The next model joins here as a file of its own.

pub mod i2c;
pub mod nor_flash;
pub mod spi;
pub mod tsl2591;
