//! Application messages on their way through the broker.

use embassy_time::{Duration, Instant};
use mqtt_protocol_core::mqtt::common::ArcPayload;
use mqtt_protocol_core::mqtt::packet::Property;

/// How often a message may arrive (MQTT 5.0, section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// Quality of service 0.
    #[default]
    AtMostOnce = 0,
    /// Quality of service 1.
    AtLeastOnce = 1,
    /// Quality of service 2.
    ExactlyOnce = 2,
}

impl Qos {
    /// Returns the number in packets.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Reads the number in packets.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }
}

impl From<mqtt_protocol_core::mqtt::packet::Qos> for Qos {
    fn from(qos: mqtt_protocol_core::mqtt::packet::Qos) -> Self {
        use mqtt_protocol_core::mqtt::packet::Qos as Other;
        match qos {
            Other::AtMostOnce => Qos::AtMostOnce,
            Other::AtLeastOnce => Qos::AtLeastOnce,
            Other::ExactlyOnce => Qos::ExactlyOnce,
        }
    }
}

/// A message as its publisher sent it.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: ArcPayload,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// The properties that are passed on unaltered, encoded (MQTT 5.0, section 3.3.2.3).
    pub(super) properties: Vec<u8>,
    pub(super) expires_at: Option<Instant>,
}

impl Message {
    pub(super) fn new(
        topic: &str,
        payload: ArcPayload,
        qos: Qos,
        retain: bool,
        properties: &[Property],
        now: Instant,
    ) -> Self {
        let mut expires_at = None;
        let mut passed_on = Vec::new();
        for property in properties {
            match property {
                Property::MessageExpiryInterval(interval) => {
                    expires_at = Some(now + Duration::from_secs(u64::from(interval.val())));
                }
                Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(_) => passed_on.extend(property.to_continuous_buffer()),
                _ => {}
            }
        }
        Message { topic: topic.to_owned(), payload, qos, retain, properties: passed_on, expires_at }
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
