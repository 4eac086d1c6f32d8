//! What a configuration needs of a device, of its buses, and of the network.

use dunlin_config_format::config::{Config, Filter, List, Member, Payload, QoS, Report};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::flash_map::SECTOR_SIZE;
use dunlin_config_format::image::{HEADER_SIZE, Image};
use dunlin_config_format::limits::{BODY_SIZE, FILTER_WORDS, PAYLOAD_LEN, SENSORS, TOPIC_LEN, VALUE_LEN};
use dunlin_config_format::topic::{STATISTICS, Topics};
use serde_json::json;

const DAY_MS: u64 = 86_400_000;
/// Most bytes that a PUBLISH packet has beside topic and payload (MQTT 5, section 3.3): type, length, the topic's length,
/// identifier, no properties.
const FRAME_LEN: usize = 1 + 4 + 2 + 2 + 1;
/// Bytes that a word of filter memory takes.
const WORD_SIZE: usize = 4;
/// Bytes of a number in the node's own messages, at most: that of an unsigned 32-bit integer, or seconds with decimals.
const NUMBER_LEN: usize = 14;
/// Bytes of a birth message without the names in it, at most: about 300, and more than twice that with a crash and a rollback.
const BIRTH_LEN: usize = 620;
/// Bytes of the longest health, `stuck-bus` or `saturated`.
const HEALTH_LEN: usize = 9;

/// What a configuration needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Bytes of the image.
    pub image_len: usize,
    /// Bytes of its body, which the device keeps.
    pub body_len: usize,
    /// Words that the filters keep.
    pub filter_words: usize,
    /// Bytes that the sensors' drivers keep.
    pub driver_len: usize,
    /// Bytes of the longest PUBLISH packet of a report, and its topic; none without reports.
    pub worst_packet: Option<(usize, String)>,
    /// Messages on the first day, the node's own as well.
    pub messages: u64,
    /// Whether filters may hold some of them back.
    pub is_upper_bound: bool,
    /// Bytes of their packets, if every value is as long as it can be.
    pub bytes: u64,
    /// Identifier of each bus, and the part of a second that it is busy, at most.
    pub buses: Vec<(String, f64)>,
    /// Sectors that a push erases, and one more where it brings a new secret.
    pub erases: u32,
    /// Whether there is a secret.
    pub has_secret: bool,
}

/// Memory of the drivers of all sensors that a device holds, in bytes.
fn drivers_len() -> usize {
    SENSORS * Driver::ALL.iter().map(|driver| driver.info().memory_size).max().unwrap_or(0)
}

impl Budget {
    /// Returns what an image needs; none where it is not valid.
    pub fn of(image: &[u8]) -> Option<Budget> {
        let parsed = Image::parse(image).ok()?;
        let config = Config::decode(parsed.body).ok()?;
        let topics = Topics::new(&config);
        let packets: Vec<(u64, usize, String)> = config
            .reports
            .iter()
            .map(|report| {
                let topic = topics.report(&report);
                let len = packet_len(&topic, payload_len(&config, &report), report.qos);
                (per_day(&config, &report), len, topic.as_str().to_owned())
            })
            .collect();
        let own = own_packets(&config, &topics);
        let sent = || packets.iter().map(|(count, len, _)| (*count, *len)).chain(own.iter().copied());
        let worst = packets.iter().max_by_key(|(_, len, _)| *len);
        Some(Budget {
            image_len: image.len(),
            body_len: image.len().saturating_sub(HEADER_SIZE),
            filter_words: config.filter_words(),
            driver_len: config.sensors.iter().map(|sensor| sensor.driver.info().memory_size).sum(),
            worst_packet: worst.map(|(_, len, topic)| (*len, topic.clone())),
            messages: sent().map(|(count, _)| count).sum(),
            is_upper_bound: config.reports.iter().any(|report| can_be_silent(&config, &report)),
            bytes: sent().map(|(count, len)| count * len as u64).sum(),
            buses: busy(&config),
            erases: u32::try_from(image.len()).unwrap_or(u32::MAX).div_ceil(SECTOR_SIZE) + 1,
            has_secret: config.mqtt.has_password,
        })
    }

    /// Bytes that the device keeps because of the configuration.
    pub fn ram(&self) -> usize {
        self.body_len + self.filter_words * WORD_SIZE + self.driver_len
    }

    /// Bytes that a device has for that.
    pub fn ram_limit() -> usize {
        BODY_SIZE + FILTER_WORDS * WORD_SIZE + drivers_len()
    }

    /// Bytes of the longest packet that a report can have.
    pub const PACKET_LIMIT: usize = PAYLOAD_LEN + TOPIC_LEN + FRAME_LEN;

    /// Returns it for people: a name and a value a line.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let (body, words, drivers) = (self.body_len, self.filter_words, self.driver_len);
        let (filters, filter_limit) = (words * WORD_SIZE, FILTER_WORDS * WORD_SIZE);
        let mut lines = vec![
            ("image", format!("{} bytes", self.image_len)),
            (
                "RAM",
                format!(
                    "{} of {} bytes (body {body} of {BODY_SIZE}, filters {filters} of {filter_limit}, drivers {drivers} of {})",
                    self.ram(),
                    Self::ram_limit(),
                    drivers_len()
                ),
            ),
        ];
        if let Some((len, topic)) = &self.worst_packet {
            lines.push(("worst packet", format!("{len} of {} bytes, to `{topic}`", Self::PACKET_LIMIT)));
        }
        let at_most = if self.is_upper_bound { "at most " } else { "" };
        let megabytes = self.bytes as f64 / 1e6;
        lines.push((
            "messages",
            format!("{at_most}{} a day, at most {megabytes:.1} MB with topics and headers", self.messages),
        ));
        let secret =
            if self.has_secret { format!(" ({} with a new secret)", self.erases + 1) } else { String::new() };
        lines.push(("flash wear", format!("{} erases a push{secret}, none in between", self.erases)));
        for (id, share) in &self.buses {
            lines.push(("bus", format!("`{id}` is busy for {:.2} % of the time at most", share * 100.0)));
        }
        lines
    }

    /// Returns it for programs: sizes in bytes, of buses the part of a second.
    pub fn json(&self) -> serde_json::Value {
        let buses: Vec<_> =
            self.buses.iter().map(|(id, share)| json!({ "id": id, "busy-share": share })).collect();
        let worst = self.worst_packet.as_ref();
        json!({
            "image": self.image_len,
            "ram": {
                "size": self.ram(),
                "limit": Self::ram_limit(),
                "body": { "size": self.body_len, "limit": BODY_SIZE },
                "filters": { "size": self.filter_words * WORD_SIZE, "limit": FILTER_WORDS * WORD_SIZE },
                "drivers": { "size": self.driver_len, "limit": drivers_len() },
            },
            "worst-packet": worst.map(|(len, topic)| {
                json!({ "size": len, "limit": Self::PACKET_LIMIT, "topic": topic })
            }),
            "messages-a-day": { "count": self.messages, "is-upper-bound": self.is_upper_bound },
            "bytes-a-day": { "size": self.bytes, "is-upper-bound": true },
            "erases-a-push": { "count": self.erases, "with-new-secret": self.erases + u32::from(self.has_secret) },
            "buses": buses,
        })
    }
}

/// Returns the budget of an image for people: a name and a value a line; nothing where the image is not valid.
pub fn budget(image: &[u8]) -> Vec<(&'static str, String)> {
    Budget::of(image).map(|budget| budget.lines()).unwrap_or_default()
}

/// Returns each bus, and the part of a second that it is busy if no sample is repeated.
pub(super) fn busy(config: &Config<'_>) -> Vec<(String, f64)> {
    let of_bus = |(index, bus): (usize, dunlin_config_format::config::I2cBus<'_>)| {
        let sensors = config.sensors.iter().filter(|sensor| sensor.bus.map(usize::from) == Some(index));
        // Nine bit times a byte: eight bits and the acknowledgement (UM10204, section 3.1.5).
        let share = sensors.map(|sensor| {
            let bits = f64::from(sensor.driver.info().bus_bytes) * 9.0;
            bits / f64::from(bus.frequency_hz.0) / (f64::from(sensor.period_ms) / 1000.0)
        });
        // A sum of no floats is -0.
        (bus.id.to_owned(), share.fold(0.0, |sum, each| sum + each))
    };
    config.i2c.iter().enumerate().map(of_bus).collect()
}

/// Bytes of a PUBLISH packet (MQTT 5, sections 2.1.4 and 3.3).
fn packet_len(topic: &str, payload_len: usize, qos: QoS) -> usize {
    let identifier = if qos == QoS::AtMostOnce { 0 } else { 2 };
    let rest = 2 + topic.len() + identifier + 1 + payload_len;
    let length_len = match rest {
        ..128 => 1,
        128..16_384 => 2,
        _ => 3,
    };
    1 + length_len + rest
}

/// The node's own messages on the day of a push: how many, and how long their packets are.
fn own_packets(config: &Config<'_>, topics: &Topics<'_>) -> Vec<(u64, usize)> {
    let confirmed = |topic: &str, payload_len| packet_len(topic, payload_len, QoS::AtLeastOnce);
    let label = config.device.label.unwrap_or(config.device.name);
    let names: usize = config.sensors.iter().map(|sensor| sensor.id.len() + 3).sum();
    let birth = BIRTH_LEN + config.device.name.len() + 2 * label.len() + names;
    let numbers: usize = STATISTICS.iter().map(|name| name.len() + 4 + NUMBER_LEN).sum();
    let mut own = vec![
        (1, confirmed(&topics.status(), "online".len())),
        // On trial, and confirmed.
        (2, confirmed(&topics.info(), birth)),
    ];
    own.extend(config.sensors.iter().map(|sensor| (1, confirmed(&topics.health(sensor.id), HEALTH_LEN))));
    if let Some(each) = (DAY_MS - 1).checked_div(u64::from(config.mqtt.stats_every_s.0) * 1000) {
        own.push((each, packet_len(&topics.stats(), numbers + 1, QoS::AtMostOnce)));
    }
    own
}

/// Messages on the first day, if filters hold back no more than they must.
fn per_day(config: &Config<'_>, report: &Report<'_>) -> u64 {
    let in_a_day = |ms: u64| DAY_MS.div_ceil(ms.max(1));
    if let Some(every_ms) = report.every_ms {
        return in_a_day(every_ms.into());
    }
    let first = report.members.get(0).and_then(|member| config.sensors.get(usize::from(member.sensor)));
    let Some(period_ms) = first.map(|sensor| u64::from(sensor.period_ms)) else { return 0 };
    let of_member = |member: Member| {
        let sensor = config.sensors.get(usize::from(member.sensor));
        let own = sensor.map(|sensor| sensor.filters(member.reading)).unwrap_or_default();
        in_a_day(shortest_ms(period_ms, own.iter().chain(report.filters.iter())))
    };
    // Any of them makes a message, and all of them together at most one for each sample.
    report.members.iter().map(of_member).sum::<u64>().min(in_a_day(period_ms))
}

/// Returns the shortest time between two values that pass a chain, where one comes each `period_ms`.
fn shortest_ms(period_ms: u64, chain: impl Iterator<Item = Filter>) -> u64 {
    // A filter passes values when they come.
    let up = |ms: u32| u64::from(ms).next_multiple_of(period_ms.max(1));
    chain.fold(period_ms, |shortest, filter| match filter {
        Filter::Throttle { every_ms } | Filter::MeanEvery { every_ms } => shortest.max(up(every_ms)),
        Filter::Heartbeat { every_ms } => shortest.min(up(every_ms)),
        _ => shortest,
    })
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

/// Returns whether filters may hold messages of a report back. One with `every` sends the newest values again.
fn can_be_silent(config: &Config<'_>, report: &Report<'_>) -> bool {
    let can = |filters: List<'_, Filter>| filters.iter().any(|filter| filter.can_silence());
    let chains = |member: Member| {
        let sensor = config.sensors.get(usize::from(member.sensor));
        sensor.is_some_and(|sensor| can(sensor.filters(member.reading))) || can(report.filters)
    };
    report.every_ms.is_none() && report.members.iter().all(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_the_standard_says() {
        // Type and length; the topic with its length; the identifier; no properties; the payload.
        assert_eq!(packet_len("a", 4, QoS::AtMostOnce), 2 + 3 + 1 + 4);
        assert_eq!(packet_len("a", 4, QoS::AtLeastOnce), 2 + 3 + 2 + 1 + 4);
        assert_eq!(packet_len("a", 123, QoS::AtMostOnce), 2 + 127);
        assert_eq!(packet_len("a", 124, QoS::AtMostOnce), 3 + 128);
    }

    #[test]
    fn a_chain_passes_no_more_than_its_slowest_filter_and_no_less_than_its_heartbeat() {
        let shortest = |chain: &[Filter]| shortest_ms(2000, chain.iter().copied());
        assert_eq!(shortest(&[]), 2000);
        assert_eq!(shortest(&[Filter::Throttle { every_ms: 5000 }]), 6000);
        assert_eq!(shortest(&[Filter::MeanEvery { every_ms: 60_000 }]), 60_000);
        assert_eq!(shortest(&[Filter::Delta { change: 1.0 }, Filter::Heartbeat { every_ms: 9000 }]), 2000);
        let beaten = [Filter::Throttle { every_ms: 60_000 }, Filter::Heartbeat { every_ms: 10_000 }];
        assert_eq!(shortest(&beaten), 10_000);
    }
}
