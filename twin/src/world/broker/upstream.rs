//! The broker as what a gateway's streams lead to, on every address and port.

use std::net::SocketAddrV4;

use embassy_time::Instant;

use super::Broker;
use crate::world::network::upstream::{ConnectionNumber, ConnectionState, EVERY_HOST, Resolution, Upstream};

/// The number of every connection that was refused; the broker's own begin at 1.
const REFUSED: ConnectionNumber = 0;

impl Upstream for Broker {
    fn connect(&mut self, now: Instant, _: SocketAddrV4) -> Option<ConnectionNumber> {
        Some(self.open(now).unwrap_or(REFUSED))
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        if connection == REFUSED {
            ConnectionState::Refused
        } else if self.is_closed(connection) {
            ConnectionState::Closed
        } else {
            ConnectionState::Open
        }
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        self.receive(now, connection, bytes);
        bytes.len()
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        let output = self.output(connection);
        if output.is_empty() {
            return 0;
        }
        let taken_len = take(output.get(..room).unwrap_or(output));
        self.consume_output(connection, taken_len);
        taken_len
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        self.finished(now, connection);
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, _: bool) {
        self.close(now, connection);
    }

    fn resolve(&mut self, _: &str) -> Resolution {
        Resolution::Known(Some(EVERY_HOST))
    }

    fn step(&mut self, now: Instant) {
        Broker::step(self, now);
    }

    fn next_event(&self) -> Option<Instant> {
        Broker::next_event(self)
    }
}
