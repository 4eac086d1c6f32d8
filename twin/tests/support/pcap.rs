//! Reads packet captures, without the code that wrote them.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Returns the frames of a capture.
pub fn frames(capture: &[u8]) -> Vec<&[u8]> {
    assert_eq!(capture[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let mut rest = &capture[24..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        frames.push(&rest[16..16 + len]);
        rest = &rest[16 + len..];
    }
    frames
}

/// Returns whether the internet checksums of an IPv4 frame are right (RFC 1071); true for other frames.
pub fn checksums_are_good(frame: &[u8]) -> bool {
    if frame[12..14] != [8, 0] {
        return true;
    }
    let header_len = usize::from(frame[14] & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    let packet = &frame[14..14 + total_len];
    let (header, payload) = packet.split_at(header_len);
    let mut pseudo = header[12..20].to_vec();
    pseudo.extend([0, header[9]]);
    pseudo.extend((payload.len() as u16).to_be_bytes());
    pseudo.extend(payload);
    sum(header) == 0xffff && sum(&pseudo) == 0xffff
}

/// Writes the right checksums into an IPv4 frame, as far as it has the fields.
pub fn repair_checksums(frame: &mut [u8]) {
    let header_len = frame.get(14).map_or(0, |first| usize::from(first & 15) * 4);
    if frame.len() < 54 || frame[12..14] != [8, 0] || !(20..=frame.len() - 34).contains(&header_len) {
        return;
    }
    let total_len = usize::from(u16::from_be_bytes([frame[16], frame[17]])).min(frame.len() - 14);
    let Some(payload_len) = total_len.checked_sub(header_len) else { return };
    frame[24..26].fill(0);
    let checksum = !(sum(&frame[14..14 + header_len]) as u16);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    let start = 14 + header_len;
    let at = start + if frame[23] == 6 { 16 } else { 6 };
    if at + 2 > start + payload_len {
        return;
    }
    frame[at..at + 2].fill(0);
    let mut pseudo = frame[26..34].to_vec();
    pseudo.extend([0, frame[23]]);
    pseudo.extend((payload_len as u16).to_be_bytes());
    pseudo.extend(&frame[start..start + payload_len]);
    let checksum = !(sum(&pseudo) as u16);
    frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// Returns where a TCP segment goes.
pub fn tcp_destination(frame: &[u8]) -> Option<SocketAddrV4> {
    if frame[12..14] != [8, 0] || frame[23] != 6 {
        return None;
    }
    let address: [u8; 4] = frame[30..34].try_into().unwrap();
    let segment = &frame[14 + usize::from(frame[14] & 15) * 4..];
    Some(SocketAddrV4::new(Ipv4Addr::from(address), u16::from_be_bytes([segment[2], segment[3]])))
}
