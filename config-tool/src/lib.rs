//! The library behind the `dunlin` command.
//!
//! What decides is sans-I/O and builds for a browser as well; what opens ports, files and terminals does not.

#[cfg(not(target_family = "wasm"))]
pub mod cli;
#[cfg(not(target_family = "wasm"))]
mod command;
pub mod compile;
pub mod crash;
pub mod device;
pub mod duration;
#[cfg(not(target_family = "wasm"))]
pub mod interrupt;
#[cfg(not(target_family = "wasm"))]
pub mod line;
pub mod package;
#[cfg(not(target_family = "wasm"))]
pub mod remote;
#[cfg(not(target_family = "wasm"))]
pub mod simulate;
mod terminal;
