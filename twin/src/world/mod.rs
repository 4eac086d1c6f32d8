//! The world around a node: time, and what is at the other end of its lines.

pub mod clock;
pub mod serial_line;
