//! Sensors: small state machines that start a conversion, wait, and read. They never wait themselves.
//!
//! The next driver joins here (a variant of [`Sensor`] and a line in each of its functions), in the driver table of
//! `config-format`, and as a model in the twin.

mod internal;
mod tsl2591;

use dunlin_config_format::config;
use dunlin_config_format::driver::Driver;
use dunlin_config_format::limits::READINGS;
use embassy_time::Instant;
use embedded_hal::i2c::{Error as _, ErrorKind, I2c, NoAcknowledgeSource};

pub use internal::Facts;

use crate::platform::ClearBus;
use tsl2591::Tsl2591;

/// Values by the number of the reading; one that there is not is not a number.
pub type Readings = [f32; READINGS];

/// No values.
pub const NO_READINGS: Readings = [f32::NAN; READINGS];

/// How a sensor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// The last sample was good.
    #[default]
    Ok,
    /// Nothing, or another chip, is at the address.
    Absent,
    /// The chip answers its address but not what follows.
    Nack,
    /// A line of the bus is held low, and clearing the bus did not help.
    StuckBus,
    /// The quantity is beyond what the sensor can measure.
    Saturated,
    /// A checksum of the sensor's does not fit.
    Crc,
    /// The sensor gave values that cannot be.
    Range,
    /// The sensor did not finish a conversion in time.
    Stale,
}

impl Health {
    /// Returns the name on the health topic.
    pub const fn name(self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Absent => "absent",
            Health::Nack => "nack",
            Health::StuckBus => "stuck-bus",
            Health::Saturated => "saturated",
            Health::Crc => "crc",
            Health::Range => "range",
            Health::Stale => "stale",
        }
    }
}

/// How far a sample is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// Step again at this time.
    Wait(Instant),
    /// The sample is done.
    Done(Readings),
    /// The sample failed.
    Failed(Health),
}

/// A sensor's state between two steps.
#[derive(Clone, Copy, Debug)]
pub enum Sensor {
    /// The node itself.
    Internal,
    /// ams TSL2591.
    Tsl2591(Tsl2591),
}

// What the host reckons with is what it takes.
const _: () = assert!(
    size_of::<usize>() != 4 || size_of::<Sensor>() <= Driver::Tsl2591.info().memory_size,
    "the driver table must tell the memory that a sensor takes"
);

impl Sensor {
    /// Returns the state of a sensor that has not been spoken to.
    pub const fn new(driver: Driver) -> Self {
        match driver {
            Driver::Internal => Sensor::Internal,
            Driver::Tsl2591 => Sensor::Tsl2591(Tsl2591::new()),
        }
    }

    /// Goes on with a sample, or starts one. `bus` is the one that the sensor is on, if any; `facts` are found out where they are
    /// read.
    pub fn step<B: I2c + ClearBus>(
        &mut self,
        settings: &config::Sensor<'_>,
        bus: Option<B>,
        facts: &dyn Fn() -> Facts,
        now: Instant,
    ) -> Progress {
        match (self, bus, settings.address()) {
            (Sensor::Internal, ..) => Progress::Done(internal::read(&facts())),
            (Sensor::Tsl2591(state), Some(bus), Some(address)) => {
                state.step(settings, &mut Registers { bus, address }, now)
            }
            (Sensor::Tsl2591(_), ..) => Progress::Failed(Health::Absent),
        }
    }
}

/// A chip's registers behind a bus, with the patience that a long cable needs.
struct Registers<B> {
    bus: B,
    address: u8,
}

/// How often a transaction is tried.
const TRIES: u8 = 3;

impl<B: I2c + ClearBus> Registers<B> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Health> {
        self.patiently(|bus, address| bus.write(address, bytes))
    }

    fn read(&mut self, register: u8, bytes: &mut [u8]) -> Result<(), Health> {
        self.patiently(|bus, address| bus.write_read(address, &[register], bytes))
    }

    /// Tries a transaction; a bus that is stuck is cleared in between.
    fn patiently(
        &mut self,
        mut transaction: impl FnMut(&mut B, u8) -> Result<(), B::Error>,
    ) -> Result<(), Health> {
        let mut health = Health::Nack;
        for _ in 0..TRIES {
            let Err(error) = transaction(&mut self.bus, self.address) else { return Ok(()) };
            health = match error.kind() {
                ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data) => Health::Nack,
                ErrorKind::NoAcknowledge(_) => Health::Absent,
                _ if self.bus.clear_bus() => Health::Nack,
                _ => return Err(Health::StuckBus),
            };
        }
        Err(health)
    }
}
