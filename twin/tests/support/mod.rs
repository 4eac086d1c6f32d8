//! What the integration tests share.
#![expect(dead_code, unreachable_pub, reason = "each test uses a part")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

pub mod echo;
pub mod packets;
pub mod pcap;
#[cfg(feature = "host")]
pub mod server;
pub mod session;
