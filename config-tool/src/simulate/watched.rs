//! The host's sockets, and an eye on what the node sends through them.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use dunlin_twin::host::streams::HostStreams;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};
use embassy_time::Instant;

/// Streams to a real broker. What the node writes is shown to a broker of our own as well, which answers nobody but tells
/// what it would have taken.
pub struct Watched {
    streams: HostStreams,
    eye: Broker,
    seen: BTreeMap<ConnectionNumber, ConnectionNumber>,
}

impl Watched {
    pub(super) fn new(streams: HostStreams, eye: Broker) -> Self {
        Watched { streams, eye, seen: BTreeMap::new() }
    }

    pub(super) fn register<'a>(&'a self, set: &mut WaitSet<'a>) {
        self.streams.register(set);
    }
}

impl Upstream for Watched {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        let connection = self.streams.connect(now, destination)?;
        if let Some(eye) = self.eye.open(now) {
            self.seen.insert(connection, eye);
        }
        Some(connection)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        self.streams.state(connection)
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        let taken = self.streams.write(now, connection, bytes);
        if let Some(&eye) = self.seen.get(&connection) {
            self.eye.receive(now, eye, bytes.get(..taken).unwrap_or_default());
            let len = self.eye.output(eye).len();
            self.eye.consume_output(eye, len);
        }
        taken
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        self.streams.read(connection, room, take)
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        self.streams.finish(now, connection);
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool) {
        if let Some(eye) = self.seen.remove(&connection) {
            self.eye.close(now, eye);
        }
        self.streams.drop_connection(now, connection, reset);
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.streams.resolve(name)
    }

    fn step(&mut self, now: Instant) {
        self.streams.step(now);
    }

    fn next_event(&self) -> Option<Instant> {
        self.streams.next_event()
    }
}
