//! The library behind the `dunlin` command.

pub mod device;
