//! Reports: those of the tables `report.ID`, and those that sensors have without being asked.

use std::ops::Range;

use dunlin_config_format::config::{Filter, Member, Payload};
use dunlin_config_format::limits::MEMBERS;
use toml::de::DeValue;

use super::super::diagnostic::Code;
use super::super::filters::chain;
use super::super::keys;
use super::super::model::OwnReport;
use super::super::nearest::nearest;
use super::super::placeholder::{Names, resolved};
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{duration_ms, type_name};
use super::shape::{Shape, shape};
use super::{PERIOD, Read, reading_number};

pub(super) fn report<'t>(
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
    let told = problems.noted.len();
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
    if problems.noted.len() > told || !is_whole {
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
pub(super) fn automatic<'t>(
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

/// Warns of reports that filters can silence for ever: that of one reading by its chain, that of several where each chain
/// can. One with `every` sends the values that passed last again.
pub(super) fn silence(problems: &mut Problems, read: &[Read<'_>], reports: &[OwnReport<'_>]) {
    for report in reports.iter().filter(|report| report.every_ms.is_none()) {
        let of = |member: &Member| read.get(usize::from(member.sensor)).map(|read| &read.sensor);
        let can_end = |member: &Member| {
            let own = of(member).and_then(|sensor| sensor.filters(member.reading)).unwrap_or_default();
            can_end(own.iter().chain(&report.filters))
        };
        let Some(sensor) = report.members.first().and_then(of) else { continue };
        if report.members.iter().all(can_end) {
            let (values, stay, one) = match report.members.len() {
                1 => ("its value", "stays", ""),
                _ => ("all its values", "stay", " of one of them"),
            };
            let id = sensor.id;
            let message = format!("nothing tells whether `{id}` is alive while {values} {stay} the same");
            let help = format!("add {{ heartbeat = \"5m\" }} behind `delta`{one}");
            problems.warning(Code::Silence, report.span.clone(), message, help);
        }
    }
}

/// Returns whether a chain can hold back every value from some time on.
fn can_end<'f>(chain: impl DoubleEndedIterator<Item = &'f Filter>) -> bool {
    let mut from_the_end = chain.rev();
    let decides = from_the_end.find(|filter| {
        matches!(filter, Filter::Delta { .. } | Filter::DeltaPercent { .. } | Filter::Heartbeat { .. })
    });
    decides.is_some_and(|filter| !matches!(filter, Filter::Heartbeat { .. }))
}
