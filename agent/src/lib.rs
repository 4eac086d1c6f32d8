//! All behaviour of a Dunlin node.
#![no_std]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod network;
pub mod platform;
pub mod store;
pub mod text;
pub mod topic;
pub mod usb;
