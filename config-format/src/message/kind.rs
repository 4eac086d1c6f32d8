//! Kinds of frames, by channel. The numbers cross the link: append only, never reuse.

/// Set in the kind of every reply on the control channel.
pub const REPLY: u8 = 0x80;

/// Who is there: see [`HelloRequest`](super::HelloRequest).
pub const HELLO: u8 = 0x01;
/// Prepares the inactive slot for an image: see [`BeginRequest`](super::BeginRequest).
pub const BEGIN: u8 = 0x02;
/// A piece of the image: see [`DataRequest`](super::DataRequest).
pub const DATA: u8 = 0x03;
/// The image is complete: see [`EndRequest`](super::EndRequest).
pub const END: u8 = 0x04;
/// What became of the image: see [`VerdictRequest`](super::VerdictRequest).
pub const VERDICT: u8 = 0x05;
/// Stores a secret: see [`SecretRequest`](super::SecretRequest).
pub const SECRET: u8 = 0x06;
/// Reads a piece of the stored image: see [`PullRequest`](super::PullRequest).
pub const PULL: u8 = 0x07;
/// How the node is: see [`InfoRequest`](super::InfoRequest).
pub const INFO: u8 = 0x08;
/// Measures afresh: see [`ReadRequest`](super::ReadRequest).
pub const READ: u8 = 0x09;
/// Which addresses of a bus answer: see [`ProbeRequest`](super::ProbeRequest).
pub const PROBE: u8 = 0x0a;
/// Switches what is told unasked: see [`MonitorRequest`](super::MonitorRequest).
pub const MONITOR: u8 = 0x0b;
/// Returns to the configuration before: see [`RollbackRequest`](super::RollbackRequest).
pub const ROLLBACK: u8 = 0x0c;
/// Erases what is stored: see [`EraseRequest`](super::EraseRequest).
pub const ERASE: u8 = 0x0d;
/// Restarts the board: see [`RestartRequest`](super::RestartRequest).
pub const RESTART: u8 = 0x0e;
/// Changes the line's speed: see [`RateRequest`](super::RateRequest).
pub const RATE: u8 = 0x0f;
/// Refuses a request: see [`ErrorReply`](super::ErrorReply). Only ever a reply.
pub const ERROR: u8 = 0xff;

/// On the log channel: a reading passed its filters or was given up.
pub const EVENT_READING: u8 = 0x01;
/// On the log channel: a sensor's health changed.
pub const EVENT_HEALTH: u8 = 0x02;
/// On the log channel: a line of text.
pub const EVENT_LOG: u8 = 0x03;
/// On the log channel: a message was acknowledged by the broker, or sent where nothing acknowledges.
pub const EVENT_SENT: u8 = 0x04;
