//! How an image gets into a slot, and the secrets that it names.

use super::{HASH_SIZE, Message, kind};
use crate::cbor;
use crate::frame::MAX_PAYLOAD;

/// The most image bytes in a DATA frame: the payload less map head, two keys, an offset of up to three bytes and the length.
pub const MAX_DATA: usize = MAX_PAYLOAD - 8;

/// Flags of BEGIN; bits. Append only.
pub mod flag {
    /// Confirm when the node has started, without a broker (for the bench).
    pub const CONFIRM: u8 = 1;
    /// Store it although the device carries another name.
    pub const REPLACE: u8 = 2;
    /// Store it although the same image is running and confirmed: a secret that it uses has changed.
    pub const AGAIN: u8 = 4;
}

/// How BEGIN was answered, and what became of an image. Append only.
pub mod outcome {
    /// The slot is erased: send from the offset given.
    pub const READY: u8 = 0;
    /// This image is running and confirmed already; nothing was erased.
    pub const UNCHANGED: u8 = 1;
    /// On trial.
    pub const TRIAL: u8 = 2;
    /// Confirmed.
    pub const CONFIRMED: u8 = 3;
    /// Given up, and the configuration before it runs again.
    pub const REJECTED: u8 = 4;
    /// Stored, and about to be started.
    pub const STARTING: u8 = 5;
    /// The device knows no image of this hash.
    pub const UNKNOWN: u8 = 6;
}

/// BEGIN: prepares the inactive slot. Repeated with the same length and hash while that transfer is under way, it erases
/// nothing and goes on where the transfer is.
///
/// The device erases before it replies, up to 400 ms a sector; the host sends nothing meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginRequest<'b> {
    /// Length of the image in bytes.
    pub length: u32,
    /// Hash of the image.
    pub hash: [u8; HASH_SIZE],
    /// See [`flag`].
    pub flags: u8,
    /// Name of the device that the image is for.
    pub device: &'b str,
}

cbor::map!(BeginRequest<'b> { 0 length, 1 hash, 2 flags, 3 device });

impl Message for BeginRequest<'_> {
    const KIND: u8 = kind::BEGIN;
}

/// BEGIN reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginReply {
    /// [`outcome::READY`] or [`outcome::UNCHANGED`].
    pub outcome: u8,
    /// Offset of the first byte to send; 0 unless this transfer was under way.
    pub next: u32,
    /// The most DATA frames that may be on their way unacknowledged, 1 or more.
    pub window: u8,
}

cbor::map!(BeginReply { 0 outcome, 1 next, 2 window });

impl Message for BeginReply {
    const KIND: u8 = kind::BEGIN | kind::REPLY;
}

/// DATA: a piece of the image at its place. A piece that begins before the expected offset and ends after it is taken from
/// there; one that begins later is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRequest<'b> {
    /// Offset in the image.
    pub offset: u32,
    /// 1 to [`MAX_DATA`] bytes.
    pub bytes: &'b [u8],
}

cbor::map!(DataRequest<'b> { 0 offset, 1 bytes });

impl Message for DataRequest<'_> {
    const KIND: u8 = kind::DATA;
}

/// DATA reply, the acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataReply {
    /// The offset expected next: every byte before it has arrived, and each whole 256-byte page of them is programmed and
    /// read back.
    pub next: u32,
}

cbor::map!(DataReply { 0 next });

impl Message for DataReply {
    const KIND: u8 = kind::DATA | kind::REPLY;
}

/// END: the image is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// As in BEGIN.
    pub length: u32,
    /// As in BEGIN.
    pub hash: [u8; HASH_SIZE],
}

cbor::map!(EndRequest { 0 length, 1 hash });

impl Message for EndRequest {
    const KIND: u8 = kind::END;
}

/// END reply: the image is stored. From here on it survives any loss of power; the trial begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndReply {
    /// The generation that the image became.
    pub generation: u32,
}

cbor::map!(EndReply { 0 generation });

impl Message for EndReply {
    const KIND: u8 = kind::END | kind::REPLY;
}

/// VERDICT: asks what became of an image. The host asks again until the answer is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictRequest {
    /// Hash of the image.
    pub hash: [u8; HASH_SIZE],
    /// Its generation, as END's reply told; absent where that reply was lost.
    pub generation: Option<u32>,
}

cbor::map!(VerdictRequest { 0 hash, 1 generation: optional });

impl Message for VerdictRequest {
    const KIND: u8 = kind::VERDICT;
}

/// VERDICT reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictReply {
    /// STARTING, TRIAL, CONFIRMED, REJECTED or UNKNOWN; see [`outcome`].
    pub outcome: u8,
    /// On trial: what still stands before the confirmation. Given up: why. The code of a
    /// [`Reason`](crate::reason::Reason).
    pub reason: Option<u16>,
    /// Milliseconds since the trial began.
    pub elapsed_ms: Option<u32>,
    /// Milliseconds after which the trial ends; absent where it has no end.
    pub limit_ms: Option<u32>,
    /// Number of failed attempts so far.
    pub attempts: Option<u8>,
}

cbor::map!(VerdictReply {
    0 outcome, 1 reason: optional, 2 elapsed_ms: optional, 3 limit_ms: optional, 4 attempts: optional,
});

impl Message for VerdictReply {
    const KIND: u8 = kind::VERDICT | kind::REPLY;
}

/// SECRET: stores a secret for the configuration that BEGIN stores next. No message reads one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretRequest<'b> {
    /// Its name, such as `mqtt.password`.
    pub name: &'b str,
    /// Its value.
    pub value: &'b [u8],
}

cbor::map!(SecretRequest<'b> { 0 name, 1 value });

impl core::fmt::Debug for SecretRequest<'_> {
    /// Leaves the value out: a secret is in no output.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SecretRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Message for SecretRequest<'_> {
    const KIND: u8 = kind::SECRET;
}

/// SECRET reply: it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretReply {
    /// Whether the running configuration uses this value already. Where it does not, an unchanged image must be stored again
    /// ([`flag::AGAIN`]) for the new value to hold.
    pub in_use: bool,
}

cbor::map!(SecretReply { 0 in_use });

impl Message for SecretReply {
    const KIND: u8 = kind::SECRET | kind::REPLY;
}
