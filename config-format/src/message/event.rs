//! What a node tells unasked while a monitor is on. Lost ones are not repeated; gaps show in the frame number.

use super::{Message, kind};
use crate::cbor;
use crate::frame::channel;

/// A reading passed its filters, or could not be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingEvent<'b> {
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// The sensor's identifier.
    pub sensor: &'b str,
    /// Name of the reading.
    pub name: &'b str,
    /// Its value.
    pub value: f32,
    /// Its unit.
    pub unit: Option<&'b str>,
}

cbor::map!(ReadingEvent<'b> { 0 uptime_ms, 1 sensor, 2 name, 3 value, 4 unit: optional });

impl Message for ReadingEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_READING;
}

/// A sensor's health changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthEvent<'b> {
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// The sensor's identifier.
    pub sensor: &'b str,
    /// Its health now: `ok`, `nack` and so on.
    pub health: &'b str,
}

cbor::map!(HealthEvent<'b> { 0 uptime_ms, 1 sensor, 2 health });

impl Message for HealthEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_HEALTH;
}

/// A line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEvent<'b> {
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// The line, without its end.
    pub text: &'b str,
}

cbor::map!(LogEvent<'b> { 0 uptime_ms, 1 text });

impl Message for LogEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_LOG;
}

/// A message went to the broker: at QoS 0 sent, above acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentEvent<'b> {
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// The topic.
    pub topic: &'b str,
    /// The beginning of the payload, as much as fits; empty where it is not known any more.
    pub payload: &'b [u8],
    /// Quality of service, 0 to 2.
    pub qos: u8,
}

cbor::map!(SentEvent<'b> { 0 uptime_ms, 1 topic, 2 payload, 3 qos });

impl SentEvent<'_> {
    /// Most bytes of topic and payload together: a frame's payload without the other keys and values.
    pub const CONTENT_LEN: usize = crate::frame::MAX_PAYLOAD - 19;
}

impl Message for SentEvent<'_> {
    const CHANNEL: u8 = channel::LOG;
    const KIND: u8 = kind::EVENT_SENT;
}
