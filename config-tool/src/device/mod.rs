//! The host's end of the USB serial line.
//!
//! The inner half is sans-I/O: a [`Task`] takes frames and time and gives frames, so that it runs over a port, over a
//! simulated line in virtual time, and in a browser. The outer half opens ports, finds the right one, and shares it.
//! Normative text for what crosses the line: `usb-protocol.md`.

mod connection;
mod exchange;
mod failure;
pub mod folder;
mod hello;
mod hub;
mod line_thread;
mod monitor;
mod port;
mod pull;
mod push;
mod query;
mod sending;
mod share;
mod shared_line;
mod target;
mod task;

pub use connection::{Connection, Heard, LineError, simulation_runs, socket_path};
pub use exchange::{Exchange, Patience};
pub use failure::Failure;
pub use hello::{Hello, HelloTask};
pub use hub::{ClientId, Hub};
pub use monitor::{MonitorTask, NodeEvent};
pub use port::OpenError;
pub use pull::{PullTask, PulledImage};
pub use push::{Package, Progress, PushOptions, PushTask, Pushed, Trial};
pub use query::{Ask, Fact, InfoTask, Measurement, ReadTask};
pub use shared_line::SharedLine;
pub use target::{Candidate, Chosen, Target, Undecided, candidates, choose};
pub use task::{Outbox, Station, Task, Time};
