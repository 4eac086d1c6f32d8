//! Packets that the broker sends.

use embassy_time::Instant;

use super::message::{Message, Qos};

/// Which standard a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.0.
    V5,
}

/// Control packet types, in the high half of the first byte (MQTT 5.0, section 2.1.2), with the flags they must have.
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
pub(super) const PUBACK: u8 = 0x40;
pub(super) const PUBREC: u8 = 0x50;
pub(super) const PUBREL: u8 = 0x62;
pub(super) const PUBCOMP: u8 = 0x70;
const SUBACK: u8 = 0x90;
const UNSUBACK: u8 = 0xb0;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;

/// Property identifiers (section 2.2.2.2).
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
const RECEIVE_MAXIMUM: u8 = 0x21;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;
const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2a;

/// Greatest value of a variable byte integer (section 1.5.5).
const VARIABLE_INTEGER_MAX: usize = 268_435_455;

/// What the broker says of itself in CONNACK.
pub(super) struct Greeting<'a> {
    pub(super) session_present: bool,
    pub(super) assigned_client: Option<&'a str>,
    pub(super) receive_maximum: u16,
    pub(super) maximum_packet_size: u32,
}

/// A message as one subscriber gets it.
pub(super) struct Delivered<'a> {
    pub(super) message: &'a Message,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) duplicate: bool,
    /// 0 at QoS 0.
    pub(super) packet_id: u16,
    pub(super) subscription_identifiers: &'a [u32],
}

/// Accepts a connection.
pub(super) fn connack(out: &mut Vec<u8>, version: Version, greeting: &Greeting<'_>) {
    let session_present = u8::from(greeting.session_present);
    match version {
        Version::V3 => out.extend([CONNACK, 2, session_present, 0]),
        Version::V5 => {
            let mut properties = Vec::new();
            properties.push(RECEIVE_MAXIMUM);
            properties.extend(greeting.receive_maximum.to_be_bytes());
            properties.push(MAXIMUM_PACKET_SIZE);
            properties.extend(greeting.maximum_packet_size.to_be_bytes());
            properties.extend([SHARED_SUBSCRIPTION_AVAILABLE, 0]);
            if let Some(client) = greeting.assigned_client {
                properties.push(ASSIGNED_CLIENT_IDENTIFIER);
                string(&mut properties, client);
            }
            out.push(CONNACK);
            variable_integer(out, 2 + variable_integer_len(properties.len()) + properties.len());
            out.extend([session_present, 0]);
            variable_integer(out, properties.len());
            out.extend(properties);
        }
    }
}

/// Refuses a connection; `code` is a reason code of version 5 or a return code of version 3.1.1.
pub(super) fn connack_refused(out: &mut Vec<u8>, version: Version, code: u8) {
    match version {
        Version::V3 => out.extend([CONNACK, 2, 0, code]),
        Version::V5 => out.extend([CONNACK, 3, 0, code, 0]),
    }
}

/// Returns the length of the whole packet, or `None` if no packet can be that long.
pub(super) fn publish_len(version: Version, delivered: &Delivered<'_>) -> Option<usize> {
    let remaining_len = publish_remaining_len(version, delivered);
    (remaining_len <= VARIABLE_INTEGER_MAX).then(|| 1 + variable_integer_len(remaining_len) + remaining_len)
}

/// Delivers a message.
pub(super) fn publish(out: &mut Vec<u8>, version: Version, delivered: &Delivered<'_>, now: Instant) {
    let message = delivered.message;
    let flags = u8::from(delivered.duplicate) << 3 | delivered.qos.number() << 1 | u8::from(delivered.retain);
    out.push(PUBLISH | flags);
    variable_integer(out, publish_remaining_len(version, delivered));
    string(out, &message.topic);
    if delivered.qos > Qos::AtMostOnce {
        out.extend(delivered.packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        variable_integer(out, properties_len(delivered));
        if let Some(at) = message.expires_at {
            out.push(MESSAGE_EXPIRY_INTERVAL);
            let left_s = at.saturating_duration_since(now).as_secs();
            out.extend(u32::try_from(left_s).unwrap_or(u32::MAX).to_be_bytes());
        }
        for &identifier in delivered.subscription_identifiers {
            out.push(SUBSCRIPTION_IDENTIFIER);
            variable_integer(out, identifier as usize);
        }
        out.extend_from_slice(&message.properties);
    }
    out.extend_from_slice(message.payload.as_slice());
}

fn publish_remaining_len(version: Version, delivered: &Delivered<'_>) -> usize {
    let message = delivered.message;
    let packet_id_len = if delivered.qos > Qos::AtMostOnce { 2 } else { 0 };
    let properties_len = match version {
        Version::V3 => 0,
        Version::V5 => {
            let properties_len = properties_len(delivered);
            variable_integer_len(properties_len) + properties_len
        }
    };
    2 + message.topic.len() + packet_id_len + properties_len + message.payload.len()
}

fn properties_len(delivered: &Delivered<'_>) -> usize {
    let expiry_len = if delivered.message.expires_at.is_some() { 5 } else { 0 };
    let identifiers = delivered.subscription_identifiers.iter();
    let identifiers_len: usize = identifiers.map(|&id| 1 + variable_integer_len(id as usize)).sum();
    expiry_len + identifiers_len + delivered.message.properties.len()
}

/// Sends PUBACK, PUBREC, PUBREL or PUBCOMP. Version 3.1.1 knows no reason.
pub(super) fn acknowledge(out: &mut Vec<u8>, version: Version, kind: u8, packet_id: u16, reason: u8) {
    let [high, low] = packet_id.to_be_bytes();
    if version == Version::V5 && reason != 0 {
        out.extend([kind, 3, high, low, reason]);
    } else {
        out.extend([kind, 2, high, low]);
    }
}

/// Answers SUBSCRIBE with a code for each filter.
pub(super) fn suback(out: &mut Vec<u8>, version: Version, packet_id: u16, codes: &[u8]) {
    let empty_properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    acknowledge_list(out, SUBACK, packet_id, empty_properties, codes);
}

/// Answers UNSUBSCRIBE; only version 5 has a code for each filter.
pub(super) fn unsuback(out: &mut Vec<u8>, version: Version, packet_id: u16, codes: &[u8]) {
    match version {
        Version::V3 => acknowledge_list(out, UNSUBACK, packet_id, &[], &[]),
        Version::V5 => acknowledge_list(out, UNSUBACK, packet_id, &[0], codes),
    }
}

fn acknowledge_list(out: &mut Vec<u8>, kind: u8, packet_id: u16, properties: &[u8], codes: &[u8]) {
    out.push(kind);
    variable_integer(out, 2 + properties.len() + codes.len());
    out.extend(packet_id.to_be_bytes());
    out.extend_from_slice(properties);
    out.extend_from_slice(codes);
}

/// Answers PINGREQ.
pub(super) fn pingresp(out: &mut Vec<u8>) {
    out.extend([PINGRESP, 0]);
}

/// Says why the broker closes the connection. Version 3.1.1 has no such packet.
pub(super) fn disconnect(out: &mut Vec<u8>, version: Version, reason: u8) {
    if version == Version::V5 {
        out.extend([DISCONNECT, 1, reason]);
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Texts come from packets, where they are at most this long.
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn variable_integer_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

fn variable_integer(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}
