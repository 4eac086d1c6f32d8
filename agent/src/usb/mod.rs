//! The device's end of the USB serial line: a server of the requests in `usb-protocol.md`.
//!
//! It owns the line, so that no log line ever splits a frame, and the state of a transfer. It knows neither flash nor
//! sensors nor network: [`Node`] stands for all of them.

mod node;
mod server;
mod transfer;

pub use node::{Begun, Event, Node, Probed, Pulled, Refused};
pub use server::{USUAL_RATE, serve};
pub use transfer::PAGE_SIZE;
