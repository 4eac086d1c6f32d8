//! A small MQTT broker (3.1.1 and 5.0) inside the world.
//!
//! Byte streams and time in, byte streams and time out: it serves simulated nodes on a virtual clock and, through the
//! host's shell, ordinary clients on a real one. It keeps sessions, retained messages and wills in memory and repeats to
//! the byte. It is part of the simulated world, not a product: no authentication, no shared subscriptions, no `$SYS`.
//! [`BrokerFaults`] make it misbehave on purpose, an observer sees what it does.

mod activity;
mod connection;
mod decode;
mod encode;
mod fault;
mod message;
mod request;
mod route;
mod session;
mod topic;
mod upstream;
mod witness;

pub use activity::{Activity, BrokerCounts, Disconnection};
pub use encode::Version;
pub use fault::{BrokerFaults, Presence};
pub use message::Qos;
pub use witness::Witness;

use std::collections::BTreeMap;
use std::rc::Rc;

use embassy_time::{Duration, Instant};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::PacketBuildResult;
use mqtt_protocol_core::mqtt::result_code::MqttError;

use connection::{Connection, Phase};
use message::Message;
use session::{Session, SessionNumber};

/// Names a connection of the broker. Never used twice.
pub type ConnectionNumber = u64;

/// How long a connection may last without CONNECT.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// QoS 1 and 2 messages that the broker takes from a client at a time, and sends to one that doesn't say (mosquitto's
/// default for both).
const RECEIVE_MAXIMUM: u16 = 20;

/// Largest packet that the broker takes, in bytes.
const MAXIMUM_PACKET_SIZE: u32 = 1 << 20;

/// Reason codes with which the broker ends connections (MQTT 5.0, section 3.14.2.1).
const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;
const SESSION_TAKEN_OVER: u8 = 0x8e;
const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
const PACKET_TOO_LARGE: u8 = 0x95;

type Observer = Box<dyn FnMut(Instant, &Activity<'_>)>;

/// A broker.
#[derive(Default)]
pub struct Broker {
    connections: BTreeMap<ConnectionNumber, Connection>,
    connections_opened: u64,
    sessions: BTreeMap<SessionNumber, Session>,
    session_numbers: BTreeMap<String, SessionNumber>,
    sessions_opened: u64,
    retained: BTreeMap<String, Rc<Message>>,
    faults: BrokerFaults,
    /// No timer is due before.
    next_timer: Option<Instant>,
    reporter: Reporter,
}

/// Counts, and tells the observer.
#[derive(Default)]
struct Reporter {
    observer: Option<Observer>,
    counts: BrokerCounts,
}

impl Reporter {
    fn tell(&mut self, now: Instant, activity: &Activity<'_>) {
        match activity {
            Activity::Connected { .. } => self.counts.connected += 1,
            Activity::Published { qos, .. } => {
                if let Some(count) = self.counts.published.get_mut(usize::from(qos.number())) {
                    *count += 1;
                }
            }
            Activity::PublishRefused { .. } => self.counts.refused += 1,
            Activity::Delivered { .. } => self.counts.delivered += 1,
            _ => {}
        }
        if let Some(observer) = &mut self.observer {
            observer(now, activity);
        }
    }
}

impl Broker {
    /// Returns a broker without clients and messages.
    pub fn new() -> Self {
        Broker::default()
    }

    /// Lets `observer` see everything from now on, instead of an earlier one.
    pub fn observe(&mut self, observer: impl FnMut(Instant, &Activity<'_>) + 'static) {
        self.reporter.observer = Some(Box::new(observer));
    }

    /// Returns totals.
    pub fn counts(&self) -> BrokerCounts {
        self.reporter.counts
    }

    /// Returns the faults.
    pub fn faults(&self) -> &BrokerFaults {
        &self.faults
    }

    /// Changes the faults. A broker that goes away, or stops being mute, loses every connection; wills are not published,
    /// since nobody is there to do it.
    pub fn set_faults(&mut self, now: Instant, faults: BrokerFaults) {
        let before = std::mem::replace(&mut self.faults, faults);
        let leaves = self.faults.presence == Presence::Away && before.presence != Presence::Away;
        let speaks = before.presence == Presence::Mute && self.faults.presence != Presence::Mute;
        if leaves || speaks {
            let numbers: Vec<_> = self.connections.keys().copied().collect();
            for number in numbers {
                self.end(now, number, Ending { will: Will::Discarded, reason: Disconnection::Lost });
            }
        }
    }

    /// Forgets sessions and retained messages, as a broker without persistence does when it is started again.
    pub fn forget(&mut self, now: Instant) {
        let numbers: Vec<_> = self.connections.keys().copied().collect();
        for number in numbers {
            self.end(now, number, Ending { will: Will::Discarded, reason: Disconnection::Lost });
        }
        self.sessions.clear();
        self.session_numbers.clear();
        self.retained.clear();
    }

    /// Takes a new connection; `None` if the broker is away.
    pub fn open(&mut self, now: Instant) -> Option<ConnectionNumber> {
        if self.faults.presence == Presence::Away {
            return None;
        }
        self.connections_opened += 1;
        let connection = Connection::new(now, CONNECT_PATIENCE, MAXIMUM_PACKET_SIZE);
        self.wake_at(connection.deadline);
        self.connections.insert(self.connections_opened, connection);
        Some(self.connections_opened)
    }

    /// Takes bytes from a connection. Those that come after its end are ignored.
    pub fn receive(&mut self, now: Instant, number: ConnectionNumber, bytes: &[u8]) {
        if self.faults.presence != Presence::Serving {
            return;
        }
        let mut cursor = Cursor::new(bytes);
        while cursor.position() < bytes.len() as u64 {
            let Some(connection) = self.connections.get_mut(&number) else { return };
            if connection.phase == Phase::Closed {
                return;
            }
            match connection.packets.feed(&mut cursor) {
                PacketBuildResult::Complete(packet) => self.handle(now, number, &packet),
                PacketBuildResult::Incomplete => {}
                PacketBuildResult::Error(MqttError::PacketTooLarge) => {
                    self.reject(now, number, PACKET_TOO_LARGE);
                }
                PacketBuildResult::Error(_) => self.reject(now, number, decode::MALFORMED_PACKET),
            }
        }
    }

    /// Returns the bytes to send on a connection, also after the broker has closed it.
    pub fn output(&self, number: ConnectionNumber) -> &[u8] {
        self.connections.get(&number).map(|connection| connection.output.pending()).unwrap_or_default()
    }

    /// Notes that the first `len` bytes of [`Broker::output`] were sent.
    pub fn consume_output(&mut self, number: ConnectionNumber, len: usize) {
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.output.consume(len);
        }
    }

    /// Returns whether the broker has closed the connection, after its [`Broker::output`].
    pub fn is_closed(&self, number: ConnectionNumber) -> bool {
        self.connections.get(&number).is_none_or(|connection| connection.phase == Phase::Closed)
    }

    /// Learns that the client sends no more. It can still be sent what the broker has for it.
    pub fn finished(&mut self, now: Instant, number: ConnectionNumber) {
        self.end(now, number, Ending { will: Will::Due, reason: Disconnection::Lost });
    }

    /// Learns that the connection is no more, and forgets it.
    pub fn close(&mut self, now: Instant, number: ConnectionNumber) {
        self.end(now, number, Ending { will: Will::Due, reason: Disconnection::Lost });
        self.connections.remove(&number);
    }

    /// Publishes a message from outside every connection.
    pub fn publish(&mut self, now: Instant, topic: &str, payload: &[u8], qos: Qos, retain: bool) {
        let message = Message::new(topic, decode::payload_of(payload), qos, retain, &[], now);
        self.route(now, message, None);
    }

    /// Returns the payload retained under `topic`.
    pub fn retained(&self, topic: &str) -> Option<&[u8]> {
        self.retained.get(topic).map(|message| message.payload.as_slice())
    }

    /// Returns when [`Broker::step`] must be called though nothing arrives.
    pub fn next_event(&self) -> Option<Instant> {
        if self.faults.presence == Presence::Serving { self.next_timer } else { None }
    }

    /// Ends what has timed out: connections, sessions, wills. Does nothing before [`Broker::next_event`].
    pub fn step(&mut self, now: Instant) {
        if self.next_event().is_none_or(|at| at > now) {
            return;
        }
        let late = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let silent: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| late(connection.deadline))
            .map(|(&n, _)| n)
            .collect();
        for number in silent {
            self.reject(now, number, KEEP_ALIVE_TIMEOUT);
        }
        let waiting: Vec<_> =
            self.sessions.iter().filter(|(_, session)| late(session.will_at)).map(|(&n, _)| n).collect();
        for number in waiting {
            self.publish_will(now, number);
        }
        let expired: Vec<_> =
            self.sessions.iter().filter(|(_, session)| late(session.expires_at)).map(|(&n, _)| n).collect();
        for number in expired {
            self.end_session(now, number);
        }
        let deadlines = self.connections.values().filter_map(|connection| connection.deadline);
        let sessions = self.sessions.values().flat_map(|session| [session.will_at, session.expires_at]);
        self.next_timer = deadlines.chain(sessions.flatten()).min();
    }

    /// Sees to it that [`Broker::step`] is called at `at`.
    fn wake_at(&mut self, at: Option<Instant>) {
        self.next_timer = [self.next_timer, at].into_iter().flatten().min();
    }
}

/// How a connection ends.
struct Ending {
    will: Will,
    reason: Disconnection,
}

/// What becomes of the will of a connection that ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Will {
    /// It is published, after its delay.
    Due,
    Discarded,
}
