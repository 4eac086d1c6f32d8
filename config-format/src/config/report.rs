//! Reports: which readings go to which topic, and how.

use super::{Filter, List};
use crate::cbor;

/// Sends readings to a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report<'a> {
    /// Identifier; none for the automatic report of a sensor.
    pub id: Option<&'a str>,
    /// Topic name; none means `PREFIX/DEVICE/reading/ID` with the identifier of the report, or of its first member's
    /// sensor where the report has none.
    pub topic: Option<&'a str>,
    /// Quality of service.
    pub qos: QoS,
    /// Whether the broker keeps the last message.
    pub retain: bool,
    /// The message's form.
    pub payload: Payload,
    /// The readings, in order; at least one, at most [`MEMBERS`](crate::limits::MEMBERS).
    pub members: List<'a, Member>,
    /// Time between two messages in milliseconds, 100 to 86,400,000; none sends a message for each sample of the one
    /// sensor that all members belong to.
    pub every_ms: Option<u32>,
    /// Filters that run after the reading's own; only where the report has one member. At most
    /// [`FILTERS`](crate::limits::FILTERS).
    pub filters: List<'a, Filter>,
}

cbor::map!(Report<'a> {
    0 id: optional, 1 topic: optional, 2 qos: optional, 3 retain: optional, 4 payload: optional, 5 members,
    6 every_ms: optional, 7 filters: optional,
});

/// A reading of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index of the sensor.
    pub sensor: u8,
    /// Number of the reading in the driver's table.
    pub reading: u8,
}

cbor::array!(Member { sensor, reading });

/// Quality of service (MQTT 5, section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// At most once.
    #[default]
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

cbor::number!(QoS { AtMostOnce, AtLeastOnce, ExactlyOnce });

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// A flat object: `{"illuminance":284.1312,"seq":312,"uptime":624.0}`.
    #[default]
    Json,
    /// The value alone: `284.1312`. Only for reports of one reading.
    Plain,
    /// ThingFlow's event: `["lux-1", 624, 284.1312]`. Only for reports of one reading.
    ThingFlow,
}

cbor::number!(Payload { Json, Plain, ThingFlow });

impl Payload {
    /// Each form with its name in the user's file.
    pub const NAMES: &'static [(Payload, &'static str)] =
        &[(Payload::Json, "json"), (Payload::Plain, "plain"), (Payload::ThingFlow, "thingflow")];
}
