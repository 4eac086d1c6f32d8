//! Sensors and the buses they are on.

use super::{Filter, List, Or};
use crate::cbor;
use crate::driver::Driver;

/// An I2C bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I2cBus<'a> {
    /// Identifier.
    pub id: &'a str,
    /// GPIO number of the data line.
    pub sda: u8,
    /// GPIO number of the clock line.
    pub scl: u8,
    /// Clock frequency in Hz, 10 kHz to 400 kHz.
    pub frequency_hz: Or<100_000>,
}

cbor::map!(I2cBus<'a> { 0 id, 1 sda, 2 scl, 3 frequency_hz: optional });

/// A sensor: a driver, where it is, and when it is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sensor<'a> {
    /// Identifier.
    pub id: &'a str,
    /// Name for people.
    pub label: Option<&'a str>,
    /// What reads it.
    pub driver: Driver,
    /// Index of its I2C bus; none where the driver has no bus.
    pub bus: Option<u8>,
    /// Address on the bus; none means the driver's default.
    pub address: Option<u8>,
    /// Time between two samples in milliseconds, 100 to 86,400,000.
    pub period_ms: u32,
    /// The driver's options that differ from their defaults, by rising key; at most
    /// [`OPTIONS`](crate::limits::OPTIONS).
    pub options: List<'a, OptionValue>,
    /// Readings that have filters, by rising number; at most [`READINGS`](crate::limits::READINGS).
    pub readings: List<'a, ReadingSettings<'a>>,
}

cbor::map!(Sensor<'a> {
    0 id, 1 label: optional, 2 driver, 3 bus: optional, 4 address: optional, 5 period_ms, 6 options: optional,
    7 readings: optional,
});

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionValue {
    /// The option's key in the driver's table.
    pub key: u8,
    /// Its value.
    pub value: u32,
}

cbor::array!(OptionValue { key, value });

/// The filters of one reading, which run before every report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadingSettings<'a> {
    /// The reading's number in the driver's table.
    pub number: u8,
    /// Filters in order; at most [`FILTERS`](crate::limits::FILTERS).
    pub filters: List<'a, Filter>,
}

cbor::map!(ReadingSettings<'a> { 0 number, 1 filters });
