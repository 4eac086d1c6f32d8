//! Requests over MQTT: what a message to `request/…` asks, and the answer.

use dunlin_config_format::config::Config;
use dunlin_config_format::limits::{CORRELATION_LEN, RESPONSE_TOPIC_LEN};
use minimq::{InboundPublish, Publication};
use serde::Deserialize;

use super::{Uplink, messages};
use crate::event::Log;
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

/// A request's response topic or correlation data is too long for this node.
pub(super) struct Unanswerable;

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
    /// Reads a message; none where it is not a request.
    ///
    /// # Errors
    /// [`Unanswerable`]: the answer could not be addressed.
    pub(super) fn read(
        inbound: &InboundPublish<'_>,
        topics: &Topics<'_>,
        config: &Config<'_>,
    ) -> Result<Option<Self>, Unanswerable> {
        let Some(name) = topics.request_name(inbound.topic()) else { return Ok(None) };
        let question = match name {
            "read" => Self::sensor(inbound.payload(), config),
            "info" => Question::Info,
            "set" => Question::Refused("not-allowed"),
            _ => Question::Refused("no-such-request"),
        };
        let target = inbound.reply_owned().map_err(|_| Unanswerable)?;
        Ok(Some(Request { target, question }))
    }

    /// Returns whether the answer is a measurement.
    pub(super) fn is_measured(&self) -> bool {
        matches!(self.question, Question::Read(_))
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
    /// Takes a request and starts what it needs before it can be answered. One measurement is made at a time; a request that
    /// finds no place is left unanswered.
    pub(super) fn accept(&self, places: &mut [Option<Request>; 2], mut request: Request) {
        let [first, second] = places;
        let is_first = first.is_none();
        let place = if is_first { first } else { second };
        if place.is_some() {
            return self.leave_unanswered();
        }
        if let Question::Read(sensor) = request.question {
            if is_first && self.shared.measurement.ask(Asker::Mqtt, sensor) {
                self.shared.sampler.signal(());
            } else {
                request.question = Question::Refused("busy");
            }
        }
        *place = Some(request);
    }

    /// Counts a request that nobody will get an answer to.
    pub(super) fn leave_unanswered(&self) {
        self.count(&self.shared.counters.unanswered);
        self.shared.events.log(Log::Unanswered);
    }

    /// Returns whether everything that an answer needs is there.
    pub(super) fn is_answerable(&self, request: &Request) -> bool {
        !request.is_measured() || self.shared.measurement.is_done(Asker::Mqtt)
    }
}
