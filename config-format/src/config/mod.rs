//! The configuration of a node as a checked value and as the body of an image.
//!
//! A [`Config`] borrows everything from where it came: from the body's bytes on a device, from the host's memory while
//! it is being compiled. Encoding one and decoding the bytes gives an equal value. The body is a CBOR map (RFC 8949)
//! with numbered keys: an old reader skips keys that it does not know, a new one fills in keys that are missing.

mod filter;
mod list;
mod report;
mod sensor;
mod settings;
mod validate;

pub use filter::{FILTER_KINDS, Filter, FilterKind, Parameter};
pub use list::{Iter, List};
pub use report::{Member, Payload, QoS, Report};
pub use sensor::{I2cBus, OptionValue, ReadingSettings, Sensor};
pub use settings::{Device, Link, LinkKind, Mqtt, Or, StaticIpv4};
pub use validate::{Fault, Invalid, Part, is_free_pin, is_identifier, is_text, is_topic};

use crate::cbor::{self, Item, Reader};

/// Everything that makes a board this node.
///
/// Holding one from [`Config::decode`] proves that every limit holds, every index points at something, and every string
/// is in its alphabet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<'a> {
    /// Who the node is.
    pub device: Device<'a>,
    /// The broker and the session with it.
    pub mqtt: Mqtt<'a>,
    /// How the node reaches the network.
    pub link: Link,
    /// I2C buses; at most [`BUSES`](crate::limits::BUSES).
    pub i2c: List<'a, I2cBus<'a>>,
    /// Sensors; at most [`SENSORS`](crate::limits::SENSORS).
    pub sensors: List<'a, Sensor<'a>>,
    /// Reports; at most [`REPORTS`](crate::limits::REPORTS).
    pub reports: List<'a, Report<'a>>,
}

cbor::map!(Config<'a> {
    0 device, 1 mqtt, 2 link: optional, 3 i2c: optional, 4 sensors: optional, 5 reports: optional,
});

/// Under which names a node is known, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// Name of the device.
    pub device: &'a str,
    /// Prefix of the topics that the node chooses.
    pub prefix: &'a str,
    /// Host of the broker.
    pub host: &'a str,
    /// Its TCP port.
    pub port: u32,
}

/// Why bytes are not the body of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Not the CBOR that a body is made of, keys that do not rise, or a value of a kind that this reader does not know; at a
    /// byte offset.
    Malformed {
        /// Offset of the first byte that does not fit.
        offset: usize,
    },
    /// Bytes follow the body.
    Trailing {
        /// Offset of the first of them.
        offset: usize,
    },
    /// Longer than [`BODY_SIZE`](crate::limits::BODY_SIZE).
    TooLong {
        /// Length found.
        len: usize,
    },
    /// Well-formed, but a value breaks a rule.
    Invalid(Invalid),
}

/// The buffer cannot hold the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall;

impl<'a> Config<'a> {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// Says what does not fit. Nothing of a body is used unless all of it is valid.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        if body.len() > crate::limits::BODY_SIZE {
            return Err(DecodeError::TooLong { len: body.len() });
        }
        let config: Config<'a> = cbor::read(body).map_err(|fault| match fault {
            cbor::Fault::Malformed { offset } => DecodeError::Malformed { offset },
            cbor::Fault::Trailing { offset } => DecodeError::Trailing { offset },
        })?;
        config.validate().map_err(DecodeError::Invalid)?;
        Ok(config)
    }

    /// Writes the body into `buffer` and returns its length in bytes.
    ///
    /// The bytes depend on the value alone: equal configurations give equal bodies.
    ///
    /// # Errors
    /// [`BufferTooSmall`]; [`BODY_SIZE`](crate::limits::BODY_SIZE) bytes suffice for a body that a device accepts.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        cbor::write(self, buffer).ok_or(BufferTooSmall)
    }

    /// Bytes of a body within which its [`Names`] stand.
    pub const NAMES_SIZE: usize = 512;

    /// Returns the names from the first [`NAMES_SIZE`](Self::NAMES_SIZE) bytes of a body.
    ///
    /// It checks nothing; a body that is cut off further ahead, or has another beginning, gives none.
    pub fn names(start: &'a [u8]) -> Option<Names<'a>> {
        let mut reader = Reader::new(start);
        let (mut device, mut names) = (None, None);
        reader.map(0, &mut |reader, key| match key {
            0 => device = Some(Device::read(reader)),
            1 => {
                let mqtt = Mqtt::read(reader);
                let found = device.filter(|_| reader.fault().is_none());
                names = found.map(|device| Names {
                    device: device.name,
                    prefix: mqtt.prefix(),
                    host: mqtt.host,
                    port: mqtt.port.0,
                });
            }
            // The rest may be cut off.
            _ => reader.refuse(start.len()),
        });
        names
    }

    /// Returns the bus of `sensor`, where its driver has one.
    pub fn bus_of(&self, sensor: &Sensor<'a>) -> Option<I2cBus<'a>> {
        self.i2c.get(usize::from(sensor.bus?))
    }

    /// Returns the words of filter memory that all chains together take.
    pub fn filter_words(&self) -> usize {
        let on_readings = self
            .sensors
            .iter()
            .flat_map(|sensor| sensor.readings.iter())
            .flat_map(|reading| reading.filters.iter());
        let on_reports = self.reports.iter().flat_map(|report| report.filters.iter());
        on_readings.chain(on_reports).map(|filter| usize::from(filter.words())).sum()
    }
}
