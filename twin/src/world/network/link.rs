//! An Ethernet link between one node and its gateway, with faults.
//!
//! [`link`] returns both ends: a [`NodePort`] for the node's network stack, and the [`Link`] for the world, which sets
//! the faults, carries the gateway's frames and takes the packet capture. Frames arrive in the order in which they were
//! sent, whole or not at all.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time::{Duration, Instant};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use super::FRAME_SIZE;
use super::capture::Capture;
use crate::world::clock::Clock;

/// Frames that a direction holds at most; further ones are lost, as in a switch.
const QUEUE_SIZE: usize = 256;

/// How a link behaves, in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkSettings {
    /// Whether the node sees a carrier. Without it nothing passes, and the node knows.
    pub up: bool,
    /// Whether every frame vanishes although the carrier is up.
    pub black_hole: bool,
    /// How long a frame takes.
    pub delay: Duration,
    /// The probability, 0.0 to 1.0, that a frame is lost.
    pub loss: f64,
}

impl Default for LinkSettings {
    /// Up, immediate, without loss.
    fn default() -> Self {
        LinkSettings { up: true, black_hole: false, delay: Duration::from_ticks(0), loss: 0.0 }
    }
}

/// Makes a link that is up, immediate and without loss. `seed` decides which frames are lost once it loses any;
/// `hardware_address` is the node's.
pub fn link(clock: &Clock, hardware_address: [u8; 6], seed: u64) -> (NodePort, Link) {
    let wire = Rc::new(RefCell::new(Wire {
        clock: clock.clone(),
        settings: LinkSettings::default(),
        random: Pcg32::seed_from_u64(seed),
        to_gateway: Queue::default(),
        to_node: Queue::default(),
        unused: Vec::new(),
        receive_waker: None,
        link_waker: None,
        capture: None,
        counts: LinkCounts::default(),
    }));
    (NodePort { wire: Rc::clone(&wire), hardware_address }, Link { wire })
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Frames that the node sent.
    pub sent: u64,
    /// Frames that reached the node.
    pub received: u64,
    /// Frames that were lost, in either direction.
    pub lost: u64,
}

/// The world's end of a link.
#[derive(Clone)]
pub struct Link {
    wire: Rc<RefCell<Wire>>,
}

/// The node's end of a link. A board that starts again takes a clone; one at a time is used.
#[derive(Clone)]
pub struct NodePort {
    wire: Rc<RefCell<Wire>>,
    hardware_address: [u8; 6],
}

struct Wire {
    clock: Clock,
    settings: LinkSettings,
    random: Pcg32,
    to_gateway: Queue,
    to_node: Queue,
    /// Buffers of frames that have arrived, to be used again.
    unused: Vec<Vec<u8>>,
    receive_waker: Option<Waker>,
    link_waker: Option<Waker>,
    capture: Option<Capture>,
    counts: LinkCounts,
}

type Queue = VecDeque<Frame>;

struct Frame {
    due: Instant,
    bytes: Vec<u8>,
}

impl Link {
    /// Returns how the link behaves.
    pub fn settings(&self) -> LinkSettings {
        self.wire.borrow().settings
    }

    /// Changes how the link behaves. Frames that are under way still arrive, unless the link goes down.
    pub fn set(&self, settings: LinkSettings) {
        let mut wire = self.wire.borrow_mut();
        let changed = wire.settings.up != settings.up;
        wire.settings = settings;
        if !settings.up {
            wire.clear();
        }
        let waker = if changed { wire.link_waker.take() } else { None };
        drop(wire);
        wake(waker);
    }

    /// Loses the frames that are under way.
    pub fn clear(&self) {
        self.wire.borrow_mut().clear();
    }

    /// Starts a packet capture at the node's end: what the node sends, lost or not, and what reaches it. One that runs
    /// is replaced.
    pub fn start_capture(&self) {
        self.wire.borrow_mut().capture = Some(Capture::new());
    }

    /// Returns what was captured since the last call, in pcap format; see [`Capture::take`].
    pub fn take_capture(&self) -> Vec<u8> {
        self.wire.borrow_mut().capture.as_mut().map(Capture::take).unwrap_or_default()
    }

    /// Returns what went over the link so far.
    pub fn counts(&self) -> LinkCounts {
        self.wire.borrow().counts
    }

    /// Returns when the next frame arrives at either end, to be looked at by [`Link::step`] or the gateway.
    pub fn next_event(&self) -> Option<Instant> {
        let wire = self.wire.borrow();
        let dues = [wire.to_gateway.front(), wire.to_node.front()];
        dues.into_iter().flatten().map(|frame| frame.due).min()
    }

    /// Wakes the node if a frame has arrived for it.
    pub fn step(&self, now: Instant) {
        let mut wire = self.wire.borrow_mut();
        let arrived = wire.to_node.front().is_some_and(|frame| frame.due <= now);
        let waker = if arrived { wire.receive_waker.take() } else { None };
        drop(wire);
        wake(waker);
    }

    /// Takes the next frame that has arrived from the node into `frame`; returns whether there was one.
    pub fn receive(&self, now: Instant, frame: &mut Vec<u8>) -> bool {
        let mut wire = self.wire.borrow_mut();
        let Some(arrived) = take_due(&mut wire.to_gateway, now) else { return false };
        wire.unused.push(std::mem::replace(frame, arrived.bytes));
        true
    }

    /// Sends a frame to the node.
    pub fn send(&self, now: Instant, frame: &[u8]) {
        let mut wire = self.wire.borrow_mut();
        let mut bytes = wire.buffer(frame.len());
        bytes.copy_from_slice(frame);
        wire.pass(now, bytes, Direction::ToNode);
        let arrived = wire.to_node.front().is_some_and(|frame| frame.due <= now);
        let waker = if arrived { wire.receive_waker.take() } else { None };
        drop(wire);
        wake(waker);
    }
}

#[derive(Clone, Copy)]
enum Direction {
    ToNode,
    ToGateway,
}

impl Wire {
    /// Returns a buffer of `len` bytes with any content.
    fn buffer(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = self.unused.pop().unwrap_or_else(|| Vec::with_capacity(FRAME_SIZE));
        bytes.resize(len, 0);
        bytes
    }

    fn clear(&mut self) {
        let under_way = self.to_gateway.len() + self.to_node.len();
        self.counts.lost += under_way as u64;
        let frames = self.to_gateway.drain(..).chain(self.to_node.drain(..));
        self.unused.extend(frames.map(|frame| frame.bytes));
    }

    fn queue(&mut self, direction: Direction) -> &mut Queue {
        match direction {
            Direction::ToNode => &mut self.to_node,
            Direction::ToGateway => &mut self.to_gateway,
        }
    }

    /// Sends a frame on its way, or loses it.
    fn pass(&mut self, now: Instant, bytes: Vec<u8>, direction: Direction) {
        let LinkSettings { up, black_hole, delay, loss } = self.settings;
        // No number is drawn without loss, so that adding another fault later loses the same frames.
        let full = self.queue(direction).len() >= QUEUE_SIZE;
        let lost = !up || black_hole || full || (loss > 0.0 && self.draw() < loss);
        if lost {
            self.counts.lost += 1;
            self.unused.push(bytes);
            return;
        }
        let queue = self.queue(direction);
        // A frame never overtakes the one before it, though the delay was shortened meanwhile.
        let due = queue.back().map_or(now + delay, |last| last.due.max(now + delay));
        queue.push_back(Frame { due, bytes });
    }

    /// Returns a random number from 0 up to, but not including, 1.
    fn draw(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / 4_294_967_296.0
    }

    fn record(&mut self, now: Instant, bytes: &[u8]) {
        if let Some(capture) = &mut self.capture {
            capture.add(now, bytes);
        }
    }

    /// Takes a frame that the node sends.
    fn send_from_node(&mut self, bytes: Vec<u8>) {
        let now = self.clock.now();
        self.counts.sent += 1;
        self.record(now, &bytes);
        self.pass(now, bytes, Direction::ToGateway);
    }
}

/// Takes the first frame if it has arrived.
fn take_due(queue: &mut Queue, now: Instant) -> Option<Frame> {
    if queue.front().is_some_and(|frame| frame.due <= now) { queue.pop_front() } else { None }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Keeps `waker` in `slot`, without a clone if it is there already.
fn keep(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(kept) => kept.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

impl Driver for NodePort {
    type RxToken<'a> = ReceivedFrame<'a>;
    type TxToken<'a> = FrameToSend<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(ReceivedFrame<'_>, FrameToSend<'_>)> {
        let mut wire = self.wire.borrow_mut();
        let now = wire.clock.now();
        let Some(frame) = take_due(&mut wire.to_node, now) else {
            keep(&mut wire.receive_waker, cx.waker());
            return None;
        };
        wire.counts.received += 1;
        wire.record(now, &frame.bytes);
        Some((ReceivedFrame { wire: &self.wire, bytes: frame.bytes }, FrameToSend { wire: &self.wire }))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<FrameToSend<'_>> {
        Some(FrameToSend { wire: &self.wire })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        let mut wire = self.wire.borrow_mut();
        keep(&mut wire.link_waker, cx.waker());
        if wire.settings.up { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_SIZE;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.hardware_address)
    }
}

/// A frame that has reached the node.
pub struct ReceivedFrame<'a> {
    wire: &'a RefCell<Wire>,
    bytes: Vec<u8>,
}

impl RxToken for ReceivedFrame<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        let result = f(&mut self.bytes);
        self.wire.borrow_mut().unused.push(self.bytes);
        result
    }
}

/// Room for a frame that the node sends.
pub struct FrameToSend<'a> {
    wire: &'a RefCell<Wire>,
}

impl TxToken for FrameToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = self.wire.borrow_mut().buffer(len);
        let result = f(&mut bytes);
        self.wire.borrow_mut().send_from_node(bytes);
        result
    }
}
