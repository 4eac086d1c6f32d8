//! The configuration of a Dunlin node as a checked value and as bytes.
#![no_std]
