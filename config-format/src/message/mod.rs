//! Messages: what the payloads of frames mean.
//!
//! A message is a CBOR map (RFC 8949) with numbered keys. A reader skips keys that it does not know and takes a missing
//! optional key as absent, so that either end may be older than the other; numbers are never given a second meaning.
//! This module knows the shape of every message and nothing of who sends it when: the device's side is the agent's USB
//! server, the host's is the tool's client. Normative text: `usb-protocol.md`.
//!
//! The host asks, the device answers: a reply's kind is the request's with [`kind::REPLY`] set, its frame number is the
//! request's. Any request may be sent twice; the second has no further effect.

use crate::cbor::{self, Item};
use crate::frame::{Encoded, Frame, MAX_PAYLOAD, channel};

mod event;
pub mod kind;
mod query;
mod refusal;
mod session;
mod transfer;
mod value;

pub use event::{HealthEvent, LogEvent, ReadingEvent, SentEvent};
pub use query::{
    InfoItem, InfoRequest, MonitorReply, MonitorRequest, ProbeReply, ProbeRequest, PullReply, PullRequest,
    ReadItem, ReadRequest, bus, monitor,
};
pub use refusal::{ErrorReply, Refusal};
pub use session::{
    EraseReply, EraseRequest, HelloBoard, HelloConfiguration, HelloRequest, RateReply, RateRequest,
    RestartReply, RestartRequest, RollbackReply, RollbackRequest, state, what,
};
pub use transfer::{
    BeginReply, BeginRequest, DataReply, DataRequest, EndReply, EndRequest, MAX_DATA, SecretReply,
    SecretRequest, VerdictReply, VerdictRequest, flag, outcome,
};
pub use value::Value;

/// Major version of the protocol. Ends with different majors do not talk to each other.
pub const PROTOCOL_MAJOR: u8 = 1;

/// Minor version of the protocol: grows with every added message or key.
pub const PROTOCOL_MINOR: u8 = 1;

pub use crate::image::HASH_SIZE;

/// A message: its place among the frames.
pub trait Message {
    /// The channel it travels on.
    const CHANNEL: u8 = channel::CONTROL;
    /// Its kind on that channel; see [`kind`].
    const KIND: u8;
}

/// A payload that is not the message it should be: no CBOR map of rising keys, a missing or mistyped key, or bytes left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A message that does not fit into one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Encodes `message` as one frame with the given number.
///
/// # Errors
/// [`TooLong`] where the message needs more than [`MAX_PAYLOAD`] bytes.
pub fn encode<'b, M: Message + Item<'b>>(message: &M, number: u8) -> Result<Encoded, TooLong> {
    let mut buffer = [0; MAX_PAYLOAD];
    let payload = encode_payload(message, &mut buffer)?;
    Encoded::new(&Frame { channel: M::CHANNEL, kind: M::KIND, number, payload }).map_err(|_| TooLong)
}

/// Encodes `message` as a payload, for a sender that numbers its frames later.
///
/// # Errors
/// [`TooLong`] where the message needs more than [`MAX_PAYLOAD`] bytes.
pub fn encode_payload<'a, 'b, M: Item<'b>>(
    message: &M,
    buffer: &'a mut [u8; MAX_PAYLOAD],
) -> Result<&'a [u8], TooLong> {
    let len = cbor::write(message, buffer).ok_or(TooLong)?;
    buffer.get(..len).ok_or(TooLong)
}

/// Decodes a payload as the message `M`.
///
/// # Errors
/// [`Malformed`] where it is not one.
pub fn decode<'b, M: Message + Item<'b>>(payload: &'b [u8]) -> Result<M, Malformed> {
    cbor::read(payload).map_err(|_| Malformed)
}
