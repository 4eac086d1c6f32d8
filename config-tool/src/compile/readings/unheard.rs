//! Readings that somebody wants and nobody is told, and keys of a report that a sensor has not.

use std::ops::Range;

use toml::de::DeValue;

use super::super::diagnostic::Code;
use super::super::model::OwnReport;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::{Read, ReadingFilters};

/// Returns the readings that a sensor's own table names, in `readings` or with filters, by number and place.
pub(super) fn wanted(table: &Table<'_>, names: &[&str], filters: &ReadingFilters) -> Vec<(u8, Range<usize>)> {
    let number = |name: &str| u8::try_from(names.iter().position(|each| *each == name)?).ok();
    let mut wanted = Vec::new();
    if let Some(DeValue::Array(values)) = table.own("readings").map(|value| value.get_ref()) {
        let named =
            |value: &toml::Spanned<DeValue<'_>>| Some((number(value.get_ref().as_str()?)?, value.span()));
        wanted.extend(values.iter().filter_map(named));
    }
    if let Some(DeValue::Table(readings)) = table.own("reading").map(|value| value.get_ref()) {
        let filtered = readings.keys().filter_map(|key| Some((number(key.get_ref())?, key.span())));
        wanted.extend(
            filtered.filter(|(number, _)| filters.get(number).is_some_and(|chain| !chain.is_empty())),
        );
    }
    wanted
}

/// Warns of wanted readings that reach no message. A file with errors may lack reports that it means to have.
pub(super) fn unheard(problems: &mut Problems, read: &[Read<'_>], reports: &[OwnReport<'_>]) {
    if problems.has_errors() {
        return;
    }
    for (index, read) in read.iter().enumerate() {
        let of_sensor =
            |report: &&OwnReport<'_>| report.members.iter().any(|member| usize::from(member.sensor) == index);
        let told = |number: u8| {
            let members = reports.iter().filter(of_sensor).flat_map(|report| &report.members);
            members.into_iter().any(|member| usize::from(member.sensor) == index && member.reading == number)
        };
        let has_own = reports.iter().filter(of_sensor).any(|report| report.id.is_none());
        if !has_own {
            unused(problems, index, read, reports.iter().find(of_sensor));
        }
        let mut seen = Vec::new();
        for (number, span) in &read.wanted {
            if told(*number) || seen.contains(number) {
                continue;
            }
            seen.push(*number);
            let id = read.sensor.id;
            let name =
                read.sensor.driver.info().readings.get(usize::from(*number)).map_or("?", |each| each.name);
            let help = match (has_own, read.reported.contains(number)) {
                (true, _) => "name it in `readings`, or in a [report]".to_owned(),
                (false, true) => format!("name it in a [report], or give [sensor.{id}] a `topic`"),
                (false, false) => "name it in a [report]".to_owned(),
            };
            let message = format!("`{id}.{name}` reaches no message");
            problems.warning(Code::Unheard, span.clone(), message, help);
        }
    }
}

/// Warns of the keys of a sensor's own report where it has none; `other` is the first report that names its readings.
fn unused(problems: &mut Problems, index: usize, read: &Read<'_>, other: Option<&OwnReport<'_>>) {
    let Some((_, span)) = read.shape.own_keys.first() else { return };
    let names: Vec<String> = read.shape.own_keys.iter().map(|(key, _)| format!("`{key}`")).collect();
    let keys = listed(&names);
    let (verb, them) = if names.len() == 1 { ("has", "it") } else { ("have", "them") };
    let id = read.sensor.id;
    let member = other.and_then(|report| {
        let member = report.members.iter().find(|member| usize::from(member.sensor) == index)?;
        let reading = read.sensor.driver.info().readings.get(usize::from(member.reading))?;
        Some((report.id?, reading.name))
    });
    let (reason, help) = match member {
        Some((report, reading)) => (
            format!("[report.{report}] carries its `{reading}`"),
            format!(
                "write {them} in [report.{report}], or give [sensor.{id}] a `topic` for a report of its own"
            ),
        ),
        None => (
            "it has no report".to_owned(),
            format!("remove {them}, or give [sensor.{id}] a `topic` for a report of its own"),
        ),
    };
    let message = format!("{keys} of [sensor.{id}] {verb} no effect: {reason}");
    problems.warning(Code::Unheard, span.clone(), message, help);
}

/// Returns names as a sentence lists them.
fn listed(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}
