//! One port, many users: whole frames of several clients multiplexed onto one line.
//!
//! Frame numbers are rewritten on the way, so that each client gets the replies to its own requests; text and events go to
//! everybody. Network packets are the holder's own business: they are handed to it and not forwarded. So is the port's speed:
//! it follows what the device replies to RATE, whoever asked. Sans-I/O: bytes of the port and of clients in, bytes for the port
//! and for clients out. A client speaks the very protocol of the line and can't tell a hub from a board.

use std::collections::{BTreeMap, VecDeque};

use dunlin_config_format::frame::{Encoded, Frame, MAX_PAYLOAD, Received, Receiver, channel};
use dunlin_config_format::message::{self, ErrorReply, MonitorRequest, RateReply, Refusal, kind};

use super::Time;
use super::rate::USUAL_RATE;
use super::speed::Speed;

/// Whose bytes: chosen by the caller, any number.
pub type ClientId = u32;

/// Frames of packets that wait for whoever carries them; further ones are lost, as packets may be.
const PACKETS: usize = 256;
/// Requests that wait until the device has erased; further ones are lost, and asked again.
const HELD: usize = 64;

/// A frame of the packets channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketFrame {
    /// What it is; see [`packet::kind`](dunlin_config_format::packet::kind).
    pub kind: u8,
    /// Frame number.
    pub number: u8,
    /// Payload.
    pub payload: Vec<u8>,
}

/// The multiplexer.
#[derive(Debug)]
pub struct Hub {
    port: Receiver,
    port_bytes: Vec<u8>,
    number: u8,
    clients: BTreeMap<ClientId, Client>,
    /// By the number on the line: who asked, and under which number.
    asked: Vec<Option<(ClientId, u8)>>,
    has_spoken: bool,
    /// Packets from the device, and for it.
    packets: VecDeque<PacketFrame>,
    held_packets: VecDeque<Vec<u8>>,
    /// The client whose request keeps the device from reading the line, or from reading it at this speed, until it has replied,
    /// and that request's kind.
    erasing: Option<(ClientId, u8)>,
    /// What others ask meanwhile.
    held: VecDeque<(Option<ClientId>, Held)>,
    speed: Speed,
}

/// A request that waits for the line.
#[derive(Debug)]
struct Held {
    kind: u8,
    number: u8,
    payload: Vec<u8>,
}

#[derive(Debug, Default)]
struct Client {
    receiver: Receiver,
    bytes: Vec<u8>,
    monitored: u8,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// Creates a hub without clients.
    pub fn new() -> Self {
        let asked = vec![None; 256];
        Hub {
            port: Receiver::new(),
            port_bytes: Vec::new(),
            number: 0,
            clients: BTreeMap::new(),
            asked,
            has_spoken: false,
            packets: VecDeque::new(),
            held_packets: VecDeque::new(),
            erasing: None,
            speed: Speed::default(),
            held: VecDeque::new(),
        }
    }

    /// Adds a client.
    pub fn join(&mut self, id: ClientId) {
        self.clients.insert(id, Client::default());
    }

    /// Removes a client. What only it monitored is switched off.
    pub fn leave(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        for place in self.asked.iter_mut().filter(|place| place.is_some_and(|(asker, _)| asker == id)) {
            *place = None;
        }
        if self.erasing.is_some_and(|(asker, _)| asker == id) {
            self.release();
        }
        let what = self.monitored();
        if client.monitored & !what != 0 {
            self.send_monitored(what);
        }
    }

    /// Tells the device what clients monitor.
    fn send_monitored(&mut self, what: u8) {
        let mut buffer = [0; MAX_PAYLOAD];
        if let Ok(payload) = message::encode_payload(&MonitorRequest { what }, &mut buffer) {
            let frame = Frame { channel: channel::CONTROL, kind: kind::MONITOR, number: 0, payload };
            self.forward(&frame, None);
        }
    }

    /// Takes bytes from a client.
    pub fn receive_client(&mut self, id: ClientId, bytes: &[u8]) {
        // The client is taken out while its frames are forwarded; a receiver is small.
        let Some(mut client) = self.clients.remove(&id) else { return };
        for byte in bytes {
            let Received::Frame(frame) = client.receiver.push(*byte) else { continue };
            // Nobody but the holder carries packets, and nothing else than requests goes to the device.
            if frame.channel != channel::CONTROL {
                continue;
            }
            if frame.kind == kind::RATE && !self.speed.can_change() {
                client.bytes.extend(refusal_of_rate(frame.number));
                continue;
            }
            let request = (frame.kind == kind::MONITOR)
                .then(|| message::decode::<MonitorRequest>(frame.payload).ok())
                .flatten();
            let Some(request) = request else {
                self.forward(&frame, Some(id));
                continue;
            };
            client.monitored = request.what;
            let what = client.monitored | self.monitored();
            let mut buffer = [0; MAX_PAYLOAD];
            if let Ok(payload) = message::encode_payload(&MonitorRequest { what }, &mut buffer) {
                self.forward(&Frame { payload, ..frame }, Some(id));
            }
        }
        self.clients.insert(id, client);
    }

    /// Takes bytes from the port.
    pub fn receive_port(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let (text, frame) = match self.port.push(*byte) {
                Received::Nothing | Received::Damaged(_) => continue,
                Received::Text(text) => (text, None),
                Received::Frame(frame) => (&[][..], Some(frame)),
            };
            if frame.is_some() {
                self.has_spoken = true;
                self.speed.hear();
            }
            if let Some(Frame { channel: channel::PACKETS, kind, number, payload }) = frame {
                if self.packets.len() < PACKETS {
                    self.packets.push_back(PacketFrame { kind, number, payload: payload.to_vec() });
                }
                continue;
            }
            let reply = frame.filter(|frame| frame.channel == channel::CONTROL);
            if let Some(reply) = reply {
                if reply.kind == kind::RATE | kind::REPLY
                    && let Ok(RateReply { baud }) = message::decode(reply.payload)
                {
                    self.speed.change(baud);
                }
                let payload = reply.payload.to_vec();
                let (kind, number) = (reply.kind, reply.number);
                self.answer(&Frame { channel: channel::CONTROL, kind, number, payload: &payload });
                continue;
            }
            for client in self.clients.values_mut() {
                client.bytes.extend_from_slice(text);
                if let Some(frame) = &frame {
                    client.push(frame);
                }
            }
        }
    }

    /// Returns whether the device has sent a valid frame.
    pub fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Takes a frame of the packets channel that the device has sent.
    pub fn take_packet(&mut self) -> Option<PacketFrame> {
        self.packets.pop_front()
    }

    /// Sends a whole frame of the packets channel, encoded: at once, or when the device has replied to a request during which
    /// it does not read the line.
    pub fn send_packet(&mut self, frame: &[u8]) {
        if self.erasing.is_none() {
            self.port_bytes.extend_from_slice(frame);
        } else if self.held_packets.len() < PACKETS {
            self.held_packets.push_back(frame.to_vec());
        }
    }

    /// Lets time pass: a device that is not heard any more at another than the usual speed is asked, and given up at this speed.
    pub fn tick(&mut self, now: Time) {
        if self.speed.is_device_to_be_asked(now) {
            self.send_monitored(self.monitored());
        }
    }

    /// Takes the speed to set the port to, before the bytes that are to be written next.
    pub fn take_rate(&mut self) -> Option<u32> {
        self.speed.take()
    }

    /// Returns whether the line runs at another than the usual speed.
    pub fn is_at_other_rate(&self) -> bool {
        self.speed.rate() != USUAL_RATE
    }

    /// The port can't be set to another speed: it stays at the usual one, and nobody is let ask the device for another.
    pub fn keep_rate(&mut self) {
        self.speed = Speed::fixed();
    }

    /// Takes the bytes to write to the port.
    pub fn take_port(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.port_bytes)
    }

    /// Takes the bytes to write to a client.
    pub fn take_client(&mut self, id: ClientId) -> Vec<u8> {
        self.clients.get_mut(&id).map(|client| std::mem::take(&mut client.bytes)).unwrap_or_default()
    }

    /// Returns the clients that bytes are waiting for.
    pub fn waiting(&self) -> Vec<ClientId> {
        self.clients.iter().filter(|(_, client)| !client.bytes.is_empty()).map(|(id, _)| *id).collect()
    }

    fn monitored(&self) -> u8 {
        self.clients.values().fold(0, |what, client| what | client.monitored)
    }

    /// Gives a reply to whoever asked.
    fn answer(&mut self, reply: &Frame<'_>) {
        let asker = self.asked.get(usize::from(reply.number)).copied().flatten();
        let Some((id, number)) = asker else { return };
        if let Some(client) = self.clients.get_mut(&id) {
            client.push(&Frame { number, ..*reply });
        }
        let is_awaited = |(asker, request): (ClientId, u8)| {
            asker == id && (reply.kind == request | kind::REPLY || reply.kind == kind::ERROR)
        };
        if self.erasing.is_some_and(is_awaited) {
            self.release();
        }
    }

    /// The device reads the line again: what waited goes out.
    fn release(&mut self) {
        self.erasing = None;
        self.port_bytes.extend(self.held_packets.drain(..).flatten());
        // One of them may erase as well.
        while self.erasing.is_none()
            && let Some((asker, Held { kind, number, payload })) = self.held.pop_front()
        {
            self.send(&Frame { channel: channel::CONTROL, kind, number, payload: &payload }, asker);
        }
    }

    /// Forwards a request, at once or when the device has replied to one during which it does not read the line. Whoever asks
    /// something else than that has given its reply up.
    fn forward(&mut self, frame: &Frame<'_>, asker: Option<ClientId>) {
        match self.erasing {
            Some((id, _)) if asker != Some(id) => {
                if self.held.len() < HELD {
                    let Frame { kind, number, payload, .. } = *frame;
                    self.held.push_back((asker, Held { kind, number, payload: payload.to_vec() }));
                }
            }
            Some((_, request)) if request != frame.kind => {
                self.erasing = None;
                self.send(frame, asker);
                if self.erasing.is_none() {
                    self.release();
                }
            }
            _ => self.send(frame, asker),
        }
    }

    fn send(&mut self, frame: &Frame<'_>, asker: Option<ClientId>) {
        self.number = self.number.wrapping_add(1);
        if let Some(place) = self.asked.get_mut(usize::from(self.number)) {
            *place = asker.map(|id| (id, frame.number));
        }
        if let Ok(encoded) = Encoded::new(&Frame { number: self.number, ..*frame }) {
            self.port_bytes.extend_from_slice(encoded.as_bytes());
        }
        let erases = matches!(frame.kind, kind::BEGIN | kind::SECRET | kind::ERASE | kind::RATE);
        if frame.channel == channel::CONTROL && erases {
            self.erasing = asker.map(|id| (id, frame.kind));
        }
    }
}

impl Client {
    fn push(&mut self, frame: &Frame<'_>) {
        if let Ok(encoded) = Encoded::new(frame) {
            self.bytes.extend_from_slice(encoded.as_bytes());
        }
    }
}

/// The answer to a request of another speed where the line has no speed to change.
fn refusal_of_rate(number: u8) -> Vec<u8> {
    let refusal = Refusal::RateRefused.number();
    let error = ErrorReply { refusal, request: kind::RATE, detail: None, name: None };
    message::encode(&error, number).map(|encoded| encoded.as_bytes().to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(channel: u8, kind: u8, number: u8, payload: &[u8]) -> Vec<u8> {
        Encoded::new(&Frame { channel, kind, number, payload }).unwrap().as_bytes().to_vec()
    }

    fn frames(bytes: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
        let mut receiver = Receiver::new();
        let mut frames = Vec::new();
        for byte in bytes {
            if let Received::Frame(frame) = receiver.push(*byte) {
                frames.push((frame.kind, frame.number, frame.payload.to_vec()));
            }
        }
        frames
    }

    #[test]
    fn a_reply_goes_to_its_asker_under_its_own_number() {
        let mut hub = Hub::new();
        hub.join(1);
        hub.join(2);
        // Both ask under the same number, with bytes of one frame split over two calls.
        let request = frame(0, kind::INFO, 7, &[0xa0]);
        hub.receive_client(1, &request[..4]);
        hub.receive_client(2, &frame(0, kind::HELLO, 7, &[0xa0]));
        hub.receive_client(1, &request[4..]);
        let asked = frames(&hub.take_port());
        assert_eq!(asked.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), [kind::HELLO, kind::INFO]);
        assert_ne!(asked[0].1, asked[1].1);
        for (kind, number, _) in &asked {
            hub.receive_port(&frame(0, kind | kind::REPLY, *number, &[]));
        }
        assert_eq!(frames(&hub.take_client(1)), [(kind::INFO | kind::REPLY, 7, vec![])]);
        assert_eq!(frames(&hub.take_client(2)), [(kind::HELLO | kind::REPLY, 7, vec![])]);
    }

    #[test]
    fn text_and_events_go_to_everybody_and_never_into_a_frame() {
        let mut hub = Hub::new();
        hub.join(1);
        hub.join(2);
        let event = frame(1, kind::EVENT_LOG, 0, &[0xa0]);
        hub.receive_port(&[b"first\r\n", &event[..], b"second\r\n"].concat());
        for id in hub.waiting() {
            let bytes = hub.take_client(id);
            assert_eq!(bytes, [b"first\r\n", &event[..], b"second\r\n"].concat());
        }
        assert!(hub.waiting().is_empty());
    }

    #[test]
    fn monitors_are_united_and_end_with_their_client() {
        let mut hub = Hub::new();
        let asked = |hub: &mut Hub| -> Vec<u8> {
            let frames = frames(&hub.take_port());
            frames
                .iter()
                .map(|(_, _, payload)| message::decode::<MonitorRequest>(payload).unwrap().what)
                .collect()
        };
        hub.join(1);
        hub.join(2);
        for (id, what) in [(1, 1), (2, 4), (1, 0)] {
            let bytes = message::encode(&MonitorRequest { what }, 1).unwrap();
            hub.receive_client(id, bytes.as_bytes());
        }
        assert_eq!(asked(&mut hub), [1, 5, 4]);
        hub.leave(1);
        assert!(asked(&mut hub).is_empty());
        hub.leave(2);
        assert_eq!(asked(&mut hub), [0]);
    }

    #[test]
    fn packets_are_the_holders_alone() {
        let mut hub = Hub::new();
        hub.join(1);
        assert!(!hub.has_spoken());
        hub.receive_port(&frame(2, 1, 9, &[0, 0x80, 0x45]));
        assert!(hub.has_spoken() && hub.take_client(1).is_empty());
        let packet = PacketFrame { kind: 1, number: 9, payload: vec![0, 0x80, 0x45] };
        assert_eq!((hub.take_packet(), hub.take_packet()), (Some(packet), None));
        // A client can't send any: two networks on one cable would be none.
        hub.receive_client(1, &frame(2, 1, 9, &[0, 0x80, 0x45]));
        assert!(hub.take_port().is_empty());
    }

    #[test]
    fn no_packet_is_sent_while_flash_is_erased() {
        let mut hub = Hub::new();
        hub.join(1);
        let packet = frame(2, 1, 0, &[0, 0x80, 0x45]);
        for kind in [kind::BEGIN, kind::SECRET, kind::ERASE] {
            hub.receive_client(1, &frame(0, kind, 7, &[0xa0]));
            hub.send_packet(&packet);
            let asked = frames(&hub.take_port());
            assert_eq!(asked.len(), 1);
            hub.receive_port(&frame(0, kind | kind::REPLY, asked[0].1.wrapping_add(1), &[]));
            assert!(hub.take_port().is_empty(), "the reply to another request");
            hub.receive_port(&frame(0, kind | kind::REPLY, asked[0].1, &[]));
            assert_eq!(hub.take_port(), packet);
            hub.send_packet(&packet);
            assert_eq!(hub.take_port(), packet);
        }
    }

    #[test]
    fn nobody_speaks_to_a_device_that_erases() {
        let mut hub = Hub::new();
        hub.join(1);
        hub.join(2);
        let kinds = |bytes: &[u8]| frames(bytes).iter().map(|(kind, ..)| *kind).collect::<Vec<_>>();
        hub.receive_client(1, &frame(0, kind::BEGIN, 7, &[0xa0]));
        let begin = frames(&hub.take_port())[0].1;
        // A monitor's renewal and a question wait; a repetition of the request itself does not.
        let renewal = message::encode(&MonitorRequest { what: 5 }, 1).unwrap();
        hub.receive_client(2, renewal.as_bytes());
        hub.receive_client(2, &frame(0, kind::INFO, 2, &[0xa0]));
        assert!(hub.take_port().is_empty());
        hub.receive_client(1, &frame(0, kind::BEGIN, 8, &[0xa0]));
        assert_eq!(kinds(&hub.take_port()), [kind::BEGIN]);
        // The reply to the first sending counts as well.
        hub.receive_port(&frame(0, kind::BEGIN | kind::REPLY, begin, &[]));
        let released = hub.take_port();
        assert_eq!(kinds(&released), [kind::MONITOR, kind::INFO]);
        let info = frames(&released)[1].1;
        hub.receive_port(&frame(0, kind::INFO | kind::REPLY, info, &[]));
        assert_eq!(frames(&hub.take_client(2)), [(kind::INFO | kind::REPLY, 2, vec![])]);
        // Whoever leaves, or asks something else, waits for no reply any more.
        hub.receive_client(1, &frame(0, kind::ERASE, 9, &[0xa0]));
        hub.receive_client(2, &frame(0, kind::INFO, 3, &[0xa0]));
        assert_eq!(kinds(&hub.take_port()), [kind::ERASE]);
        hub.leave(1);
        assert_eq!(kinds(&hub.take_port()), [kind::INFO]);
        hub.join(1);
        hub.receive_client(1, &frame(0, kind::ERASE, 9, &[0xa0]));
        hub.receive_client(2, &frame(0, kind::INFO, 3, &[0xa0]));
        hub.receive_client(1, &frame(0, kind::HELLO, 10, &[0xa0]));
        assert_eq!(kinds(&hub.take_port()), [kind::ERASE, kind::HELLO, kind::INFO]);
    }

    #[test]
    fn a_client_that_left_gets_nothing_and_breaks_nothing() {
        let mut hub = Hub::new();
        hub.join(1);
        hub.receive_client(1, &frame(0, kind::INFO, 7, &[0xa0]));
        let asked = frames(&hub.take_port());
        hub.leave(1);
        hub.receive_port(&frame(0, kind::INFO | kind::REPLY, asked[0].1, &[]));
        hub.receive_client(1, &frame(0, kind::INFO, 8, &[0xa0]));
        assert!(hub.take_client(1).is_empty() && hub.take_port().is_empty());
    }
}
