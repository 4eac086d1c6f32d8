//! What a scenario does to the broker, between a node's network and whoever stands in for the broker.

use std::net::SocketAddrV4;

use embassy_time::Instant;

use crate::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};

/// What a scenario does to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BrokerFault {
    pub(super) away: bool,
    pub(super) mute: bool,
}

/// An upstream with the scenario's faults.
pub(super) struct Faulty<'u, U> {
    pub(super) upstream: &'u mut U,
    pub(super) fault: BrokerFault,
    pub(super) address: Option<SocketAddrV4>,
}

/// The number of connections to where there is nobody; an upstream counts from the other end.
const NOBODY: ConnectionNumber = ConnectionNumber::MAX;

impl<U: Upstream> Upstream for Faulty<'_, U> {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        if self.address.is_some_and(|address| address != destination) {
            return Some(NOBODY);
        }
        self.upstream.connect(now, destination)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        if connection == NOBODY {
            return ConnectionState::Refused;
        }
        match self.upstream.state(connection) {
            ConnectionState::Connecting | ConnectionState::Open if self.fault.away => {
                ConnectionState::Refused
            }
            state => state,
        }
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        // A broker that is stuck takes bytes and does nothing with them.
        if self.fault.mute || connection == NOBODY {
            bytes.len()
        } else {
            self.upstream.write(now, connection, bytes)
        }
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        if self.fault.mute || connection == NOBODY { 0 } else { self.upstream.read(connection, room, take) }
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        if connection != NOBODY {
            self.upstream.finish(now, connection);
        }
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool) {
        if connection != NOBODY {
            self.upstream.drop_connection(now, connection, reset);
        }
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.upstream.resolve(name)
    }

    fn step(&mut self, now: Instant) {
        self.upstream.step(now);
    }

    fn next_event(&self) -> Option<Instant> {
        self.upstream.next_event()
    }
}
