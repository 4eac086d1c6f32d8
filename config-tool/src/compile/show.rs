//! From an image back to a file: every key written out, defaults as well.
//!
//! Compiling what [`show`] writes gives the image again, to the byte. Comments, variables and placeholders are gone: an
//! image does not have them.

use std::fmt::Write;
use std::net::Ipv4Addr;

use dunlin_config_format::config::{Config, Filter, I2cBus, Or, Payload, QoS, Report, Sensor};
use dunlin_config_format::driver::OptionValues;
use dunlin_config_format::image::Image;

use super::placeholder::escaped;
use super::value::shown_ms;
use super::{SecretSource, Source, compile};

/// The file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its text.
    pub text: String,
    /// Whether compiling the text gives the image again. It does for every image that this version compiled; another's
    /// may hold what a file cannot say.
    pub is_exact: bool,
}

/// Writes the file of an image.
///
/// # Errors
/// Why the bytes are no image that this version reads.
pub fn show(image: &[u8]) -> Result<Shown, String> {
    show_with(image, None)
}

/// Writes the file of an image whose password comes from `source`, where that is known.
///
/// # Errors
/// As [`show`].
pub fn show_with(image: &[u8], source: Option<&SecretSource>) -> Result<Shown, String> {
    let parsed = Image::parse(image).map_err(|error| format!("not an image: {error:?}"))?;
    let config = Config::decode(parsed.body)
        .map_err(|error| format!("an image that this version of dunlin can't read: {error:?}"))?;
    let text = file(&config, source);
    let compiled = compile(&Source { name: String::new(), text: text.clone() });
    let is_exact = compiled.image.is_some_and(|again| {
        Image::parse(&again).is_ok_and(|again| (again.body, again.assets) == (parsed.body, parsed.assets))
    });
    Ok(Shown { text, is_exact })
}

fn file(config: &Config<'_>, source: Option<&SecretSource>) -> String {
    let mut out = String::new();
    device(&mut out, config);
    mqtt(&mut out, config, source);
    link(&mut out, config);
    for bus in config.i2c.iter() {
        table(&mut out, &format!("i2c.{}", bus.id));
        line(&mut out, "sda", bus.sda);
        line(&mut out, "scl", bus.scl);
        line(&mut out, "frequency", frequency(&bus));
    }
    for (index, each) in config.sensors.iter().enumerate() {
        sensor(&mut out, config, index, &each);
    }
    for each in config.reports.iter().filter(|report| report.id.is_some()) {
        report(&mut out, config, &each);
    }
    out
}

fn table(out: &mut String, name: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "[{name}]");
}

fn line(out: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{key} = {value}");
}

/// Writes a text in quotation marks.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Writes a text in which placeholders would be replaced: no brace of it is one.
fn optional(out: &mut String, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        line(out, key, quoted(&escaped(text)));
    }
}

fn seconds<const DEFAULT: u32>(value: Or<DEFAULT>) -> String {
    shown_ms(u64::from(value.0) * 1000)
}

fn device(out: &mut String, config: &Config<'_>) {
    table(out, "device");
    line(out, "name", quoted(config.device.name));
    optional(out, "label", config.device.label);
}

fn mqtt(out: &mut String, config: &Config<'_>, source: Option<&SecretSource>) {
    let mqtt = &config.mqtt;
    table(out, "mqtt");
    optional(out, "broker", Some(&format!("{}:{}", mqtt.host, mqtt.port.0)));
    optional(out, "client-id", mqtt.client_identifier);
    optional(out, "username", mqtt.username);
    if mqtt.has_password {
        password(out, config.device.name, source);
    }
    line(out, "keep-alive", seconds(mqtt.keep_alive_s));
    optional(out, "prefix", Some(mqtt.prefix()));
    line(out, "confirm-within", seconds(mqtt.confirm_within_s));
    match mqtt.stats_every_s.0 {
        0 => line(out, "stats", false),
        _ => line(out, "stats", seconds(mqtt.stats_every_s)),
    }
}

/// Writes where the password comes from. An image does not know: a variable that has the device's name in its own is no other
/// device's.
fn password(out: &mut String, device: &str, source: Option<&SecretSource>) {
    let (key, place) = match source {
        Some(SecretSource::Env(name)) => ("env", name.clone()),
        Some(SecretSource::File(path)) => ("file", path.clone()),
        Some(SecretSource::Plain(_)) | None => {
            let name = format!("MQTT_PASSWORD_{}", device.to_uppercase().replace('-', "_"));
            let _ =
                writeln!(out, "# An image holds no password: `export {name}=…` before this file is pushed.");
            ("env", name)
        }
    };
    line(out, "password", format!("{{ {key} = {} }}", quoted(&place)));
}

fn link(out: &mut String, config: &Config<'_>) {
    table(out, "usb");
    let Some(address) = config.link.address else { return };
    let [own, gateway, dns] =
        [Some(address.address), address.gateway, address.dns].map(|ip| ip.map(Ipv4Addr::from));
    if let Some(own) = own {
        line(out, "address", quoted(&format!("{own}/{}", address.prefix_len)));
    }
    for (key, ip) in [("gateway", gateway), ("dns", dns)] {
        if let Some(ip) = ip {
            line(out, key, quoted(&ip.to_string()));
        }
    }
}

fn frequency(bus: &I2cBus<'_>) -> String {
    quoted(&format!("{}kHz", bus.frequency_hz.0 / 1000))
}

fn sensor(out: &mut String, config: &Config<'_>, index: usize, sensor: &Sensor<'_>) {
    let info = sensor.driver.info();
    let name = |number: u8| info.readings.get(usize::from(number)).map_or("?", |reading| reading.name);
    table(out, &format!("sensor.{}", sensor.id));
    line(out, "driver", quoted(info.name));
    optional(out, "bus", config.bus_of(sensor).map(|bus| bus.id));
    if let Some(address) = sensor.address() {
        line(out, "address", format!("0x{address:02x}"));
    }
    line(out, "period", shown_ms(sensor.period_ms.into()));
    optional(out, "label", sensor.label);
    for option in info.options {
        let value = sensor.option(option.key);
        let text = match option.values {
            OptionValues::Names(names) => {
                quoted(names.iter().find(|&&(_, each)| each == value).map_or("?", |&(name, _)| name))
            }
            OptionValues::Duration { .. } => shown_ms(value.into()),
        };
        line(out, option.name, text);
    }
    let own: Vec<Report<'_>> = config
        .reports
        .iter()
        .filter(|report| {
            report.id.is_none() && report.members.iter().all(|member| usize::from(member.sensor) == index)
        })
        .collect();
    let members = own.iter().flat_map(|report| report.members.iter()).map(|member| member.reading);
    let reported: Vec<u8> = members.collect();
    match own.first() {
        None => line(out, "report", false),
        Some(first) => {
            let names: Vec<String> = reported.iter().map(|&number| quoted(name(number))).collect();
            line(out, "readings", format!("[{}]", names.join(", ")));
            let topic = if own.len() == 1 { first.topic.map(escaped) } else { template(&own, &name) };
            shape(out, first, topic.as_deref());
        }
    }
    // The filters of a sensor are those of readings that it reports, and of those that reports name.
    let named = config.reports.iter().filter(|report| report.id.is_some());
    let named = named.flat_map(|report| report.members.iter());
    let mut wanted: Vec<u8> =
        named.filter(|member| usize::from(member.sensor) == index).map(|member| member.reading).collect();
    wanted.extend(&reported);
    wanted.sort_unstable();
    wanted.dedup();
    let numbers: Vec<u8> = sensor.readings.iter().map(|reading| reading.number).collect();
    let all_alike =
        sensor.readings.iter().all(|reading| chain(reading.filters.iter()) == first_chain(sensor));
    if all_alike && numbers == wanted && !reported.is_empty() {
        line(out, "filters", first_chain(sensor));
        return;
    }
    for reading in sensor.readings.iter() {
        table(out, &format!("sensor.{}.reading.{}", sensor.id, name(reading.number)));
        line(out, "filters", chain(reading.filters.iter()));
    }
}

fn first_chain(sensor: &Sensor<'_>) -> String {
    sensor.readings.get(0).map(|reading| chain(reading.filters.iter())).unwrap_or_default()
}

/// Returns the topic whose `{reading}` gives the topics of single readings.
fn template<'c>(reports: &[Report<'c>], name: &dyn Fn(u8) -> &'static str) -> Option<String> {
    let with_name = |report: &Report<'c>| Some((report.topic?, name(report.members.get(0)?.reading)));
    let pairs: Vec<(&str, &str)> = reports.iter().map(with_name).collect::<Option<_>>()?;
    let &(topic, reading) = pairs.first()?;
    // The reading's name may be part of the topic by chance: the places that make all topics right are the ones.
    let pieces: Vec<&str> = topic.split(reading).collect();
    let places = pieces.len().saturating_sub(1).min(16);
    let joined = |pieces: &[&str], chosen: u32, placeholder: &str| {
        let part = |(index, piece): (usize, &&str)| {
            let before = match index.checked_sub(1) {
                None => "",
                Some(place) if chosen & 1 << place.min(31) != 0 => placeholder,
                Some(_) => reading,
            };
            format!("{before}{piece}")
        };
        pieces.iter().enumerate().map(part).collect::<String>()
    };
    let chosen = (1_u32..1 << places)
        .find(|&chosen| pairs.iter().all(|(topic, name)| joined(&pieces, chosen, name) == *topic))?;
    let escaped: Vec<String> = pieces.iter().map(|piece| escaped(piece)).collect();
    let escaped: Vec<&str> = escaped.iter().map(String::as_str).collect();
    Some(joined(&escaped, chosen, "{reading}"))
}

/// Writes how the messages of a report look; `topic` may have placeholders.
fn shape(out: &mut String, report: &Report<'_>, topic: Option<&str>) {
    if let Some(topic) = topic {
        line(out, "topic", quoted(topic));
    }
    let qos = match report.qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    };
    line(out, "qos", qos);
    line(out, "retain", report.retain);
    let payload = Payload::NAMES.iter().find(|(payload, _)| *payload == report.payload);
    line(out, "payload", quoted(payload.map_or("?", |(_, name)| name)));
}

fn report(out: &mut String, config: &Config<'_>, report: &Report<'_>) {
    let Some(id) = report.id else { return };
    table(out, &format!("report.{id}"));
    let member = |member: dunlin_config_format::config::Member| {
        let sensor = config.sensors.get(usize::from(member.sensor))?;
        let reading = sensor.driver.info().readings.get(usize::from(member.reading))?;
        Some(quoted(&format!("{}.{}", sensor.id, reading.name)))
    };
    let members: Vec<String> = report.members.iter().filter_map(member).collect();
    line(out, "of", format!("[{}]", members.join(", ")));
    if let Some(every_ms) = report.every_ms {
        line(out, "every", shown_ms(every_ms.into()));
    }
    shape(out, report, report.topic.map(escaped).as_deref());
    if !report.filters.is_empty() {
        line(out, "filters", chain(report.filters.iter()));
    }
}

fn chain(filters: impl Iterator<Item = Filter>) -> String {
    format!("[{}]", filters.map(filter).collect::<Vec<_>>().join(", "))
}

/// Writes a filter. A number has as many digits as it takes to read the same 32-bit value back.
fn filter(filter: Filter) -> String {
    let ms = |ms: u32| shown_ms(ms.into());
    match filter {
        Filter::Median { window } => format!("{{ median = {window} }}"),
        Filter::Mean { window } => format!("{{ mean = {window} }}"),
        Filter::MeanEvery { every_ms } => format!("{{ mean = {{ every = {} }} }}", ms(every_ms)),
        Filter::Delta { change } => format!("{{ delta = {change:?} }}"),
        Filter::DeltaPercent { percent } => format!("{{ delta = \"{percent:?}%\" }}"),
        Filter::Throttle { every_ms } => format!("{{ throttle = {} }}", ms(every_ms)),
        Filter::Heartbeat { every_ms } => format!("{{ heartbeat = {} }}", ms(every_ms)),
        Filter::Round { decimals } => format!("{{ round = {decimals} }}"),
        Filter::Calibrate { slope, offset } => {
            format!("{{ calibrate = {{ slope = {slope:?}, offset = {offset:?} }} }}")
        }
        Filter::Clamp { min, max } => format!("{{ clamp = {{ min = {min:?}, max = {max:?} }} }}"),
    }
}
