//! Both ends of the USB line and the line between them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod bench;
mod board;
#[cfg(unix)]
mod command;
mod line;
#[cfg(unix)]
mod port;
mod rate;
