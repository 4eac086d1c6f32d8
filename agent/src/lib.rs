//! All behaviour of a Dunlin node.
#![no_std]

pub mod network;
pub mod platform;
