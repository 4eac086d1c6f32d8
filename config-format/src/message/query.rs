//! What can be asked of a node: its image, how it is, a fresh measurement, which addresses of a bus answer.
//!
//! A reply of several items is several frames, each with its index and the count; the host asks again where one is missing.

use minicbor::{Decode, Encode};

use super::{HASH_SIZE, Message, Value, kind};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PullRequest {
    /// Offset in the image.
    #[n(0)]
    pub offset: u32,
}

impl Message for PullRequest {
    const KIND: u8 = kind::PULL;
}

/// PULL reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PullReply<'b> {
    /// As asked.
    #[n(0)]
    pub offset: u32,
    /// The bytes from there; fewer than fit only at the end, none past it.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub bytes: &'b [u8],
    /// Length of the image in bytes.
    #[n(2)]
    pub length: u32,
    /// The first eight bytes of the image's hash: pieces of two images are not mixed.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub hash_prefix: [u8; 8],
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct InfoRequest {}

impl Message for InfoRequest {
    const KIND: u8 = kind::INFO;
}

/// INFO reply: one fact.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct InfoItem<'b> {
    /// Index of this fact.
    #[n(0)]
    pub index: u16,
    /// How many facts there are.
    #[n(1)]
    pub count: u16,
    /// Its name, as in the birth message: `uptime`, `reset-cause`, `health.lux-1`.
    #[b(2)]
    pub name: &'b str,
    /// Its value.
    #[b(3)]
    pub value: Value<'b>,
}

impl Message for InfoItem<'_> {
    const KIND: u8 = kind::INFO | kind::REPLY;
}

/// READ: measures afresh, without touching a filter's state or the schedule. Either a sensor of the running configuration by
/// its name, or any device on any bus by driver, pins and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ReadRequest<'b> {
    /// A sensor of the running configuration.
    #[b(0)]
    pub sensor: Option<&'b str>,
    /// Driver number, where no sensor is named.
    #[n(1)]
    pub driver: Option<u8>,
    /// GPIO number of the data line, where no sensor is named.
    #[n(2)]
    pub sda: Option<u8>,
    /// GPIO number of the clock line, where no sensor is named.
    #[n(3)]
    pub scl: Option<u8>,
    /// Address on the bus; the driver's usual one where absent.
    #[n(4)]
    pub address: Option<u8>,
}

impl Message for ReadRequest<'_> {
    const KIND: u8 = kind::READ;
}

/// READ reply: one reading. A sensor that gives none sends one item without a name.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct ReadItem<'b> {
    /// Index of this reading.
    #[n(0)]
    pub index: u8,
    /// How many readings there are.
    #[n(1)]
    pub count: u8,
    /// The sensor's health after this measurement: `ok`, `nack`, `saturated` and so on.
    #[b(2)]
    pub health: &'b str,
    /// Name of the reading, such as `illuminance`.
    #[b(3)]
    pub name: Option<&'b str>,
    /// The value as measured; absent where the sensor is at fault.
    #[n(4)]
    pub raw: Option<f32>,
    /// What the sensor's filters would make of it; absent where they would drop it.
    #[n(5)]
    pub filtered: Option<f32>,
    /// Unit of both values, such as `lx`.
    #[b(6)]
    pub unit: Option<&'b str>,
}

impl Message for ReadItem<'_> {
    const KIND: u8 = kind::READ | kind::REPLY;
}

/// PROBE: which addresses answer on a bus. Works with no configuration stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProbeRequest {
    /// GPIO number of the data line.
    #[n(0)]
    pub sda: u8,
    /// GPIO number of the clock line.
    #[n(1)]
    pub scl: u8,
}

impl Message for ProbeRequest {
    const KIND: u8 = kind::PROBE;
}

/// PROBE reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ProbeReply<'b> {
    /// See [`bus`].
    #[n(0)]
    pub bus: u8,
    /// The 7-bit addresses from 0x08 to 0x77 that answered, ascending.
    #[cbor(b(1), with = "minicbor::bytes")]
    pub addresses: &'b [u8],
}

impl Message for ProbeReply<'_> {
    const KIND: u8 = kind::PROBE | kind::REPLY;
}

/// MONITOR: chooses what the node tells unasked on the log channel. Off after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MonitorRequest {
    /// See [`monitor`]; 0 switches everything off.
    #[n(0)]
    pub what: u8,
}

impl Message for MonitorRequest {
    const KIND: u8 = kind::MONITOR;
}

/// MONITOR reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct MonitorReply {
    /// What is on now: the bits asked for that this firmware knows.
    #[n(0)]
    pub what: u8,
}

impl Message for MonitorReply {
    const KIND: u8 = kind::MONITOR | kind::REPLY;
}
