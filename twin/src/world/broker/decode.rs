//! Packets that clients send, the same for both versions of the standard.
//!
//! `mqtt-protocol-core` takes the packets apart; the rules that it leaves to its caller are checked here.

use embassy_time::{Duration, Instant};
use mqtt_protocol_core::mqtt::common::ArcPayload;
use mqtt_protocol_core::mqtt::connection::{PacketData, RawPacket};
use mqtt_protocol_core::mqtt::packet::{Property, RetainHandling, v3_1_1, v5_0};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::encode::Version;
use super::message::{Message, Qos};
use super::topic;

/// Reason codes (MQTT 5.0, section 2.4) with which a broker ends a connection.
pub(super) const MALFORMED_PACKET: u8 = 0x81;
pub(super) const PROTOCOL_ERROR: u8 = 0x82;
pub(super) const UNSUPPORTED_PROTOCOL_VERSION: u8 = 0x84;
pub(super) const CLIENT_IDENTIFIER_NOT_VALID: u8 = 0x85;
pub(super) const BAD_AUTHENTICATION_METHOD: u8 = 0x8c;
pub(super) const TOPIC_NAME_INVALID: u8 = 0x90;
pub(super) const TOPIC_ALIAS_INVALID: u8 = 0x94;

/// A session that never expires (section 3.1.2.11.2).
pub(super) const NEVER: u32 = u32::MAX;

/// A packet from a client.
pub(super) enum Request {
    Publish { message: Message, packet_id: u16 },
    Puback { packet_id: u16 },
    Pubrec { packet_id: u16, reason: u8 },
    Pubrel { packet_id: u16 },
    Pubcomp { packet_id: u16 },
    Subscribe { packet_id: u16, identifier: Option<u32>, entries: Vec<Entry> },
    Unsubscribe { packet_id: u16, filters: Vec<String> },
    Pingreq,
    Disconnect { reason: u8, session_expiry_s: Option<u32> },
}

pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) client: String,
    pub(super) clean_start: bool,
    pub(super) keep_alive_s: u16,
    pub(super) session_expiry_s: u32,
    /// `None` for version 3.1.1, which leaves it to the broker.
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet_size: Option<u32>,
    pub(super) will: Option<Will>,
}

pub(super) struct Will {
    pub(super) message: Message,
    pub(super) delay: Duration,
}

/// One filter of a SUBSCRIBE.
pub(super) struct Entry {
    pub(super) filter: String,
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) retained: Retained,
}

/// Which retained messages a subscription is sent (section 3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// The reason code of a packet that can't be accepted.
pub(super) type Refusal = u8;

/// Takes a CONNECT apart. `Err` has the version to answer in, if the packet is sound enough for an answer, and the code.
pub(super) fn decode_connect(
    packet: &RawPacket,
    now: Instant,
) -> Result<Box<Connect>, (Option<Version>, Refusal)> {
    let body = packet.data_as_slice();
    let level = match (body, packet.packet_type(), packet.flags()) {
        ([0, 4, b'M', b'Q', b'T', b'T', level, ..], 1, 0) => *level,
        // MQTT 3.1 (protocol name "MQIsdp") is answered in the way it understands.
        ([0, 6, b'M', b'Q', b'I', b's', b'd', b'p', ..], 1, 0) => 3,
        _ => return Err((None, MALFORMED_PACKET)),
    };
    let version = match level {
        4 => Version::V3,
        5 => Version::V5,
        ..=3 => return Err((Some(Version::V3), UNSUPPORTED_PROTOCOL_VERSION)),
        _ => return Err((Some(Version::V5), UNSUPPORTED_PROTOCOL_VERSION)),
    };
    check_connect_flags(body).map_err(|code| (None, code))?;
    let connect = match version {
        Version::V3 => decode_connect_v3(packet, now),
        Version::V5 => decode_connect_v5(packet, now),
    };
    connect.map(Box::new).map_err(|code| (Some(version), code))
}

/// Checks what the flags of CONNECT may say together (section 3.1.2.3 to 3.1.2.9).
fn check_connect_flags(body: &[u8]) -> Result<(), Refusal> {
    let flags = *body.get(7).ok_or(MALFORMED_PACKET)?;
    let (reserved, will, will_qos, will_retain) =
        (flags & 1 != 0, flags & 4 != 0, flags >> 3 & 3, flags & 0x20 != 0);
    let will_consistent = will && will_qos <= 2 || !will && will_qos == 0 && !will_retain;
    if reserved || !will_consistent { Err(MALFORMED_PACKET) } else { Ok(()) }
}

fn decode_connect_v3(packet: &RawPacket, now: Instant) -> Result<Connect, Refusal> {
    let connect = packet.parse_exact(v3_1_1::Connect::parse).map_err(refusal)?;
    let client = connect.client_id();
    // MQTT 3.1.1, [MQTT-3.1.3-8].
    if client.is_empty() && !connect.clean_session() {
        return Err(CLIENT_IDENTIFIER_NOT_VALID);
    }
    let will = match connect.will_topic() {
        None => None,
        Some(topic) => Some(Will {
            message: will_message(
                topic,
                connect.will_payload(),
                connect.will_qos().into(),
                connect.will_retain(),
                &[],
                now,
            )?,
            delay: Duration::from_ticks(0),
        }),
    };
    Ok(Connect {
        version: Version::V3,
        client: client.to_owned(),
        clean_start: connect.clean_session(),
        keep_alive_s: connect.keep_alive(),
        session_expiry_s: if connect.clean_session() { 0 } else { NEVER },
        receive_maximum: None,
        maximum_packet_size: None,
        will,
    })
}

fn decode_connect_v5(packet: &RawPacket, now: Instant) -> Result<Connect, Refusal> {
    let packet = packet.parse_exact(v5_0::Connect::parse).map_err(refusal)?;
    let will = match packet.will_topic() {
        None => None,
        Some(topic) => {
            let properties = packet.will_props();
            let delay_s = properties.iter().find_map(|property| match property {
                Property::WillDelayInterval(interval) => Some(interval.val()),
                _ => None,
            });
            Some(Will {
                message: will_message(
                    topic,
                    packet.will_payload(),
                    packet.will_qos().into(),
                    packet.will_retain(),
                    properties,
                    now,
                )?,
                delay: Duration::from_secs(u64::from(delay_s.unwrap_or(0))),
            })
        }
    };
    let mut connect = Connect {
        version: Version::V5,
        client: packet.client_id().to_owned(),
        clean_start: packet.clean_start(),
        keep_alive_s: packet.keep_alive(),
        session_expiry_s: 0,
        receive_maximum: Some(u16::MAX),
        maximum_packet_size: None,
        will,
    };
    for property in packet.props() {
        match property {
            Property::SessionExpiryInterval(interval) => connect.session_expiry_s = interval.val(),
            Property::ReceiveMaximum(maximum) => connect.receive_maximum = Some(maximum.val().max(1)),
            Property::MaximumPacketSize(maximum) => connect.maximum_packet_size = Some(maximum.val()),
            Property::AuthenticationMethod(_) => return Err(BAD_AUTHENTICATION_METHOD),
            _ => {}
        }
    }
    Ok(connect)
}

fn will_message(
    topic: &str,
    payload: Option<&[u8]>,
    qos: Qos,
    retain: bool,
    properties: &[Property],
    now: Instant,
) -> Result<Message, Refusal> {
    if !topic::is_name(topic) {
        return Err(TOPIC_NAME_INVALID);
    }
    Ok(Message::new(topic, payload_of(payload.unwrap_or_default()), qos, retain, properties, now))
}

/// Copies bytes into a payload.
pub(super) fn payload_of(bytes: &[u8]) -> ArcPayload {
    ArcPayload::new(bytes.into(), 0, bytes.len())
}

/// Takes any packet but CONNECT apart.
pub(super) fn decode(version: Version, packet: &RawPacket, now: Instant) -> Result<Request, Refusal> {
    // Flags are fixed for every type but PUBLISH (section 2.1.3).
    let flags_wanted = match packet.packet_type() {
        3 => packet.flags(),
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if packet.flags() != flags_wanted {
        return Err(MALFORMED_PACKET);
    }
    let request = match packet.packet_type() {
        3 => decode_publish(version, packet, now)?,
        4..=7 => decode_acknowledgement(version, packet)?,
        8 => decode_subscribe(version, packet)?,
        10 => decode_unsubscribe(version, packet)?,
        12 if packet.data_as_slice().is_empty() => Request::Pingreq,
        12 => return Err(MALFORMED_PACKET),
        14 => decode_disconnect(version, packet)?,
        // A second CONNECT ([MQTT-3.1.0-2]), AUTH without a method, and what only brokers send.
        _ => return Err(PROTOCOL_ERROR),
    };
    Ok(request)
}

fn decode_publish(version: Version, packet: &RawPacket, now: Instant) -> Result<Request, Refusal> {
    let PacketData::Publish(body) = &packet.data else { return Err(MALFORMED_PACKET) };
    let (message, packet_id, duplicate) = match version {
        Version::V3 => {
            let (publish, _) = v3_1_1::Publish::parse(packet.flags(), body.clone()).map_err(refusal)?;
            let payload = publish.payload().clone();
            let message =
                Message::new(publish.topic_name(), payload, publish.qos().into(), publish.retain(), &[], now);
            (message, publish.packet_id(), publish.dup())
        }
        Version::V5 => {
            let (publish, _) = v5_0::Publish::parse(packet.flags(), body.clone()).map_err(refusal)?;
            // The broker announces no topic aliases.
            if publish.props().iter().any(|property| matches!(property, Property::TopicAlias(_))) {
                return Err(TOPIC_ALIAS_INVALID);
            }
            let payload = publish.payload().clone();
            let properties = publish.props();
            let message = Message::new(
                publish.topic_name(),
                payload,
                publish.qos().into(),
                publish.retain(),
                properties,
                now,
            );
            (message, publish.packet_id(), publish.dup())
        }
    };
    if !topic::is_name(&message.topic) {
        return Err(TOPIC_NAME_INVALID);
    }
    // [MQTT-3.3.1-2] and [MQTT-2.2.1-3].
    let consistent = if message.qos == Qos::AtMostOnce { !duplicate } else { packet_id != Some(0) };
    if !consistent {
        return Err(MALFORMED_PACKET);
    }
    Ok(Request::Publish { message, packet_id: packet_id.unwrap_or(0) })
}

fn decode_acknowledgement(version: Version, packet: &RawPacket) -> Result<Request, Refusal> {
    let body = packet.data_as_slice();
    let (packet_id, reason) = match (version, body) {
        (Version::V3, &[high, low]) | (Version::V5, &[high, low]) => (u16::from_be_bytes([high, low]), 0),
        (Version::V5, &[high, low, reason, ..]) => {
            // The properties, and which reasons there are, differ by type.
            match packet.packet_type() {
                4 => drop(packet.parse_exact(v5_0::Puback::parse).map_err(refusal)?),
                5 => drop(packet.parse_exact(v5_0::Pubrec::parse).map_err(refusal)?),
                6 => drop(packet.parse_exact(v5_0::Pubrel::parse).map_err(refusal)?),
                _ => drop(packet.parse_exact(v5_0::Pubcomp::parse).map_err(refusal)?),
            }
            (u16::from_be_bytes([high, low]), reason)
        }
        _ => return Err(MALFORMED_PACKET),
    };
    Ok(match packet.packet_type() {
        4 => Request::Puback { packet_id },
        5 => Request::Pubrec { packet_id, reason },
        6 => Request::Pubrel { packet_id },
        _ => Request::Pubcomp { packet_id },
    })
}

fn decode_subscribe(version: Version, packet: &RawPacket) -> Result<Request, Refusal> {
    let (packet_id, identifier, entries) = match version {
        Version::V3 => {
            let subscribe = packet.parse_exact(v3_1_1::Subscribe::parse).map_err(refusal)?;
            (subscribe.packet_id(), None, subscribe.entries().clone())
        }
        Version::V5 => {
            let subscribe = packet.parse_exact(v5_0::Subscribe::parse).map_err(refusal)?;
            let identifier = subscribe.props().iter().find_map(|property| match property {
                Property::SubscriptionIdentifier(identifier) => Some(identifier.val()),
                _ => None,
            });
            (subscribe.packet_id(), identifier, subscribe.entries().clone())
        }
    };
    let mut decoded = Vec::new();
    for entry in &entries {
        let options = entry.sub_opts();
        // Version 3.1.1 reserves every bit but the QoS (MQTT 3.1.1, [MQTT-3-8.3-4]).
        if version == Version::V3 && options.to_buffer()[0] > 2 {
            return Err(MALFORMED_PACKET);
        }
        decoded.push(Entry {
            filter: entry.topic_filter().to_owned(),
            qos: options.qos().into(),
            no_local: options.nl(),
            retain_as_published: options.rap(),
            retained: match options.rh() {
                RetainHandling::SendRetained => Retained::Always,
                RetainHandling::SendRetainedIfNotExists => Retained::IfNew,
                RetainHandling::DoNotSendRetained => Retained::Never,
            },
        });
    }
    if packet_id == 0 || identifier == Some(0) {
        return Err(PROTOCOL_ERROR);
    }
    Ok(Request::Subscribe { packet_id, identifier, entries: decoded })
}

fn decode_unsubscribe(version: Version, packet: &RawPacket) -> Result<Request, Refusal> {
    let (packet_id, filters) = match version {
        Version::V3 => {
            let unsubscribe = packet.parse_exact(v3_1_1::Unsubscribe::parse).map_err(refusal)?;
            (unsubscribe.packet_id(), unsubscribe.entries().clone())
        }
        Version::V5 => {
            let unsubscribe = packet.parse_exact(v5_0::Unsubscribe::parse).map_err(refusal)?;
            (unsubscribe.packet_id(), unsubscribe.entries().clone())
        }
    };
    if packet_id == 0 {
        return Err(PROTOCOL_ERROR);
    }
    let filters = filters.iter().map(|filter| filter.as_str().to_owned()).collect();
    Ok(Request::Unsubscribe { packet_id, filters })
}

fn decode_disconnect(version: Version, packet: &RawPacket) -> Result<Request, Refusal> {
    if packet.data_as_slice().is_empty() {
        return Ok(Request::Disconnect { reason: 0, session_expiry_s: None });
    }
    if version == Version::V3 {
        return Err(MALFORMED_PACKET);
    }
    let disconnect = packet.parse_exact(v5_0::Disconnect::parse).map_err(refusal)?;
    let properties = disconnect.props().as_ref();
    let session_expiry_s = properties.into_iter().flatten().find_map(|property| match property {
        Property::SessionExpiryInterval(interval) => Some(interval.val()),
        _ => None,
    });
    Ok(Request::Disconnect {
        reason: disconnect.reason_code().map_or(0, |reason| reason as u8),
        session_expiry_s,
    })
}

/// Returns the reason code for what the codec found.
fn refusal(error: MqttError) -> Refusal {
    match error {
        MqttError::ProtocolError => PROTOCOL_ERROR,
        MqttError::TopicNameInvalid => TOPIC_NAME_INVALID,
        MqttError::ClientIdentifierNotValid => CLIENT_IDENTIFIER_NOT_VALID,
        _ => MALFORMED_PACKET,
    }
}
