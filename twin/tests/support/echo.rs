//! An upstream that sends back what it gets, with a few ports that behave otherwise.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use dunlin_twin::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};
use embassy_time::{Duration, Instant};

#[derive(Default)]
pub struct Echo {
    connections: BTreeMap<ConnectionNumber, Connection>,
    opened: u64,
}

struct Connection {
    port: u16,
    opened_at: Instant,
    bytes: Vec<u8>,
    finished: bool,
}

impl Echo {
    pub const REFUSED: u16 = 1;
    pub const UNANSWERED: u16 = 2;
    pub const LATE: u16 = 3;
    pub const CLOSING: u16 = 4;
    /// How long the late port takes; the node's second attempt has gone out by then.
    pub const DELAY: Duration = Duration::from_millis(1_500);
    pub const FAREWELL: &[u8] = b"good night";
}

impl Upstream for Echo {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        let port = destination.port();
        if port == Echo::UNANSWERED {
            return None;
        }
        self.opened += 1;
        let bytes = if port == Echo::CLOSING { Echo::FAREWELL.to_vec() } else { Vec::new() };
        self.connections.insert(self.opened, Connection { port, opened_at: now, bytes, finished: false });
        Some(self.opened)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        let connection = &self.connections[&connection];
        match connection.port {
            Echo::REFUSED => ConnectionState::Refused,
            Echo::LATE if Instant::now() < connection.opened_at + Echo::DELAY => ConnectionState::Connecting,
            Echo::CLOSING => ConnectionState::Closed,
            _ if connection.finished && connection.bytes.is_empty() => ConnectionState::Closed,
            _ => ConnectionState::Open,
        }
    }

    fn write(&mut self, _: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        let connection = self.connections.get_mut(&connection).unwrap();
        // Takes little, so that the gateway's window closes.
        let taken_len = bytes.len().min(700).min(2_000 - connection.bytes.len().min(2_000));
        connection.bytes.extend(&bytes[..taken_len]);
        taken_len
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        let bytes = &mut self.connections.get_mut(&connection).unwrap().bytes;
        let taken_len = take(&bytes[..bytes.len().min(room)]);
        bytes.drain(..taken_len);
        taken_len
    }

    fn finish(&mut self, _: Instant, connection: ConnectionNumber) {
        self.connections.get_mut(&connection).unwrap().finished = true;
    }

    fn drop_connection(&mut self, _: Instant, connection: ConnectionNumber, _: bool) {
        self.connections.remove(&connection).expect("dropped twice");
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        Resolution::Known((name == "broker.example").then_some(Ipv4Addr::new(192, 0, 2, 9)))
    }

    fn step(&mut self, _: Instant) {}

    fn next_event(&self) -> Option<Instant> {
        let late = self.connections.values().filter(|connection| connection.port == Echo::LATE);
        late.map(|connection| connection.opened_at + Echo::DELAY).filter(|&at| at > Instant::now()).min()
    }
}
