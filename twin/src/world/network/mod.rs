//! A node's network as the node sees it: an Ethernet [`link`] to a [`gateway`] behind which the rest of the world is.
//!
//! Everything here is sans-I/O: frames, bytes and time in, frames, bytes and time out. What a stream of the gateway
//! reaches is decided by an [`upstream::Upstream`]: the world's own broker, or sockets of the host.

pub mod capture;
pub mod gateway;
pub mod lan;
pub mod link;
pub mod tether;
pub mod upstream;

/// Length in bytes of an Ethernet header (IEEE 802.3, clause 3.1; no tag, no checksum).
pub const ETHERNET_HEADER_LEN: usize = dunlin_config_format::packet::ETHERNET_HEADER_LEN;

/// Largest IP packet in bytes, the same as on the USB tether, so that a simulated node meets the segments a tethered one
/// does. It is also what every IPv4 host must accept (RFC 791, section 3.1).
pub const IP_MTU: usize = dunlin_config_format::packet::MTU;

/// Largest Ethernet frame in bytes.
pub const FRAME_SIZE: usize = ETHERNET_HEADER_LEN + IP_MTU;
