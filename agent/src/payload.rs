//! The payloads of reports: `json`, `plain` and `thingflow`, rendered from a record when its packet is written.

use dunlin_config_format::config::{Config, Member, Payload, Report};

use crate::text::Text;

/// A message that waits to be rendered: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record {
    seq: u32,
    /// The value of a report of one reading.
    value: f32,
    /// Milliseconds since start, 48 bits of them: for 8,900 years.
    at_ms: [u16; 3],
    report: u8,
    /// Place in the table of snapshots, or [`ONE`].
    snapshot: u8,
}

/// The record has its value in itself.
const ONE: u8 = u8::MAX;

const _: () = assert!(size_of::<Record>() == 16);

/// The values of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'r> {
    /// The value of a report of one reading.
    One(&'r f32),
    /// A place in the table of snapshots.
    Snapshot(u8),
}

impl Record {
    /// Returns the record of a message of one value. `at_ms` is when it was taken, in milliseconds since start; `seq` counts
    /// the messages of its report, from 0.
    pub fn of_value(report: u8, seq: u32, at_ms: u64, value: f32) -> Self {
        Record { seq, value, at_ms: [0, 16, 32].map(|shift| (at_ms >> shift) as u16), report, snapshot: ONE }
    }

    /// Returns the record of a message of several values, which are in a table of snapshots.
    pub fn of_snapshot(report: u8, seq: u32, at_ms: u64, snapshot: u8) -> Self {
        Record { snapshot, ..Record::of_value(report, seq, at_ms, f32::NAN) }
    }

    /// Returns the index of its report.
    pub fn report(&self) -> u8 {
        self.report
    }

    /// Returns its count.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Returns when its values were taken, in milliseconds since start.
    pub fn at_ms(&self) -> u64 {
        self.at_ms.iter().rev().fold(0, |ms, part| ms << 16 | u64::from(*part))
    }

    /// Returns its values.
    pub fn values(&self) -> Values<'_> {
        if self.snapshot == ONE { Values::One(&self.value) } else { Values::Snapshot(self.snapshot) }
    }
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
            text.integer(record.at_ms() / 1000);
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
        object.integer("seq", record.seq());
        // The node's own reading has the name already, and means the same.
        if !has_uptime {
            object.key("uptime").thousandths(record.at_ms());
        }
    });
}

/// The identifier of ThingFlow's event: the sensor's where one report has it, else `sensor.reading`.
fn thingflow_id(text: &mut Text<'_>, config: &Config<'_>, member: Member) {
    let Some(sensor) = config.sensors.get(usize::from(member.sensor)) else { return };
    text.str(sensor.id);
    let has_sensor = |report: &Report<'_>| report.members.iter().any(|other| other.sensor == member.sensor);
    if config.reports.len() > 1
        && config.reports.iter().filter(has_sensor).nth(1).is_some()
        && let Some(reading) = sensor.driver.info().readings.get(usize::from(member.reading))
    {
        text.str(".");
        text.str(reading.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_config_format::config::{Device, Link, List, Mqtt, QoS, Sensor};
    use dunlin_config_format::driver::{Driver, internal, tsl2591};
    use std::string::{String, ToString};

    extern crate std;

    const LIGHT: Sensor<'_> = Sensor {
        id: "light",
        label: None,
        driver: Driver::Tsl2591,
        bus: Some(0),
        address: None,
        period_ms: 2_000,
        options: List::new(&[]),
        readings: List::new(&[]),
    };
    const NODE: Sensor<'_> = Sensor { id: "node", driver: Driver::Internal, bus: None, ..LIGHT };
    const LUX: Member = Member { sensor: 0, reading: tsl2591::ILLUMINANCE };
    const INFRARED: Member = Member { sensor: 0, reading: tsl2591::INFRARED };
    const UPTIME: Member = Member { sensor: 1, reading: internal::UPTIME };

    /// Renders a message of `members`, in a configuration with another report of the first one.
    fn rendered(payload: Payload, members: &[Member], values: &[f32], has_other: bool) -> String {
        let report = Report {
            id: None,
            topic: None,
            qos: QoS::AtMostOnce,
            retain: false,
            payload,
            members: List::new(members),
            every_ms: None,
            filters: List::default(),
        };
        let (reports, sensors) = ([report, report], [LIGHT, NODE]);
        let config = Config {
            device: Device { name: "esp8266", label: None },
            mqtt: Mqtt::at("broker"),
            link: Link::default(),
            i2c: List::default(),
            sensors: List::new(&sensors),
            reports: List::new(if has_other { &reports } else { &reports[..1] }),
        };
        let mut buffer = [0xa5; 200];
        let mut text = Text::new(&mut buffer);
        render(&mut text, &config, &report, &Record::of_value(0, 312, 624_050, 0.0), values);
        let len = text.finish().unwrap();
        core::str::from_utf8(&buffer[..len]).unwrap().to_string()
    }

    #[test]
    fn readings_of_one_sensor_have_their_names() {
        let text = rendered(Payload::Json, &[LUX, INFRARED], &[284.1312, f32::NAN], false);
        assert_eq!(text, r#"{"illuminance":284.1312,"infrared":null,"seq":312,"uptime":624.05}"#);
    }

    #[test]
    fn readings_of_several_sensors_have_the_sensors_before_them() {
        let text = rendered(Payload::Json, &[LUX, UPTIME], &[f32::NAN, 624.0], false);
        assert_eq!(text, r#"{"light.illuminance":null,"node.uptime":624,"seq":312,"uptime":624.05}"#);
    }

    #[test]
    fn uptime_is_there_once() {
        assert_eq!(rendered(Payload::Json, &[UPTIME], &[624.0], false), r#"{"uptime":624,"seq":312}"#);
    }

    #[test]
    fn plain_is_the_value_and_thingflow_tells_reports_of_one_sensor_apart() {
        assert_eq!(rendered(Payload::Plain, &[LUX], &[284.5], false), "284.5");
        assert_eq!(rendered(Payload::ThingFlow, &[LUX], &[284.5], false), r#"["light", 624, 284.5]"#);
        let text = rendered(Payload::ThingFlow, &[LUX], &[284.5], true);
        assert_eq!(text, r#"["light.illuminance", 624, 284.5]"#);
    }

    #[test]
    fn a_record_keeps_what_it_is_given() {
        for at_ms in [0, 1, 0x0001_0000, 0xffff_ffff_ffff] {
            let record = Record::of_value(63, u32::MAX, at_ms, -0.5);
            assert_eq!((record.report(), record.seq(), record.at_ms()), (63, u32::MAX, at_ms));
            assert_eq!(record.values(), Values::One(&-0.5));
            assert_eq!(Record::of_snapshot(63, 7, at_ms, 3).values(), Values::Snapshot(3));
        }
    }
}
