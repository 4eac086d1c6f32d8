//! Thin shells around the twin: sockets, pseudo-terminals, files, the wall clock. They move bytes and decide nothing.

#[cfg(unix)]
pub mod pty;
