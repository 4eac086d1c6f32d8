//! Sensors and reports: what is measured, and where it goes.

mod chains;
mod report;
mod sensor;
mod shape;
mod unheard;

use std::ops::{Range, RangeInclusive};

use dunlin_config_format::config::{Filter, I2cBus};
use dunlin_config_format::driver::DriverInfo;
use dunlin_config_format::limits::{PERIOD_MAX_MS, PERIOD_MIN_MS};

use super::diagnostic::Code;
use super::keys;
use super::model::{OwnReport, OwnSensor};
use super::nearest::nearest;
use super::placeholder::Names;
use super::problems::Problems;
use super::reader::Table;
use super::settings::{named, table};
use chains::ReadingFilters;
use report::{Sensors, automatic, report, silence};
use sensor::sensor;
use shape::Shape;
use unheard::unheard;

const PERIOD: RangeInclusive<u64> = PERIOD_MIN_MS as u64..=PERIOD_MAX_MS as u64;

/// A sensor that was read, and what its automatic report needs.
struct Read<'t> {
    sensor: OwnSensor<'t>,
    /// Readings that are reported, by number.
    reported: Vec<u8>,
    /// Filters of every reading that has none of its own.
    filters: Vec<Filter>,
    reading_filters: ReadingFilters,
    /// Readings that its own table names, and where.
    wanted: Vec<(u8, Range<usize>)>,
    shape: Shape<'t>,
    /// Whether it has a report unless another names it.
    is_automatic: bool,
    key_span: Range<usize>,
}

pub(super) fn read<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    buses: &[I2cBus<'t>],
    names: &Names,
) -> (Vec<OwnSensor<'t>>, Vec<OwnReport<'t>>) {
    let defaults = table(problems, root, "defaults");
    if let Some(defaults) = &defaults {
        let known = [keys::DEFAULTS.names(), keys::options()].concat();
        defaults.refuse_others(problems, &known, keys::DEFAULTS.later);
    }
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    let help = "name the sensor: `[sensor.lux-1]` with `driver` and `period`";
    for (id, table) in named(problems, root, "sensor", help) {
        match sensor(problems, id, &table.with(defaults.as_ref()), buses, names) {
            Some(sensor) if read.len() < usize::from(u8::MAX) => read.push(sensor),
            _ => refused.push(id),
        }
    }
    addresses(problems, &read);
    let mut explicit: Vec<OwnReport<'t>> = Vec::new();
    let help = "name the report: `[report.weather]` with `of` and `every`";
    for (id, table) in named(problems, root, "report", help) {
        let sensors = Sensors { read: &read, refused: &refused };
        explicit.push(report(problems, id, &table.with(defaults.as_ref()), &sensors, names));
    }
    let mut reports = Vec::new();
    for (index, read) in read.iter_mut().enumerate() {
        let members = explicit.iter().flat_map(|report| &report.members);
        let named: Vec<u8> = members
            .filter(|member| usize::from(member.sensor) == index)
            .map(|member| member.reading)
            .collect();
        if read.shape.has_own_topic || read.is_automatic && named.is_empty() {
            reports.extend(automatic(problems, index, read, names));
        }
        read.sensor.readings = read.chains(&named);
    }
    reports.extend(explicit);
    silence(problems, &read, &reports);
    unheard(problems, &read, &reports);
    (read.into_iter().map(|read| read.sensor).collect(), reports)
}

impl Read<'_> {
    /// Returns the filters of each reading that has some: those that are reported or that reports name have the sensor's.
    fn chains(&self, named: &[u8]) -> Vec<(u8, Vec<Filter>)> {
        let mut chains = ReadingFilters::new();
        for &number in self.reported.iter().chain(named) {
            chains.insert(number, self.filters.clone());
        }
        chains.extend(self.reading_filters.clone());
        chains.into_iter().filter(|(_, filters)| !filters.is_empty()).collect()
    }
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
