//! What a configuration needs of a device, of a bus, and of the network.

use dunlin_config_format::config::{Config, Filter, Member, Payload, Report};
use dunlin_config_format::image::Image;
use dunlin_config_format::limits::{BODY_SIZE, FILTER_WORDS, PAYLOAD_LEN, VALUE_LEN};

const DAY_S: f64 = 86_400.0;

/// Returns the budget of an image as lines: a name and a value.
pub fn budget(image: &[u8]) -> Vec<(&'static str, String)> {
    let Some(config) = Image::parse(image).ok().and_then(|image| Config::decode(image.body).ok()) else {
        return Vec::new();
    };
    let body = image.len().saturating_sub(dunlin_config_format::image::HEADER_SIZE);
    // A sum of no floats is -0.
    let messages: f64 =
        config.reports.iter().map(|report| per_day(&config, &report)).fold(0.0, |sum, each| sum + each);
    let bytes: f64 = config
        .reports
        .iter()
        .map(|report| per_day(&config, &report) * payload_len(&config, &report) as f64)
        .fold(0.0, |sum, each| sum + each);
    let silenced = config.reports.iter().any(|report| can_be_silent(&config, &report));
    let at_most = if silenced { "at most " } else { "" };
    let worst = config.reports.iter().map(|report| payload_len(&config, &report)).max().unwrap_or(0);
    let mut lines = vec![
        ("image", format!("{} bytes ({body} of {BODY_SIZE} for the body)", image.len())),
        ("filter memory", format!("{} of {FILTER_WORDS} words", config.filter_words())),
        ("worst message", format!("{worst} of {PAYLOAD_LEN} bytes")),
        ("messages", format!("{at_most}{messages:.0} a day, {at_most}{:.1} MB", bytes / 1e6)),
        ("flash wear", "2 to 4 erases a push, none in between".to_owned()),
    ];
    for (index, bus) in config.i2c.iter().enumerate() {
        let on_bus = config.sensors.iter().filter(|sensor| sensor.bus.map(usize::from) == Some(index));
        // Nine bit times a byte: eight bits and the acknowledgement (UM10204, section 3.1.5).
        let busy: f64 = on_bus
            .map(|sensor| {
                let bits = f64::from(sensor.driver.info().bus_bytes) * 9.0;
                bits / f64::from(bus.frequency_hz.0) / (f64::from(sensor.period_ms) / 1000.0)
            })
            .fold(0.0, |sum, each| sum + each);
        lines.push(("bus", format!("`{}` is busy for {:.2} % of the time at most", bus.id, busy * 100.0)));
    }
    lines
}

/// Messages a day, if no filter holds one back.
fn per_day(config: &Config<'_>, report: &Report<'_>) -> f64 {
    let period_ms = report.every_ms.or_else(|| {
        let member = report.members.get(0)?;
        config.sensors.get(usize::from(member.sensor)).map(|sensor| sensor.period_ms)
    });
    period_ms.map_or(0.0, |ms| DAY_S * 1000.0 / f64::from(ms))
}

/// The longest payload that a report can have: its names, and values as long as they get.
fn payload_len(config: &Config<'_>, report: &Report<'_>) -> usize {
    let name_len = |member: Member| {
        let sensor = config.sensors.get(usize::from(member.sensor));
        let reading =
            sensor.and_then(|sensor| sensor.driver.info().readings.get(usize::from(member.reading)));
        (sensor.map_or(0, |sensor| sensor.id.len()), reading.map_or(0, |reading| reading.name.len()))
    };
    let first = report.members.get(0);
    let is_one_sensor =
        report.members.iter().all(|member| first.is_some_and(|first| first.sensor == member.sensor));
    match report.payload {
        Payload::Plain => VALUE_LEN,
        // ["ID", SECONDS, VALUE]
        Payload::ThingFlow => {
            let (sensor, reading) = first.map_or((0, 0), name_len);
            sensor + 1 + reading + VALUE_LEN + 18
        }
        // {"NAME":VALUE,…,"seq":N,"uptime":N}
        Payload::Json => {
            let member_len = |member: Member| {
                let (sensor, reading) = name_len(member);
                reading + if is_one_sensor { 0 } else { sensor + 1 } + 3 + VALUE_LEN + 1
            };
            report.members.iter().map(member_len).sum::<usize>() + 48
        }
    }
}

fn can_be_silent(config: &Config<'_>, report: &Report<'_>) -> bool {
    let of_readings = report.members.iter().any(|member| {
        let sensor = config.sensors.get(usize::from(member.sensor));
        sensor.is_some_and(|sensor| sensor.filters(member.reading).iter().any(|filter| filter.can_silence()))
    });
    of_readings || report.filters.iter().any(|filter: Filter| filter.can_silence())
}
