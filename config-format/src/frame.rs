//! Frames on the USB serial line: `00 COBS(channel, kind, number, payload, CRC-32) 00`.
//!
//! Turns a stream of bytes into frames and plain text, and a payload into a frame. It knows neither what a payload means
//! ([`message`](crate::message) does) nor time nor ports. Normative text: `usb-protocol.md`, section "Frames".
//!
//! Between frames the device prints plain log lines. A zero byte never occurs inside a frame (consistent overhead byte
//! stuffing: S. Cheshire and M. Baker, IEEE/ACM Transactions on Networking 7(2), 1999) nor in text, so that every zero byte
//! is a place to begin anew, whatever was lost before.

use cobs::CobsEncoder;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// The longest payload of a frame in bytes.
pub const MAX_PAYLOAD: usize = 240;

/// Bytes of a frame before the payload: channel, kind, number.
pub const HEADER_SIZE: usize = 3;

/// Bytes of a frame after the payload: CRC-32/ISO-HDLC of header and payload, little-endian.
pub const CRC_SIZE: usize = 4;

/// The longest frame before stuffing, in bytes.
const MAX_BODY: usize = HEADER_SIZE + MAX_PAYLOAD + CRC_SIZE;

/// The longest stuffed frame without its two zero bytes: a body of at most 253 bytes grows by exactly one byte.
const MAX_STUFFED: usize = MAX_BODY + 1;

/// The longest frame on the line in bytes, both zero bytes included.
pub const MAX_FRAME: usize = MAX_STUFFED + 2;

/// The highest channel number. A stuffed frame then begins with the byte 1 or has a second byte of 1 to 7, and no line of
/// text does: this is how a receiver shows text at once without waiting for the next zero byte.
pub const MAX_CHANNEL: u8 = 7;

/// Without a table: a frame takes far longer on the line than its checksum on the chip, and a table costs 1 KiB.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// Channel numbers. Append only.
pub mod channel {
    /// Requests and replies; payloads are CBOR maps with numbered keys.
    pub const CONTROL: u8 = 0;
    /// What the node tells unasked while a monitor is on; payloads are CBOR maps with numbered keys.
    pub const LOG: u8 = 1;
    /// The node's network packets in fragments; see [`packet`](crate::packet).
    pub const PACKETS: u8 = 2;
}

/// A frame as received or to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Channel, 0 to [`MAX_CHANNEL`]; see [`channel`].
    pub channel: u8,
    /// What the payload is, by channel; see [`message::kind`](crate::message::kind).
    pub kind: u8,
    /// Frame number. A request's is the host's choice; a reply repeats it; an unasked frame counts up and wraps at 255.
    pub number: u8,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

/// A frame that can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The payload has more than [`MAX_PAYLOAD`] bytes.
    PayloadTooLong,
    /// The channel is above [`MAX_CHANNEL`].
    NoSuchChannel,
}

/// A frame's bytes as they go over the line, both zero bytes included. Proves that they are one whole valid frame.
#[derive(Clone, Debug)]
pub struct Encoded {
    bytes: [u8; MAX_FRAME],
    len: usize,
}

impl Encoded {
    /// Encodes `frame`.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is too long or the channel does not exist.
    pub fn new(frame: &Frame<'_>) -> Result<Self, FrameError> {
        if frame.channel > MAX_CHANNEL {
            return Err(FrameError::NoSuchChannel);
        }
        let header = [frame.channel, frame.kind, frame.number];
        let mut digest = CRC.digest();
        digest.update(&header);
        digest.update(frame.payload);
        let crc = digest.finalize().to_le_bytes();

        let mut bytes = [0; MAX_FRAME];
        let stuffed = bytes.get_mut(1..=MAX_STUFFED).ok_or(FrameError::PayloadTooLong)?;
        let mut encoder = CobsEncoder::new(stuffed);
        for part in [&header, frame.payload, &crc] {
            encoder.push(part).map_err(|_| FrameError::PayloadTooLong)?;
        }
        let len = 1 + encoder.finalize() + 1;
        Ok(Encoded { bytes, len })
    }

    /// Returns the bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// What one received byte completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing yet.
    Nothing,
    /// Bytes that belong to no frame: log lines, boot messages, what is left of a damaged frame.
    Text(&'a [u8]),
    /// A whole frame whose checksum is right.
    Frame(Frame<'a>),
    /// What could have been a frame is not: so many bytes are dropped.
    Damaged(usize),
}

/// Separates frames from text in whatever comes over the line. Constant memory, no end state: any byte sequence is
/// survived, and a frame that arrives whole between two zero bytes is received whatever came before.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The bytes since the last zero byte while they may be a frame; a decoded frame until the next byte.
    buffer: [u8; MAX_STUFFED],
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not in a frame.
    Text,
    /// After a zero byte; so many bytes since may be a frame.
    Candidate(usize),
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// Creates a receiver that has seen nothing.
    pub const fn new() -> Self {
        Receiver { buffer: [0; MAX_STUFFED], state: State::Text }
    }

    /// Takes one byte from the line. What is returned borrows the receiver's buffer and is gone with the next byte.
    pub fn push(&mut self, byte: u8) -> Received<'_> {
        match self.state {
            State::Text if byte == 0 => {
                self.state = State::Candidate(0);
                Received::Nothing
            }
            State::Text => {
                self.keep(0, byte);
                self.text(1)
            }
            // A zero byte ends one frame and may begin the next: a lost delimiter costs one frame, never two.
            State::Candidate(len) if byte == 0 => {
                self.state = State::Candidate(0);
                if len == 0 { Received::Nothing } else { self.decode(len) }
            }
            State::Candidate(len) => {
                if !self.keep(len, byte) {
                    self.state = State::Text;
                    Received::Damaged(len + 1)
                } else if self.is_plausible(len + 1) {
                    self.state = State::Candidate(len + 1);
                    Received::Nothing
                } else {
                    self.state = State::Text;
                    self.text(len + 1)
                }
            }
        }
    }

    fn keep(&mut self, index: usize, byte: u8) -> bool {
        self.buffer.get_mut(index).map(|place| *place = byte).is_some()
    }

    fn text(&self, len: usize) -> Received<'_> {
        Received::Text(self.buffer.get(..len).unwrap_or_default())
    }

    /// Whether the first `len` bytes can begin a frame: the first decoded byte is a channel number.
    fn is_plausible(&self, len: usize) -> bool {
        match (&self.buffer, len) {
            ([1, ..], _) | (_, 0 | 1) => true,
            ([_, second, ..], _) => *second <= MAX_CHANNEL,
        }
    }

    fn decode(&mut self, len: usize) -> Received<'_> {
        let body = self.buffer.get_mut(..len).and_then(|stuffed| {
            let decoded = cobs::decode_in_place(stuffed).ok()?;
            stuffed.get(..decoded)
        });
        body.and_then(parse).map_or(Received::Damaged(len), Received::Frame)
    }
}

/// Reads an unstuffed frame; none where it is too short, its checksum is wrong or its channel does not exist.
fn parse(body: &[u8]) -> Option<Frame<'_>> {
    let (checked, crc) = body.split_last_chunk::<CRC_SIZE>()?;
    let ([channel, kind, number], payload) = checked.split_first_chunk::<HEADER_SIZE>()?;
    if CRC.checksum(checked) != u32::from_le_bytes(*crc) || *channel > MAX_CHANNEL {
        return None;
    }
    Some(Frame { channel: *channel, kind: *kind, number: *number, payload })
}
