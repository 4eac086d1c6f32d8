//! Stands in for hardware on the host.

pub mod chip;
pub mod devices;
#[cfg(feature = "host")]
pub mod host;
pub mod native;
pub mod simulation;
pub mod world;
