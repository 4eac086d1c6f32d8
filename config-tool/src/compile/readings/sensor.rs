//! The tables `sensor.ID`: what is measured, where and how often.

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::{Filter, I2cBus, OptionValue};
use dunlin_config_format::driver::{Driver, DriverInfo, OptionInfo, OptionValues};
use dunlin_config_format::limits::LABEL_LEN;
use toml::de::DeValue;

use super::super::diagnostic::Code;
use super::super::filters::chain;
use super::super::keys;
use super::super::model::OwnSensor;
use super::super::nearest::nearest;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::settings::short_text;
use super::super::value::{duration_ms, integer, shown_ms, wrong_type};
use super::shape::shape;
use super::{PERIOD, Read, reading_number};

pub(super) fn sensor<'t>(
    problems: &mut Problems,
    id: &'t str,
    table: &Table<'t>,
    defaults: Option<&Table<'t>>,
    buses: &[I2cBus<'t>],
) -> Option<Read<'t>> {
    let driver = driver(problems, table);
    let Some(driver) = driver else {
        table.refuse_others(
            problems,
            &[keys::SENSOR.names(), vec!["gain", "integration"]].concat(),
            keys::SENSOR.later,
        );
        // The driver is wrong; the rest may be as well.
        period(problems, table, defaults);
        shape(problems, table, defaults);
        return None;
    };
    let info = driver.info();
    let options: Vec<&str> = info.options.iter().map(|option| option.name).collect();
    table.refuse_others(problems, &[keys::SENSOR.names(), options].concat(), keys::SENSOR.later);
    let label = short_text(problems, table, "label", LABEL_LEN);
    let bus = bus(problems, table, info, buses);
    let address = address(problems, table, info);
    let values: Vec<OptionValue> =
        info.options.iter().filter_map(|option| option_value(problems, table, option)).collect();
    let period = period(problems, table, defaults);
    let option = |key: u8| {
        let given = values.iter().find(|option| option.key == key).map(|option| option.value);
        let default = info.options.iter().find(|option| option.key == key).map(|option| option.default);
        given.or(default).unwrap_or(0)
    };
    let conversion_ms = driver.conversion_ms(option);
    if let Some((period_ms, span)) = &period
        && *period_ms < conversion_ms
    {
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
    let reported = reported(problems, table, info);
    let readings = reading_filters(problems, table, defaults, info, &reported);
    let automatic = match table.get("report").map(|value| (value.get_ref(), value.span())) {
        None => true,
        Some((DeValue::Boolean(value), _)) => *value,
        Some((other, span)) => {
            wrong_type(
                problems,
                "report",
                span,
                other,
                "`false` for no report of its own, or a table `[report.ID]`",
            );
            true
        }
    };
    let shape = shape(problems, table, defaults);
    let sensor = OwnSensor {
        id,
        label,
        driver,
        bus: bus?,
        address: address?,
        period_ms: period?.0,
        options: values,
        readings,
    };
    Some(Read { sensor, reported, shape, automatic, key_span: table.span.clone() })
}

fn driver(problems: &mut Problems, table: &Table<'_>) -> Option<Driver> {
    if table.get("driver").is_none() {
        table.missing(problems, "driver", "\"tsl2591\"");
    }
    let (name, span) = table.text(problems, "driver")?;
    let found = Driver::ALL.iter().copied().find(|driver| driver.info().name == name);
    let names: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
    if let Some(later) = keys::DRIVERS_LATER.iter().find(|later| **later == name) {
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
    let given = table.text(problems, "bus");
    if info.addresses.is_empty() {
        if let Some((_, span)) = given {
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
    let index = match given {
        Some((id, span)) => {
            let found = ids.iter().position(|each| *each == id);
            if found.is_none() {
                let help = nearest(id, &ids).map_or_else(
                    || format!("the file has: {}", ids.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                problems.error(Code::Reference, span, format!("there is no bus `{id}`"), help);
            }
            found?
        }
        None if table.get("bus").is_some() => return None,
        None => match ids.len() {
            1 => 0,
            0 => {
                problems.error(
                    Code::Reference,
                    table.span.clone(),
                    format!("{} needs an I2C bus", table.name),
                    "add `[i2c.main]` with `sda = 4` and `scl = 5`",
                );
                return None;
            }
            _ => {
                problems.error(
                    Code::MissingKey,
                    table.span.clone(),
                    format!("{} has no `bus`, and there are several", table.name),
                    format!("add `bus = \"{}\"`; there are: {}", ids[0], ids.join(", ")),
                );
                return None;
            }
        },
    };
    u8::try_from(index).ok().map(Some)
}

/// Returns the address where it is not the usual one; the outer option is none where there is a problem.
fn address(problems: &mut Problems, table: &Table<'_>, info: &DriverInfo) -> Option<Option<u8>> {
    let Some(value) = table.get("address") else { return Some(None) };
    let address = integer(problems, "address", value, 0..=0x7f)?;
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

fn period(
    problems: &mut Problems,
    table: &Table<'_>,
    defaults: Option<&Table<'_>>,
) -> Option<(u32, Range<usize>)> {
    let value = table.get("period").or_else(|| defaults?.get("period"));
    let Some(value) = value else {
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
    let Some(values) = table.list(problems, "readings") else { return primary() };
    if values.is_empty() {
        let span = table.get("readings").map_or(0..0, |value| value.span());
        problems.error(
            Code::OutOfRange,
            span,
            "`readings` is empty",
            "leave it out, or write `report = false`",
        );
    }
    let mut numbers = Vec::new();
    for value in values {
        let DeValue::String(name) = value.get_ref() else {
            wrong_type(problems, "readings", value.span(), value.get_ref(), "the names of readings");
            continue;
        };
        let Some(number) = reading_number(problems, info, name, value.span()) else { continue };
        if numbers.contains(&number) {
            problems.error(Code::Duplicate, value.span(), format!("`{name}` is there twice"), "remove one");
        } else {
            numbers.push(number);
        }
    }
    numbers
}

/// Returns the filters of each reading that has some: its own, or else the sensor's, or else the defaults'.
fn reading_filters(
    problems: &mut Problems,
    table: &Table<'_>,
    defaults: Option<&Table<'_>>,
    info: &DriverInfo,
    reported: &[u8],
) -> Vec<(u8, Vec<Filter>)> {
    let own = if table.get("filters").is_some() {
        chain(problems, table)
    } else {
        defaults.and_then(|defaults| chain(problems, defaults))
    };
    let mut filters: BTreeMap<u8, Vec<Filter>> = BTreeMap::new();
    for &number in reported {
        filters.insert(number, own.clone().unwrap_or_default());
    }
    if let Some(value) = table.get("reading") {
        let DeValue::Table(readings) = value.get_ref() else {
            wrong_type(
                problems,
                "reading",
                value.span(),
                value.get_ref(),
                "a table: `[sensor.ID.reading.NAME]`",
            );
            return Vec::new();
        };
        let span = value.span();
        for (name, key_span, value) in (Table { table: readings, span, name: "reading".to_owned() }).entries()
        {
            let number = reading_number(problems, info, name, key_span.clone());
            let DeValue::Table(inner) = value.get_ref() else {
                wrong_type(problems, name, value.span(), value.get_ref(), "a table with `filters`");
                continue;
            };
            let inner = Table { table: inner, span: key_span, name: "a reading".to_owned() };
            inner.refuse_others(problems, &["filters"], &[("label", "give the sensor one")]);
            if let (Some(number), Some(own)) = (number, chain(problems, &inner)) {
                filters.insert(number, own);
            }
        }
    }
    filters.into_iter().filter(|(_, filters)| !filters.is_empty()).collect()
}
