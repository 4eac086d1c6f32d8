//! The topics of a node.

use heapless::String;

use crate::config::{Config, Report};
use crate::limits::{IDENTIFIER_LEN, PREFIX_LEN, TOPIC_LEN};

/// Names in a message of statistics, in their order: the first is in seconds with decimals, the others are counts or
/// milliseconds.
pub const STATISTICS: [&str; 11] = [
    "uptime",
    "published",
    "refused",
    "dropped",
    "connections",
    "dead-links",
    "unanswered",
    "faults",
    "missed",
    "lateness-p99-ms",
    "lateness-max-ms",
];

/// A topic name.
pub type Topic = String<TOPIC_LEN>;

// The longest topic that a node chooses: prefix, device, the longest word, an identifier, and the separators.
const _: () =
    assert!(PREFIX_LEN + 1 + IDENTIFIER_LEN + 1 + "reading".len() + 1 + IDENTIFIER_LEN <= TOPIC_LEN);

/// The topics of the node that a configuration describes.
#[derive(Clone, Copy, Debug)]
pub struct Topics<'a> {
    config: &'a Config<'a>,
}

impl<'a> Topics<'a> {
    /// Returns the topics of `config`.
    pub fn new(config: &'a Config<'a>) -> Self {
        Topics { config }
    }

    /// `PREFIX/DEVICE/status`: `online` or `offline`, retained; also the will.
    pub fn status(&self) -> Topic {
        self.own(&["status"])
    }

    /// `PREFIX/DEVICE/info`: the birth message, retained.
    pub fn info(&self) -> Topic {
        self.own(&["info"])
    }

    /// `PREFIX/DEVICE/stats`.
    pub fn stats(&self) -> Topic {
        self.own(&["stats"])
    }

    /// `PREFIX/DEVICE/health/SENSOR`, retained.
    pub fn health(&self, sensor: &str) -> Topic {
        self.own(&["health", sensor])
    }

    /// `PREFIX/DEVICE/reply`: answers to requests without a response topic.
    pub fn reply(&self) -> Topic {
        self.own(&["reply"])
    }

    /// `PREFIX/DEVICE/request/+`: the filter of requests to this node.
    pub fn requests(&self) -> Topic {
        self.own(&["request", "+"])
    }

    /// Returns the request that `topic` names, where it is a topic of requests to this node.
    pub fn request_name<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let filter = self.requests();
        topic.strip_prefix(filter.strip_suffix('+')?)
    }

    /// Returns the topic of a report: its own, or `PREFIX/DEVICE/reading/ID`.
    pub fn report(&self, report: &Report<'_>) -> Topic {
        if let Some(topic) = report.topic {
            return Topic::try_from(topic).unwrap_or_default();
        }
        let sensor = || {
            let member = report.members.get(0)?;
            self.config.sensors.get(usize::from(member.sensor)).map(|sensor| sensor.id)
        };
        self.own(&["reading", report.id.or_else(sensor).unwrap_or_default()])
    }

    // Every part was checked with the configuration, so the whole fits (asserted above).
    fn own(&self, levels: &[&str]) -> Topic {
        let mut topic = Topic::try_from(self.config.mqtt.prefix()).unwrap_or_default();
        for level in [self.config.device.name].iter().chain(levels) {
            let _ = topic.push('/');
            let _ = topic.push_str(level);
        }
        topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Device, Link, List, Member, Mqtt, Payload, QoS};

    const MQTT: Mqtt<'_> = Mqtt::at("broker");

    #[test]
    fn topics_are_prefix_device_and_what() {
        let config = Config {
            device: Device { name: "esp8266", label: None },
            mqtt: MQTT,
            link: Link::default(),
            i2c: List::default(),
            sensors: List::default(),
            reports: List::default(),
        };
        let topics = Topics::new(&config);
        assert_eq!(topics.status(), "dunlin/esp8266/status");
        assert_eq!(topics.health("lux-1"), "dunlin/esp8266/health/lux-1");
        assert_eq!(topics.request_name("dunlin/esp8266/request/read"), Some("read"));
        assert_eq!(topics.request_name("dunlin/other/request/read"), None);
        let members = [Member { sensor: 0, reading: 0 }];
        let mut report = Report {
            id: Some("weather"),
            topic: None,
            qos: QoS::AtMostOnce,
            retain: false,
            payload: Payload::Json,
            members: List::new(&members),
            every_ms: Some(1000),
            filters: List::default(),
        };
        assert_eq!(topics.report(&report), "dunlin/esp8266/reading/weather");
        report.topic = Some("a/b");
        assert_eq!(topics.report(&report), "a/b");
    }
}
