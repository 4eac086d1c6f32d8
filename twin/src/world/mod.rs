//! The world around a node.

pub mod serial_line;
