//! What the broker does with each packet of a client.

use embassy_time::{Duration, Instant};
use mqtt_protocol_core::mqtt::connection::RawPacket;

use super::activity::{Activity, Disconnection};
use super::connection::Phase;
use super::decode::{self, Connect, Entry, NEVER, Request, Retained};
use super::encode::{self, Greeting, PUBACK, PUBCOMP, PUBREC, PUBREL, Version};
use super::message::{Message, Qos};
use super::session::{Delivery, Session, SessionNumber, Subscription};
use super::{
    Broker, ConnectionNumber, Ending, MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM, RECEIVE_MAXIMUM_EXCEEDED,
    SESSION_TAKEN_OVER, Will, topic,
};

/// Reason codes (MQTT 5.0, section 2.4).
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const TOPIC_FILTER_INVALID: u8 = 0x8f;
const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;
const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: u8 = 0x9e;
/// The first code that says that something failed.
const FIRST_FAILURE: u8 = 0x80;
/// The only failure code of SUBACK in version 3.1.1.
const SUBACK_FAILURE_V3: u8 = 0x80;

impl Broker {
    pub(super) fn handle(&mut self, now: Instant, number: ConnectionNumber, packet: &RawPacket) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let session = match connection.phase {
            Phase::Closed => return,
            Phase::Fresh => return self.handle_connect(now, number, packet),
            Phase::Connected(session) => session,
        };
        connection.heard(now);
        match decode::decode(connection.version, packet, now) {
            Ok(request) => self.handle_request(now, number, session, request),
            Err(reason) => self.reject(now, number, reason),
        }
    }

    fn handle_request(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session: SessionNumber,
        request: Request,
    ) {
        match request {
            Request::Publish { message, packet_id } => {
                self.handle_publish(now, number, session, message, packet_id);
            }
            Request::Puback { packet_id } => {
                self.with_session(now, number, session, |session, _| {
                    session.completed(packet_id, Qos::AtLeastOnce);
                });
            }
            Request::Pubrec { packet_id, reason } => {
                let refused = reason >= FIRST_FAILURE;
                self.with_session(now, number, session, |session, connection| {
                    let known = session.received_by_client(packet_id, refused);
                    if !refused {
                        let reason = if known { 0 } else { PACKET_IDENTIFIER_NOT_FOUND };
                        connection.acknowledge(PUBREL, packet_id, reason);
                    }
                });
            }
            Request::Pubrel { packet_id } => {
                self.with_session(now, number, session, |session, connection| {
                    let known = session.received.remove(&packet_id);
                    let reason = if known { 0 } else { PACKET_IDENTIFIER_NOT_FOUND };
                    connection.acknowledge(PUBCOMP, packet_id, reason);
                });
            }
            Request::Pubcomp { packet_id } => {
                self.with_session(now, number, session, |session, _| {
                    session.completed(packet_id, Qos::ExactlyOnce);
                });
            }
            Request::Subscribe { packet_id, identifier, entries } => {
                self.handle_subscribe(now, number, session, packet_id, identifier, entries);
            }
            Request::Unsubscribe { packet_id, filters } => {
                self.handle_unsubscribe(now, number, session, packet_id, &filters);
            }
            Request::Pingreq => {
                self.with_session(now, number, session, |_, connection| {
                    encode::pingresp(connection.output.writer());
                });
            }
            Request::Disconnect { reason, session_expiry_s } => {
                self.handle_disconnect(now, number, session, reason, session_expiry_s);
            }
        }
    }

    /// Lets `act` change a session and its connection, then sends what there is room for now.
    fn with_session(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session: SessionNumber,
        act: impl FnOnce(&mut Session, &mut super::Connection),
    ) {
        let (session, connection) = (self.sessions.get_mut(&session), self.connections.get_mut(&number));
        if let (Some(session), Some(connection)) = (session, connection) {
            act(session, connection);
            session.send_queued(connection, now);
        }
    }

    fn handle_connect(&mut self, now: Instant, number: ConnectionNumber, packet: &RawPacket) {
        let connect = match decode::decode_connect(packet, now) {
            Ok(connect) => *connect,
            Err((version, reason)) => return self.refuse(now, number, None, version, reason),
        };
        if self.faults.refuse_credentials {
            let (client, version) = (connect.client.as_str(), connect.version);
            return self.refuse(now, number, Some(client), Some(version), BAD_USER_NAME_OR_PASSWORD);
        }
        let assigned = connect.client.is_empty();
        let client = if assigned { format!("auto-{number}") } else { connect.client.clone() };
        let (session, session_present) = self.take_session(now, &client, connect.clean_start);
        self.greet(now, number, session, connect, assigned.then_some(client.as_str()), session_present);
    }

    /// Finds or makes the session of a client, and ends a connection that it has elsewhere ([MQTT-3.1.4-3]).
    fn take_session(&mut self, now: Instant, client: &str, clean_start: bool) -> (SessionNumber, bool) {
        if let Some(&known) = self.session_numbers.get(client) {
            let elsewhere = self.sessions.get(&known).and_then(|session| session.connection);
            if let Some(elsewhere) = elsewhere {
                self.reject(now, elsewhere, SESSION_TAKEN_OVER);
            }
        }
        let known = self.session_numbers.get(client).copied();
        match known {
            Some(number) if !clean_start => {
                if let Some(session) = self.sessions.get_mut(&number) {
                    // Its client is back in time ([MQTT-3.1.3-9]).
                    session.will = None;
                    session.will_at = None;
                    session.expires_at = None;
                }
                (number, true)
            }
            known => {
                if let Some(number) = known {
                    self.end_session(now, number);
                }
                self.sessions_opened += 1;
                self.sessions.insert(self.sessions_opened, Session::new(client));
                self.session_numbers.insert(client.to_owned(), self.sessions_opened);
                (self.sessions_opened, false)
            }
        }
    }

    fn greet(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session_number: SessionNumber,
        connect: Connect,
        assigned_client: Option<&str>,
        session_present: bool,
    ) {
        let session = self.sessions.get_mut(&session_number);
        let (Some(session), Some(connection)) = (session, self.connections.get_mut(&number)) else { return };
        session.connection = Some(number);
        session.expiry_s = connect.session_expiry_s;
        session.will = connect.will;
        connection.version = connect.version;
        connection.connected(
            now,
            session_number,
            connect.keep_alive_s,
            connect.receive_maximum.unwrap_or(RECEIVE_MAXIMUM),
            connect.maximum_packet_size,
        );
        let greeting = Greeting {
            session_present,
            assigned_client,
            receive_maximum: RECEIVE_MAXIMUM,
            maximum_packet_size: MAXIMUM_PACKET_SIZE,
        };
        encode::connack(connection.output.writer(), connect.version, &greeting);
        session.resume(connection, now);
        let activity =
            Activity::Connected { client: &session.client, version: connect.version, session_present };
        self.reporter.tell(now, &activity);
        let deadline = connection.deadline;
        self.wake_at(deadline);
    }

    /// Answers a CONNECT with a refusal, where the client can understand one, and closes.
    fn refuse(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        client: Option<&str>,
        version: Option<Version>,
        reason: u8,
    ) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let code = match version {
            Some(Version::V3) => return_code(reason),
            _ => reason,
        };
        if let Some(version) = version {
            encode::connack_refused(connection.output.writer(), version, code);
        }
        connection.phase = Phase::Closed;
        connection.deadline = None;
        self.reporter.tell(now, &Activity::Refused { client, reason: code });
    }

    fn handle_publish(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session_number: SessionNumber,
        message: Message,
        packet_id: u16,
    ) {
        let qos = message.qos;
        let Some(session) = self.sessions.get_mut(&session_number) else { return };
        let refused = self.faults.refuses(&message.topic);
        let mut repeated = false;
        if qos == Qos::ExactlyOnce && !refused {
            repeated = !session.received.insert(packet_id);
            if session.received.len() > usize::from(RECEIVE_MAXIMUM) {
                return self.reject(now, number, RECEIVE_MAXIMUM_EXCEEDED);
            }
        }
        let mut reason = 0;
        if refused {
            reason = NOT_AUTHORIZED;
            let activity = Activity::PublishRefused { client: &session.client, topic: &message.topic };
            self.reporter.tell(now, &activity);
        } else if !repeated && !self.route(now, message, Some(session_number)) {
            reason = NO_MATCHING_SUBSCRIBERS;
        }
        let Some(connection) = self.connections.get_mut(&number) else { return };
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => connection.acknowledge(PUBACK, packet_id, reason),
            Qos::ExactlyOnce => connection.acknowledge(PUBREC, packet_id, reason),
        }
    }

    fn handle_subscribe(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session_number: SessionNumber,
        packet_id: u16,
        identifier: Option<u32>,
        entries: Vec<Entry>,
    ) {
        let session = self.sessions.get_mut(&session_number);
        let (Some(session), Some(connection)) = (session, self.connections.get_mut(&number)) else { return };
        let mut codes = Vec::with_capacity(entries.len());
        let mut retained = Vec::new();
        for entry in entries {
            let failure = if entry.filter.starts_with("$share/") {
                Some(SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
            } else {
                (!topic::is_filter(&entry.filter)).then_some(TOPIC_FILTER_INVALID)
            };
            if let Some(code) = failure {
                let code = if connection.version == Version::V3 { SUBACK_FAILURE_V3 } else { code };
                codes.push(code);
                continue;
            }
            codes.push(entry.qos.number());
            let activity =
                Activity::Subscribed { client: &session.client, filter: &entry.filter, qos: entry.qos };
            self.reporter.tell(now, &activity);
            let subscription = Subscription {
                qos: entry.qos,
                no_local: entry.no_local,
                retain_as_published: entry.retain_as_published,
                identifier,
            };
            let new = session.subscriptions.insert(entry.filter.clone(), subscription).is_none();
            if entry.retained == Retained::Always || entry.retained == Retained::IfNew && new {
                retained.push((entry.filter, entry.qos));
            }
        }
        encode::suback(connection.output.writer(), connection.version, packet_id, &codes);
        for (filter, qos) in retained {
            self.send_retained(now, session_number, &filter, qos, identifier);
        }
    }

    fn send_retained(
        &mut self,
        now: Instant,
        session_number: SessionNumber,
        filter: &str,
        qos: Qos,
        identifier: Option<u32>,
    ) {
        let Some(session) = self.sessions.get_mut(&session_number) else { return };
        let connection = session.connection.and_then(|number| self.connections.get_mut(&number));
        let Some(connection) = connection else { return };
        self.retained.retain(|_, message| !message.is_expired(now));
        for (name, message) in &self.retained {
            if !topic::matches(filter, name) {
                continue;
            }
            let qos = qos.min(message.qos);
            let delivery = Delivery {
                message: message.clone(),
                qos,
                retain: true,
                subscription_identifiers: identifier.into_iter().collect(),
            };
            session.deliver(delivery, Some(&mut *connection), now);
            self.reporter.tell(now, &Activity::Delivered { client: &session.client, topic: name, qos });
        }
    }

    fn handle_unsubscribe(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session: SessionNumber,
        packet_id: u16,
        filters: &[String],
    ) {
        let session = self.sessions.get_mut(&session);
        let (Some(session), Some(connection)) = (session, self.connections.get_mut(&number)) else { return };
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let existed = session.subscriptions.remove(filter).is_some();
            codes.push(if existed { 0 } else { NO_SUBSCRIPTION_EXISTED });
            if existed {
                self.reporter.tell(now, &Activity::Unsubscribed { client: &session.client, filter });
            }
        }
        encode::unsuback(connection.output.writer(), connection.version, packet_id, &codes);
    }

    fn handle_disconnect(
        &mut self,
        now: Instant,
        number: ConnectionNumber,
        session: SessionNumber,
        reason: u8,
        session_expiry_s: Option<u32>,
    ) {
        if let (Some(session), Some(expiry_s)) = (self.sessions.get_mut(&session), session_expiry_s) {
            // A session can't be made to last at its end ([MQTT-3.14.2-2]).
            if session.expiry_s == 0 && expiry_s != 0 {
                return self.reject(now, number, decode::PROTOCOL_ERROR);
            }
            session.expiry_s = expiry_s;
        }
        let ending = match reason {
            0 => Ending { will: Will::Discarded, reason: Disconnection::Normal },
            reason => Ending { will: Will::Due, reason: Disconnection::Client(reason) },
        };
        self.end(now, number, ending);
    }

    /// Ends a connection for a reason that the client is told.
    pub(super) fn reject(&mut self, now: Instant, number: ConnectionNumber, reason: u8) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if let Phase::Connected(_) = connection.phase {
            encode::disconnect(connection.output.writer(), connection.version, reason);
        }
        self.end(now, number, Ending { will: Will::Due, reason: Disconnection::Broker(reason) });
    }

    /// Ends a connection; its output can still be taken.
    pub(super) fn end(&mut self, now: Instant, number: ConnectionNumber, ending: Ending) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let phase = std::mem::replace(&mut connection.phase, Phase::Closed);
        connection.deadline = None;
        let Phase::Connected(session_number) = phase else { return };
        let Some(session) = self.sessions.get_mut(&session_number) else { return };
        session.connection = None;
        let activity = Activity::Disconnected { client: &session.client, reason: ending.reason };
        self.reporter.tell(now, &activity);
        if ending.will == Will::Discarded {
            session.will = None;
        }
        session.expires_at =
            (session.expiry_s != NEVER).then(|| now + Duration::from_secs(u64::from(session.expiry_s)));
        session.will_at = session.will.as_ref().map(|will| now + will.delay);
        let (will_at, expires_at) = (session.will_at, session.expires_at);
        if will_at.is_some_and(|at| at <= now) {
            self.publish_will(now, session_number);
        }
        if expires_at.is_some_and(|at| at <= now) {
            return self.end_session(now, session_number);
        }
        self.wake_at(will_at);
        self.wake_at(expires_at);
    }

    /// Forgets a session. Its will is due with its end at the latest ([MQTT-3.1.2-8]).
    pub(super) fn end_session(&mut self, now: Instant, number: SessionNumber) {
        self.publish_will(now, number);
        if let Some(session) = self.sessions.remove(&number) {
            self.session_numbers.remove(&session.client);
        }
    }
}

/// Returns the return code of version 3.1.1 (section 3.2.2.3) for a reason code of version 5.
fn return_code(reason: u8) -> u8 {
    match reason {
        decode::UNSUPPORTED_PROTOCOL_VERSION => 1,
        decode::CLIENT_IDENTIFIER_NOT_VALID => 2,
        BAD_USER_NAME_OR_PASSWORD => 4,
        _ => 5,
    }
}
