//! The configuration of a Dunlin node as a checked value and as bytes, the flash map, and the frames of the USB line.
//!
//! This crate is the only thing that firmware and host must agree on. It knows no files, no sockets, no clock and no
//! chip; it neither allocates nor panics. `flash-layout.md` and `usb-protocol.md` are its specification.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod cbor;
pub mod config;
pub mod driver;
pub mod flash_map;
pub mod frame;
pub mod identity;
pub mod image;
pub mod limits;
pub mod message;
pub mod packet;
pub mod reason;
pub mod slot;
pub mod topic;

pub use config::Config;
pub use reason::Reason;
