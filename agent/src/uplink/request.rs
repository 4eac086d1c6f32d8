//! Requests over MQTT: what a message to `request/…` asks, and the answer.

use dunlin_config_format::config::Config;
use dunlin_config_format::limits::{CORRELATION_LEN, RESPONSE_TOPIC_LEN};
use minimq::{InboundPublish, Publication};
use serde::Deserialize;

use super::{Uplink, messages};
use crate::node::Asker;
use crate::text::Text;
use dunlin_config_format::topic::Topics;

/// Where the answer goes: the request's response topic and correlation data (MQTT 5, section 4.10).
type Target = minimq::OwnedResponseTarget<RESPONSE_TOPIC_LEN, CORRELATION_LEN>;

/// A request that has not been answered yet.
pub(super) struct Request {
    target: Option<Target>,
    question: Question,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// Measure the sensor with this index afresh.
    Read(u8),
    /// Who are you?
    Info,
    /// A sensor that is not there.
    NoSuchSensor,
    /// A request that this node does not take.
    Refused(&'static str),
}

/// The JSON form of a `read` request.
#[derive(Deserialize)]
struct ReadRequest<'a> {
    sensor: &'a str,
}

impl Request {
    /// Reads a message; none where it is not a request that can be answered.
    pub(super) fn read(
        inbound: &InboundPublish<'_>,
        topics: &Topics<'_>,
        config: &Config<'_>,
    ) -> Option<Self> {
        let question = match topics.request_name(inbound.topic())? {
            "read" => Self::sensor(inbound.payload(), config),
            "info" => Question::Info,
            "set" => Question::Refused("not-allowed"),
            _ => Question::Refused("no-such-request"),
        };
        // A response topic that is too long for this node cannot be answered at all.
        let target = inbound.reply_owned().ok()?;
        Some(Request { target, question })
    }

    fn sensor(payload: &[u8], config: &Config<'_>) -> Question {
        let Ok(text) = core::str::from_utf8(payload) else { return Question::Refused("not-utf-8") };
        let text = text.trim();
        let id = if text.starts_with('{') {
            match serde_json_core::from_str::<ReadRequest<'_>>(text) {
                Ok((request, _)) => request.sensor,
                Err(_) => return Question::Refused("malformed"),
            }
        } else {
            text
        };
        let index = config.sensors.iter().position(|sensor| sensor.id == id);
        index.and_then(|index| u8::try_from(index).ok()).map_or(Question::NoSuchSensor, Question::Read)
    }

    /// Addresses the answer.
    pub(super) fn publication<'a, P>(&'a self, reply_topic: &'a str, payload: P) -> Publication<'a, P> {
        match &self.target {
            Some(target) => target.publication(payload),
            None => Publication::new(reply_topic, payload),
        }
    }

    /// Writes the answer.
    pub(super) fn answer(&self, text: &mut Text<'_>, uplink: &Uplink<'_>) {
        match self.question {
            Question::Info => messages::birth(text, uplink.config, uplink.shared, uplink.network.address()),
            Question::NoSuchSensor => text.object(|object| {
                object.string("error", "no-such-sensor");
                object.strings("have", uplink.config.sensors.iter().map(|sensor| sensor.id));
            }),
            Question::Refused(error) => text.object(|object| object.string("error", error)),
            Question::Read(index) => messages::measured(text, uplink.config, uplink.shared, index),
        }
    }
}

impl Uplink<'_> {
    /// Starts what a request needs before it can be answered.
    pub(super) fn start(&self, request: Option<&mut Request>) {
        let Some(request) = request else { return };
        if let Question::Read(sensor) = request.question {
            if self.shared.measurement.ask(Asker::Mqtt, sensor) {
                self.shared.sampler.signal(());
            } else {
                request.question = Question::Refused("busy");
            }
        }
    }

    /// Returns whether everything that an answer needs is there.
    pub(super) fn is_answerable(&self, request: &Request) -> bool {
        !matches!(request.question, Question::Read(_)) || self.shared.measurement.is_done(Asker::Mqtt)
    }
}
