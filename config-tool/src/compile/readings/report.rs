//! Reports: those of the tables `report.ID`, and those that sensors have without being asked.

use std::ops::Range;

use dunlin_config_format::config::{Filter, Member, Payload, is_topic};
use dunlin_config_format::limits::{MEMBERS, PERIOD_MAX_MS, TOPIC_LEN};
use toml::de::DeValue;

use super::super::diagnostic::{Code, Lack};
use super::super::filters::{chain, idle_throttles};
use super::super::keys;
use super::super::model::{OwnReport, OwnSensor};
use super::super::nearest::nearest;
use super::super::placeholder::{Local, Names, has, resolve};
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{duration_ms, shown_ms, type_name};
use super::shape::{Shape, shape};
use super::{PERIOD, Read, reading_number};

/// The sensors that a report may name.
pub(super) struct Sensors<'r, 't> {
    pub(super) read: &'r [Read<'t>],
    /// Those that are refused: they have told why.
    pub(super) refused: &'r [&'t str],
}

/// What the `of` of a report names.
struct Selection {
    members: Vec<Member>,
    /// Whether nothing is wrong with it.
    is_whole: bool,
    /// Whether it means several readings; none where that can't be told.
    is_several: Option<bool>,
}

/// Reads a report. One with problems is returned with what is right of it, for the rest of the file to be checked: no image is
/// made of it.
pub(super) fn report<'t>(
    problems: &mut Problems,
    id: &'t str,
    table: &Table<'t>,
    sensors: &Sensors<'_, 't>,
    names: &Names,
) -> OwnReport<'t> {
    table.refuse_others(problems, &keys::REPORT.names(), keys::REPORT.later);
    let Selection { members, is_whole, is_several } = selection(problems, table, sensors);
    let (is_single, is_several) = (is_several == Some(false), is_several == Some(true));
    // A report of one reading follows its values unless it says otherwise itself.
    let every = if is_single { table.own("every") } else { table.get("every") };
    if every.is_none() && is_several {
        table.missing(problems, "every", "\"60s\"");
    }
    let every_ms = every.map(|value| duration_ms(problems, "every", value, PERIOD).unwrap_or(PERIOD_MAX_MS));
    let shape = shape(problems, table);
    if is_several && shape.payload != Payload::Json {
        let message = "one value cannot stand for several readings";
        problems.error(Code::Payload, shape.payload_span.clone(), message, "write `payload = \"json\"`");
    }
    // Those of the defaults are its sensors'.
    let (own, _) = table.layers();
    let filters = chain(problems, &own).unwrap_or_default();
    if is_several && !filters.is_empty() {
        let span = own.get("filters").map_or(table.span.clone(), |value| value.span());
        let help = "put them on the sensors or their readings";
        problems.error(Code::Filter, span, "filters of a report need exactly one reading", help);
    }
    let first = members.first().and_then(|member| sensors.read.get(usize::from(member.sensor)));
    if let (true, Some(first)) = (is_single, first) {
        idle(problems, &own, every_ms, first.sensor.period_ms);
    }
    let topic = shape.topic.and_then(|(text, span)| {
        let local = match is_whole {
            true => local(&table.name, &members, first.map(|read| &read.sensor)),
            // Which they are is not known.
            false => [("sensor", Ok("x")), ("reading", Ok("x"))],
        };
        topic(problems, text, &span, names, &local)
    });
    OwnReport {
        id: Some(id),
        span: table.span.clone(),
        topic,
        qos: shape.qos,
        retain: shape.retain,
        payload: shape.payload,
        members,
        every_ms: every_ms.or((!is_whole || is_several).then_some(PERIOD_MAX_MS)),
        filters,
    }
}

/// Warns of what a report of one reading says in vain, whose sensor is read with this period. In a file with errors the
/// period may be another.
fn idle(problems: &mut Problems, table: &Table<'_>, every_ms: Option<u32>, period_ms: u32) {
    if problems.has_errors() {
        return;
    }
    idle_throttles(problems, table, period_ms);
    let every = table.own("every").filter(|_| every_ms.is_some_and(|every_ms| every_ms < period_ms));
    if let Some(value) = every {
        let period = shown_ms(period_ms.into());
        let message = format!("`every` is shorter than the sensor's period, {period}: values are sent again");
        let help = format!("remove it for a message with each value, or write {period} or more");
        problems.warning(Code::Idle, value.span(), message, help);
    }
}

/// Returns what `{sensor}` and `{reading}` stand for in a report of these readings; `first` is the sensor of the first.
fn local<'r>(report: &str, members: &[Member], first: Option<&'r OwnSensor<'_>>) -> [Local<'r>; 2] {
    let first = members.first().zip(first);
    let is_one_sensor =
        members.iter().all(|member| Some(member.sensor) == first.map(|(first, _)| first.sensor));
    let sensor = first.filter(|_| is_one_sensor).map(|(_, sensor)| sensor.id);
    let reading = first.filter(|_| members.len() == 1).and_then(|(member, sensor)| {
        sensor.driver.info().readings.get(usize::from(member.reading)).map(|reading| reading.name)
    });
    let several = |placeholder: &str, what: &str| {
        let message = format!("`{{{placeholder}}}` has no one meaning in {report}, which has several {what}");
        (message, format!("give {report} a `topic` without it, or each reading a report"))
    };
    [
        ("sensor", sensor.ok_or_else(|| several("sensor", "sensors"))),
        ("reading", reading.ok_or_else(|| several("reading", "readings"))),
    ]
}

/// Returns the readings of `of`.
fn selection(problems: &mut Problems, table: &Table<'_>, sensors: &Sensors<'_, '_>) -> Selection {
    let nothing = Selection { members: Vec::new(), is_whole: false, is_several: None };
    let Some(of) = table.get("of") else {
        table.missing(problems, "of", "[\"lux-1\"]");
        return nothing;
    };
    let Some(values) = table.list(problems, "of") else { return nothing };
    let mut members: Vec<Member> = Vec::new();
    let (mut is_whole, mut count) = (true, values.len());
    for value in values {
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("`of` has {}", type_name(value.get_ref()));
            let help = "write \"sensor\", \"sensor.reading\" or \"sensor.*\"";
            problems.error(Code::WrongType, value.span(), message, help);
            is_whole = false;
            continue;
        };
        let Some(further) = selected(problems, text, value.span(), sensors) else {
            is_whole = false;
            continue;
        };
        if further.iter().any(|member| members.contains(member)) {
            let message = format!("`{text}` is in the report already");
            problems.error(Code::Duplicate, value.span(), message, "name each reading once");
            is_whole = false;
            count -= 1;
            continue;
        }
        members.extend(further);
    }
    if is_whole && (members.is_empty() || members.len() > MEMBERS) {
        let message = format!("the report has {} readings", members.len());
        problems.error(Code::OutOfRange, of.span(), message, format!("1 to {MEMBERS} are possible"));
        is_whole = false;
    }
    members.truncate(MEMBERS);
    // What is wrong in a list of several was meant to be one of them.
    let is_several = if members.len() > 1 || count > 1 { Some(true) } else { is_whole.then_some(false) };
    Selection { members, is_whole, is_several }
}

/// Returns the readings that `sensor`, `sensor.reading` or `sensor.*` names.
fn selected(
    problems: &mut Problems,
    text: &str,
    span: Range<usize>,
    &Sensors { read, refused }: &Sensors<'_, '_>,
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
        let message = format!("there is no sensor `{id}`");
        problems.missing(Code::Reference, span, Lack::Table("sensor"), message, help);
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
    names: &Names,
) -> Vec<OwnReport<'t>> {
    let sensor = u8::try_from(index).unwrap_or(u8::MAX);
    let Shape { topic: text, qos, retain, payload, payload_span, .. } = read.shape.clone();
    let members: Vec<Member> = read.reported.iter().map(|&reading| Member { sensor, reading }).collect();
    let span = text.as_ref().map_or(read.key_span.clone(), |(_, span)| span.clone());
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
    let by_reading = text.as_ref().is_some_and(|(text, _)| has(text, "reading"));
    if members.len() > 1 && payload != Payload::Json && !by_reading {
        let help = "write `payload = \"json\"`, one reading in `readings`, or `{reading}` in the topic";
        problems.error(Code::Payload, payload_span, "one value cannot stand for several readings", help);
        return Vec::new();
    }
    let groups: Vec<Vec<Member>> =
        if by_reading { members.into_iter().map(|member| vec![member]).collect() } else { vec![members] };
    let mut reports = Vec::new();
    for members in groups {
        match &text {
            None => reports.push(make(members, None)),
            Some((text, span)) => {
                let local = local("the report", &members, Some(&read.sensor));
                let topic = topic(problems, text, span, names, &local);
                reports.extend(topic.map(|topic| make(members, Some(topic))));
            }
        }
    }
    reports
}

/// Returns a topic with its placeholders replaced.
pub(super) fn topic(
    problems: &mut Problems,
    text: &str,
    span: &Range<usize>,
    names: &Names,
    local: &[Local<'_>],
) -> Option<String> {
    let topic = resolve(problems, text, span, names, local)?;
    if !is_topic(&topic) {
        let help = format!("1 to {TOPIC_LEN} bytes, without + and #, not starting with $");
        problems.error(Code::Topic, span.clone(), format!("the topic is \"{topic}\""), help);
        return None;
    }
    Some(topic)
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
