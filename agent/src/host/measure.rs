//! What the host measures: a sensor of the running configuration, a device that none names, the addresses of a bus.

use dunlin_config_format::config::{Sensor as Settings, is_free_pin};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::{ReadItem, ReadRequest, Refusal, bus};
use embassy_time::{Duration, Instant, with_timeout};
use embedded_hal::i2c::{Error as _, ErrorKind, I2c};
use heapless::Vec;

use super::HostDoor;
use crate::node::Asker;
use crate::platform::{ClearBus, I2cMaster, I2cPins, Platform};
use crate::sampler::Measured;
use crate::sensor::{Facts, Health, NO_READINGS, Progress, Sensor};
use crate::usb::{Probed, Refused};

/// The longest time that a measurement of a sensor takes: two integrations of a TSL2591, and what is before them.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(5);

impl<P: Platform> HostDoor<'_, P> {
    /// Measures a sensor of the running configuration.
    pub(super) async fn measure_named(&mut self, id: &str) -> Result<(Driver, Measured), Refused> {
        let found = self.node.shared.with_config(|config| {
            let index = config.sensors.iter().position(|sensor| sensor.id == id)?;
            config.sensors.get(index).map(|sensor| (index, sensor.driver))
        });
        let (index, driver) = match found {
            _ if self.running().generation == 0 => return Err(Refusal::NothingStored.into()),
            found => found.flatten().ok_or(Refusal::NoSuchSensor)?,
        };
        let shared = &self.node.shared;
        if !shared.measurement.ask(Asker::Usb, u8::try_from(index).unwrap_or(u8::MAX)) {
            return Err(Refusal::Busy.into());
        }
        shared.measured.reset();
        shared.sampler.signal(());
        let done = with_timeout(MEASURE_TIMEOUT, shared.measured.wait()).await;
        let measured = shared.measurement.take(Asker::Usb);
        match (done, measured) {
            (Ok(()), Some(measured)) => Ok((driver, measured)),
            // Another configuration has been started meanwhile.
            (Ok(()), None) => Err(Refusal::Busy.into()),
            _ => Err(Refusal::SensorFault.into()),
        }
    }

    /// Measures a device that no configuration names.
    pub(super) async fn measure_unnamed(
        &mut self,
        request: &ReadRequest<'_>,
    ) -> Result<(Driver, Measured), Refused> {
        let number = request.driver.ok_or(Refusal::Malformed)?;
        let driver = Driver::ALL
            .iter()
            .copied()
            .find(|driver| driver.number() == number)
            .ok_or(Refusal::NoSuchDriver)?;
        let (sda, scl) = (request.sda.ok_or(Refusal::Malformed)?, request.scl.ok_or(Refusal::Malformed)?);
        let pins = usable_pins(sda, scl)?;
        let settings = Settings {
            id: "probe",
            label: None,
            driver,
            bus: Some(0),
            address: request.address,
            period_ms: 1000,
            options: Default::default(),
            readings: Default::default(),
        };
        let mut sensor = Sensor::new(driver);
        loop {
            let now = Instant::now();
            let progress =
                sensor.step(&settings, Some(self.node.i2c.borrow_mut().bus(pins)), &Facts::default, now);
            let (health, raw) = match progress {
                Progress::Wait(until) => {
                    embassy_time::Timer::at(until).await;
                    continue;
                }
                Progress::Done(raw) => (Health::Ok, raw),
                Progress::Failed(health) => (health, NO_READINGS),
            };
            return Ok((driver, Measured { sensor: 0, health, raw, filtered: raw }));
        }
    }

    /// Returns how many items the last measurement has.
    pub(super) fn item_count(&self) -> u8 {
        let count = self
            .measured
            .as_ref()
            .map_or(0, |(_, measured)| measured.raw.iter().filter(|value| value.is_finite()).count());
        u8::try_from(count).unwrap_or(u8::MAX).max(1)
    }

    /// Returns an item of the last measurement.
    pub(super) fn measured_item(&self, index: u8) -> Option<ReadItem<'_>> {
        let (driver, measured) = self.measured.as_ref()?;
        let item = ReadItem {
            index,
            count: self.item_count(),
            health: measured.health.name(),
            name: None,
            raw: None,
            filtered: None,
            unit: None,
        };
        let mut readings = driver.info().readings.iter().zip(measured.raw.iter().zip(&measured.filtered));
        let finite = |value: f32| value.is_finite().then_some(value);
        let found = readings.by_ref().filter(|(_, (raw, _))| raw.is_finite()).nth(index.into());
        Some(found.map_or(item, |(reading, (raw, filtered))| ReadItem {
            name: Some(reading.name),
            raw: finite(*raw),
            filtered: finite(*filtered),
            unit: (!reading.unit.is_empty()).then_some(reading.unit),
            ..item
        }))
    }

    /// Tries every address on a bus.
    pub(super) async fn probe_bus(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        let pins = usable_pins(sda, scl)?;
        let mut addresses = Vec::new();
        for address in 0x08..=0x77 {
            match answers(&mut self.node.i2c.borrow_mut().bus(pins), address) {
                Ok(true) => {
                    let _ = addresses.push(address);
                }
                Ok(false) => {}
                Err(bus) => return Ok(Probed { bus, addresses: Vec::new() }),
            }
            embassy_futures::yield_now().await;
        }
        Ok(Probed { bus: bus::FREE, addresses })
    }
}

fn usable_pins(sda: u8, scl: u8) -> Result<I2cPins, Refused> {
    if !is_free_pin(sda) || !is_free_pin(scl) || sda == scl {
        return Err(Refusal::PinsRefused.into());
    }
    Ok(I2cPins { sda, scl, frequency_hz: 100_000 })
}

/// Returns whether a chip answers at `address`. Reading a byte disturbs a chip least.
///
/// # Errors
/// The line that is held low, as one of [`bus`].
fn answers<B: I2c + ClearBus>(line: &mut B, address: u8) -> Result<bool, u8> {
    let Err(error) = line.read(address, &mut [0]) else { return Ok(true) };
    match error.kind() {
        ErrorKind::NoAcknowledge(_) => Ok(false),
        _ if line.clear_bus() => Ok(false),
        ErrorKind::Bus => Err(bus::SDA_LOW),
        _ => Err(bus::SCL_LOW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::{ErrorType, NoAcknowledgeSource, Operation};

    /// A bus whose transfers end so, and whether clearing it helps.
    struct Bus(Result<(), ErrorKind>, bool);

    impl ErrorType for Bus {
        type Error = ErrorKind;
    }

    impl I2c for Bus {
        fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
            self.0
        }
    }

    impl ClearBus for Bus {
        fn clear_bus(&mut self) -> bool {
            self.1
        }
    }

    #[test]
    fn the_line_that_is_held_is_told() {
        let nobody = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
        assert_eq!(answers(&mut Bus(Ok(()), false), 0x29), Ok(true));
        assert_eq!(answers(&mut Bus(Err(nobody), false), 0x29), Ok(false));
        assert_eq!(answers(&mut Bus(Err(ErrorKind::Bus), true), 0x29), Ok(false));
        assert_eq!(answers(&mut Bus(Err(ErrorKind::Bus), false), 0x29), Err(bus::SDA_LOW));
        assert_eq!(answers(&mut Bus(Err(ErrorKind::Other), false), 0x29), Err(bus::SCL_LOW));
    }
}
