//! Stands in for hardware on the host.
