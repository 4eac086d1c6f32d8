//! All behaviour of a Dunlin node.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod event;
pub mod filter;
mod host;
pub mod network;
pub mod node;
pub mod payload;
pub mod platform;
mod run;
pub mod sampler;
pub mod schedule;
pub mod sensor;
pub mod store;
pub mod supervisor;
pub mod tether;
pub mod text;
pub mod uplink;
pub mod usb;

pub use run::{Exit, Memory, run};
