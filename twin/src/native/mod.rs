//! A board made of host parts, which runs the agent compiled natively.

pub mod executor;
