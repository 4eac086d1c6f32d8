//! Who is there, and what is done to the whole board.

use super::{HASH_SIZE, Message, kind};
use crate::cbor;

/// State of the running configuration. Append only.
pub mod state {
    /// Nothing readable is stored: the device waits for a push.
    pub const EMPTY: u8 = 0;
    /// On trial: not yet confirmed.
    pub const TRIAL: u8 = 1;
    /// Confirmed.
    pub const CONFIRMED: u8 = 2;
    /// Safe mode: something is stored but repeated crashes keep it from being started.
    pub const SAFE_MODE: u8 = 3;
}

/// What ERASE erases; bits that can be combined. Append only.
pub mod what {
    /// Both configuration slots.
    pub const CONFIGURATIONS: u8 = 1;
    /// The identity sectors: every secret.
    pub const SECRETS: u8 = 2;
}

/// HELLO: asks who is there. Answered by one frame with [`HelloBoard`] and one with [`HelloConfiguration`]; a host ignores
/// further parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloRequest {
    /// Major version that the host speaks.
    pub major: u8,
    /// Minor version that the host speaks.
    pub minor: u8,
}

cbor::map!(HelloRequest { 0 major, 1 minor });

impl Message for HelloRequest {
    const KIND: u8 = kind::HELLO;
}

/// HELLO reply, part 0: the board and its firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloBoard<'b> {
    /// Always 0.
    pub part: u8,
    /// Random at every start: another value means that the device has restarted.
    pub boot_id: u32,
    /// Major version of the protocol: must be the host's own.
    pub major: u8,
    /// Minor version of the protocol.
    pub minor: u8,
    /// Version of the firmware, for people.
    pub firmware: &'b str,
    /// Identifier of the chip, printed in hexadecimal.
    pub chip_id: u32,
    /// Lowest version of the configuration format that the firmware reads.
    pub schema_low: u16,
    /// Highest version of the configuration format that the firmware reads.
    pub schema_high: u16,
    /// Numbers of the drivers compiled in, one byte each.
    pub drivers: &'b [u8],
    /// The longest image that a slot holds, in bytes.
    pub image_limit: u32,
    /// The most sensors in a configuration.
    pub sensor_limit: u16,
    /// The most reports in a configuration.
    pub report_limit: u16,
}

cbor::map!(HelloBoard<'b> {
    0 part, 1 boot_id, 2 major, 3 minor, 4 firmware, 5 chip_id, 6 schema_low, 7 schema_high, 8 drivers,
    9 image_limit, 10 sensor_limit, 11 report_limit,
});

impl Message for HelloBoard<'_> {
    const KIND: u8 = kind::HELLO | kind::REPLY;
}

/// HELLO reply, part 1: what is stored and what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloConfiguration<'b> {
    /// Always 1.
    pub part: u8,
    /// As in part 0: parts of two starts are not mixed.
    pub boot_id: u32,
    /// State of the running configuration; see [`state`].
    pub state: u8,
    /// Generation of the running configuration.
    pub generation: Option<u32>,
    /// Hash of the running configuration.
    pub active_hash: Option<[u8; HASH_SIZE]>,
    /// Hash of the newest stored configuration, whether it runs or was given up.
    pub stored_hash: Option<[u8; HASH_SIZE]>,
    /// Device name of the running configuration.
    pub device: Option<&'b str>,
    /// Why the last configuration that was given up was given up; the code of a [`Reason`](crate::reason::Reason).
    pub rollback_reason: Option<u16>,
    /// Its generation.
    pub rollback_generation: Option<u32>,
}

cbor::map!(HelloConfiguration<'b> {
    0 part, 1 boot_id, 16 state, 17 generation: optional, 18 active_hash: optional, 19 stored_hash: optional,
    20 device: optional, 21 rollback_reason: optional, 22 rollback_generation: optional,
});

impl Message for HelloConfiguration<'_> {
    const KIND: u8 = kind::HELLO | kind::REPLY;
}

/// ROLLBACK: leaves a configuration for the confirmed one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackRequest {
    /// The generation to leave. Another one running: the request was carried out already, and nothing is done.
    pub generation: u32,
}

cbor::map!(RollbackRequest { 0 generation });

impl Message for RollbackRequest {
    const KIND: u8 = kind::ROLLBACK;
}

/// ROLLBACK reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackReply {
    /// The generation that is started now, or that runs where another one was to be left; absent where none does.
    pub generation: Option<u32>,
}

cbor::map!(RollbackReply { 0 generation: optional });

impl Message for RollbackReply {
    const KIND: u8 = kind::ROLLBACK | kind::REPLY;
}

/// ERASE: erases what is stored; the node then runs nothing and waits for a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EraseRequest {
    /// What to erase; see [`what`].
    pub what: u8,
}

cbor::map!(EraseRequest { 0 what });

impl Message for EraseRequest {
    const KIND: u8 = kind::ERASE;
}

/// ERASE reply: it is erased and verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EraseReply {}

cbor::map!(EraseReply {});

impl Message for EraseReply {
    const KIND: u8 = kind::ERASE | kind::REPLY;
}

/// RESTART: restarts the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRequest {
    /// The boot id to end. Another one: the board has restarted already, and nothing is done.
    pub boot_id: u32,
}

cbor::map!(RestartRequest { 0 boot_id });

impl Message for RestartRequest {
    const KIND: u8 = kind::RESTART;
}

/// RESTART reply: the board restarts after this frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartReply {}

cbor::map!(RestartReply {});

impl Message for RestartReply {
    const KIND: u8 = kind::RESTART | kind::REPLY;
}

/// RATE: changes the line's speed after the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRequest {
    /// Bits per second.
    pub baud: u32,
}

cbor::map!(RateRequest { 0 baud });

impl Message for RateRequest {
    const KIND: u8 = kind::RATE;
}

/// RATE reply, still at the old speed. Unless a whole frame arrives at the new speed within a second, the device returns to
/// 115,200.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateReply {
    /// Bits per second from now on.
    pub baud: u32,
}

cbor::map!(RateReply { 0 baud });

impl Message for RateReply {
    const KIND: u8 = kind::RATE | kind::REPLY;
}
