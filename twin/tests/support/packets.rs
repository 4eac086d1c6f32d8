//! MQTT packets byte by byte, after the text of the standard, without the broker's codec.

use dunlin_twin::world::broker::{Broker, ConnectionNumber};
use embassy_time::Instant;

pub const CONNACK: u8 = 0x20;
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const SUBACK: u8 = 0x90;
pub const UNSUBACK: u8 = 0xb0;
pub const PINGREQ: [u8; 2] = [0xc0, 0];
pub const PINGRESP: u8 = 0xd0;
pub const DISCONNECT: u8 = 0xe0;
pub const GOODBYE: [u8; 2] = [0xe0, 0];

/// Returns a packet: first byte, remaining length, body.
pub fn packet(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = (rest % 128) as u8;
        rest /= 128;
        bytes.push(if rest > 0 { low | 128 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

pub fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// Returns properties with their length.
pub fn properties(properties: &[&[u8]]) -> Vec<u8> {
    let bytes = properties.concat();
    assert!(bytes.len() < 128);
    [vec![bytes.len() as u8], bytes].concat()
}

/// Returns a CONNECT of version 5.
pub fn connect(client: &str, clean_start: bool, keep_alive_s: u16, connect_properties: &[&[u8]]) -> Vec<u8> {
    let flags = if clean_start { 2 } else { 0 };
    let head = [0, 4, b'M', b'Q', b'T', b'T', 5, flags];
    packet(0x10, &[&head, &keep_alive_s.to_be_bytes(), &properties(connect_properties), &string(client)])
}

/// Returns a CONNECT of version 5 whose will is `gone` on the topic `will`.
pub fn connect_with_will(client: &str, session_expiry_s: u32, delay_s: u32) -> Vec<u8> {
    let expiry = [&[0x11][..], &session_expiry_s.to_be_bytes()].concat();
    let delay = [&[0x18][..], &delay_s.to_be_bytes()].concat();
    let head = [0, 4, b'M', b'Q', b'T', b'T', 5, 0b0000_1100, 0, 0];
    let body = [
        &head[..],
        &properties(&[&expiry]),
        &string(client),
        &properties(&[&delay]),
        &string("will"),
        &string("gone"),
    ];
    packet(0x10, &body)
}

/// Returns a CONNECT of version 3.1.1.
pub fn connect_v3(client: &str, clean_session: bool) -> Vec<u8> {
    let flags = if clean_session { 2 } else { 0 };
    packet(0x10, &[&[0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0], &string(client)])
}

/// Returns a PUBLISH of version 5; `packet_id` is left out at QoS 0.
pub fn publish(
    first: u8,
    topic: &str,
    packet_id: u16,
    publish_properties: &[&[u8]],
    payload: &[u8],
) -> Vec<u8> {
    let packet_id = if first & 6 == 0 { vec![] } else { packet_id.to_be_bytes().to_vec() };
    packet(first, &[&string(topic), &packet_id, &properties(publish_properties), payload])
}

/// Returns a SUBSCRIBE of version 5 with one filter.
pub fn subscribe(packet_id: u16, filter: &str, options: u8, identifier: Option<u8>) -> Vec<u8> {
    let identifier = identifier.map(|identifier| vec![0x0b, identifier]).unwrap_or_default();
    packet(0x82, &[&packet_id.to_be_bytes(), &properties(&[&identifier]), &string(filter), &[options]])
}

/// Returns an acknowledgement without a reason.
pub fn acknowledge(first: u8, packet_id: u16) -> Vec<u8> {
    packet(first, &[&packet_id.to_be_bytes()])
}

/// A packet of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub first: u8,
    pub body: Vec<u8>,
}

/// Takes everything that the broker has for a connection, packet by packet.
pub fn take(broker: &mut Broker, connection: ConnectionNumber) -> Vec<Received> {
    let bytes = broker.output(connection).to_vec();
    broker.consume_output(connection, bytes.len());
    split(&bytes)
}

/// Splits bytes into packets.
pub fn split(mut bytes: &[u8]) -> Vec<Received> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let (mut len, mut at) = (0, 1);
        loop {
            len |= usize::from(bytes[at] & 127) << (7 * (at - 1));
            at += 1;
            if bytes[at - 1] & 128 == 0 {
                break;
            }
        }
        packets.push(Received { first: bytes[0], body: bytes[at..at + len].to_vec() });
        bytes = &bytes[at + len..];
    }
    packets
}

/// A PUBLISH of version 5, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub first: u8,
    pub topic: String,
    pub packet_id: u16,
    pub properties: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Received {
    /// Takes a PUBLISH of version 5 apart.
    pub fn message(&self) -> Message {
        assert_eq!(self.first & 0xf0, 0x30, "{self:?}");
        let (topic_len, rest) = self.body.split_at(2);
        let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([topic_len[0], topic_len[1]])));
        let (packet_id, rest) = rest.split_at(if self.first & 6 == 0 { 0 } else { 2 });
        let (properties, payload) = rest[1..].split_at(usize::from(rest[0]));
        Message {
            first: self.first,
            topic: String::from_utf8(topic.to_vec()).unwrap(),
            packet_id: packet_id.try_into().map_or(0, u16::from_be_bytes),
            properties: properties.to_vec(),
            payload: payload.to_vec(),
        }
    }
}

/// Opens a connection and sends `connect`; returns the connection and the broker's answer.
pub fn open(broker: &mut Broker, now: Instant, connect: &[u8]) -> (ConnectionNumber, Vec<Received>) {
    let connection = broker.open(now).expect("the broker is there");
    broker.receive(now, connection, connect);
    let answer = take(broker, connection);
    (connection, answer)
}
