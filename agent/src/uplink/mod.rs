//! From records to the broker: connects, speaks MQTT 5, notices dead links, comes back.
//!
//! Nothing but the uplink waits for the network. It takes what the others left in [`Shared`] and never calls them.

mod backoff;
mod connect;
mod farewell;
pub(crate) mod messages;
mod outbox;
mod request;
mod session;

use core::cell::Cell;

use dunlin_config_format::config::Config;
use dunlin_config_format::limits::{CORRELATION_LEN, PAYLOAD_LEN, RESPONSE_TOPIC_LEN, TOPIC_LEN};
use embassy_time::{Duration, Instant, with_deadline};
use minimq::{Buffers, ConfigBuilder, ConfigError, Session, Will};

pub use outbox::Outbox;

use crate::event::Log;
use crate::network::Network;
use crate::node::{Asker, Shared};
use backoff::Backoff;
use dunlin_config_format::topic::Topics;
use farewell::{Farewell, TAKEN_OVER};
use session::End;

/// Bytes of the TCP connection's receive buffer: a segment of the tether's 576-byte packets. Little comes that is longer.
const TCP_RECEIVE_SIZE: usize = 536;
/// Bytes of its send buffer: two segments, so that one leaves while the other is acknowledged.
const TCP_SEND_SIZE: usize = 2 * TCP_RECEIVE_SIZE;
/// Bytes of the largest inbound packet: topic (80), payload (512), response topic, correlation data, and what frames them.
const RECEIVE_SIZE: usize = 896;
const _: () = assert!(80 + 512 + RESPONSE_TOPIC_LEN + CORRELATION_LEN + 32 <= RECEIVE_SIZE);
/// Bytes for packets that are not acknowledged yet, and for the largest one being written (a birth message that names 32
/// sensors).
const SEND_SIZE: usize = 2048;
// The longest message of a report fits beside its topic and what frames it (MQTT 5, section 3.3).
const _: () = assert!(PAYLOAD_LEN + TOPIC_LEN + 16 <= SEND_SIZE);
/// How long the broker keeps the session while the node is away, in seconds: operations in flight survive a reconnect.
const SESSION_EXPIRY_S: u32 = 3600;

/// Memory of the uplink.
pub struct Memory {
    tcp_receive: [u8; TCP_RECEIVE_SIZE],
    tcp_send: [u8; TCP_SEND_SIZE],
    receive: [u8; RECEIVE_SIZE],
    send: [u8; SEND_SIZE],
}

impl Memory {
    /// Returns unused memory.
    pub const fn new() -> Self {
        Memory {
            tcp_receive: [0; TCP_RECEIVE_SIZE],
            tcp_send: [0; TCP_SEND_SIZE],
            receive: [0; RECEIVE_SIZE],
            send: [0; SEND_SIZE],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

/// What the uplink works with while one configuration runs.
pub(crate) struct Uplink<'a> {
    pub(crate) config: &'a Config<'a>,
    pub(crate) topics: &'a Topics<'a>,
    pub(crate) shared: &'a Shared,
    pub(crate) network: Network<'a>,
    /// The broker's password; empty without one.
    pub(crate) password: &'a [u8],
    /// Set when the configuration is about to be replaced.
    pub(crate) leaving: Cell<Leaving>,
}

/// Whether and how a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Not yet.
    No,
    /// Send what is left, then leave: the node comes back to this broker under these names.
    Soon,
    /// The same, and say `offline`: the node goes to another broker. A session that ends in order takes the will along.
    Elsewhere,
    /// The same, and take the retained messages along: nobody will renew them under these names.
    ForGood,
}

impl Uplink<'_> {
    /// Keeps a session with the broker until it is told to leave.
    ///
    /// Dropping the future drops the connection; records stay in the outbox.
    pub(crate) async fn run(&self, memory: &mut Memory, seed: u64) {
        let Memory { tcp_receive, tcp_send, receive, send } = memory;
        let status = self.topics.status();
        // Every length was checked with the configuration, so that it makes a session.
        let Ok(mut session) = self.session(Buffers::new(receive, send), &status) else { return };
        let mut backoff = Backoff::new(seed);
        let farewell = Farewell::new();
        while self.leaving.get() == Leaving::No {
            let mut refused = false;
            self.shared.promises.uplink.set(Instant::now() + connect::TIMEOUT);
            match self.open(&mut session, &farewell, tcp_receive, tcp_send).await {
                Ok(mut connection) => {
                    let established = Instant::now();
                    self.count(&self.shared.counters.connections);
                    self.shared.events.log(Log::Connected);
                    let end = self.attend(&mut connection).await;
                    self.shared.outbox.borrow_mut().disconnected();
                    // Its requests ended with the session.
                    self.shared.measurement.cancel(Asker::Mqtt);
                    backoff.session_ended(established, Instant::now());
                    match end {
                        End::Left => return self.close(connection).await,
                        End::Dead => {
                            self.count(&self.shared.counters.dead_links);
                            self.shared.events.log(Log::Dead);
                        }
                        End::Lost if farewell.reason() == Some(TAKEN_OVER) => {
                            // Two nodes with one name throw each other out without end.
                            refused = true;
                            self.shared.events.log(Log::TakenOver);
                        }
                        // Not every broker says why (mosquitto does not where a session is taken up again).
                        End::Lost if backoff.is_again() => self.shared.events.log(Log::LostAgain),
                        End::Lost => self.shared.events.log(Log::Lost),
                    }
                }
                Err(reason) => {
                    refused = connect::is_refusal(reason);
                    self.shared.outbox.borrow_mut().disconnected();
                    if self.shared.obstacle.replace(Some(reason)) != Some(reason) {
                        self.shared.events.log(Log::Unreachable(reason));
                    }
                }
            }
            self.pause(backoff.next(refused)).await;
        }
    }

    /// Returns the session that the configuration describes, before its first connection. Apart from the future: what it is made
    /// with is not kept there.
    fn session<'s>(&'s self, buffers: Buffers<'s>, status: &'s str) -> Result<Session<'s>, ConfigError> {
        let mqtt = &self.config.mqtt;
        let will = Will::new(status, b"offline", &[])?.retained().qos(minimq::QoS::AtLeastOnce);
        let builder = ConfigBuilder::new(buffers)
            .client_id(mqtt.client_identifier.unwrap_or(self.config.device.name))?
            .keepalive_interval(u16::try_from(mqtt.keep_alive_s.0).unwrap_or(u16::MAX))
            .session_expiry_interval(SESSION_EXPIRY_S)
            .autodowngrade_qos()
            .will(will)?;
        Ok(Session::new(match mqtt.username {
            Some(username) => builder.auth(username, self.password)?,
            None => builder,
        }))
    }

    /// Waits before the next attempt; records of QoS 0 that are made meanwhile are dropped and counted.
    async fn pause(&self, delay: Duration) {
        let until = Instant::now() + delay;
        self.shared.promises.uplink.set(until);
        while self.leaving.get() == Leaving::No {
            match with_deadline(until, self.shared.uplink.taken()).await {
                Ok(()) => self.shared.outbox.borrow_mut().disconnected(),
                Err(_) => break,
            }
        }
    }

    /// Ends a session in order.
    async fn close(&self, mut connection: minimq::Connection<'_, '_, connect::Transport<'_>>) {
        if connection.disconnect().await.is_ok() {
            connection.into_inner().close().await;
        }
    }

    fn count(&self, counter: &Cell<u32>) {
        counter.set(counter.get().saturating_add(1));
    }
}
