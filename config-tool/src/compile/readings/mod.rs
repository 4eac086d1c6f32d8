//! Sensors and reports: what is measured, and where it goes.

mod report;
mod sensor;
mod shape;

use std::ops::{Range, RangeInclusive};

use dunlin_config_format::config::I2cBus;
use dunlin_config_format::driver::DriverInfo;
use dunlin_config_format::limits::{PERIOD_MAX_MS, PERIOD_MIN_MS};
use toml::de::DeValue;

use super::diagnostic::Code;
use super::keys;
use super::model::{OwnReport, OwnSensor};
use super::nearest::nearest;
use super::placeholder::Names;
use super::problems::Problems;
use super::reader::Table;
use super::settings::{identifier, table};
use report::{automatic, report, silence};
use sensor::sensor;
use shape::Shape;

const PERIOD: RangeInclusive<u64> = PERIOD_MIN_MS as u64..=PERIOD_MAX_MS as u64;

/// A sensor that was read, and what its automatic report needs.
struct Read<'t> {
    sensor: OwnSensor<'t>,
    /// Readings that are reported, by number.
    reported: Vec<u8>,
    shape: Shape<'t>,
    automatic: bool,
    key_span: Range<usize>,
}

pub(super) fn read<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    buses: &[I2cBus<'t>],
    names: &Names<'t>,
) -> (Vec<OwnSensor<'t>>, Vec<OwnReport<'t>>) {
    let defaults = table(problems, root, "defaults");
    if let Some((defaults, span)) = &defaults {
        Table { span: span.clone(), name: "[defaults]".to_owned(), ..defaults.clone() }.refuse_others(
            problems,
            &keys::DEFAULTS.names(),
            &[],
        );
    }
    let defaults = defaults.map(|(table, _)| table);
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    if let Some((sensors, _)) = table(problems, root, "sensor") {
        for (id, key_span, value) in sensors.entries() {
            let DeValue::Table(inner) = value.get_ref() else {
                let help = "name the sensor: `[sensor.lux-1]` with `driver` and `period`";
                problems.error(Code::Shape, key_span, format!("`{id}` stands directly in [sensor]"), help);
                continue;
            };
            identifier(problems, key_span.clone(), id);
            let name = format!("[sensor.{id}]");
            let table = Table { table: inner, span: key_span.clone(), name };
            match sensor(problems, id, &table, defaults.as_ref(), buses) {
                Some(sensor) if read.len() < usize::from(u8::MAX) => read.push(sensor),
                _ => refused.push(id),
            }
        }
    }
    addresses(problems, &read);
    let mut reports = Vec::new();
    let mut explicit: Vec<OwnReport<'t>> = Vec::new();
    if let Some((table_of_reports, _)) = table(problems, root, "report") {
        for (id, key_span, value) in table_of_reports.entries() {
            let DeValue::Table(inner) = value.get_ref() else {
                let help = "name the report: `[report.weather]` with `of` and `every`";
                problems.error(Code::Shape, key_span, format!("`{id}` stands directly in [report]"), help);
                continue;
            };
            identifier(problems, key_span.clone(), id);
            let name = format!("[report.{id}]");
            let table = Table { table: inner, span: key_span.clone(), name };
            explicit.extend(report(problems, id, &table, defaults.as_ref(), &read, &refused, names));
        }
    }
    for (index, read) in read.iter().enumerate() {
        let named = explicit
            .iter()
            .any(|report| report.members.iter().any(|member| usize::from(member.sensor) == index));
        if read.automatic && (!named || read.shape.topic.is_some()) {
            reports.extend(automatic(problems, index, read, names));
        }
    }
    reports.extend(explicit);
    silence(problems, &read, &reports);
    (read.into_iter().map(|read| read.sensor).collect(), reports)
}

fn reading_number(problems: &mut Problems, info: &DriverInfo, name: &str, span: Range<usize>) -> Option<u8> {
    let names: Vec<&str> = info.readings.iter().map(|reading| reading.name).collect();
    let found = names.iter().position(|each| *each == name);
    if found.is_none() {
        let help = nearest(name, &names).map_or_else(
            || format!("{} has: {}", info.name, names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::UnknownName, span, format!("unknown reading `{name}`"), help);
    }
    found.and_then(|number| u8::try_from(number).ok())
}

/// Two sensors at one address of one bus.
fn addresses(problems: &mut Problems, read: &[Read<'_>]) {
    for (index, this) in read.iter().enumerate() {
        let place = |read: &Read<'_>| {
            let info = read.sensor.driver.info();
            read.sensor.bus.map(|bus| (bus, read.sensor.address.or_else(|| info.addresses.first().copied())))
        };
        let other =
            read.iter().take(index).find(|other| place(other).is_some() && place(other) == place(this));
        if let Some(other) = other {
            let message =
                format!("`{}` is where `{}` is: same bus, same address", this.sensor.id, other.sensor.id);
            problems.error(Code::Duplicate, this.key_span.clone(), message, "put one of both on another bus");
        }
    }
}
