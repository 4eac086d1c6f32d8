//! Stands in for hardware on the host.

pub mod world;
