//! The node's way out: Ethernet frames on one side, byte streams on the other.
//!
//! A gateway answers ARP for every address but the node's own, hands out an address by DHCP, asks its owner to resolve
//! host names, and ends every TCP connection of the node, whatever the destination. The owner connects a stream to
//! whatever it likes and answers with [`Gateway::accept`], [`Gateway::refuse`] or [`Gateway::ignore`]; only then does the
//! node's connection come about. The gateway knows neither sockets nor brokers, and neither where its frames come from.
//!
//! The owner calls [`Gateway::step`] when frames may have arrived, when it has used a stream, and at
//! [`Gateway::next_event`]; then it takes [events](Gateway::take_event) and moves the bytes of its streams.

mod datagram;
mod medium;
mod name;
mod stream;

pub use name::Query;
pub use stream::StreamId;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use embassy_time::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

use datagram::Arrival;
use medium::{Medium, to_smoltcp};
use stream::Stream;

/// What carries Ethernet frames between a gateway and its node.
pub trait FrameLine {
    /// Takes the next frame from the node into `frame`, whose content is replaced; returns whether there was one.
    fn receive(&mut self, now: Instant, frame: &mut Vec<u8>) -> bool;
    /// Sends a frame to the node.
    fn send(&mut self, now: Instant, frame: &[u8]);
}

impl FrameLine for super::link::Link {
    fn receive(&mut self, now: Instant, frame: &mut Vec<u8>) -> bool {
        super::link::Link::receive(self, now, frame)
    }

    fn send(&mut self, now: Instant, frame: &[u8]) {
        super::link::Link::send(self, now, frame);
    }
}

/// The gateway's place in the node's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// The gateway's own address: router and name server of a node that asks DHCP.
    pub address: Ipv4Addr,
    /// The address that DHCP gives to the node.
    pub node_address: Ipv4Addr,
    /// Length of the network's prefix in bits.
    pub prefix_len: u8,
    /// The gateway's Ethernet address.
    pub hardware_address: [u8; 6],
}

impl Default for GatewaySettings {
    /// 10.47.0.1 for the gateway and 10.47.0.2 for the node.
    fn default() -> Self {
        GatewaySettings {
            address: Ipv4Addr::new(10, 47, 0, 1),
            node_address: Ipv4Addr::new(10, 47, 0, 2),
            prefix_len: 24,
            hardware_address: dunlin_config_format::packet::HOST_ADDRESS,
        }
    }
}

/// What the owner of a gateway must act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayEvent {
    /// The node opens a stream. Until it is accepted, refused or ignored, the node waits.
    Opened {
        /// The stream.
        stream: StreamId,
        /// Where the node wants to go.
        destination: SocketAddrV4,
    },
    /// The node asks for the IPv4 address of a host; to be answered with [`Gateway::answer`], or not at all.
    Resolve {
        /// Names the question in the answer.
        query: Query,
        /// The host's name, lower case, without a final dot.
        name: String,
    },
    /// The stream is over and what the node had sent is read. It is no longer known.
    Gone {
        /// The stream.
        stream: StreamId,
        /// Whether it was cut short: by the node, by the owner, or because the node acknowledged nothing any more.
        reset: bool,
    },
}

/// A gateway for one node.
pub struct Gateway {
    settings: GatewaySettings,
    interface: Interface,
    sockets: SocketSet<'static>,
    streams: Vec<Stream>,
    streams_opened: u64,
    events: VecDeque<GatewayEvent>,
    /// Frames from the node that waited for the owner's decision, for the next step.
    postponed: Vec<Vec<u8>>,
    /// Frames to the node that answer questions, for the next step.
    answers: Vec<Vec<u8>>,
    /// The frame that is being looked at, and the one that is being made.
    received: Vec<u8>,
    sent: Vec<u8>,
    /// Whether the owner has used a stream since the last step.
    touched: bool,
    next_timer: Option<Instant>,
}

impl Gateway {
    /// Returns a gateway without streams. `seed` chooses its TCP sequence numbers.
    pub fn new(settings: GatewaySettings, seed: u64) -> Self {
        let hardware_address = EthernetAddress(settings.hardware_address);
        let mut config = Config::new(hardware_address.into());
        config.random_seed = seed;
        let (mut received, mut sent) = (Vec::new(), Vec::new());
        let mut medium =
            Medium { frame: None, line: &mut NoLine, sent: &mut sent, now: Instant::from_ticks(0) };
        let mut interface = Interface::new(config, &mut medium, to_smoltcp(Instant::from_ticks(0)));
        received.reserve(super::FRAME_SIZE);
        // Every address is a neighbor, whatever network the node was configured for.
        interface.update_ip_addrs(|addresses| {
            let everywhere = IpCidr::Ipv4(Ipv4Cidr::new(settings.address, 0));
            // A list of addresses has room for at least one.
            let _ = addresses.push(everywhere);
        });
        interface.set_any_ip(true);
        Gateway {
            settings,
            interface,
            sockets: SocketSet::new(Vec::new()),
            streams: Vec::new(),
            streams_opened: 0,
            events: VecDeque::new(),
            postponed: Vec::new(),
            answers: Vec::new(),
            received,
            sent,
            touched: false,
            next_timer: None,
        }
    }

    /// Takes the frames that have arrived and sends what is due; returns whether it had anything to do.
    pub fn step(&mut self, now: Instant, line: &mut impl FrameLine) -> bool {
        let has_received = self.receive(now, line);
        self.send(now, line) || has_received
    }

    /// Takes the frames that have arrived; returns whether there were any. [`Gateway::send`] comes next: in between, the owner
    /// may use the streams, and what it writes goes out with the acknowledgements of what it has read.
    pub(super) fn receive(&mut self, now: Instant, line: &mut impl FrameLine) -> bool {
        let mut has_received = false;
        for frame in std::mem::take(&mut self.postponed) {
            has_received = true;
            self.ingest(now, &frame, line);
        }
        let mut received = std::mem::take(&mut self.received);
        while line.receive(now, &mut received) {
            has_received = true;
            self.take_frame(now, &received, line);
        }
        self.received = received;
        self.touched |= has_received;
        has_received
    }

    /// Sends what is due; returns whether it had anything to do.
    pub(super) fn send(&mut self, now: Instant, line: &mut impl FrameLine) -> bool {
        let is_due = std::mem::take(&mut self.touched) || self.next_timer.is_some_and(|at| at <= now);
        if is_due {
            for frame in self.answers.drain(..) {
                line.send(now, &frame);
            }
            self.transmit(now, line);
            self.forget_finished();
            self.next_timer = self.next_timer(now);
        }
        is_due
    }

    /// Returns when [`Gateway::step`] must be called next though no frame arrives; it may be past.
    pub fn next_event(&self) -> Option<Instant> {
        if self.touched { Some(Instant::MIN) } else { self.next_timer }
    }

    /// Returns whether there is something to act on, or for the next step, though no frame arrives and no time passes.
    pub(super) fn is_busy(&self) -> bool {
        self.touched || !self.postponed.is_empty() || !self.events.is_empty()
    }

    /// Returns the next thing to act on.
    pub fn take_event(&mut self) -> Option<GatewayEvent> {
        self.events.pop_front()
    }

    /// Answers a question for a host's address; `None` if there is no such host.
    pub fn answer(&mut self, query: &Query, address: Option<Ipv4Addr>) {
        self.answers.push(query.answer(&self.settings, address));
        self.touched = true;
    }

    fn take_frame(&mut self, now: Instant, frame: &[u8], line: &mut impl FrameLine) {
        match datagram::classify(&self.settings, frame) {
            Arrival::Ignored => {}
            Arrival::Answered(answer) => line.send(now, &answer),
            Arrival::Question(query) => {
                if let Some(name) = query.name() {
                    self.events.push_back(GatewayEvent::Resolve { query, name });
                }
            }
            Arrival::Opening { node, destination } => {
                self.open_stream(now, node, destination, frame, line);
            }
            Arrival::Other => self.ingest(now, frame, line),
        }
    }

    /// Gives one frame to the network stack.
    fn ingest(&mut self, now: Instant, frame: &[u8], line: &mut impl FrameLine) {
        let mut medium = Medium { frame: Some(frame), line, sent: &mut self.sent, now };
        self.interface.poll_ingress_single(to_smoltcp(now), &mut medium, &mut self.sockets);
    }

    /// Lets the network stack send what it has.
    fn transmit(&mut self, now: Instant, line: &mut impl FrameLine) {
        let mut medium = Medium { frame: None, line, sent: &mut self.sent, now };
        while self.interface.poll_egress(to_smoltcp(now), &mut medium, &mut self.sockets) != PollResult::None
        {
        }
    }

    fn next_timer(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(to_smoltcp(now), &self.sockets)?;
        // The stack says zero for "now".
        Some(Instant::from_micros(at.total_micros().max(0).unsigned_abs()))
    }
}

/// A line to nowhere, for the moment in which the interface asks for the medium's properties.
struct NoLine;

impl FrameLine for NoLine {
    fn receive(&mut self, _: Instant, _: &mut Vec<u8>) -> bool {
        false
    }

    fn send(&mut self, _: Instant, _: &[u8]) {}
}
