//! What a node tells unasked while a monitor is on. Lost ones are not repeated; gaps show in the frame number.

use minicbor::{Decode, Encode};

use super::{Message, kind};
use crate::frame::channel;

/// A reading passed its filters, or could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct ReadingEvent<'b> {
    /// Milliseconds since start.
    #[n(0)]
    pub uptime_ms: u64,
    /// The sensor's identifier.
    #[b(1)]
    pub sensor: &'b str,
    /// Name of the reading.
    #[b(2)]
    pub name: &'b str,
    /// Its value.
    #[n(3)]
    pub value: f32,
    /// Its unit.
    #[b(4)]
    pub unit: Option<&'b str>,
}

impl Message for ReadingEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_READING;
}

/// A sensor's health changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HealthEvent<'b> {
    /// Milliseconds since start.
    #[n(0)]
    pub uptime_ms: u64,
    /// The sensor's identifier.
    #[b(1)]
    pub sensor: &'b str,
    /// Its health now: `ok`, `nack` and so on.
    #[b(2)]
    pub health: &'b str,
}

impl Message for HealthEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_HEALTH;
}

/// A line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LogEvent<'b> {
    /// Milliseconds since start.
    #[n(0)]
    pub uptime_ms: u64,
    /// The line, without its end.
    #[b(1)]
    pub text: &'b str,
}

impl Message for LogEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_LOG;
}

/// A message went to the broker: at QoS 0 sent, above acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SentEvent<'b> {
    /// Milliseconds since start.
    #[n(0)]
    pub uptime_ms: u64,
    /// The topic.
    #[b(1)]
    pub topic: &'b str,
    /// The beginning of the payload, as much as fits; empty where it is not known any more.
    #[cbor(b(2), with = "minicbor::bytes")]
    pub payload: &'b [u8],
    /// Quality of service, 0 to 2.
    #[n(3)]
    pub qos: u8,
}

impl SentEvent<'_> {
    /// Most bytes of topic and payload together: a frame's payload without the other keys and values.
    pub const CONTENT_LEN: usize = crate::frame::MAX_PAYLOAD - 19;
}

impl Message for SentEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_SENT;
}
