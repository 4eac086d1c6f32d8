//! Where the broker is and what a scenario does to it, between a node's network and whoever stands in for the broker.

use std::net::SocketAddrV4;
use std::rc::Rc;

use dunlin_config_format::config::Mqtt;
use embassy_time::Instant;

use crate::world::network::gateway::GatewaySettings;
use crate::world::network::upstream::{ConnectionNumber, ConnectionState, EVERY_HOST, Resolution, Upstream};

/// What a scenario does to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BrokerFault {
    pub(super) away: bool,
    pub(super) mute: bool,
}

/// Where the broker is. At every other place there is nobody.
pub(super) struct BrokerPlace {
    /// Its host's name, where it is found by one.
    name: Option<String>,
    address: SocketAddrV4,
}

impl BrokerPlace {
    /// Returns where a configuration means that its broker is.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let known = match host {
            Mqtt::USB_HOST => Some(GatewaySettings::default().address),
            _ => host.parse().ok(),
        };
        let name = known.is_none().then(|| host.to_owned());
        BrokerPlace { name, address: SocketAddrV4::new(known.unwrap_or(EVERY_HOST), port) }
    }
}

/// An upstream with the scenario's faults.
pub(super) struct Faulty<'u, U> {
    pub(super) upstream: &'u mut U,
    pub(super) fault: BrokerFault,
    /// None for everywhere.
    pub(super) place: Option<Rc<BrokerPlace>>,
}

/// The number of connections to where there is nobody; an upstream counts from the other end.
const NOBODY: ConnectionNumber = ConnectionNumber::MAX;

impl<U: Upstream> Upstream for Faulty<'_, U> {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        if self.place.as_ref().is_some_and(|place| place.address != destination) {
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
        match &self.place {
            None => self.upstream.resolve(name),
            Some(place) => {
                let is_there = place.name.as_ref().is_some_and(|host| host.eq_ignore_ascii_case(name));
                Resolution::Known(is_there.then(|| *place.address.ip()))
            }
        }
    }

    fn step(&mut self, now: Instant) {
        self.upstream.step(now);
    }

    fn next_event(&self) -> Option<Instant> {
        self.upstream.next_event()
    }
}
