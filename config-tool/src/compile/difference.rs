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
    /// Host and port of the broker that keeps them.
    pub broker: (String, u32),
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
    let (Kept { broker, topics }, new) = (kept(old)?, kept(new)?);
    let is_renamed = topics.first() != new.topics.first();
    let is_left = |(index, topic): (usize, &String)| match broker == new.broker {
        true => !new.topics.contains(topic),
        // The status there becomes `offline`.
        false => index > 0,
    };
    let left = topics.iter().enumerate().filter(|topic| !is_renamed && is_left(*topic));
    let stale = left.map(|(_, topic)| topic.clone()).collect();
    Ok(Difference { lines, stale, broker, is_renamed })
}

/// What a broker keeps of a node.
struct Kept {
    /// Host and port.
    broker: (String, u32),
    /// The first is its status.
    topics: Vec<String>,
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

/// Returns what the broker of a configuration keeps of the node.
fn kept(image: &[u8]) -> Result<Kept, String> {
    let image = Image::parse(image).map_err(|error| format!("not an image: {error:?}"))?;
    let config = Config::decode(image.body).map_err(|error| format!("not readable: {error:?}"))?;
    let topics = Topics::new(&config);
    let mut all = vec![topics.status().as_str().to_owned(), topics.info().as_str().to_owned()];
    all.extend(config.sensors.iter().map(|sensor| topics.health(sensor.id).as_str().to_owned()));
    let reports = config.reports.iter().filter(|report| report.retain);
    all.extend(reports.map(|report| topics.report(&report).as_str().to_owned()));
    Ok(Kept { broker: (config.mqtt.host.to_owned(), config.mqtt.port.0), topics: all })
}
