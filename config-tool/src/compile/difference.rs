//! What changes from one image to another: keys of the file, and topics that a broker keeps.

use dunlin_config_format::config::Config;
use dunlin_config_format::image::Image;
use dunlin_config_format::topic::Topics;

use super::{SecretSource, show_with};

/// A line of the file that is only in one of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The table that the lines after it are in.
    Table(String),
    /// Only in the old one.
    Removed(String),
    /// Only in the new one.
    Added(String),
}

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Lines of the file with all defaults written out; empty where both are equal.
    pub lines: Vec<Line>,
    /// Topics whose retained messages nobody renews any more, and that the node does not empty itself.
    pub stale: Vec<String>,
    /// Whether the node's own topics have other names. It empties the old ones when it leaves.
    pub is_renamed: bool,
}

/// Compares two images.
///
/// # Errors
/// Why one of them is no image that this version reads.
pub fn difference(old: &[u8], new: &[u8]) -> Result<Difference, String> {
    // Where a password comes from is in no image, and no difference.
    let source = SecretSource::Env("MQTT_PASSWORD".to_owned());
    let written = |image| show_with(image, Some(&source)).map(|shown| tables(&shown.text));
    let (old_tables, new_tables) = (written(old)?, written(new)?);
    let mut lines = Vec::new();
    for (name, old_lines) in &old_tables {
        let new_lines = new_tables.iter().find(|(each, _)| each == name).map(|(_, lines)| lines.as_slice());
        compare(&mut lines, name, old_lines, new_lines.unwrap_or_default());
    }
    for (name, new_lines) in &new_tables {
        if !old_tables.iter().any(|(each, _)| each == name) {
            compare(&mut lines, name, &[], new_lines);
        }
    }
    let (old, new) = (retained(old)?, retained(new)?);
    let is_renamed = old.first() != new.first();
    let stale =
        if is_renamed { Vec::new() } else { old.into_iter().filter(|topic| !new.contains(topic)).collect() };
    Ok(Difference { lines, stale, is_renamed })
}

type Tables = Vec<(String, Vec<String>)>;

/// Returns the tables of a file and their lines.
fn tables(text: &str) -> Tables {
    let mut tables = Tables::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match tables.last_mut() {
            Some((_, lines)) if !line.starts_with('[') => lines.push(line.to_owned()),
            _ => tables.push((line.to_owned(), Vec::new())),
        }
    }
    tables
}

fn compare(lines: &mut Vec<Line>, name: &str, old: &[String], new: &[String]) {
    let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
    let mut changed = Vec::new();
    for line in old.iter().filter(|line| !new.contains(line)) {
        changed.push(Line::Removed(line.clone()));
        let successor = new.iter().find(|each| key(each) == key(line));
        changed.extend(successor.cloned().map(Line::Added));
    }
    let is_new = |line: &&String| !old.iter().any(|each| key(each) == key(line));
    changed.extend(new.iter().filter(is_new).cloned().map(Line::Added));
    // A table without keys tells something as well by being there: a link, for instance.
    if !changed.is_empty() {
        lines.push(Line::Table(name.to_owned()));
        lines.append(&mut changed);
    }
}

/// Returns the topics under which a broker keeps a message of the node; the first is its status.
fn retained(image: &[u8]) -> Result<Vec<String>, String> {
    let image = Image::parse(image).map_err(|error| format!("not an image: {error:?}"))?;
    let config = Config::decode(image.body).map_err(|error| format!("not readable: {error:?}"))?;
    let topics = Topics::new(&config);
    let mut all = vec![topics.status().as_str().to_owned(), topics.info().as_str().to_owned()];
    all.extend(config.sensors.iter().map(|sensor| topics.health(sensor.id).as_str().to_owned()));
    let reports = config.reports.iter().filter(|report| report.retain);
    all.extend(reports.map(|report| topics.report(&report).as_str().to_owned()));
    Ok(all)
}
