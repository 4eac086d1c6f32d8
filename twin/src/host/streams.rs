//! A gateway's streams as TCP connections of the host.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use embassy_time::Instant;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::resolver::Resolver;
use super::wait::WaitSet;
use crate::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};

/// Bytes read from a socket that the node has not taken.
const BUFFER_SIZE: usize = 4096;

/// Decides where a connection of the node goes on the host; `None` refuses it.
pub type Destination = Box<dyn Fn(SocketAddrV4) -> Option<SocketAddr>>;

/// TCP connections of the host on behalf of one node or several.
pub struct HostStreams {
    destination: Destination,
    connections: BTreeMap<ConnectionNumber, HostStream>,
    opened: u64,
    resolver: Resolver,
}

struct HostStream {
    /// `None` where not even an attempt was possible.
    stream: Option<TcpStream>,
    state: ConnectionState,
    /// Read and not yet taken by the node.
    received: Vec<u8>,
    /// Whether the host has closed its half.
    ended: bool,
    /// Whether bytes from the node wait for room.
    blocked: bool,
}

impl HostStreams {
    /// Returns streams to wherever `destination` says: the place to map the computer at the other end of the cable to
    /// loopback, or every broker to one.
    ///
    /// # Errors
    /// Where the system has no descriptors left.
    pub fn new(destination: Destination) -> io::Result<Self> {
        Ok(HostStreams { destination, connections: BTreeMap::new(), opened: 0, resolver: Resolver::new()? })
    }

    /// Adds what to wait for.
    pub fn register<'a>(&'a self, set: &mut WaitSet<'a>) {
        set.add_readable(self.resolver.descriptor());
        for connection in self.connections.values() {
            let Some(stream) = &connection.stream else { continue };
            match connection.state {
                ConnectionState::Connecting => set.add_writable(stream.as_fd()),
                ConnectionState::Open | ConnectionState::Closed => {
                    if connection.received.is_empty() && !connection.ended {
                        set.add_readable(stream.as_fd());
                    }
                    if connection.blocked {
                        set.add_writable(stream.as_fd());
                    }
                }
                ConnectionState::Refused => {}
            }
        }
    }
}

/// Starts to connect without waiting.
fn start(destination: SocketAddr) -> io::Result<TcpStream> {
    let family = if destination.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &destination) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl HostStream {
    /// Notes how far an attempt to connect is.
    fn follow_up(&mut self) {
        let Some(stream) = &self.stream else { return };
        self.state = match (stream.take_error(), stream.peer_addr()) {
            (Ok(None), Ok(_)) => ConnectionState::Open,
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => ConnectionState::Connecting,
            _ => ConnectionState::Refused,
        };
    }

    /// Reads ahead, so that the end is noticed.
    fn fill(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if !self.received.is_empty() || self.ended {
            return;
        }
        self.received.resize(BUFFER_SIZE, 0);
        let read = stream.read(&mut self.received);
        self.received.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) if would_block(&error) => {}
            Err(_) => self.state = ConnectionState::Refused,
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Upstream for HostStreams {
    fn connect(&mut self, _: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        let stream = (self.destination)(destination).and_then(|destination| start(destination).ok());
        let state = if stream.is_some() { ConnectionState::Connecting } else { ConnectionState::Refused };
        self.opened += 1;
        let connection = HostStream { stream, state, received: Vec::new(), ended: false, blocked: false };
        self.connections.insert(self.opened, connection);
        Some(self.opened)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        let Some(connection) = self.connections.get_mut(&connection) else { return ConnectionState::Refused };
        if connection.state == ConnectionState::Connecting {
            connection.follow_up();
        }
        if connection.state == ConnectionState::Open {
            connection.fill();
            if connection.ended && connection.received.is_empty() {
                connection.state = ConnectionState::Closed;
            }
        }
        connection.state
    }

    fn write(&mut self, _: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(&connection) else { return 0 };
        let Some(stream) = &mut connection.stream else { return 0 };
        let written = stream.write(bytes);
        connection.blocked = written.as_ref().is_ok_and(|&len| len < bytes.len());
        match written {
            Ok(written_len) => written_len,
            Err(error) => {
                if would_block(&error) {
                    connection.blocked = true;
                } else {
                    connection.state = ConnectionState::Refused;
                }
                0
            }
        }
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        let Some(connection) = self.connections.get_mut(&connection) else { return 0 };
        connection.fill();
        if connection.received.is_empty() {
            return 0;
        }
        let taken_len = take(connection.received.get(..room).unwrap_or(&connection.received));
        connection.received.drain(..taken_len.min(connection.received.len()));
        taken_len
    }

    fn finish(&mut self, _: Instant, connection: ConnectionNumber) {
        let connection = self.connections.get_mut(&connection);
        if let Some(stream) = connection.and_then(|connection| connection.stream.as_ref()) {
            // An error says that the far side is gone already.
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    fn drop_connection(&mut self, _: Instant, connection: ConnectionNumber, reset: bool) {
        let connection = self.connections.remove(&connection);
        if let Some(stream) = connection.and_then(|connection| connection.stream).filter(|_| reset) {
            // Closing at once, without lingering, is what sends a reset.
            let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.resolver.resolve(name)
    }

    fn step(&mut self, _: Instant) {}

    fn next_event(&self) -> Option<Instant> {
        None
    }
}
