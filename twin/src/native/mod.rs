//! A board made of host parts, which runs the agent compiled natively.

pub mod board;
pub mod executor;
pub(crate) mod pair;
pub mod stored;
