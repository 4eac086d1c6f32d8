//! The payloads of reports: `json`, `plain` and `thingflow`, rendered from a record when its packet is written.

use dunlin_config_format::config::{Config, Member, Payload, Report};

use crate::text::Text;

/// A message that waits to be rendered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    /// When its values were taken, in milliseconds since start.
    pub at_ms: u64,
    /// Counts the messages of its report, from 0.
    pub seq: u32,
    /// Index of its report.
    pub report: u8,
    /// Its values.
    pub values: Values,
}

/// The values of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// The value of a report of one reading.
    One(f32),
    /// A place in the table of snapshots.
    Snapshot(u8),
}

/// Writes the payload of `report` with `values` in the order of its members; one that is not a number becomes `null`.
pub fn render(
    text: &mut Text<'_>,
    config: &Config<'_>,
    report: &Report<'_>,
    record: &Record,
    values: &[f32],
) {
    let value = values.first().copied().unwrap_or(f32::NAN);
    match report.payload {
        Payload::Plain => text.float(value),
        Payload::ThingFlow => {
            text.str("[\"");
            if let Some(member) = report.members.get(0) {
                thingflow_id(text, config, member);
            }
            text.str("\", ");
            text.integer(record.at_ms / 1000);
            text.str(", ");
            text.float(value);
            text.str("]");
        }
        Payload::Json => json(text, config, report, record, values),
    }
}

/// The flat object: a member for each reading, then `seq` and `uptime`.
fn json(text: &mut Text<'_>, config: &Config<'_>, report: &Report<'_>, record: &Record, values: &[f32]) {
    let first = report.members.get(0);
    let is_one_sensor =
        report.members.iter().all(|member| first.is_some_and(|first| first.sensor == member.sensor));
    let mut has_uptime = false;
    text.object(|object| {
        for (member, value) in report.members.iter().zip(values) {
            let Some(sensor) = config.sensors.get(usize::from(member.sensor)) else { continue };
            let readings = sensor.driver.info().readings;
            let reading = readings.get(usize::from(member.reading)).map_or("", |reading| reading.name);
            has_uptime |= is_one_sensor && reading == "uptime";
            let value_text =
                if is_one_sensor { object.key(reading) } else { object.compound_key(sensor.id, reading) };
            value_text.float(*value);
        }
        object.integer("seq", record.seq);
        // The node's own reading has the name already, and means the same.
        if !has_uptime {
            object.key("uptime").thousandths(record.at_ms);
        }
    });
}

/// The identifier of ThingFlow's event: the sensor's where one report has it, else `sensor.reading`.
fn thingflow_id(text: &mut Text<'_>, config: &Config<'_>, member: Member) {
    let Some(sensor) = config.sensors.get(usize::from(member.sensor)) else { return };
    text.str(sensor.id);
    let has_sensor = |report: &Report<'_>| report.members.iter().any(|other| other.sensor == member.sensor);
    if config.reports.iter().filter(has_sensor).count() > 1
        && let Some(reading) = sensor.driver.info().readings.get(usize::from(member.reading))
    {
        text.str(".");
        text.str(reading.name);
    }
}
