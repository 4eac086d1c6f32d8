//! Sensors and the buses they are on.

use minicbor::{Decode, Encode};

use super::{Filter, List, Or};
use crate::driver::Driver;

/// An I2C bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct I2cBus<'a> {
    /// Identifier.
    #[n(0)]
    pub id: &'a str,
    /// GPIO number of the data line.
    #[n(1)]
    pub sda: u8,
    /// GPIO number of the clock line.
    #[n(2)]
    pub scl: u8,
    /// Clock frequency in Hz, 10 kHz to 400 kHz.
    #[cbor(n(3), default, skip_if = "Or::is_default")]
    pub frequency_hz: Or<100_000>,
}

/// A sensor: a driver, where it is, and when it is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct Sensor<'a> {
    /// Identifier.
    #[n(0)]
    pub id: &'a str,
    /// Name for people.
    #[n(1)]
    pub label: Option<&'a str>,
    /// What reads it.
    #[n(2)]
    pub driver: Driver,
    /// Index of its I2C bus; none where the driver has no bus.
    #[n(3)]
    pub bus: Option<u8>,
    /// Address on the bus; none means the driver's default.
    #[n(4)]
    pub address: Option<u8>,
    /// Time between two samples in milliseconds, 100 to 86,400,000.
    #[n(5)]
    pub period_ms: u32,
    /// The driver's options that differ from their defaults, by rising key; at most
    /// [`OPTIONS`](crate::limits::OPTIONS).
    #[cbor(b(6), default, skip_if = "List::is_empty")]
    pub options: List<'a, OptionValue>,
    /// Readings that have filters, by rising number; at most [`READINGS`](crate::limits::READINGS).
    #[cbor(b(7), default, skip_if = "List::is_empty")]
    pub readings: List<'a, ReadingSettings<'a>>,
}

impl<'a> Sensor<'a> {
    /// Returns the value of the option with `key`, or its default; 0 where the driver has no such option.
    pub fn option(&self, key: u8) -> u32 {
        let given = self.options.iter().find(|option| option.key == key).map(|option| option.value);
        let default = || {
            self.driver.info().options.iter().find(|option| option.key == key).map(|option| option.default)
        };
        given.or_else(default).unwrap_or(0)
    }

    /// Returns the address on the bus: the one given, or the driver's default.
    pub fn address(&self) -> Option<u8> {
        self.address.or_else(|| self.driver.info().addresses.first().copied())
    }

    /// Returns the filters of the reading with `number`.
    pub fn filters(&self, number: u8) -> List<'a, Filter> {
        self.readings
            .iter()
            .find(|reading| reading.number == number)
            .map(|reading| reading.filters)
            .unwrap_or_default()
    }
}

/// A driver's option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct OptionValue {
    /// The option's key in the driver's table.
    #[n(0)]
    pub key: u8,
    /// Its value.
    #[n(1)]
    pub value: u32,
}

/// The filters of one reading, which run before every report.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub struct ReadingSettings<'a> {
    /// The reading's number in the driver's table.
    #[n(0)]
    pub number: u8,
    /// Filters in order; at most [`FILTERS`](crate::limits::FILTERS).
    #[b(1)]
    pub filters: List<'a, Filter>,
}
