//! Reports: which readings go to which topic, and how.

use minicbor::{Decode, Encode};

use super::settings::is_false;
use super::{Filter, List};
use crate::strict;

/// Sends readings to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Report<'a> {
    /// Identifier; none for the automatic report of a sensor.
    #[n(0)]
    pub id: Option<&'a str>,
    /// Topic name; none means `PREFIX/DEVICE/reading/ID` with the identifier of the report, or of its first member's
    /// sensor where the report has none.
    #[n(1)]
    pub topic: Option<&'a str>,
    /// Quality of service.
    #[cbor(n(2), default, skip_if = "QoS::is_default", decode_with = "strict::known")]
    pub qos: QoS,
    /// Whether the broker keeps the last message.
    #[cbor(n(3), default, skip_if = "is_false")]
    pub retain: bool,
    /// The message's form.
    #[cbor(n(4), default, skip_if = "Payload::is_default", decode_with = "strict::known")]
    pub payload: Payload,
    /// The readings, in order; at least one, at most [`MEMBERS`](crate::limits::MEMBERS).
    #[b(5)]
    pub members: List<'a, Member>,
    /// Time between two messages in milliseconds, 100 to 86,400,000; none sends a message for each sample of the one
    /// sensor that all members belong to.
    #[n(6)]
    pub every_ms: Option<u32>,
    /// Filters that run after the reading's own; only where the report has one member. At most
    /// [`FILTERS`](crate::limits::FILTERS).
    #[cbor(b(7), default, skip_if = "List::is_empty")]
    pub filters: List<'a, Filter>,
}

/// A reading of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Member {
    /// Index of the sensor.
    #[n(0)]
    pub sensor: u8,
    /// Number of the reading in the driver's table.
    #[n(1)]
    pub reading: u8,
}

/// Quality of service (MQTT 5, section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum QoS {
    /// At most once.
    #[default]
    #[n(0)]
    AtMostOnce,
    /// At least once.
    #[n(1)]
    AtLeastOnce,
    /// Exactly once.
    #[n(2)]
    ExactlyOnce,
}

impl QoS {
    fn is_default(&self) -> bool {
        *self == QoS::default()
    }
}

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Payload {
    /// A flat object: `{"illuminance":284.1312,"seq":312,"uptime":624.0}`.
    #[default]
    #[n(0)]
    Json,
    /// The value alone: `284.1312`. Only for reports of one reading.
    #[n(1)]
    Plain,
    /// ThingFlow's event: `["lux-1", 624, 284.1312]`. Only for reports of one reading.
    #[n(2)]
    ThingFlow,
}

impl Payload {
    /// Each form with its name in the user's file.
    pub const NAMES: &'static [(Payload, &'static str)] =
        &[(Payload::Json, "json"), (Payload::Plain, "plain"), (Payload::ThingFlow, "thingflow")];

    fn is_default(&self) -> bool {
        *self == Payload::default()
    }
}
