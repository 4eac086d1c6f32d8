//! What the tool has to say to a device, sans-I/O.
//!
//! A [`Task`] takes frames and time and gives frames, so that it runs over a port, over a simulated line in virtual time, and
//! in a browser. [`line`](crate::line) opens ports. Normative text for what crosses the line: `usb-protocol.md`.

mod exchange;
mod failure;
mod hello;
mod hub;
mod monitor;
mod pull;
mod push;
mod query;
mod rate;
mod sending;
mod speed;
mod task;

pub use exchange::{Exchange, Patience};
pub use failure::Failure;
pub use hello::{Hello, HelloTask};
pub use hub::{ClientId, Hub, PacketFrame};
pub use monitor::{MonitorTask, NodeEvent};
pub use pull::{PullTask, PulledImage};
pub use push::{Package, Progress, PushOptions, PushTask, Pushed, Trial};
pub use query::{Ask, Fact, InfoTask, Measurement, ReadTask};
pub use rate::{FAST_RATE, RateTask, USUAL_RATE};
pub use task::{Outbox, Station, Task, Time};
