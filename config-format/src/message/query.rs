//! What can be asked of a node: its image, how it is, a fresh measurement, which addresses of a bus answer.
//!
//! A reply of several items is several frames, each with its index and the count; the host asks again where one is missing.

use super::{HASH_SIZE, Message, Value, kind};
use crate::cbor;

/// How PROBE found the bus. Append only.
pub mod bus {
    /// Both lines were high; every address was tried.
    pub const FREE: u8 = 0;
    /// The data line is held low.
    pub const SDA_LOW: u8 = 1;
    /// The clock line is held low.
    pub const SCL_LOW: u8 = 2;
}

/// What MONITOR switches on; bits. Append only.
pub mod monitor {
    /// Readings that passed their filters.
    pub const READINGS: u8 = 1;
    /// Changes of a sensor's health.
    pub const HEALTH: u8 = 2;
    /// Log lines as frames.
    pub const LOG: u8 = 4;
    /// Messages sent to the broker.
    pub const SENT: u8 = 8;
}

/// PULL: reads a piece of the stored image that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Offset in the image.
    pub offset: u32,
}

cbor::map!(PullRequest { 0 offset });

impl Message for PullRequest {
    const KIND: u8 = kind::PULL;
}

/// PULL reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullReply<'b> {
    /// As asked.
    pub offset: u32,
    /// The bytes from there; fewer than fit only at the end, none past it.
    pub bytes: &'b [u8],
    /// Length of the image in bytes.
    pub length: u32,
    /// The first eight bytes of the image's hash: pieces of two images are not mixed.
    pub hash_prefix: [u8; 8],
}

cbor::map!(PullReply<'b> { 0 offset, 1 bytes, 2 length, 3 hash_prefix });

impl PullReply<'_> {
    /// The most image bytes in a reply.
    pub const MAX_BYTES: usize = 212;

    /// Returns the prefix of a hash that replies carry.
    pub fn prefix(hash: &[u8; HASH_SIZE]) -> [u8; 8] {
        let mut prefix = [0; 8];
        for (to, from) in prefix.iter_mut().zip(hash) {
            *to = *from;
        }
        prefix
    }
}

impl Message for PullReply<'_> {
    const KIND: u8 = kind::PULL | kind::REPLY;
}

/// INFO: asks how the node is. Answered by one [`InfoItem`] frame per fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoRequest {}

cbor::map!(InfoRequest {});

impl Message for InfoRequest {
    const KIND: u8 = kind::INFO;
}

/// INFO reply: one fact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InfoItem<'b> {
    /// Index of this fact.
    pub index: u16,
    /// How many facts there are.
    pub count: u16,
    /// Its name, as in the birth message: `uptime`, `reset-cause`, `health.lux-1`.
    pub name: &'b str,
    /// Its value.
    pub value: Value<'b>,
}

cbor::map!(InfoItem<'b> { 0 index, 1 count, 2 name, 3 value });

impl Message for InfoItem<'_> {
    const KIND: u8 = kind::INFO | kind::REPLY;
}

/// READ: measures afresh, without touching a filter's state or the schedule. Either a sensor of the running configuration by
/// its name, or any device on any bus by driver, pins and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest<'b> {
    /// A sensor of the running configuration.
    pub sensor: Option<&'b str>,
    /// Driver number, where no sensor is named.
    pub driver: Option<u8>,
    /// GPIO number of the data line, where no sensor is named.
    pub sda: Option<u8>,
    /// GPIO number of the clock line, where no sensor is named.
    pub scl: Option<u8>,
    /// Address on the bus; the driver's usual one where absent.
    pub address: Option<u8>,
}

cbor::map!(ReadRequest<'b> {
    0 sensor: optional, 1 driver: optional, 2 sda: optional, 3 scl: optional, 4 address: optional,
});

impl Message for ReadRequest<'_> {
    const KIND: u8 = kind::READ;
}

/// READ reply: one reading. A sensor that gives none sends one item without a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadItem<'b> {
    /// Index of this reading.
    pub index: u8,
    /// How many readings there are.
    pub count: u8,
    /// The sensor's health after this measurement: `ok`, `nack`, `saturated` and so on.
    pub health: &'b str,
    /// Name of the reading, such as `illuminance`.
    pub name: Option<&'b str>,
    /// The value as measured; absent where the sensor is at fault.
    pub raw: Option<f32>,
    /// What the sensor's filters would make of it; absent where they would drop it.
    pub filtered: Option<f32>,
    /// Unit of both values, such as `lx`.
    pub unit: Option<&'b str>,
}

cbor::map!(ReadItem<'b> {
    0 index, 1 count, 2 health, 3 name: optional, 4 raw: optional, 5 filtered: optional, 6 unit: optional,
});

impl Message for ReadItem<'_> {
    const KIND: u8 = kind::READ | kind::REPLY;
}

/// PROBE: which addresses answer on a bus. Works with no configuration stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRequest {
    /// GPIO number of the data line.
    pub sda: u8,
    /// GPIO number of the clock line.
    pub scl: u8,
}

cbor::map!(ProbeRequest { 0 sda, 1 scl });

impl Message for ProbeRequest {
    const KIND: u8 = kind::PROBE;
}

/// PROBE reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeReply<'b> {
    /// See [`bus`].
    pub bus: u8,
    /// The 7-bit addresses from 0x08 to 0x77 that answered, ascending.
    pub addresses: &'b [u8],
}

cbor::map!(ProbeReply<'b> { 0 bus, 1 addresses });

impl Message for ProbeReply<'_> {
    const KIND: u8 = kind::PROBE | kind::REPLY;
}

/// MONITOR: chooses what the node tells unasked on the log channel. Off after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorRequest {
    /// See [`monitor`]; 0 switches everything off.
    pub what: u8,
}

cbor::map!(MonitorRequest { 0 what });

impl Message for MonitorRequest {
    const KIND: u8 = kind::MONITOR;
}

/// MONITOR reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorReply {
    /// What is on now: the bits asked for that this firmware knows.
    pub what: u8,
}

cbor::map!(MonitorReply { 0 what });

impl Message for MonitorReply {
    const KIND: u8 = kind::MONITOR | kind::REPLY;
}
