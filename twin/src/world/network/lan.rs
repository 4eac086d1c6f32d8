//! One node's network in a piece: its link, its gateway, and the streams between gateway and upstream.

use embassy_time::Instant;

use super::gateway::{Gateway, GatewaySettings};
use super::link::{Link, NodePort, link};
use super::upstream::{Carrier, Upstream};
use crate::world::clock::Clock;

/// A node's network.
pub struct Lan {
    link: Link,
    gateway: Gateway,
    carrier: Carrier,
}

impl Lan {
    /// Makes a network whose link is up and without faults, and the port to give to the node's network stack.
    ///
    /// `hardware_address` is the node's; `seed` decides which frames are lost, once frames are lost, and the gateway's
    /// sequence numbers.
    pub fn new(
        clock: &Clock,
        settings: GatewaySettings,
        hardware_address: [u8; 6],
        seed: u64,
    ) -> (NodePort, Self) {
        let (port, link) = link(clock, hardware_address, seed);
        (port, Lan { link, gateway: Gateway::new(settings, seed), carrier: Carrier::new() })
    }

    /// Returns the link, for its faults and its packet capture.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Moves frames and bytes until nothing moves any more; returns whether anything did.
    ///
    /// To be called when the node has run, when the upstream has something, and at [`Lan::next_event`]. The node may be
    /// woken by it.
    pub fn step(&mut self, now: Instant, upstream: &mut impl Upstream) -> bool {
        upstream.step(now);
        self.link.step(now);
        self.carrier.carry(now, &mut self.link, &mut self.gateway, upstream)
    }

    /// Returns when [`Lan::step`] must be called next though neither node nor upstream did anything; it may be past. The
    /// upstream's own [`next_event`](Upstream::next_event) comes beside it: upstreams may be shared.
    pub fn next_event(&self) -> Option<Instant> {
        [self.link.next_event(), self.gateway.next_event()].into_iter().flatten().min()
    }

    /// Loses what is under way, as when the node's board is reset or switched off.
    ///
    /// The far side learns nothing of it, as in life: the node's streams stay half-open until the broker misses it, or its
    /// network stack is back and does not know them.
    pub fn lose_node(&mut self) {
        self.link.clear();
    }
}
