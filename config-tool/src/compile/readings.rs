//! Sensors and reports: what is measured, and where it goes.

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::{Filter, I2cBus, Member, OptionValue, Payload, QoS, is_topic};
use dunlin_config_format::driver::{Driver, DriverInfo, OptionInfo, OptionValues};
use dunlin_config_format::limits::{LABEL_LEN, MEMBERS, PERIOD_MAX_MS, PERIOD_MIN_MS, TOPIC_LEN};
use toml::de::DeValue;

use super::diagnostic::Code;
use super::filters::chain;
use super::keys;
use super::model::{OwnReport, OwnSensor};
use super::reader::{Problems, Table, duration_ms, integer, nearest, shown_ms, type_name, wrong_type};
use super::settings::{identifier, short_text, table};

const PERIOD: std::ops::RangeInclusive<u64> = PERIOD_MIN_MS as u64..=PERIOD_MAX_MS as u64;
/// What placeholders stand for.
pub(super) struct Names<'t> {
    pub(super) device: &'t str,
    pub(super) vars: BTreeMap<&'t str, &'t str>,
}

/// A sensor that was read, and what its automatic report needs.
struct Read<'t> {
    sensor: OwnSensor<'t>,
    /// Readings that are reported, by number.
    reported: Vec<u8>,
    shape: Shape<'t>,
    automatic: bool,
    key_span: Range<usize>,
}

/// How messages look.
#[derive(Clone)]
struct Shape<'t> {
    topic: Option<(&'t str, Range<usize>)>,
    qos: QoS,
    retain: bool,
    payload: Payload,
    payload_span: Range<usize>,
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

fn sensor<'t>(
    problems: &mut Problems,
    id: &'t str,
    table: &Table<'t>,
    defaults: Option<&Table<'t>>,
    buses: &[I2cBus<'t>],
) -> Option<Read<'t>> {
    let driver = driver(problems, table);
    let Some(driver) = driver else {
        table.refuse_others(problems, &[keys::SENSOR.names(), vec!["gain", "integration"]].concat(), &[]);
        // The driver is wrong; the rest may be as well.
        period(problems, table, defaults);
        shape(problems, table, defaults);
        return None;
    };
    let info = driver.info();
    let options: Vec<&str> = info.options.iter().map(|option| option.name).collect();
    table.refuse_others(problems, &[keys::SENSOR.names(), options].concat(), &["label-de"]);
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
    if found.is_none() {
        let names: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
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
            inner.refuse_others(problems, &["filters"], &["label"]);
            if let (Some(number), Some(own)) = (number, chain(problems, &inner)) {
                filters.insert(number, own);
            }
        }
    }
    filters.into_iter().filter(|(_, filters)| !filters.is_empty()).collect()
}

fn shape<'t>(problems: &mut Problems, table: &Table<'t>, defaults: Option<&Table<'t>>) -> Shape<'t> {
    let of = |key: &str| table.get(key).is_some().then_some(table).or(defaults);
    let qos = of("qos").and_then(|table| table.integer(problems, "qos", 0..=2));
    let retain = of("retain").and_then(|table| table.boolean(problems, "retain")).unwrap_or(false);
    let payload_text = of("payload").and_then(|table| table.text(problems, "payload"));
    let payload = payload_text.as_ref().and_then(|(text, span)| {
        let found = Payload::NAMES.iter().find(|(_, name)| name == text).map(|&(payload, _)| payload);
        if found.is_none() {
            let names: Vec<&str> = Payload::NAMES.iter().map(|&(_, name)| name).collect();
            let help = nearest(text, &names).map_or_else(
                || format!("possible: {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            problems.error(Code::UnknownName, span.clone(), format!("unknown payload `{text}`"), help);
        }
        found
    });
    Shape {
        topic: table.text(problems, "topic"),
        qos: match qos {
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            _ => QoS::AtMostOnce,
        },
        retain,
        payload: payload.unwrap_or_default(),
        payload_span: payload_text.map_or(table.span.clone(), |(_, span)| span),
    }
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

fn report<'t>(
    problems: &mut Problems,
    id: &'t str,
    table: &Table<'t>,
    defaults: Option<&Table<'t>>,
    read: &[Read<'t>],
    refused: &[&str],
    names: &Names<'t>,
) -> Option<OwnReport<'t>> {
    table.refuse_others(problems, &keys::REPORT.names(), &[]);
    if table.get("of").is_none() {
        table.missing(problems, "of", "[\"lux-1\"]");
    }
    let values = table.list(problems, "of")?;
    let told = problems.0.len();
    let mut members: Vec<Member> = Vec::new();
    let mut is_whole = true;
    for value in values {
        match value.get_ref() {
            DeValue::String(text) => {
                // A sensor that is refused has told why.
                let Some(further) = selected(problems, text, value.span(), read, refused) else {
                    is_whole = false;
                    continue;
                };
                if further.iter().any(|member| members.contains(member)) {
                    let message = format!("`{text}` is in the report already");
                    problems.error(Code::Duplicate, value.span(), message, "name each reading once");
                }
                members.extend(further);
            }
            other => {
                let message = format!("`of` has {}", type_name(other));
                problems.error(
                    Code::WrongType,
                    value.span(),
                    message,
                    "write \"sensor\", \"sensor.reading\" or \"sensor.*\"",
                );
            }
        }
    }
    if problems.0.len() > told || !is_whole {
        return None;
    }
    let span = table.get("of").map_or(table.span.clone(), |value| value.span());
    if members.is_empty() || members.len() > MEMBERS {
        problems.error(
            Code::OutOfRange,
            span,
            format!("the report has {} readings", members.len()),
            format!("1 to {MEMBERS} are possible"),
        );
        return None;
    }
    let every_ms = match table.get("every") {
        Some(value) => Some(duration_ms(problems, "every", value, PERIOD)?),
        None if members.len() > 1 => match defaults.and_then(|defaults| defaults.get("every")) {
            Some(value) => Some(duration_ms(problems, "every", value, PERIOD)?),
            None => {
                table.missing(problems, "every", "\"60s\"");
                return None;
            }
        },
        None => None,
    };
    let shape = shape(problems, table, defaults);
    if members.len() > 1 && shape.payload != Payload::Json {
        problems.error(
            Code::Payload,
            shape.payload_span.clone(),
            "one value cannot stand for several readings",
            "write `payload = \"json\"`",
        );
    }
    let filters = if table.get("filters").is_some() { chain(problems, table)? } else { Vec::new() };
    if members.len() > 1 && !filters.is_empty() {
        let span = table.get("filters").map_or(table.span.clone(), |value| value.span());
        problems.error(
            Code::Filter,
            span,
            "filters of a report need exactly one reading",
            "put them on the sensors or their readings",
        );
    }
    let first = members.first().and_then(|member| read.get(usize::from(member.sensor)));
    let topic = match &shape.topic {
        Some((topic, span)) => {
            Some(resolved(problems, topic, span, names, first.map(|read| read.sensor.id), None)?)
        }
        None => None,
    };
    Some(OwnReport {
        id: Some(id),
        span: table.span.clone(),
        topic,
        qos: shape.qos,
        retain: shape.retain,
        payload: shape.payload,
        members,
        every_ms,
        filters,
    })
}

/// Returns the readings that `sensor`, `sensor.reading` or `sensor.*` names.
fn selected(
    problems: &mut Problems,
    text: &str,
    span: Range<usize>,
    read: &[Read<'_>],
    refused: &[&str],
) -> Option<Vec<Member>> {
    let (id, reading) = text.split_once('.').map_or((text, None), |(id, reading)| (id, Some(reading)));
    let Some(index) = read.iter().position(|read| read.sensor.id == id) else {
        if refused.contains(&id) {
            return None;
        }
        let ids: Vec<&str> = read.iter().map(|read| read.sensor.id).chain(refused.iter().copied()).collect();
        let help = match nearest(id, &ids) {
            Some(near) => format!("did you mean `{near}`?"),
            None if ids.is_empty() => format!("add `[sensor.{id}]`"),
            None => format!("the file has: {}", ids.join(", ")),
        };
        problems.error(Code::Reference, span, format!("there is no sensor `{id}`"), help);
        return None;
    };
    let info = read[index].sensor.driver.info();
    let numbers: Vec<u8> = match reading {
        None => read[index].reported.clone(),
        Some("*") => (0..info.readings.len()).filter_map(|number| u8::try_from(number).ok()).collect(),
        Some(name) => vec![reading_number(problems, info, name, span)?],
    };
    let sensor = u8::try_from(index).unwrap_or(u8::MAX);
    Some(numbers.into_iter().map(|reading| Member { sensor, reading }).collect())
}

/// Returns the reports that a sensor has without being asked: one, or one for each reading where the topic tells them apart.
fn automatic<'t>(
    problems: &mut Problems,
    index: usize,
    read: &Read<'t>,
    names: &Names<'t>,
) -> Vec<OwnReport<'t>> {
    let sensor = u8::try_from(index).unwrap_or(u8::MAX);
    let Shape { topic, qos, retain, payload, payload_span } = read.shape.clone();
    let members: Vec<Member> = read.reported.iter().map(|&reading| Member { sensor, reading }).collect();
    let span = topic.as_ref().map_or(read.key_span.clone(), |(_, span)| span.clone());
    let make = |members: Vec<Member>, topic| OwnReport {
        id: None,
        span: span.clone(),
        topic,
        qos,
        retain,
        payload,
        members,
        every_ms: None,
        filters: Vec::new(),
    };
    let id = Some(read.sensor.id);
    match topic {
        Some((text, span)) if text.contains("{reading}") => {
            let info = read.sensor.driver.info();
            let reading_name =
                |member: &Member| info.readings.get(usize::from(member.reading)).map(|reading| reading.name);
            members
                .into_iter()
                .filter_map(|member| {
                    Some(make(
                        vec![member],
                        Some(resolved(problems, text, &span, names, id, reading_name(&member))?),
                    ))
                })
                .collect()
        }
        _ if members.len() > 1 && payload != Payload::Json => {
            let help = "write `payload = \"json\"`, one reading in `readings`, or `{reading}` in the topic";
            problems.error(Code::Payload, payload_span, "one value cannot stand for several readings", help);
            Vec::new()
        }
        Some((text, span)) => resolved(problems, text, &span, names, id, None)
            .map(|topic| make(members, Some(topic)))
            .into_iter()
            .collect(),
        None => vec![make(members, None)],
    }
}

/// Returns a topic with its placeholders replaced.
fn resolved(
    problems: &mut Problems,
    text: &str,
    span: &Range<usize>,
    names: &Names<'_>,
    sensor: Option<&str>,
    reading: Option<&str>,
) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        let Some((name, after)) = tail.get(1..).and_then(|tail| tail.split_once('}')) else {
            problems.error(
                Code::Placeholder,
                span.clone(),
                "a `{` without `}`",
                "write {device}, {sensor}, {reading} or {vars.NAME}",
            );
            return None;
        };
        let value = match name {
            "device" => Some(names.device),
            "sensor" => sensor,
            "reading" => reading,
            _ => name.strip_prefix("vars.").and_then(|name| names.vars.get(name).copied()),
        };
        let Some(value) = value else {
            let vars: Vec<String> = names.vars.keys().map(|name| format!("{{vars.{name}}}")).collect();
            let help = format!("there are: {{device}}, {{sensor}}, {{reading}} {}", vars.join(" "));
            problems.error(
                Code::Placeholder,
                span.clone(),
                format!("`{{{name}}}` stands for nothing here"),
                help.trim_end().to_owned(),
            );
            return None;
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    if !is_topic(&out) {
        let help = format!("1 to {TOPIC_LEN} bytes, without + and #, not starting with $");
        problems.error(Code::Topic, span.clone(), format!("the topic is \"{out}\""), help);
        return None;
    }
    Some(out)
}

/// Warns of reports that filters can silence for ever. One with `every` sends the value that passed last again.
fn silence(problems: &mut Problems, read: &[Read<'_>], reports: &[OwnReport<'_>]) {
    for report in reports.iter().filter(|report| report.every_ms.is_none()) {
        let [member] = report.members.as_slice() else { continue };
        let Some(read) = read.get(usize::from(member.sensor)) else { continue };
        let of_reading = read
            .sensor
            .readings
            .iter()
            .find(|(number, _)| *number == member.reading)
            .map(|(_, filters)| filters.as_slice());
        let chain: Vec<&Filter> = of_reading.unwrap_or_default().iter().chain(&report.filters).collect();
        let last_silencer = chain
            .iter()
            .rposition(|filter| matches!(filter, Filter::Delta { .. } | Filter::DeltaPercent { .. }));
        let heartbeat = chain.iter().rposition(|filter| matches!(filter, Filter::Heartbeat { .. }));
        if last_silencer.is_some() && heartbeat < last_silencer {
            let message =
                format!("nothing tells whether `{}` is alive while its value stays the same", read.sensor.id);
            problems.warning(
                Code::Silence,
                report.span.clone(),
                message,
                "add { heartbeat = \"5m\" } behind `delta`",
            );
        }
    }
}
