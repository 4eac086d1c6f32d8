//! A board made of host parts, which runs the agent compiled natively.

pub mod board;
pub mod executor;
mod pair;
pub mod simulation;
