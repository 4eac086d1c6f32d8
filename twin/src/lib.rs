//! Stands in for hardware on the host.

pub mod native;
pub mod world;
