//! Stands in for hardware on the host.

pub mod devices;
pub mod native;
pub mod world;
