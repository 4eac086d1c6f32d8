//! The library behind the `dunlin` command.

pub mod cli;
mod command;
pub mod device;
pub mod interrupt;
pub mod package;
