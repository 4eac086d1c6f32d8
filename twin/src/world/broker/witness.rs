//! What passes between a node and a broker that is not the world's, told as a broker's observer is told it.
//!
//! Sessions and acknowledgements are read from what the broker answers, never guessed from what the node asks: a session
//! is open when a CONNACK has said so, and a message above QoS 0 has reached the broker when it was acknowledged.

use std::collections::BTreeMap;

use embassy_time::Instant;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder, RawPacket};

use super::activity::{Activity, Disconnection};
use super::decode::{self, Connect, Request};
use super::message::{Message, Qos};

/// Largest packet that is looked at, in bytes.
const MAXIMUM_PACKET_SIZE: u32 = 1 << 20;
/// The first code that says that something failed (MQTT 5.0, section 2.4).
const FIRST_FAILURE: u8 = 0x80;
/// Packet types that only a broker sends (MQTT 5.0, section 2.1.2), and those that both do.
const CONNACK: u8 = 2;
const PUBACK: u8 = 4;
const PUBREC: u8 = 5;
const DISCONNECT: u8 = 14;

/// Who is told.
type Tell<'t> = &'t mut dyn FnMut(&Activity<'_>);

/// One connection of a node to a broker.
pub struct Witness {
    from_node: PacketBuilder,
    from_broker: PacketBuilder,
    connect: Option<Box<Connect>>,
    phase: Phase,
    /// Messages above QoS 0 that the broker has not acknowledged, by packet identifier.
    pending: BTreeMap<u16, Message>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The broker has not answered yet.
    Opening,
    Open,
    /// It ended, or what was said is not MQTT.
    Over,
}

impl Witness {
    /// Returns a witness of a connection on which nothing was said yet.
    pub fn new() -> Self {
        Witness {
            from_node: PacketBuilder::with_maximum_packet_size(MAXIMUM_PACKET_SIZE),
            from_broker: PacketBuilder::with_maximum_packet_size(MAXIMUM_PACKET_SIZE),
            connect: None,
            phase: Phase::Opening,
            pending: BTreeMap::new(),
        }
    }

    /// Takes bytes that the node has sent.
    pub fn sent(&mut self, now: Instant, bytes: &[u8], tell: Tell<'_>) {
        let mut cursor = Cursor::new(bytes);
        while self.phase != Phase::Over && cursor.position() < bytes.len() as u64 {
            match self.from_node.feed(&mut cursor) {
                PacketBuildResult::Complete(packet) => self.node_says(now, &packet, tell),
                PacketBuildResult::Incomplete => {}
                PacketBuildResult::Error(_) => self.phase = Phase::Over,
            }
        }
    }

    /// Takes bytes that the broker has sent.
    pub fn received(&mut self, bytes: &[u8], tell: Tell<'_>) {
        let mut cursor = Cursor::new(bytes);
        while self.phase != Phase::Over && cursor.position() < bytes.len() as u64 {
            match self.from_broker.feed(&mut cursor) {
                PacketBuildResult::Complete(packet) => self.broker_says(&packet, tell),
                PacketBuildResult::Incomplete => {}
                PacketBuildResult::Error(_) => {
                    self.end(Disconnection::Broker(decode::MALFORMED_PACKET), tell)
                }
            }
        }
    }

    /// Learns that the connection is no more.
    pub fn closed(&mut self, tell: Tell<'_>) {
        self.end(Disconnection::Lost, tell);
    }

    fn node_says(&mut self, now: Instant, packet: &RawPacket, tell: Tell<'_>) {
        let Some(connect) = &self.connect else {
            self.connect = decode::decode_connect(packet, now).ok();
            return;
        };
        match decode::decode(connect.version, packet, now) {
            Ok(Request::Publish { message, packet_id }) if message.qos != Qos::AtMostOnce => {
                self.pending.insert(packet_id, message);
            }
            Ok(Request::Publish { message, .. }) if self.phase == Phase::Open => {
                tell(&published(&connect.client, &message));
            }
            Ok(Request::Disconnect { reason: 0, .. }) => self.end(Disconnection::Normal, tell),
            Ok(Request::Disconnect { reason, .. }) => self.end(Disconnection::Client(reason), tell),
            _ => {}
        }
    }

    fn broker_says(&mut self, packet: &RawPacket, tell: Tell<'_>) {
        let Some(connect) = &self.connect else { return };
        let client = connect.client.as_str();
        match (packet.packet_type(), packet.data_as_slice()) {
            (CONNACK, [flags, 0, ..]) if self.phase == Phase::Opening => {
                let session_present = flags & 1 != 0;
                tell(&Activity::Connected { client, version: connect.version, session_present });
                self.phase = Phase::Open;
            }
            (CONNACK, [_, reason, ..]) if self.phase == Phase::Opening => {
                tell(&Activity::Refused { client: Some(client), reason: *reason });
                self.phase = Phase::Over;
            }
            (PUBACK | PUBREC, [high, low, rest @ ..]) => {
                let packet_id = u16::from_be_bytes([*high, *low]);
                let Some(message) = self.pending.remove(&packet_id) else { return };
                if rest.first().is_some_and(|&reason| reason >= FIRST_FAILURE) {
                    tell(&Activity::PublishRefused { client, topic: &message.topic });
                } else {
                    tell(&published(client, &message));
                }
            }
            (DISCONNECT, body) => {
                let reason = body.first().copied().unwrap_or(0);
                self.end(Disconnection::Broker(reason), tell);
            }
            _ => {}
        }
    }

    fn end(&mut self, reason: Disconnection, tell: Tell<'_>) {
        let was_open = std::mem::replace(&mut self.phase, Phase::Over) == Phase::Open;
        if let Some(connect) = self.connect.as_ref().filter(|_| was_open) {
            tell(&Activity::Disconnected { client: &connect.client, reason });
        }
    }
}

impl Default for Witness {
    fn default() -> Self {
        Witness::new()
    }
}

fn published<'m>(client: &'m str, message: &'m Message) -> Activity<'m> {
    Activity::Published {
        client: Some(client),
        topic: &message.topic,
        payload: message.payload.as_slice(),
        qos: message.qos,
        retain: message.retain,
    }
}
