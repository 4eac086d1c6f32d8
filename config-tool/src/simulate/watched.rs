//! The host's sockets, and a witness of what passes through them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::rc::Rc;

use dunlin_twin::host::streams::HostStreams;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::world::broker::Witness;
use dunlin_twin::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};
use embassy_time::Instant;

use super::Story;

/// Streams to a real broker, which tell the story of what the node asks and the broker answers.
pub struct Watched {
    streams: HostStreams,
    witnesses: BTreeMap<ConnectionNumber, Witness>,
    story: Rc<RefCell<Story>>,
    /// The latest time seen: reading comes without one.
    now: Instant,
}

impl Watched {
    pub(super) fn new(streams: HostStreams, story: Rc<RefCell<Story>>) -> Self {
        Watched { streams, witnesses: BTreeMap::new(), story, now: Instant::MIN }
    }

    pub(super) fn register<'a>(&'a self, set: &mut WaitSet<'a>) {
        self.streams.register(set);
    }
}

impl Upstream for Watched {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        let connection = self.streams.connect(now, destination)?;
        self.witnesses.insert(connection, Witness::new());
        Some(connection)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        self.streams.state(connection)
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        let taken = self.streams.write(now, connection, bytes);
        if let Some(witness) = self.witnesses.get_mut(&connection) {
            let sent = bytes.get(..taken).unwrap_or_default();
            witness.sent(now, sent, &mut |activity| self.story.borrow_mut().take(now, activity));
        }
        taken
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        let Watched { streams, witnesses, story, now } = self;
        streams.read(connection, room, &mut |bytes| {
            let taken = take(bytes);
            if let Some(witness) = witnesses.get_mut(&connection) {
                let received = bytes.get(..taken).unwrap_or_default();
                witness.received(received, &mut |activity| story.borrow_mut().take(*now, activity));
            }
            taken
        })
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        self.streams.finish(now, connection);
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool) {
        if let Some(mut witness) = self.witnesses.remove(&connection) {
            witness.closed(&mut |activity| self.story.borrow_mut().take(now, activity));
        }
        self.streams.drop_connection(now, connection, reset);
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.streams.resolve(name)
    }

    fn step(&mut self, now: Instant) {
        self.now = now;
        self.streams.step(now);
    }

    fn next_event(&self) -> Option<Instant> {
        self.streams.next_event()
    }
}
