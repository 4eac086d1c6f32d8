//! The gateway's ends of the node's TCP connections.

use std::net::SocketAddrV4;

use embassy_time::Instant;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

use super::{FrameLine, Gateway, GatewayEvent};

/// Bytes that a stream holds in each direction: seven segments at the link's MTU.
const BUFFER_SIZE: usize = 4096;

/// How long the node may leave data unacknowledged before the stream is given up: three of the longest spacings of
/// repeats that the stack reaches in that time.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Streams of one node at most; a node that opens more is refused.
const STREAMS: usize = 64;

/// Names a stream of a gateway. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

pub(super) struct Stream {
    id: StreamId,
    node: SocketAddrV4,
    destination: SocketAddrV4,
    state: StreamState,
}

enum StreamState {
    /// The owner hasn't decided. Holds the frame that asks for the connection; the network stack hasn't seen it.
    Asked(Vec<u8>),
    /// The network stack has, or had, a socket for it.
    Accepted { socket: SocketHandle, progress: Progress },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The node may still send.
    Running,
    /// The node has closed its half.
    NodeClosed,
    /// The owner has ended it.
    Reset,
    /// The owner has been told that it is over.
    Gone,
}

impl Gateway {
    /// Lets the node's connection come about.
    pub fn accept(&mut self, stream: StreamId) {
        let Some(index) = self.streams.iter().position(|known| known.id == stream) else { return };
        let Some(known) = self.streams.get_mut(index) else { return };
        let StreamState::Asked(frame) = &mut known.state else { return };
        let frame = std::mem::take(frame);
        let Some(socket) = listening_socket(known.destination) else {
            self.streams.remove(index);
            return;
        };
        known.state = StreamState::Accepted { socket: self.sockets.add(socket), progress: Progress::Running };
        self.postponed.push(frame);
        self.touched = true;
    }

    /// Tells the node that nobody listens at the stream's destination.
    pub fn refuse(&mut self, stream: StreamId) {
        self.reset(stream);
    }

    /// Leaves the node without an answer. If it repeats its attempt, that is a new stream.
    pub fn ignore(&mut self, stream: StreamId) {
        self.streams.retain(|known| known.id != stream || !matches!(known.state, StreamState::Asked(_)));
    }

    /// Offers `take` the bytes that the node has sent and that nobody has read, or the first part of them, and removes
    /// as many as it returns. Returns how many.
    pub fn read(&mut self, stream: StreamId, take: impl FnOnce(&[u8]) -> usize) -> usize {
        let Some(socket) = self.socket(stream) else { return 0 };
        if !socket.can_recv() {
            return 0;
        }
        let read = socket.recv(|bytes| {
            let taken_len = take(bytes).min(bytes.len());
            (taken_len, taken_len)
        });
        let read_len = read.unwrap_or_default();
        self.touched |= read_len > 0;
        read_len
    }

    /// Sends bytes to the node; returns how many were taken. The others must be offered again when there is
    /// [room](Gateway::room).
    pub fn write(&mut self, stream: StreamId, bytes: &[u8]) -> usize {
        let Some(socket) = self.socket(stream) else { return 0 };
        // An error says that the stream's sending half is closed already.
        let written_len = socket.send_slice(bytes).unwrap_or_default();
        self.touched |= written_len > 0;
        written_len
    }

    /// Returns how many bytes [`Gateway::write`] takes now.
    pub fn room(&mut self, stream: StreamId) -> usize {
        self.socket(stream)
            .filter(|socket| socket.may_send())
            .map_or(0, |socket| socket.send_capacity() - socket.send_queue())
    }

    /// Returns whether the node has closed its half and everything it sent was read; also for a stream that is over.
    pub fn is_read_to_end(&mut self, stream: StreamId) -> bool {
        self.socket(stream).is_none_or(|socket| {
            socket.recv_queue() == 0
                && !matches!(
                    socket.state(),
                    State::Listen
                        | State::SynReceived
                        | State::Established
                        | State::FinWait1
                        | State::FinWait2
                )
        })
    }

    /// Closes the half towards the node, after what was written.
    pub fn close(&mut self, stream: StreamId) {
        self.with_socket(stream, tcp::Socket::close);
    }

    /// Ends the stream at once, both ways.
    pub fn reset(&mut self, stream: StreamId) {
        let Some(index) = self.streams.iter().position(|known| known.id == stream) else { return };
        let Some(known) = self.streams.get_mut(index) else { return };
        self.touched = true;
        match &mut known.state {
            StreamState::Accepted { progress: Progress::Gone, .. } => {}
            StreamState::Accepted { socket, progress } => {
                *progress = Progress::Reset;
                self.sockets.get_mut::<tcp::Socket<'_>>(*socket).abort();
            }
            StreamState::Asked(frame) => {
                // Without a socket for it, the network stack answers the frame with a reset.
                self.postponed.push(std::mem::take(frame));
                self.streams.remove(index);
            }
        }
    }

    fn socket(&mut self, stream: StreamId) -> Option<&mut tcp::Socket<'static>> {
        let stream = self.streams.iter().find(|known| known.id == stream)?;
        match stream.state {
            StreamState::Asked(_) | StreamState::Accepted { progress: Progress::Gone, .. } => None,
            StreamState::Accepted { socket, .. } => Some(self.sockets.get_mut(socket)),
        }
    }

    fn with_socket(&mut self, stream: StreamId, act: impl FnOnce(&mut tcp::Socket<'static>)) {
        if let Some(socket) = self.socket(stream) {
            act(socket);
            self.touched = true;
        }
    }

    /// Takes the first frame of a connection that the node opens, or a repeat of it.
    pub(super) fn open_stream(
        &mut self,
        now: Instant,
        node: SocketAddrV4,
        destination: SocketAddrV4,
        frame: &[u8],
        line: &mut impl FrameLine,
    ) {
        let known =
            self.streams.iter().position(|known| known.node == node && known.destination == destination);
        if let Some(index) = known {
            match self.streams.get(index).map(|stream| &stream.state) {
                Some(StreamState::Asked(_)) => return,
                Some(&StreamState::Accepted { socket, progress: Progress::Gone }) => {
                    // The node uses a port again whose old connection lingers.
                    self.streams.remove(index);
                    self.sockets.remove(socket);
                }
                _ => return self.ingest(now, frame, line),
            }
        }
        if self.streams.len() >= STREAMS {
            return self.ingest(now, frame, line);
        }
        self.streams_opened += 1;
        let id = StreamId(self.streams_opened);
        self.streams.push(Stream { id, node, destination, state: StreamState::Asked(frame.to_vec()) });
        self.events.push_back(GatewayEvent::Opened { stream: id, destination });
    }

    /// Drops the sockets of streams that are over and tells the owner.
    pub(super) fn forget_finished(&mut self) {
        let Gateway { streams, sockets, events, .. } = self;
        streams.retain_mut(|stream| {
            let StreamState::Accepted { socket: handle, progress } = &mut stream.state else { return true };
            let socket = sockets.get::<tcp::Socket<'_>>(*handle);
            let state = socket.state();
            let node_closed =
                matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
            if *progress == Progress::Running && node_closed {
                *progress = Progress::NodeClosed;
            }
            // What the node has sent before its end is still to be read.
            let over = matches!(state, State::Closed | State::TimeWait)
                && (*progress == Progress::Reset || !socket.can_recv());
            if over && *progress != Progress::Gone {
                let reset = *progress != Progress::NodeClosed;
                events.push_back(GatewayEvent::Gone { stream: stream.id, reset });
                *progress = Progress::Gone;
            }
            let forgotten = over && state == State::Closed;
            if forgotten {
                sockets.remove(*handle);
            }
            !forgotten
        });
    }
}

/// Returns a socket that waits for a connection to `destination`.
fn listening_socket(destination: SocketAddrV4) -> Option<tcp::Socket<'static>> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER_SIZE]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    socket.set_timeout(Some(TIMEOUT));
    let endpoint = IpEndpoint::new((*destination.ip()).into(), destination.port());
    socket.listen(IpListenEndpoint::from(endpoint)).ok()?;
    Some(socket)
}
