//! The world's broker on a TCP port, for ordinary clients. Meant for loopback: it asks nobody for a password.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use embassy_time::{Duration, Instant};

use super::wait::WaitSet;
use crate::world::broker::{Broker, ConnectionNumber, Presence};

/// Bytes read from a client in a step, so that one cannot starve the others.
const BYTES_PER_STEP: usize = 64 << 10;

/// How long a connection that the broker has closed is kept for the client to read the last packet.
const LINGER: Duration = Duration::from_secs(1);

/// How long to wait before the port is tried again after the broker has come back.
const RETRY: Duration = Duration::from_millis(100);

/// A listening socket and its connections.
pub struct BrokerServer {
    address: SocketAddr,
    /// `None` while the broker is away: connections are refused then.
    listener: Option<TcpListener>,
    retry_at: Option<Instant>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    number: ConnectionNumber,
    /// Whether the client has closed its half.
    ended: bool,
    /// Set once the broker has closed and everything is sent.
    drop_at: Option<Instant>,
}

impl BrokerServer {
    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// Where the port is taken or not allowed.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        Ok(BrokerServer {
            address,
            listener: Some(listener),
            retry_at: None,
            clients: Vec::new(),
            buffer: vec![0; BYTES_PER_STEP],
        })
    }

    /// Returns where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Moves what can be moved without waiting; returns whether anything moved.
    pub fn step(&mut self, now: Instant, broker: &mut Broker) -> bool {
        self.follow_presence(now, broker);
        let mut moved = self.accept(now, broker);
        let BrokerServer { clients, buffer, .. } = self;
        for client in clients.iter_mut() {
            moved |= client.receive(now, broker, buffer);
        }
        // After all of them: what one has sent goes to others.
        clients.retain_mut(|client| {
            moved |= client.send(broker);
            let over = client.is_over(now, broker);
            if over {
                broker.close(now, client.number);
            }
            moved |= over;
            !over
        });
        moved
    }

    /// Returns when [`BrokerServer::step`] must be called though no descriptor is ready.
    pub fn next_event(&self) -> Option<Instant> {
        self.clients.iter().filter_map(|client| client.drop_at).chain(self.retry_at).min()
    }

    /// Adds what to wait for.
    pub fn register<'a>(&'a self, broker: &Broker, set: &mut WaitSet<'a>) {
        if let Some(listener) = &self.listener {
            set.add_readable(listener.as_fd());
        }
        for client in &self.clients {
            if !client.ended {
                set.add_readable(client.stream.as_fd());
            }
            if !broker.output(client.number).is_empty() {
                set.add_writable(client.stream.as_fd());
            }
        }
    }

    /// Closes the port while the broker is away.
    fn follow_presence(&mut self, now: Instant, broker: &Broker) {
        if broker.faults().presence == Presence::Away {
            self.listener = None;
            self.retry_at = None;
        } else if self.listener.is_none() && self.retry_at.is_none_or(|at| at <= now) {
            self.listener = listen(self.address).ok();
            self.retry_at = self.listener.is_none().then(|| now + RETRY);
        }
    }

    fn accept(&mut self, now: Instant, broker: &mut Broker) -> bool {
        let mut accepted = false;
        while let Some((stream, _)) = self.listener.as_ref().and_then(|listener| listener.accept().ok()) {
            accepted = true;
            if stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).is_err() {
                continue;
            }
            if let Some(number) = broker.open(now) {
                self.clients.push(Client { stream, number, ended: false, drop_at: None });
            }
        }
        accepted
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Client {
    fn receive(&mut self, now: Instant, broker: &mut Broker, buffer: &mut [u8]) -> bool {
        if self.ended {
            return false;
        }
        match self.stream.read(buffer) {
            Ok(0) => self.end(now, broker),
            Ok(read_len) => broker.receive(now, self.number, buffer.get(..read_len).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return false;
            }
            Err(_) => {
                self.end(now, broker);
                self.drop_at = Some(now);
            }
        }
        true
    }

    fn end(&mut self, now: Instant, broker: &mut Broker) {
        self.ended = true;
        broker.finished(now, self.number);
    }

    fn send(&mut self, broker: &mut Broker) -> bool {
        let mut sent = false;
        loop {
            let output = broker.output(self.number);
            if output.is_empty() {
                return sent;
            }
            match self.stream.write(output) {
                Ok(written_len @ 1..) => broker.consume_output(self.number, written_len),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    return sent;
                }
                Ok(0) | Err(_) => {
                    // Nobody reads any more; reading notices the end.
                    let rest_len = output.len();
                    broker.consume_output(self.number, rest_len);
                }
            }
            sent = true;
        }
    }

    /// Closes in order what the broker has closed; returns whether the connection may be dropped.
    fn is_over(&mut self, now: Instant, broker: &Broker) -> bool {
        if !broker.is_closed(self.number) || !broker.output(self.number).is_empty() {
            return self.drop_at.is_some_and(|at| at <= now);
        }
        if self.drop_at.is_none() {
            // An error says that the client is gone already.
            let _ = self.stream.shutdown(Shutdown::Write);
            self.drop_at = Some(now + LINGER);
        }
        self.ended || self.drop_at.is_some_and(|at| at <= now)
    }
}
