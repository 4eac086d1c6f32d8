//! Serial lines: finds the right one, opens it, reads it in a thread, and shares it with other commands.
//!
//! It runs the tasks of [`device`](crate::device) and decides nothing about the protocol.

mod connection;
mod error;
pub mod folder;
mod network;
mod port;
mod reader;
mod share;
mod shared_line;
mod target;

pub use connection::Connection;
pub use error::{Heard, LineError};
pub use port::OpenError;
pub use share::{simulation_runs, socket_path};
pub use shared_line::SharedLine;
pub use target::{Candidate, Chosen, Target, Undecided, candidates, choose};
