//! Questions for the address of a host: as much of DNS (RFC 1035) as a node's resolver uses.

use std::net::Ipv4Addr;

use super::GatewaySettings;
use super::datagram::{self, Parties};

/// Length of a message's header (RFC 1035, section 4.1.1).
const HEADER_LEN: usize = 12;
/// `A` and `IN` (section 3.2).
const TYPE_A: [u8; 2] = [0, 1];
const CLASS_IN: [u8; 2] = [0, 1];
/// Header flags: response; recursion desired; recursion available; name error (section 4.1.1).
const RESPONSE: u16 = 0x8000;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const NAME_ERROR: u16 = 3;
/// Flags that a plain question leaves at zero: response, operation code, truncation.
const NOT_A_QUESTION: u16 = 0xfa00;
/// A pointer to the name at the start of the question (section 4.1.4).
const NAME_OF_QUESTION: [u8; 2] = [0xc0, HEADER_LEN as u8];
/// How long a resolver may keep an answer.
const TIME_TO_LIVE_S: u32 = 60;

/// A node's question for the address of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    parties: Parties,
    identifier: [u8; 2],
    flags: u16,
    /// The question as the node sent it: name, type and class.
    question: Vec<u8>,
    name_len: usize,
}

impl Query {
    /// Reads a message with exactly one question. Additional records (RFC 6891) are ignored.
    pub(super) fn parse(parties: Parties, message: &[u8]) -> Option<Self> {
        let (header, body) = message.split_at_checked(HEADER_LEN)?;
        let [first, second, flags_high, flags_low, 0, 1, 0, 0, ..] = *header else { return None };
        let flags = u16::from_be_bytes([flags_high, flags_low]);
        if flags & NOT_A_QUESTION != 0 {
            return None;
        }
        let name_len = name_len(body)?;
        let question = body.get(..name_len + TYPE_A.len() + CLASS_IN.len())?.to_vec();
        Some(Query { parties, identifier: [first, second], flags, question, name_len })
    }

    pub(super) fn asks_for_ipv4(&self) -> bool {
        let [type_high, type_low] = TYPE_A;
        let [class_high, class_low] = CLASS_IN;
        self.question.get(self.name_len..) == Some(&[type_high, type_low, class_high, class_low])
    }

    /// Returns the host's name, or `None` if it isn't printable ASCII.
    pub(super) fn name(&self) -> Option<String> {
        let mut name = String::new();
        let mut rest = self.question.as_slice();
        loop {
            let (&label_len, after) = rest.split_first()?;
            if label_len == 0 {
                return (!name.is_empty()).then_some(name);
            }
            let (label, after) = after.split_at_checked(usize::from(label_len))?;
            if !name.is_empty() {
                name.push('.');
            }
            for &byte in label {
                if !byte.is_ascii_graphic() || byte == b'.' {
                    return None;
                }
                name.push(char::from(byte.to_ascii_lowercase()));
            }
            rest = after;
        }
    }

    /// Returns the frame that answers with `address`, or that there is no such host.
    pub(super) fn answer(&self, settings: &GatewaySettings, address: Option<Ipv4Addr>) -> Vec<u8> {
        let mut message =
            self.answer_header(if address.is_some() { 0 } else { NAME_ERROR }, u8::from(address.is_some()));
        if let Some(address) = address {
            message.extend(NAME_OF_QUESTION);
            message.extend(TYPE_A);
            message.extend(CLASS_IN);
            message.extend(TIME_TO_LIVE_S.to_be_bytes());
            let octets = address.octets();
            message.extend((octets.len() as u16).to_be_bytes());
            message.extend(octets);
        }
        datagram::datagram(settings, self.parties, &message)
    }

    /// Returns the frame that says that the host has no record of the kind asked for.
    pub(super) fn answer_empty(&self, settings: &GatewaySettings) -> Vec<u8> {
        datagram::datagram(settings, self.parties, &self.answer_header(0, 0))
    }

    fn answer_header(&self, code: u16, answer_count: u8) -> Vec<u8> {
        let flags = RESPONSE | (self.flags & RECURSION_DESIRED) | RECURSION_AVAILABLE | code;
        let mut message = Vec::with_capacity(HEADER_LEN + self.question.len() + 16);
        message.extend(self.identifier);
        message.extend(flags.to_be_bytes());
        message.extend([0, 1, 0, answer_count, 0, 0, 0, 0]);
        message.extend(&self.question);
        message
    }
}

/// Returns the length of the name at the start of `bytes`, its final zero included. Pointers aren't allowed here.
fn name_len(bytes: &[u8]) -> Option<usize> {
    let mut len = 0;
    loop {
        let label_len = usize::from(*bytes.get(len)?);
        len += 1 + label_len;
        match label_len {
            0 => return Some(len),
            // Longest label and name (section 2.3.4).
            1..=63 if len < 255 => {}
            _ => return None,
        }
    }
}
