//! The host's end of a tether: a node's network in frames of the packets channel of its serial line.
//!
//! A [`Tether`] is a [`gateway`](super::gateway) whose Ethernet frames come out of such frames, and says every second that it
//! carries packets, which is what brings the node's link up (`usb-protocol.md`, section "Packets"). Whoever has the line
//! hands frames over in both directions; what the node's connections lead to is an [`Upstream`]. Used by the tool over real
//! ports and by worlds over simulated lines.

use std::collections::VecDeque;

use dunlin_config_format::frame::{Encoded, Frame};
use dunlin_config_format::packet::{
    Assembly, CARRIER_PERIOD_MS, ETHERNET_HEADER_LEN, MTU, carrier, ethernet_header, fragment,
};
use embassy_time::{Duration, Instant};

use super::capture::Capture;
use super::gateway::{FrameLine, Gateway, GatewaySettings};
use super::upstream::{Carrier, Upstream};

/// Packets that wait for the line at most; further ones are lost, as in a switch.
const QUEUE_SIZE: usize = 64;

/// A node's network at the host's end of a serial line.
pub struct Tether {
    ends: Ends,
    gateway: Gateway,
    carrier: Carrier,
    /// When the node is told the next time that packets are carried.
    tell_at: Instant,
    tells: bool,
}

/// Packets on their way between line and gateway.
struct Ends {
    assembly: Assembly,
    arriving: [u8; MTU],
    /// Ethernet frames for the gateway.
    received: VecDeque<Vec<u8>>,
    /// Packets for the node, and how much of the first is on its way.
    to_send: VecDeque<Vec<u8>>,
    offset: usize,
    number: u8,
    counts: TetherCounts,
    capture: Option<Capture>,
}

/// What went over a tether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TetherCounts {
    /// Packets to the node.
    pub sent: u64,
    /// Packets from the node.
    pub received: u64,
}

impl Tether {
    /// Returns a tether that nothing has crossed. `seed` chooses the gateway's sequence numbers.
    pub fn new(seed: u64) -> Self {
        Tether {
            ends: Ends {
                assembly: Assembly::new(),
                arriving: [0; MTU],
                received: VecDeque::new(),
                to_send: VecDeque::new(),
                offset: 0,
                number: 0,
                counts: TetherCounts::default(),
                capture: None,
            },
            gateway: Gateway::new(GatewaySettings::default(), seed),
            carrier: Carrier::new(),
            tell_at: Instant::MIN,
            tells: false,
        }
    }

    /// Takes a frame from the line. One that is no packet's is none of its business.
    pub fn receive(&mut self, frame: &Frame<'_>) {
        let ends = &mut self.ends;
        let Some(len) = ends.assembly.push(frame, &mut ends.arriving) else { return };
        let packet = ends.arriving.get(..len).unwrap_or_default();
        if let Some(header) = ethernet_header(packet, false) {
            ends.counts.received += 1;
            ends.received.push_back([&header, packet].concat());
        }
    }

    /// Moves packets and bytes until nothing moves any more; returns whether anything did.
    ///
    /// To be called when frames have arrived, when the upstream has something, and at [`Tether::next_event`].
    pub fn step(&mut self, now: Instant, upstream: &mut impl Upstream) -> bool {
        if self.tell_at <= now {
            self.tell_at = now + Duration::from_millis(CARRIER_PERIOD_MS.into());
            self.tells = true;
        }
        upstream.step(now);
        self.carrier.carry(now, &mut self.ends, &mut self.gateway, upstream)
    }

    /// Takes the next frame for the line.
    pub fn take_frame(&mut self) -> Option<Encoded> {
        if std::mem::take(&mut self.tells) {
            return carrier(true);
        }
        let ends = &mut self.ends;
        let packet = ends.to_send.front()?;
        let fragment = fragment(packet, ends.offset, ends.number);
        ends.offset = fragment.as_ref().map_or(packet.len(), |(_, next)| *next);
        if ends.offset >= packet.len() {
            ends.to_send.pop_front();
            ends.offset = 0;
            ends.number = ends.number.wrapping_add(1);
            ends.counts.sent += 1;
        }
        fragment.map(|(encoded, _)| encoded)
    }

    /// Loses the packets that wait for the line. The node is still told that packets are carried.
    pub fn lose_packets(&mut self) {
        self.ends.to_send.clear();
        self.ends.offset = 0;
    }

    /// Returns the frame that says that packets are no longer carried, for whoever leaves the line in order.
    pub fn farewell() -> Option<Encoded> {
        carrier(false)
    }

    /// Returns when [`Tether::step`] must be called next though nothing arrived; it may be past. The upstream's own
    /// [`next_event`](Upstream::next_event) comes beside it.
    pub fn next_event(&self) -> Option<Instant> {
        self.gateway.next_event().into_iter().chain([self.tell_at]).min()
    }

    /// Starts a packet capture at the host's end: what came out of the line, and what goes onto it. One that runs already is
    /// thrown away.
    pub fn start_capture(&mut self) {
        self.ends.capture = Some(Capture::new());
    }

    /// Returns what was captured since the last call, in pcap format; see [`Capture::take`].
    pub fn take_capture(&mut self) -> Vec<u8> {
        self.ends.capture.as_mut().map(Capture::take).unwrap_or_default()
    }

    /// Returns what went over the tether.
    pub fn counts(&self) -> TetherCounts {
        self.ends.counts
    }
}

impl FrameLine for Ends {
    fn receive(&mut self, now: Instant, frame: &mut Vec<u8>) -> bool {
        let Some(arrived) = self.received.pop_front() else { return false };
        if let Some(capture) = &mut self.capture {
            capture.add(now, &arrived);
        }
        *frame = arrived;
        true
    }

    fn send(&mut self, now: Instant, frame: &[u8]) {
        if let Some(capture) = &mut self.capture {
            capture.add(now, frame);
        }
        if let Some(packet) = frame.get(ETHERNET_HEADER_LEN..).filter(|_| self.to_send.len() < QUEUE_SIZE) {
            self.to_send.push_back(packet.to_vec());
        }
    }
}
