//! The world around a node: time, what it measures, what befalls it, and what is at the other end of its lines.

pub mod broker;
pub mod clock;
pub mod environment;
pub mod network;
pub mod scenario;
pub mod serial_line;
pub mod trace;
