//! The tool's tasks against the whole agent on the native board, in a simulated world with a broker, in virtual time.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod broken_flash;
mod noise;
mod power;
mod push;
mod queries;
mod same;
mod world;
