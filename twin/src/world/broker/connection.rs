//! The broker's end of a network connection.

use embassy_time::{Duration, Instant};
use mqtt_protocol_core::mqtt::connection::PacketBuilder;

use super::encode::{self, Version};
use super::session::SessionNumber;

/// Bytes waiting for a client above which QoS 0 messages to it are dropped. It does not keep up.
const BACKLOG_SIZE: usize = 4 << 20;

pub(super) struct Connection {
    pub(super) packets: PacketBuilder,
    pub(super) phase: Phase,
    pub(super) version: Version,
    pub(super) output: Output,
    /// One and a half times the keep-alive; zero for none.
    keep_alive: Duration,
    /// When the client must have been heard from.
    pub(super) deadline: Option<Instant>,
    /// Messages above QoS 0 that the client takes at a time.
    pub(super) receive_maximum: usize,
    maximum_packet_size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No CONNECT yet.
    Fresh,
    /// Belongs to a session.
    Connected(SessionNumber),
    /// Nothing more is read from it or written to it.
    Closed,
}

impl Connection {
    pub(super) fn new(now: Instant, patience: Duration, maximum_packet_size: u32) -> Self {
        Connection {
            packets: PacketBuilder::with_maximum_packet_size(maximum_packet_size),
            phase: Phase::Fresh,
            version: Version::V3,
            output: Output::default(),
            keep_alive: Duration::from_ticks(0),
            deadline: Some(now + patience),
            receive_maximum: 0,
            maximum_packet_size: usize::MAX,
        }
    }

    /// Starts the time after CONNECT.
    pub(super) fn connected(
        &mut self,
        now: Instant,
        session: SessionNumber,
        keep_alive_s: u16,
        receive_maximum: u16,
        maximum_packet_size: Option<u32>,
    ) {
        self.phase = Phase::Connected(session);
        // One and a half times (MQTT 5.0, [MQTT-3.1.2-22]).
        self.keep_alive = Duration::from_millis(u64::from(keep_alive_s) * 1_500);
        self.receive_maximum = usize::from(receive_maximum);
        self.maximum_packet_size = maximum_packet_size.map_or(usize::MAX, |size| size as usize);
        self.heard(now);
    }

    /// Notes that the client is alive.
    pub(super) fn heard(&mut self, now: Instant) {
        let kept_alive = self.keep_alive > Duration::from_ticks(0);
        self.deadline = kept_alive.then(|| now + self.keep_alive);
    }

    /// Sends a message unless the client says that it takes none so large ([MQTT-3.1.2-24]).
    pub(super) fn publish(&mut self, delivered: &encode::Delivered<'_>, now: Instant) {
        let packet_len = encode::publish_len(self.version, delivered);
        if packet_len.is_some_and(|len| len <= self.maximum_packet_size) {
            encode::publish(self.output.writer(), self.version, delivered, now);
        }
    }

    pub(super) fn is_backlogged(&self) -> bool {
        self.output.pending().len() > BACKLOG_SIZE
    }

    pub(super) fn acknowledge(&mut self, kind: u8, packet_id: u16, reason: u8) {
        encode::acknowledge(self.output.writer(), self.version, kind, packet_id, reason);
    }
}

/// Bytes that wait to be sent.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent_len: usize,
}

impl Output {
    pub(super) fn writer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.sent_len..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.sent_len += len;
        if self.sent_len >= self.bytes.len() {
            self.bytes.clear();
            self.sent_len = 0;
        } else if self.sent_len > BACKLOG_SIZE {
            self.bytes.drain(..self.sent_len);
            self.sent_len = 0;
        }
    }
}
