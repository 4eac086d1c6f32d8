//! The network over the host's serial line: an Ethernet device on one side, frames of the packets channel on the other.
//!
//! The USB server hands over what arrives on the channel and sends what is waiting, a fragment at a time and only when it has
//! nothing else to do: a reply never waits behind packets. The link is up while a host says that it carries packets; without
//! one nothing is sent, so that a serial terminal shows text. Where the agent's network does not go over the line, there is
//! no tether and the channel is not served.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll};

use dunlin_config_format::frame::{Encoded, Frame};
use dunlin_config_format::packet::{
    Assembly, CARRIER_HOLDS_MS, ETHERNET_FRAME_SIZE, ETHERNET_HEADER_LEN, MTU, NODE_ADDRESS, carried,
    ethernet_header, fragment,
};
use embassy_futures::select::select;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::{Duration, Instant, Timer};

/// Packets that wait for the stack: what a window of the TCP connection holds, and one answer beside it.
const RECEIVED: usize = 3;
/// Packets that wait for the line. The stack keeps what does not fit.
const TO_SEND: usize = 2;

/// Where a network over the serial line meets the USB server. Shared by both: the board keeps it, outside of the agent.
pub struct Tether {
    received: RefCell<Queue<RECEIVED>>,
    assembly: Cell<Assembly>,
    to_send: RefCell<Queue<TO_SEND>>,
    /// How much of the first packet to send has been sent, and its number.
    progress: Cell<(usize, u8)>,
    /// Until when the host's word holds that it carries packets; none while it does not.
    carried_until: Cell<Option<Instant>>,
    counts: Cell<TetherCounts>,
    stack: RefCell<WakerRegistration>,
    server: RefCell<WakerRegistration>,
}

/// What went over the tether since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TetherCounts {
    /// Packets that the node sent.
    pub sent: u32,
    /// Packets that reached the node.
    pub received: u32,
    /// Packets that were lost: torn on the line, or because there was no room.
    pub lost: u32,
}

/// Ethernet frames of any length, first in, first out.
struct Queue<const COUNT: usize> {
    frames: [[u8; ETHERNET_FRAME_SIZE]; COUNT],
    lens: [usize; COUNT],
    first: usize,
    count: usize,
}

impl<const COUNT: usize> Queue<COUNT> {
    const fn new() -> Self {
        Queue { frames: [[0; ETHERNET_FRAME_SIZE]; COUNT], lens: [0; COUNT], first: 0, count: 0 }
    }

    /// Returns the place of the next frame; none where the queue is full. Taking frames out does not move it.
    fn place(&mut self) -> Option<&mut [u8; ETHERNET_FRAME_SIZE]> {
        let index = (self.first + self.count) % COUNT;
        self.frames.get_mut(index).filter(|_| self.count < COUNT)
    }

    /// Adds the frame that was made at [`Queue::place`].
    fn push(&mut self, frame_len: usize) {
        let index = (self.first + self.count) % COUNT;
        if let Some(len) = self.lens.get_mut(index).filter(|_| self.count < COUNT) {
            *len = frame_len.min(ETHERNET_FRAME_SIZE);
            self.count += 1;
        }
    }

    fn first(&mut self) -> Option<&mut [u8]> {
        let (frame, len) = (self.frames.get_mut(self.first)?, self.lens.get(self.first)?);
        frame.get_mut(..*len).filter(|_| self.count > 0)
    }

    fn pop(&mut self) {
        if self.count > 0 {
            self.first = (self.first + 1) % COUNT;
            self.count -= 1;
        }
    }

    fn is_full(&self) -> bool {
        self.count == COUNT
    }
}

impl Tether {
    /// Returns a tether that nobody carries.
    pub const fn new() -> Self {
        Tether {
            received: RefCell::new(Queue::new()),
            assembly: Cell::new(Assembly::new()),
            to_send: RefCell::new(Queue::new()),
            progress: Cell::new((0, 0)),
            carried_until: Cell::new(None),
            counts: Cell::new(TetherCounts { sent: 0, received: 0, lost: 0 }),
            stack: RefCell::new(WakerRegistration::new()),
            server: RefCell::new(WakerRegistration::new()),
        }
    }

    /// Returns the device for the network stack. One at a time is used.
    pub fn driver(&self) -> TetherDriver<'_> {
        TetherDriver { tether: self }
    }

    /// Returns what went over the tether since the start.
    pub fn counts(&self) -> TetherCounts {
        let (counts, torn) = (self.counts.get(), self.assembly.get().dropped());
        TetherCounts { lost: counts.lost.wrapping_add(torn), ..counts }
    }

    /// Takes a frame of the packets channel from the line.
    pub(crate) fn receive(&self, frame: &Frame<'_>) {
        if let Some(is_carried) = carried(frame) {
            let holds = Duration::from_millis(CARRIER_HOLDS_MS.into());
            return self.set_carrier(is_carried.then(|| Instant::now() + holds));
        }
        let mut received = self.received.borrow_mut();
        let mut assembly = self.assembly.get();
        let place = received.place().and_then(|place| place.split_first_chunk_mut::<ETHERNET_HEADER_LEN>());
        let Some((header, body)) = place.and_then(|(h, body)| Some((h, body.first_chunk_mut::<MTU>()?)))
        else {
            assembly.drop_packet();
            self.assembly.set(assembly);
            return self.count(|counts| &mut counts.lost);
        };
        let len = assembly.push(frame, body);
        self.assembly.set(assembly);
        let Some(len) = len else { return };
        // What is neither IPv4 nor ARP is of no use to the stack.
        let Some(known) = ethernet_header(body, true) else { return };
        *header = known;
        received.push(ETHERNET_HEADER_LEN + len);
        self.count(|counts| &mut counts.received);
        self.stack.borrow_mut().wake();
    }

    /// Waits until a fragment can be sent. Follows the carrier meanwhile.
    ///
    /// # Cancellation Safety
    /// Dropping the future loses nothing.
    pub(crate) async fn wait(&self) {
        loop {
            if self.carried_until.get().is_some_and(|until| until <= Instant::now()) {
                self.set_carrier(None);
            }
            let until = self.carried_until.get();
            let something = poll_fn(|context| {
                if self.carried_until.get() == until && self.to_send.borrow_mut().first().is_none() {
                    self.server.borrow_mut().register(context.waker());
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            match until {
                None => something.await,
                Some(until) => {
                    select(something, Timer::at(until)).await;
                }
            }
            if self.to_send.borrow_mut().first().is_some() {
                return;
            }
        }
    }

    /// Takes the next fragment to send.
    pub(crate) fn take_fragment(&self) -> Option<Encoded> {
        let mut to_send = self.to_send.borrow_mut();
        let packet = to_send.first()?.get(ETHERNET_HEADER_LEN..).unwrap_or_default();
        let (offset, number) = self.progress.get();
        let fragment = fragment(packet, offset, number);
        let next = fragment.as_ref().map_or(packet.len(), |(_, next)| *next);
        if next < packet.len() {
            self.progress.set((next, number));
        } else {
            to_send.pop();
            self.progress.set((0, number.wrapping_add(1)));
            self.count(|counts| &mut counts.sent);
            self.stack.borrow_mut().wake();
        }
        fragment.map(|(encoded, _)| encoded)
    }

    fn set_carrier(&self, until: Option<Instant>) {
        if until.is_none() {
            self.to_send.borrow_mut().count = 0;
            self.received.borrow_mut().count = 0;
            self.progress.set((0, self.progress.get().1));
            let mut assembly = self.assembly.get();
            assembly.drop_packet();
            self.assembly.set(assembly);
        }
        if until.is_some() != self.carried_until.replace(until).is_some() {
            self.stack.borrow_mut().wake();
        }
        self.server.borrow_mut().wake();
    }

    fn count(&self, which: impl FnOnce(&mut TetherCounts) -> &mut u32) {
        let mut counts = self.counts.get();
        let count = which(&mut counts);
        *count = count.wrapping_add(1);
        self.counts.set(counts);
    }
}

impl Default for Tether {
    fn default() -> Self {
        Tether::new()
    }
}

/// The Ethernet device of a tether.
pub struct TetherDriver<'t> {
    tether: &'t Tether,
}

impl Driver for TetherDriver<'_> {
    type RxToken<'a>
        = ReceivedPacket<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = PacketToSend<'a>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(ReceivedPacket<'_>, PacketToSend<'_>)> {
        // A packet is answered from within: without room for the answer it waits.
        let is_empty = self.tether.received.borrow_mut().first().is_none();
        if is_empty || self.tether.to_send.borrow().is_full() {
            self.tether.stack.borrow_mut().register(cx.waker());
            return None;
        }
        Some((ReceivedPacket { tether: self.tether }, PacketToSend { tether: self.tether }))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<PacketToSend<'_>> {
        if self.tether.to_send.borrow().is_full() {
            self.tether.stack.borrow_mut().register(cx.waker());
            return None;
        }
        Some(PacketToSend { tether: self.tether })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.tether.stack.borrow_mut().register(cx.waker());
        if self.tether.carried_until.get().is_some() { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = ETHERNET_FRAME_SIZE;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(NODE_ADDRESS)
    }
}

/// A packet that has reached the node.
pub struct ReceivedPacket<'t> {
    tether: &'t Tether,
}

impl RxToken for ReceivedPacket<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        let mut received = self.tether.received.borrow_mut();
        let result = f(received.first().unwrap_or_default());
        received.pop();
        result
    }
}

/// Room for a packet that the node sends.
pub struct PacketToSend<'t> {
    tether: &'t Tether,
}

impl TxToken for PacketToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut to_send = self.tether.to_send.borrow_mut();
        // The stack keeps to the capabilities, and has a token only where there is room.
        let frame = to_send.place().and_then(|place| place.get_mut(..len)).unwrap_or_default();
        let result = f(frame);
        if self.tether.carried_until.get().is_some() {
            to_send.push(len);
            self.tether.server.borrow_mut().wake();
        } else {
            self.tether.count(|counts| &mut counts.lost);
        }
        result
    }
}
