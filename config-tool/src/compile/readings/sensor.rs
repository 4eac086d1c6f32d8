//! The tables `sensor.ID`: what is measured, where and how often.

use std::ops::Range;

use dunlin_config_format::config::{I2cBus, OptionValue};
use dunlin_config_format::driver::{Driver, DriverInfo, OptionInfo, OptionValues};
use dunlin_config_format::limits::{LABEL_LEN, PERIOD_MAX_MS};
use toml::de::DeValue;

use super::super::diagnostic::{Code, Lack};
use super::super::foreign::DRIVERS_LATER;
use super::super::keys;
use super::super::model::OwnSensor;
use super::super::nearest::nearest;
use super::super::placeholder::{Names, resolve};
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::settings::is_short;
use super::super::value::{duration_ms, integer, shown_ms, wrong_type};
use super::chains::{idle_filters, is_of_another, own_filters, reading_filters};
use super::report::topic;
use super::shape::shape;
use super::unheard::wanted;
use super::{PERIOD, Read, reading_number};

/// Seven bits.
const ADDRESSES: std::ops::RangeInclusive<i64> = 0..=0x7f;

/// Reads a sensor. One with problems is returned with something in the place of what is wrong, for the rest of the file to be
/// checked: no image is made of it. None where it has no driver to be judged by.
pub(super) fn sensor<'t>(
    problems: &mut Problems,
    id: &'t str,
    table: &Table<'t>,
    buses: &[I2cBus<'t>],
    names: &Names,
) -> Option<Read<'t>> {
    let Some(driver) = driver(problems, table) else {
        without_driver(problems, id, table, buses, names);
        return None;
    };
    let info = driver.info();
    let options: Vec<&str> = info.options.iter().map(|option| option.name).collect();
    table.refuse_others(problems, &[keys::SENSOR.names(), options].concat(), keys::SENSOR.later);
    let label = label(problems, id, table, names);
    let bus = bus(problems, table, info, buses);
    let address = address(problems, table, info);
    let values: Vec<OptionValue> =
        info.options.iter().filter_map(|option| option_value(problems, table, option)).collect();
    let period = period(problems, table);
    if let Some(period) = &period {
        conversion_fits(problems, driver, &values, period);
        idle_filters(problems, table, period.0);
    }
    let reported = reported(problems, table, info);
    let (filters, reading_filters) = reading_filters(problems, table, info);
    let names: Vec<&str> = info.readings.iter().map(|reading| reading.name).collect();
    let wanted = wanted(table, &names, &reading_filters);
    let is_automatic = is_automatic(problems, table);
    let shape = shape(problems, table);
    // Nothing else is where a sensor is whose place is wrong.
    let (bus, address) = bus.zip(address).unwrap_or_default();
    let period_ms = period.map_or(PERIOD_MAX_MS, |(period_ms, _)| period_ms);
    let sensor =
        OwnSensor { id, label, driver, bus, address, period_ms, options: values, readings: Vec::new() };
    let key_span = table.span.clone();
    Some(Read { sensor, reported, filters, reading_filters, wanted, shape, is_automatic, key_span })
}

/// Checks what can be checked of a sensor whose driver is wrong or missing.
fn without_driver(problems: &mut Problems, id: &str, table: &Table<'_>, buses: &[I2cBus<'_>], names: &Names) {
    let known = [keys::SENSOR.names(), keys::options()].concat();
    table.refuse_others(problems, &known, keys::SENSOR.later);
    label(problems, id, table, names);
    named_bus(problems, table, buses);
    if let Some(value) = table.get("address") {
        integer(problems, "address", value, ADDRESSES);
    }
    for option in Driver::ALL.iter().flat_map(|driver| driver.info().options) {
        option_value(problems, table, option);
    }
    period(problems, table);
    named_readings(problems, table);
    own_filters(problems, table);
    is_automatic(problems, table);
    if let Some((text, span)) = shape(problems, table).topic {
        topic(problems, text, &span, names, &[("sensor", Ok(id)), ("reading", Ok("x"))]);
    }
}

fn label(problems: &mut Problems, id: &str, table: &Table<'_>, names: &Names) -> Option<String> {
    let (text, span) = table.text(problems, "label")?;
    let label = resolve(problems, text, &span, names, &[("sensor", Ok(id))])?;
    is_short(problems, "label", &label, span, LABEL_LEN).then_some(label)
}

/// Returns whether the sensor has a report of its own unless another names it.
fn is_automatic(problems: &mut Problems, table: &Table<'_>) -> bool {
    match table.get("report").map(|value| (value.get_ref(), value.span())) {
        None => true,
        Some((DeValue::Boolean(value), _)) => *value,
        Some((other, span)) => {
            let wanted = "`false` for no report of its own, or a table `[report.ID]`";
            wrong_type(problems, "report", span, other, wanted);
            true
        }
    }
}

/// Refuses a period that is shorter than the conversion.
fn conversion_fits(
    problems: &mut Problems,
    driver: Driver,
    options: &[OptionValue],
    (period_ms, span): &(u32, Range<usize>),
) {
    let info = driver.info();
    let conversion_ms = driver.conversion_ms(|key| {
        let given = options.iter().find(|option| option.key == key).map(|option| option.value);
        let default = info.options.iter().find(|option| option.key == key).map(|option| option.default);
        given.or(default).unwrap_or(0)
    });
    if *period_ms < conversion_ms {
        let message = format!(
            "a sample of {} takes up to {conversion_ms} ms with these options, longer than the period",
            info.name
        );
        let help = format!(
            "write `period = {}` or more, a shorter `integration`, or a fixed `gain`",
            shown_ms(u64::from(conversion_ms.div_ceil(100) * 100))
        );
        problems.error(Code::Period, span.clone(), message, help);
    }
}

fn driver(problems: &mut Problems, table: &Table<'_>) -> Option<Driver> {
    if table.get("driver").is_none() {
        table.missing(problems, "driver", "\"tsl2591\"");
    }
    let (name, span) = table.text(problems, "driver")?;
    let found = Driver::ALL.iter().copied().find(|driver| driver.info().name == name);
    let names: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
    if let Some(later) = DRIVERS_LATER.iter().find(|later| **later == name) {
        let help = format!("until a later version there are: {}", names.join(", "));
        problems.error(Code::Later, span, format!("the driver `{later}` does not work yet"), help);
    } else if found.is_none() {
        let help = nearest(&name.to_lowercase(), &names).map_or_else(
            || format!("this version has: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::UnknownName, span, format!("unknown driver `{name}`"), help);
    }
    found
}

/// Returns the index of the sensor's bus; the outer option is none where there is a problem.
fn bus(
    problems: &mut Problems,
    table: &Table<'_>,
    info: &DriverInfo,
    buses: &[I2cBus<'_>],
) -> Option<Option<u8>> {
    if info.addresses.is_empty() {
        // A default is for those that have one.
        if let Some((_, span)) = table.text(problems, "bus").filter(|_| table.own("bus").is_some()) {
            problems.error(
                Code::Reference,
                span,
                format!("the driver `{}` has no bus", info.name),
                "remove `bus`",
            );
        }
        return Some(None);
    }
    let ids: Vec<&str> = buses.iter().map(|bus| bus.id).collect();
    let index = match ids.as_slice() {
        _ if table.get("bus").is_some() => named_bus(problems, table, buses)?,
        [_] => 0,
        [] => {
            problems.missing(
                Code::Reference,
                table.span.clone(),
                Lack::Table("i2c"),
                format!("{} needs an I2C bus", table.name),
                "add `[i2c.main]` with `sda = 4` and `scl = 5`",
            );
            return None;
        }
        [first, ..] => {
            problems.missing(
                Code::MissingKey,
                table.span.clone(),
                Lack::Key("bus".to_owned()),
                format!("{} has no `bus`, and there are several", table.name),
                format!("add `bus = \"{first}\"`; there are: {}", ids.join(", ")),
            );
            return None;
        }
    };
    u8::try_from(index).ok().map(Some)
}

/// Returns the index of the bus that the sensor names.
fn named_bus(problems: &mut Problems, table: &Table<'_>, buses: &[I2cBus<'_>]) -> Option<usize> {
    let (id, span) = table.text(problems, "bus")?;
    let ids: Vec<&str> = buses.iter().map(|bus| bus.id).collect();
    let found = ids.iter().position(|each| *each == id);
    if found.is_none() {
        let help = nearest(id, &ids).map_or_else(
            || format!("the file has: {}", ids.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::Reference, span, format!("there is no bus `{id}`"), help);
    }
    found
}

/// Returns the address where it is not the usual one; the outer option is none where there is a problem.
fn address(problems: &mut Problems, table: &Table<'_>, info: &DriverInfo) -> Option<Option<u8>> {
    let has_none = info.addresses.is_empty() && table.own("address").is_none();
    let Some(value) = table.get("address").filter(|_| !has_none) else { return Some(None) };
    let address = integer(problems, "address", value, ADDRESSES)?;
    let address = u8::try_from(address).ok()?;
    if !info.addresses.contains(&address) {
        let possible: Vec<String> = info.addresses.iter().map(|address| format!("0x{address:02x}")).collect();
        let help = if possible.is_empty() {
            "remove `address`".to_owned()
        } else {
            format!("possible: {}", possible.join(", "))
        };
        problems.error(
            Code::Reference,
            value.span(),
            format!("a {} cannot have the address 0x{address:02x}", info.name),
            help,
        );
        return None;
    }
    Some((info.addresses.first() != Some(&address)).then_some(address))
}

fn option_value(problems: &mut Problems, table: &Table<'_>, option: &OptionInfo) -> Option<OptionValue> {
    let value = table.get(option.name)?;
    let number = match option.values {
        OptionValues::Names(names) => {
            let (text, span) = table.text(problems, option.name)?;
            let found = names.iter().find(|(name, _)| *name == text).map(|&(_, number)| number);
            if found.is_none() {
                let all: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
                let help = nearest(text, &all).map_or_else(
                    || format!("possible: {}", all.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                problems.error(Code::UnknownName, span, format!("`{}` is \"{text}\"", option.name), help);
            }
            found?
        }
        OptionValues::Duration { min_ms, max_ms, step_ms } => {
            let ms = duration_ms(problems, option.name, value, min_ms.into()..=max_ms.into())?;
            if !option.accepts(ms) {
                let help = format!("it goes in steps of {}", shown_ms(step_ms.into()));
                problems.error(
                    Code::OutOfRange,
                    value.span(),
                    format!("`{}` is {}", option.name, shown_ms(ms.into())),
                    help,
                );
                return None;
            }
            ms
        }
    };
    (number != option.default).then_some(OptionValue { key: option.key, value: number })
}

fn period(problems: &mut Problems, table: &Table<'_>) -> Option<(u32, Range<usize>)> {
    let Some(value) = table.get("period") else {
        table.missing(problems, "period", "\"10s\"");
        return None;
    };
    duration_ms(problems, "period", value, PERIOD).map(|ms| (ms, value.span()))
}

/// Returns the numbers of the readings that are reported.
fn reported(problems: &mut Problems, table: &Table<'_>, info: &DriverInfo) -> Vec<u8> {
    let primary = || {
        (0u8..).zip(info.readings).filter(|(_, reading)| reading.primary).map(|(number, _)| number).collect()
    };
    let Some(names) = named_readings(problems, table) else { return primary() };
    let mut numbers = Vec::new();
    for (name, span) in names {
        if table.own("readings").is_none() && is_of_another(info, name) {
            continue;
        }
        let Some(number) = reading_number(problems, info, name, span.clone()) else { continue };
        if numbers.contains(&number) {
            problems.error(Code::Duplicate, span, format!("`{name}` is there twice"), "remove one");
        } else {
            numbers.push(number);
        }
    }
    if numbers.is_empty() && table.own("readings").is_none() { primary() } else { numbers }
}

/// Returns the texts in `readings`, and where they are.
fn named_readings<'t>(problems: &mut Problems, table: &Table<'t>) -> Option<Vec<(&'t str, Range<usize>)>> {
    let value = table.get("readings")?;
    if let DeValue::Table(_) = value.get_ref() {
        let help =
            "tables are singular, lists plural: `[sensor.ID.reading.NAME]`, or `readings = [\"NAME\"]`";
        problems.error(Code::Shape, value.span(), "`readings` is a table", help);
        return None;
    }
    let values = table.list(problems, "readings")?;
    if values.is_empty() {
        let help = "leave it out, or write `report = false`";
        problems.error(Code::OutOfRange, value.span(), "`readings` is empty", help);
    }
    let mut names = Vec::new();
    for value in values {
        match value.get_ref() {
            DeValue::String(name) => names.push((name.as_ref(), value.span())),
            other => wrong_type(problems, "readings", value.span(), other, "the names of readings"),
        }
    }
    Some(names)
}
