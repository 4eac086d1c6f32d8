//! Where the streams of a gateway lead: the world's broker, or sockets of the host.

use std::net::{Ipv4Addr, SocketAddrV4};

use embassy_time::Instant;

use super::gateway::{FrameLine, Gateway, GatewayEvent, Query, StreamId};

/// What a host's name stands for where nobody looks it up: an address that is nobody's (RFC 5737, TEST-NET-1).
pub const EVERY_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Names a connection of an [`Upstream`], which chooses the number.
pub type ConnectionNumber = u64;

/// How far a connection of an [`Upstream`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not decided yet.
    Connecting,
    /// Bytes pass.
    Open,
    /// The far side has closed; what it sent before may still be read.
    Closed,
    /// There was nobody, or the far side ended the connection at once.
    Refused,
}

/// What byte streams lead to.
///
/// # For implementers
/// No method blocks. A number is not used again before [`Upstream::drop_connection`] was called with it.
pub trait Upstream {
    /// Starts a connection to `destination`; `None` leaves the node without an answer. It may try again.
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber>;
    /// Returns how far the connection is.
    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState;
    /// Takes bytes from the node; returns how many. The others are offered again at the next step.
    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize;
    /// Offers bytes for the node, at most `room`, and removes as many as `take` returns. Returns how many.
    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize;
    /// Learns that the node sends no more.
    fn finish(&mut self, now: Instant, connection: ConnectionNumber);
    /// Learns that the node's side is over, in order (`reset` false) or not. The number is free now.
    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool);
    /// Starts to resolve a host's name.
    fn resolve(&mut self, name: &str) -> Resolution;
    /// Acts on time that has passed.
    fn step(&mut self, now: Instant);
    /// Returns when [`Upstream::step`] must be called though nothing else happens.
    fn next_event(&self) -> Option<Instant>;
}

/// The answer to a question for a host's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The host's address; `None` if there is no such host.
    Known(Option<Ipv4Addr>),
    /// Asked for; the same question again tells more.
    Pending,
}

/// Carries the bytes of a gateway's streams to an upstream and back.
#[derive(Default)]
pub struct Carrier {
    /// A node has one or two at a time.
    streams: Vec<Carried>,
    /// Questions without an answer so far.
    questions: Vec<(Query, String)>,
}

struct Carried {
    stream: StreamId,
    connection: ConnectionNumber,
    accepted: bool,
    node_finished: bool,
    far_finished: bool,
}

impl Carrier {
    /// Returns a carrier without streams.
    pub fn new() -> Self {
        Carrier::default()
    }

    /// Moves frames and bytes between the gateway's line and the upstream; returns whether any moved, and is called again where
    /// some did. What the upstream answers at once goes out with the acknowledgement of what it answers.
    pub fn carry(
        &mut self,
        now: Instant,
        line: &mut impl FrameLine,
        gateway: &mut Gateway,
        upstream: &mut impl Upstream,
    ) -> bool {
        let mut has_moved = false;
        loop {
            has_moved |= gateway.receive(now, line);
            has_moved |= self.step(now, gateway, upstream);
            has_moved |= gateway.send(now, line);
            if !gateway.is_busy() {
                return has_moved;
            }
        }
    }

    /// Acts on the gateway's events and moves what can be moved; returns whether anything happened. The gateway must be
    /// stepped afterwards, and both again until nothing happens.
    pub fn step(&mut self, now: Instant, gateway: &mut Gateway, upstream: &mut impl Upstream) -> bool {
        let mut busy = false;
        while let Some(event) = gateway.take_event() {
            busy = true;
            self.handle(now, event, gateway, upstream);
        }
        self.questions.retain(|(query, name)| match upstream.resolve(name) {
            Resolution::Known(address) => {
                gateway.answer(query, address);
                busy = true;
                false
            }
            Resolution::Pending => true,
        });
        self.streams.retain_mut(|carried| {
            busy |= carried.step(now, gateway, upstream);
            let over = carried.node_finished && carried.far_finished;
            if over {
                upstream.drop_connection(now, carried.connection, false);
            }
            !over
        });
        busy
    }

    fn handle(
        &mut self,
        now: Instant,
        event: GatewayEvent,
        gateway: &mut Gateway,
        upstream: &mut impl Upstream,
    ) {
        match event {
            GatewayEvent::Opened { stream, destination } => {
                let Some(connection) = upstream.connect(now, destination) else {
                    return gateway.ignore(stream);
                };
                self.streams.push(Carried {
                    stream,
                    connection,
                    accepted: false,
                    node_finished: false,
                    far_finished: false,
                });
            }
            GatewayEvent::Resolve { query, name } => self.questions.push((query, name)),
            GatewayEvent::Gone { stream, reset } => {
                if let Some(index) = self.streams.iter().position(|carried| carried.stream == stream) {
                    let carried = self.streams.remove(index);
                    upstream.drop_connection(now, carried.connection, reset);
                }
            }
        }
    }
}

impl Carried {
    fn step(&mut self, now: Instant, gateway: &mut Gateway, upstream: &mut impl Upstream) -> bool {
        let stream = self.stream;
        let mut busy = false;
        let state = upstream.state(self.connection);
        match state {
            ConnectionState::Connecting => return false,
            ConnectionState::Refused => {
                // Also resets a stream that was accepted before.
                gateway.refuse(stream);
                self.node_finished = true;
                self.far_finished = true;
                return true;
            }
            ConnectionState::Open | ConnectionState::Closed => {}
        }
        if !self.accepted {
            self.accepted = true;
            busy = true;
            gateway.accept(stream);
        }
        loop {
            let connection = self.connection;
            let moved_len = gateway.read(stream, |bytes| upstream.write(now, connection, bytes));
            if moved_len == 0 {
                break;
            }
            busy = true;
        }
        if !self.node_finished && gateway.is_read_to_end(stream) {
            self.node_finished = true;
            busy = true;
            upstream.finish(now, self.connection);
        }
        busy | self.carry_back(state, gateway, upstream)
    }

    fn carry_back(
        &mut self,
        state: ConnectionState,
        gateway: &mut Gateway,
        upstream: &mut impl Upstream,
    ) -> bool {
        let stream = self.stream;
        let mut busy = false;
        loop {
            let room = gateway.room(stream);
            if room == 0 {
                return busy;
            }
            let moved_len = upstream.read(self.connection, room, &mut |bytes| gateway.write(stream, bytes));
            if moved_len == 0 {
                break;
            }
            busy = true;
        }
        if state == ConnectionState::Closed && !self.far_finished {
            self.far_finished = true;
            busy = true;
            gateway.close(stream);
        }
        busy
    }
}
