//! Network packets on the USB serial line: how one is cut into frames of the packets channel and put together again.
//!
//! Normative text: `usb-protocol.md`, section "Packets". A packet is what an Ethernet frame carries; the 14 header bytes
//! stay off the line, because both ends of a cable know each other. Knows neither what a packet means nor time.

use crate::frame::{Encoded, Frame, MAX_PAYLOAD, channel};

/// The largest packet in bytes: what every IPv4 host must accept (RFC 791, section 3.1).
pub const MTU: usize = 576;

/// Length of an Ethernet header in bytes (IEEE 802.3, clause 3.1).
pub const ETHERNET_HEADER_LEN: usize = 14;

/// The largest Ethernet frame that carries a packet, in bytes.
pub const ETHERNET_FRAME_SIZE: usize = ETHERNET_HEADER_LEN + MTU;

/// Ethernet address of the node on every tether; locally administered (IEEE 802, section 8.4).
pub const NODE_ADDRESS: [u8; 6] = [0x02, 0x44, 0x4e, 0x4c, 0x00, 0x01];

/// Ethernet address of the host on every tether.
pub const HOST_ADDRESS: [u8; 6] = [0x02, 0x44, 0x4e, 0x4c, 0x47, 0x57];

/// Bytes of a fragment before its part of the packet.
const OFFSET_LEN: usize = 2;

/// The most bytes of a packet in a fragment.
pub const MAX_FRAGMENT: usize = MAX_PAYLOAD - OFFSET_LEN;

/// Bit of the offset that marks the last fragment of a packet.
const LAST: u16 = 0x8000;

/// Kinds of frames on the packets channel. Append only.
pub mod kind {
    /// A fragment of a packet, in either direction.
    pub const FRAGMENT: u8 = 1;
    /// From the host: whether it carries packets.
    pub const CARRIER: u8 = 2;
}

/// How long the host's word that it carries packets holds, in milliseconds.
pub const CARRIER_HOLDS_MS: u32 = 3_500;

/// How often a host that carries packets says so, in milliseconds.
pub const CARRIER_PERIOD_MS: u32 = 1_000;

/// Returns the frame by which a host says whether it carries packets.
pub fn carrier(is_carried: bool) -> Option<Encoded> {
    let payload = &[u8::from(is_carried)];
    Encoded::new(&Frame { channel: channel::PACKETS, kind: kind::CARRIER, number: 0, payload }).ok()
}

/// Returns whether a frame says that the host carries packets; none where it says something else.
pub fn carried(frame: &Frame<'_>) -> Option<bool> {
    match (frame.channel, frame.kind, frame.payload) {
        (channel::PACKETS, kind::CARRIER, [is_carried]) => Some(*is_carried != 0),
        _ => None,
    }
}

/// Makes the frame for the part of `packet` from `offset` on; returns it with the offset of the next part, which is the
/// packet's length after the last. None where there is no such part, or the packet is empty or longer than [`MTU`].
pub fn fragment(packet: &[u8], offset: usize, number: u8) -> Option<(Encoded, usize)> {
    if packet.len() > MTU {
        return None;
    }
    let rest = packet.get(offset..).filter(|rest| !rest.is_empty())?;
    let part = rest.get(..MAX_FRAGMENT).unwrap_or(rest);
    let next = offset + part.len();
    let mut place = u16::try_from(offset).ok()?;
    if next == packet.len() {
        place |= LAST;
    }
    let mut payload = [0; MAX_PAYLOAD];
    let (head, body) = payload.split_at_mut_checked(OFFSET_LEN)?;
    head.copy_from_slice(&place.to_le_bytes());
    body.get_mut(..part.len())?.copy_from_slice(part);
    let payload = payload.get(..OFFSET_LEN + part.len())?;
    let frame = Frame { channel: channel::PACKETS, kind: kind::FRAGMENT, number, payload };
    Some((Encoded::new(&frame).ok()?, next))
}

/// Puts packets together, one at a time. Fragments come in order; a gap drops the packet that it tears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    /// Number of the packet under way and how much of it has come; none before a first fragment.
    under_way: Option<(u8, usize)>,
    dropped: u32,
}

impl Assembly {
    /// Returns an assembly with nothing under way.
    pub const fn new() -> Self {
        Assembly { under_way: None, dropped: 0 }
    }

    /// Takes a frame of the packets channel; `buffer` holds what has come of the packet and must be the same until it is
    /// whole. Returns the packet's length when this was its last fragment.
    pub fn push(&mut self, frame: &Frame<'_>, buffer: &mut [u8; MTU]) -> Option<usize> {
        if (frame.channel, frame.kind) != (channel::PACKETS, kind::FRAGMENT) {
            return None;
        }
        let [low, high, part @ ..] = frame.payload else { return None };
        let place = u16::from_le_bytes([*low, *high]);
        let offset = usize::from(place & !LAST);
        if offset == 0 {
            self.drop_packet();
        } else if self.under_way != Some((frame.number, offset)) {
            self.drop_packet();
            return None;
        }
        self.under_way = None;
        let end = offset + part.len();
        let Some(room) = buffer.get_mut(offset..end).filter(|_| !part.is_empty()) else {
            self.dropped = self.dropped.wrapping_add(1);
            return None;
        };
        room.copy_from_slice(part);
        if place & LAST != 0 {
            return Some(end);
        }
        self.under_way = Some((frame.number, end));
        None
    }

    /// Forgets the packet under way.
    pub fn drop_packet(&mut self) {
        if self.under_way.take().is_some() {
            self.dropped = self.dropped.wrapping_add(1);
        }
    }

    /// Returns how many packets were begun and not completed.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}

/// Returns the Ethernet header that belongs in front of `packet`, which goes to the node or (`to_node` false) to the host;
/// none where it is neither IPv4 (version 4 in its first four bits, RFC 791) nor ARP (hardware type 1, RFC 826).
pub fn ethernet_header(packet: &[u8], to_node: bool) -> Option<[u8; ETHERNET_HEADER_LEN]> {
    let ether_type: [u8; 2] = match packet {
        [first, ..] if first >> 4 == 4 => [0x08, 0x00],
        [0, 1, ..] => [0x08, 0x06],
        _ => return None,
    };
    let (to, from) = if to_node { (NODE_ADDRESS, HOST_ADDRESS) } else { (HOST_ADDRESS, NODE_ADDRESS) };
    let mut header = [0; ETHERNET_HEADER_LEN];
    for (place, byte) in header.iter_mut().zip(to.iter().chain(&from).chain(&ether_type)) {
        *place = *byte;
    }
    Some(header)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::frame::{Received, Receiver};
    use std::vec::Vec;

    fn packet(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7) as u8).collect()
    }

    fn fragments(packet: &[u8], number: u8) -> Vec<Encoded> {
        let mut offset = 0;
        let mut frames = Vec::new();
        while let Some((encoded, next)) = fragment(packet, offset, number) {
            frames.push(encoded);
            offset = next;
        }
        frames
    }

    /// Feeds frames that went over a line; returns the packets.
    fn assemble(frames: &[&Encoded]) -> (Vec<Vec<u8>>, Assembly) {
        let (mut receiver, mut assembly, mut buffer) = (Receiver::new(), Assembly::new(), [0xa5; MTU]);
        let mut packets = Vec::new();
        for frame in frames {
            for byte in frame.as_bytes() {
                if let Received::Frame(frame) = receiver.push(*byte)
                    && let Some(len) = assembly.push(&frame, &mut buffer)
                {
                    packets.push(buffer[..len].to_vec());
                }
            }
        }
        (packets, assembly)
    }

    #[test]
    fn packets_of_every_length_come_back() {
        for len in 1..=MTU {
            let sent = packet(len);
            let frames = fragments(&sent, len as u8);
            assert_eq!(frames.len(), len.div_ceil(MAX_FRAGMENT));
            assert_eq!(assemble(&frames.iter().collect::<Vec<_>>()).0, [sent]);
        }
        assert!(fragment(&[], 0, 0).is_none());
        assert!(fragment(&packet(MTU + 1), 0, 0).is_none());
        assert!(fragment(&packet(10), 10, 0).is_none());
    }

    #[test]
    fn a_fragment_lost_doubled_or_out_of_order_never_makes_another_packet() {
        let (first, second) = (packet(576), packet(500));
        let (a, b) = (fragments(&first, 1), fragments(&second, 2));
        let whole = |frames: &[&Encoded]| assemble(frames).0;
        for lost in 0..3 {
            let mut frames: Vec<_> = a.iter().chain(&b).collect();
            frames.remove(lost);
            assert_eq!(whole(&frames), core::slice::from_ref(&second));
        }
        assert!(whole(&[&a[0], &a[2], &a[1]]).is_empty());
        assert!(whole(&[&a[1], &a[0], &a[2]]).is_empty());
        assert!(whole(&[&a[0], &a[1], &a[1], &a[2]]).is_empty());
        assert!(whole(&[&a[0], &b[1], &a[2]]).is_empty());
        assert_eq!(whole(&[&a[0], &a[0], &a[1], &a[2]]), [first]);
        assert_eq!(assemble(&[&a[0], &b[0]]).1.dropped(), 1);
    }

    #[test]
    fn what_would_not_fit_is_dropped() {
        let long = |offset: u16, len: usize| {
            let payload = [&offset.to_le_bytes()[..], &packet(len)].concat();
            let frame = Frame { channel: 2, kind: kind::FRAGMENT, number: 1, payload: &payload };
            Encoded::new(&frame).unwrap()
        };
        let parts = [long(0, 238), long(238, 238), long(476 | LAST, 101)];
        assert!(assemble(&parts.iter().collect::<Vec<_>>()).0.is_empty());
        assert!(assemble(&[&long(LAST, 0)]).0.is_empty());
        assert_eq!(assemble(&[&long(LAST, 1)]).0, [packet(1)]);
    }

    #[test]
    fn headers_are_told_from_the_packet() {
        let header = ethernet_header(&[0x45, 0], false).unwrap();
        assert_eq!(header[..6], HOST_ADDRESS);
        assert_eq!(header[6..], [0x02, 0x44, 0x4e, 0x4c, 0x00, 0x01, 0x08, 0x00]);
        assert_eq!(ethernet_header(&[0, 1, 8, 0], true).unwrap()[12..], [0x08, 0x06]);
        assert_eq!(ethernet_header(&[0x60, 0], true), None);
        assert_eq!(ethernet_header(&[], true), None);
    }
}
