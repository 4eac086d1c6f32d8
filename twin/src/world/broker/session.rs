//! What the broker keeps for a client beyond a connection (MQTT 5.0, section 4.1).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use embassy_time::Instant;

use super::connection::Connection;
use super::decode::Will;
use super::encode::{Delivered, PUBREL};
use super::message::{Message, Qos};
use super::topic;

/// Names a session inside the broker, in the order of creation.
pub(super) type SessionNumber = u64;

/// Messages that wait for a client; further ones are dropped.
const QUEUE_SIZE: usize = 100_000;

pub(super) struct Session {
    pub(super) client: String,
    /// The number of the connection, while there is one.
    pub(super) connection: Option<u64>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    /// Sent and not acknowledged, in the order of sending.
    in_flight: VecDeque<InFlight>,
    /// Not sent yet.
    queue: VecDeque<Delivery>,
    last_packet_id: u16,
    /// Packet identifiers of QoS 2 messages from the client that it has not released.
    pub(super) received: BTreeSet<u16>,
    pub(super) will: Option<Will>,
    /// When the will is published though the client is gone already.
    pub(super) will_at: Option<Instant>,
    /// How long the session outlives its connection, in seconds.
    pub(super) expiry_s: u32,
    /// When the session ends, while there is no connection.
    pub(super) expires_at: Option<Instant>,
}

pub(super) struct Subscription {
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifier: Option<u32>,
}

/// A message for one client.
pub(super) struct Delivery {
    pub(super) message: Rc<Message>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) subscription_identifiers: Vec<u32>,
}

struct InFlight {
    packet_id: u16,
    state: InFlightState,
}

enum InFlightState {
    /// PUBACK or PUBREC is missing.
    Sent(Delivery),
    /// PUBCOMP is missing.
    Released,
}

/// What became of a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Sent, or kept for the client.
    Taken,
    Dropped,
}

impl Session {
    pub(super) fn new(client: &str) -> Self {
        Session {
            client: client.to_owned(),
            connection: None,
            subscriptions: BTreeMap::new(),
            in_flight: VecDeque::new(),
            queue: VecDeque::new(),
            last_packet_id: 0,
            received: BTreeSet::new(),
            will: None,
            will_at: None,
            expiry_s: 0,
            expires_at: None,
        }
    }

    /// Returns how `message` reaches this client, if a subscription wants it. Several that do make one delivery, at the
    /// highest of their QoS ([MQTT-3.3.4-2]).
    pub(super) fn wants(&self, message: &Rc<Message>, from_itself: bool) -> Option<Delivery> {
        let mut delivery: Option<Delivery> = None;
        for (filter, subscription) in &self.subscriptions {
            if (subscription.no_local && from_itself) || !topic::matches(filter, &message.topic) {
                continue;
            }
            let delivery = delivery.get_or_insert_with(|| Delivery {
                message: Rc::clone(message),
                qos: Qos::AtMostOnce,
                retain: false,
                subscription_identifiers: Vec::new(),
            });
            delivery.qos = delivery.qos.max(subscription.qos.min(message.qos));
            delivery.retain |= subscription.retain_as_published && message.retain;
            delivery.subscription_identifiers.extend(subscription.identifier);
        }
        delivery
    }

    /// Sends a message, or keeps it until the client is there and takes more.
    pub(super) fn deliver(
        &mut self,
        delivery: Delivery,
        connection: Option<&mut Connection>,
        now: Instant,
    ) -> Outcome {
        if delivery.qos > Qos::AtMostOnce {
            if self.queue.len() >= QUEUE_SIZE {
                return Outcome::Dropped;
            }
            self.queue.push_back(delivery);
            if let Some(connection) = connection {
                self.send_queued(connection, now);
            }
            return Outcome::Taken;
        }
        match connection {
            Some(connection) if !connection.is_backlogged() => {
                connection.publish(&delivery.to_send(0, false), now);
                Outcome::Taken
            }
            _ => Outcome::Dropped,
        }
    }

    /// Sends what the client has room for (receive maximum, section 4.9).
    pub(super) fn send_queued(&mut self, connection: &mut Connection, now: Instant) {
        while self.in_flight.len() < connection.receive_maximum {
            let Some(delivery) = self.queue.pop_front() else { return };
            if delivery.message.is_expired(now) {
                continue;
            }
            let packet_id = self.unused_packet_id();
            connection.publish(&delivery.to_send(packet_id, false), now);
            self.in_flight.push_back(InFlight { packet_id, state: InFlightState::Sent(delivery) });
        }
    }

    /// Sends again what was not acknowledged on an earlier connection ([MQTT-4.4.0-1]).
    pub(super) fn resume(&mut self, connection: &mut Connection, now: Instant) {
        for InFlight { packet_id, state } in &self.in_flight {
            match state {
                InFlightState::Sent(delivery) => connection.publish(&delivery.to_send(*packet_id, true), now),
                InFlightState::Released => connection.acknowledge(PUBREL, *packet_id, 0),
            }
        }
        self.send_queued(connection, now);
    }

    /// Takes PUBACK or PUBCOMP; returns whether it was awaited.
    pub(super) fn completed(&mut self, packet_id: u16, qos: Qos) -> bool {
        let index = self.in_flight.iter().position(|in_flight| {
            in_flight.packet_id == packet_id
                && match &in_flight.state {
                    InFlightState::Sent(delivery) => qos == Qos::AtLeastOnce && delivery.qos == qos,
                    InFlightState::Released => qos == Qos::ExactlyOnce,
                }
        });
        index.and_then(|index| self.in_flight.remove(index)).is_some()
    }

    /// Takes PUBREC; returns whether it was awaited. A refused message is done with.
    pub(super) fn received_by_client(&mut self, packet_id: u16, refused: bool) -> bool {
        let index = self.in_flight.iter().position(|in_flight| {
            in_flight.packet_id == packet_id
                && match &in_flight.state {
                    InFlightState::Sent(delivery) => delivery.qos == Qos::ExactlyOnce,
                    InFlightState::Released => true,
                }
        });
        let Some(index) = index else { return false };
        if refused {
            self.in_flight.remove(index);
        } else if let Some(in_flight) = self.in_flight.get_mut(index) {
            in_flight.state = InFlightState::Released;
        }
        true
    }

    fn unused_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            // Fewer than 65,535 are in flight: that is the greatest receive maximum.
            if !self.in_flight.iter().any(|in_flight| in_flight.packet_id == self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }
}

impl Delivery {
    fn to_send(&self, packet_id: u16, duplicate: bool) -> Delivered<'_> {
        Delivered {
            message: &self.message,
            qos: self.qos,
            retain: self.retain,
            duplicate,
            packet_id,
            subscription_identifiers: &self.subscription_identifiers,
        }
    }
}
