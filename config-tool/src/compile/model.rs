//! A checked configuration in the host's memory, and its image.

use std::ops::Range;

use dunlin_config_format::config::{
    Config, Device, Filter, I2cBus, Link, List, Member, Mqtt, OptionValue, Payload, QoS, ReadingSettings,
    Report, Sensor,
};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::image::Header;
use dunlin_config_format::limits::BODY_SIZE;

/// A sensor.
#[derive(Clone, Debug)]
pub(super) struct OwnSensor<'t> {
    pub(super) id: &'t str,
    pub(super) label: Option<String>,
    pub(super) driver: Driver,
    pub(super) bus: Option<u8>,
    pub(super) address: Option<u8>,
    pub(super) period_ms: u32,
    pub(super) options: Vec<OptionValue>,
    pub(super) readings: Vec<(u8, Vec<Filter>)>,
}

impl OwnSensor<'_> {
    /// Returns the filters of a reading, where it has some.
    pub(super) fn filters(&self, number: u8) -> Option<&[Filter]> {
        self.readings.iter().find(|(each, _)| *each == number).map(|(_, filters)| filters.as_slice())
    }
}

/// A report.
#[derive(Clone, Debug)]
pub(super) struct OwnReport<'t> {
    pub(super) id: Option<&'t str>,
    /// Where it comes from in the file.
    pub(super) span: Range<usize>,
    pub(super) topic: Option<String>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) payload: Payload,
    pub(super) members: Vec<Member>,
    pub(super) every_ms: Option<u32>,
    pub(super) filters: Vec<Filter>,
}

/// A whole configuration.
#[derive(Clone, Debug)]
pub(super) struct Model<'t> {
    pub(super) device: Device<'t>,
    pub(super) mqtt: Mqtt<'t>,
    pub(super) link: Link,
    pub(super) i2c: Vec<I2cBus<'t>>,
    pub(super) sensors: Vec<OwnSensor<'t>>,
    pub(super) reports: Vec<OwnReport<'t>>,
}

impl Model<'_> {
    /// Calls `read` with the configuration that a device would see.
    pub(super) fn with_config<T>(&self, read: impl FnOnce(&Config<'_>) -> T) -> T {
        let readings: Vec<Vec<ReadingSettings<'_>>> = self
            .sensors
            .iter()
            .map(|sensor| {
                sensor
                    .readings
                    .iter()
                    .map(|(number, filters)| ReadingSettings { number: *number, filters: List::new(filters) })
                    .collect()
            })
            .collect();
        let sensors: Vec<Sensor<'_>> = self
            .sensors
            .iter()
            .zip(&readings)
            .map(|(sensor, readings)| Sensor {
                id: sensor.id,
                label: sensor.label.as_deref(),
                driver: sensor.driver,
                bus: sensor.bus,
                address: sensor.address,
                period_ms: sensor.period_ms,
                options: List::new(&sensor.options),
                readings: List::new(readings),
            })
            .collect();
        let reports: Vec<Report<'_>> = self
            .reports
            .iter()
            .map(|report| Report {
                id: report.id,
                topic: report.topic.as_deref(),
                qos: report.qos,
                retain: report.retain,
                payload: report.payload,
                members: List::new(&report.members),
                every_ms: report.every_ms,
                filters: List::new(&report.filters),
            })
            .collect();
        read(&Config {
            device: self.device,
            mqtt: self.mqtt,
            link: self.link,
            i2c: List::new(&self.i2c),
            sensors: List::new(&sensors),
            reports: List::new(&reports),
        })
    }

    /// Returns the image, or how a device would refuse it.
    pub(super) fn image(&self) -> Result<Vec<u8>, String> {
        self.with_config(|config| {
            // Larger than a body may be, so that the excess can be told.
            let mut body = vec![0; 16 * BODY_SIZE];
            let len = config.encode(&mut body).map_err(|_| "the configuration is far too long".to_owned())?;
            body.truncate(len);
            if len > BODY_SIZE {
                return Err(format!("the configuration takes {len} bytes, and a device holds {BODY_SIZE}"));
            }
            Config::decode(&body).map_err(|error| format!("a device would refuse it: {error:?}"))?;
            Ok([&Header::new(&body, &[]).encode()[..], &body].concat())
        })
    }
}
