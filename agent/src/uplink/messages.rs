//! What a node says of itself: birth, health, statistics, and answers to requests. Flat JSON, as `interfaces` of the
//! documentation lists it.

use core::net::Ipv4Addr;

use dunlin_config_format::config::{Config, Report};
use dunlin_config_format::topic::STATISTICS;
use embassy_time::Instant;
use minimq::ToPayload;

use super::Uplink;
use super::request::Request;
use crate::node::{Asker, Shared};
use crate::payload::{self, Record};
use crate::platform::ResetCause;
use crate::sensor::Readings;
use crate::text::{Overflow, Text};

/// A message, rendered straight into its packet.
pub(super) enum Message<'m> {
    /// Text as it is.
    Text(&'m str),
    /// A record and its report.
    Record(&'m Record, &'m Report<'m>),
    /// The birth message.
    Birth(Option<Ipv4Addr>),
    /// Statistics.
    Stats,
    /// The answer to a request.
    Reply(&'m Request),
}

/// A message and what it is rendered from.
pub(super) struct Rendered<'u, 'c, 'm> {
    pub(super) uplink: &'u Uplink<'c>,
    pub(super) message: Message<'m>,
}

impl ToPayload for Rendered<'_, '_, '_> {
    type Error = Overflow;

    fn serialize(self, buffer: &mut [u8]) -> Result<usize, Overflow> {
        let Uplink { config, shared, .. } = self.uplink;
        let mut text = Text::new(buffer);
        match self.message {
            Message::Text(string) => text.str(string),
            Message::Record(record, report) => {
                let snapshots = shared.snapshots.borrow();
                let values = snapshots.values(record).ok_or(Overflow)?;
                payload::render(&mut text, config, report, record, values);
            }
            Message::Birth(address) => birth(&mut text, config, shared, address),
            Message::Stats => stats(&mut text, shared, Instant::now()),
            Message::Reply(request) => request.answer(&mut text, self.uplink),
        }
        text.finish()
    }
}

/// Version of the JSON of birth messages.
const SCHEMA: u32 = 1;

/// Writes the birth message: who the node is and what it runs.
pub(crate) fn birth(text: &mut Text<'_>, config: &Config<'_>, shared: &Shared, address: Option<Ipv4Addr>) {
    let running = shared.running.get();
    text.object(|object| {
        object.integer("schema", SCHEMA);
        object.string("device", config.device.name);
        object.string("label", config.device.label.unwrap_or(config.device.name));
        object.hex("chip", &shared.boot.chip_id.to_be_bytes());
        object.string("firmware", env!("CARGO_PKG_VERSION"));
        object.hex("hash", &running.hash);
        object.integer("generation", running.generation);
        object.string("state", if running.confirmed { "confirmed" } else { "trial" });
        object.key("vouched").str(if running.vouched { "true" } else { "false" });
        object.integer("boot", shared.boot.id);
        object.string("reset", reset_name(shared.boot.cause));
        if let Some(crash) = shared.boot.crash {
            let text = object.key("crash");
            // No name of a source file has anything to escape.
            text.str("\"");
            crash.render(text);
            text.str("\"");
        }
        match running.rolled_back {
            None => object.null("rollback"),
            Some((generation, reason)) => object.key("rollback").object(|rollback| {
                rollback.integer("generation", generation);
                rollback.string("reason", reason.map_or("unknown", |reason| reason.name()));
            }),
        }
        object.string("link", "usb");
        match address {
            None => object.null("address"),
            Some(address) => {
                let text = object.key("address");
                text.str("\"");
                for (index, octet) in address.octets().into_iter().enumerate() {
                    text.str(if index > 0 { "." } else { "" });
                    text.integer(octet.into());
                }
                text.str("\"");
            }
        }
        object.strings("sensors", config.sensors.iter().map(|sensor| sensor.id));
    });
}

/// Writes the statistics since start.
pub(crate) fn stats(text: &mut Text<'_>, shared: &Shared, now: Instant) {
    let counters = &shared.counters;
    let outbox = shared.outbox.borrow();
    let samples = shared.samples.get();
    let [uptime, others @ ..] = STATISTICS;
    let values: [u32; 10] = [
        counters.published.get(),
        counters.refused.get(),
        outbox.dropped(),
        counters.connections.get(),
        counters.dead_links.get(),
        counters.unanswered.get(),
        samples.faults,
        samples.lateness.missed,
        samples.lateness.p99_ms(),
        samples.lateness.longest_ms,
    ];
    text.object(|object| {
        object.key(uptime).thousandths(shared.boot.uptime_ms(now));
        for (name, value) in others.into_iter().zip(values) {
            object.integer(name, value);
        }
    });
}

/// Returns the name of a reset cause in JSON.
pub(crate) fn reset_name(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power-on",
        ResetCause::External => "external",
        ResetCause::Software => "software",
        ResetCause::Watchdog => "watchdog",
        ResetCause::Panic => "panic",
    }
}

/// Writes the answer to a `read` request: the filtered values, null where a filter withholds one, and the raw ones below `raw`.
pub(super) fn measured(text: &mut Text<'_>, config: &Config<'_>, shared: &Shared, index: u8) {
    let sensor = config.sensors.get(usize::from(index));
    let (Some(sensor), Some(measured)) = (sensor, shared.measurement.done(Asker::Mqtt)) else {
        return text.object(|object| object.string("error", "not-measured"));
    };
    let values = |object: &mut crate::text::Object<'_, '_>, values: &Readings| {
        for ((reading, value), raw) in sensor.driver.info().readings.iter().zip(values).zip(&measured.raw) {
            if raw.is_finite() {
                object.float(reading.name, Some(*value));
            }
        }
    };
    text.object(|object| {
        object.string("sensor", sensor.id);
        object.string("health", measured.health.name());
        values(object, &measured.filtered);
        object.key("raw").object(|raw| values(raw, &measured.raw));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Boot, Running};
    use crate::platform::Crash;
    use dunlin_config_format::Reason;
    use dunlin_config_format::config::{Device, Link, List, Mqtt, Sensor};
    use dunlin_config_format::driver::Driver;
    use dunlin_config_format::limits::{IDENTIFIER_LEN, LABEL_LEN, PREFIX_LEN, SENSORS};
    use dunlin_config_format::topic::Topics;

    extern crate std;

    #[test]
    fn the_longest_birth_fits_where_packets_wait() {
        let name = core::str::from_utf8(&[b'n'; IDENTIFIER_LEN]).unwrap();
        let sensor = Sensor {
            id: name,
            label: None,
            driver: Driver::Internal,
            bus: None,
            address: None,
            period_ms: 2000,
            options: List::default(),
            readings: List::default(),
        };
        let sensors = [sensor; SENSORS];
        // Each is escaped.
        let label = core::str::from_utf8(&[b'"'; LABEL_LEN]).unwrap();
        let config = Config {
            device: Device { name, label: Some(label) },
            mqtt: Mqtt {
                prefix: Some(core::str::from_utf8(&[b'p'; PREFIX_LEN]).unwrap()),
                ..Mqtt::at("broker")
            },
            link: Link::default(),
            i2c: List::default(),
            sensors: List::new(&sensors),
            reports: List::default(),
        };
        // Longer than any path of this program.
        let file = core::str::from_utf8(&[b'f'; 100]).unwrap();
        let crash = Some(Crash::Panic { file, line: u32::MAX });
        let boot =
            Boot { id: u32::MAX, chip_id: u32::MAX, cause: ResetCause::PowerOn, crash, at: Instant::MIN };
        let reason = Reason::ALL.into_iter().max_by_key(|reason| reason.name().len());
        let shared = Shared::new(boot);
        shared.running.set(Running {
            generation: u32::MAX,
            confirmed: true,
            rolled_back: Some((u32::MAX, reason)),
            ..Running::default()
        });
        let mut buffer = [0; super::super::SEND_SIZE];
        let mut text = Text::new(&mut buffer);
        birth(&mut text, &config, &shared, Some(Ipv4Addr::new(255, 255, 255, 255)));
        let len = text.finish().unwrap();
        let topic = Topics::new(&config).info();
        // MQTT 5, section 3.3: type, remaining length, length of the topic, packet identifier, properties.
        let packet = 1 + 4 + 2 + topic.len() + 2 + 1 + len;
        assert!(packet <= super::super::SEND_SIZE, "{packet}");
    }
}
