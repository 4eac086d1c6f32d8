//! What the broker says when it ends a session: the reason code of its DISCONNECT (MQTT 5, section 3.14.2.1).
//!
//! The MQTT session drops that packet's reason, so it is read here from the bytes as they pass by.

use core::cell::Cell;

/// DISCONNECT's first byte (MQTT 5, section 3.14.1).
const DISCONNECT: u8 = 0xe0;
/// Another client has connected with the same identifier.
pub(super) const TAKEN_OVER: u8 = 0x8e;

/// Where in a packet the next byte is (MQTT 5, section 2.1).
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Length { packet: u8, length: u32, shift: u32 },
    Body { packet: u8, left: u32 },
}

/// The reason of the broker's DISCONNECT, once it has come.
#[derive(Debug)]
pub(super) struct Farewell {
    place: Cell<Place>,
    reason: Cell<Option<u8>>,
}

impl Farewell {
    pub(super) const fn new() -> Self {
        Farewell { place: Cell::new(Place::First), reason: Cell::new(None) }
    }

    /// Forgets what was said: a new connection begins.
    pub(super) fn reset(&self) {
        self.place.set(Place::First);
        self.reason.set(None);
    }

    /// Returns the reason code, where the broker has given one.
    pub(super) fn reason(&self) -> Option<u8> {
        self.reason.get()
    }

    /// Reads bytes of the broker's in passing.
    pub(super) fn hear(&self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            let next = match self.place.get() {
                Place::First => Place::Length { packet: byte, length: 0, shift: 0 },
                Place::Length { packet, length, shift } => {
                    let length = length | u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
                    match (byte & 0x80, length) {
                        (0, 0) => Place::First,
                        (0, left) => Place::Body { packet, left },
                        _ => Place::Length { packet, length, shift: shift.saturating_add(7) },
                    }
                }
                Place::Body { packet, left } => {
                    if packet == DISCONNECT && self.reason.get().is_none() {
                        self.reason.set(Some(byte));
                    }
                    // The rest of the packet has nothing to tell.
                    let skipped = usize::try_from(left - 1).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(skipped..).unwrap_or_default();
                    let left = left - 1 - skipped as u32;
                    // Later bytes of a DISCONNECT are no reason.
                    let packet = if packet == DISCONNECT { 0 } else { packet };
                    if left == 0 { Place::First } else { Place::Body { packet, left } }
                }
            };
            self.place.set(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_however_the_bytes_are_cut() {
        // A PUBLISH of 130 bytes full of 0xe0, a PINGRESP, and DISCONNECT with reason 0x8e and no properties.
        let mut stream = [0xe0; 140];
        stream[..3].copy_from_slice(&[0x30, 0x82, 0x01]);
        stream[133..].copy_from_slice(&[0xd0, 0x00, 0xe0, 0x02, TAKEN_OVER, 0x00, 0xd0]);
        for piece in 1..140 {
            let farewell = Farewell::new();
            stream[..137].chunks(piece).for_each(|bytes| farewell.hear(bytes));
            assert_eq!(farewell.reason(), None, "pieces of {piece}");
            stream[137..].chunks(piece).for_each(|bytes| farewell.hear(bytes));
            assert_eq!(farewell.reason(), Some(TAKEN_OVER), "pieces of {piece}");
        }
    }

    #[test]
    fn any_bytes_do_no_harm() {
        let farewell = Farewell::new();
        let mut state = 1_u32;
        for _ in 0..10_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            farewell.hear(&state.to_le_bytes());
        }
        farewell.hear(&[0xff; 64]);
        farewell.reset();
        farewell.hear(&[0xe0, 0x00]);
        assert_eq!(farewell.reason(), None, "a DISCONNECT without a reason is a normal end");
    }
}
