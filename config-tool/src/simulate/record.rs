//! What happened in a run, as lines for people, as JSON, and as happenings for CSV and plot.

use dunlin_twin::native::board::ResetCause;
use dunlin_twin::world::trace::Happening;
use embassy_time::Instant;
use serde_json::{Value, json};

use super::reason_code::named;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When it happened.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message reached the broker.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
        /// Its quality of service.
        qos: u8,
        /// Whether the broker keeps it.
        retained: bool,
    },
    /// The node told a reading.
    Reading {
        /// The sensor's identifier.
        sensor: String,
        /// The reading's name.
        name: String,
        /// Its value.
        value: f32,
        /// Its unit; empty for a bare number.
        unit: String,
    },
    /// The node told that a sensor's health changed.
    Health {
        /// The sensor's identifier.
        sensor: String,
        /// Its health now.
        health: String,
    },
    /// The node wrote a line of its log.
    Log(String),
    /// A session with the broker began.
    Connected {
        /// The client identifier.
        client: String,
    },
    /// A session with the broker ended.
    Disconnected {
        /// The client identifier.
        client: String,
        /// Why.
        reason: String,
    },
    /// The broker refused a session, with this code.
    SessionRefused(u8),
    /// The broker refused a message to this topic.
    MessageRefused(String),
    /// The board started, for this cause.
    Started(&'static str),
    /// A fault of the scenario began or ended.
    Fault {
        /// Its name.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// Whether it began.
        begins: bool,
        /// Whether an end will follow.
        lasts: bool,
        /// Whether the board has no power until then.
        cuts_power: bool,
    },
    /// A power cut waits for a flash operation.
    Armed {
        /// Its name.
        name: String,
        /// The operation, counted from 1.
        operation: u32,
    },
    /// What else a person should know.
    Note(String),
}

impl Line {
    /// Returns the topic and the payload of a message.
    pub fn message(&self) -> Option<(&str, String)> {
        match &self.event {
            Event::Message { topic, payload, .. } => {
                Some((topic, String::from_utf8_lossy(payload).into_owned()))
            }
            _ => None,
        }
    }

    /// Returns whether people are shown it: readings and health come to them as messages.
    pub fn is_for_people(&self) -> bool {
        !matches!(self.event, Event::Reading { .. } | Event::Health { .. })
    }

    /// Returns a JSON object, as `dunlin monitor --json` writes them.
    pub fn json(&self) -> Value {
        let mut object = match &self.event {
            Event::Message { topic, payload, qos, retained } => json!({
                "event": "message", "topic": topic, "payload": String::from_utf8_lossy(payload),
                "qos": qos, "retained": retained,
            }),
            Event::Reading { sensor, name, value, unit } => json!({
                "event": "reading", "sensor": sensor, "name": name,
                "value": crate::command::number(*value), "unit": unit,
            }),
            Event::Health { sensor, health } => {
                json!({ "event": "health", "sensor": sensor, "health": health })
            }
            Event::Log(text) => json!({ "event": "log", "text": text }),
            Event::Connected { client } => json!({ "event": "connected", "client": client }),
            Event::Disconnected { client, reason } => {
                json!({ "event": "disconnected", "client": client, "reason": reason })
            }
            Event::SessionRefused(code) => json!({ "event": "session-refused", "code": code }),
            Event::MessageRefused(topic) => json!({ "event": "message-refused", "topic": topic }),
            Event::Started(cause) => json!({ "event": "started", "cause": cause }),
            Event::Fault { name, kind, begins, .. } => json!({
                "event": "fault", "name": name, "kind": kind, "edge": if *begins { "begins" } else { "ends" },
            }),
            Event::Armed { name, operation } => {
                json!({ "event": "armed", "name": name, "operation": operation })
            }
            Event::Note(text) => json!({ "event": "note", "text": text }),
        };
        object["version"] = 1.into();
        object["time"] = (self.at.as_micros() as f64 / 1e6).into();
        object
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.at.as_millis();
        write!(f, "{:>7}.{:03} s  ", ms / 1000, ms % 1000)?;
        match &self.event {
            Event::Message { topic, payload, .. } => {
                write!(f, "{topic}  {}", String::from_utf8_lossy(payload))
            }
            Event::Reading { sensor, name, value, unit } => {
                write!(f, "-- {sensor}.{name} = {value} {unit}")
            }
            Event::Health { sensor, health } => write!(f, "-- {sensor} is {health}"),
            Event::Log(text) => write!(f, "-- node: {text}"),
            Event::Connected { client } => write!(f, "-- `{client}` connected to the broker"),
            Event::Disconnected { client, reason } => write!(f, "-- `{client}` disconnected: {reason}"),
            Event::SessionRefused(code) => {
                write!(f, "-- the broker refused the session: {}", named(*code))
            }
            Event::MessageRefused(topic) => write!(f, "-- the broker refused a message to `{topic}`"),
            Event::Started(cause) => write!(f, "-- board started: {cause}"),
            Event::Fault { name, kind, begins, .. } => {
                write!(f, "-- fault `{name}` ({kind}) {}", if *begins { "begins" } else { "ends" })
            }
            Event::Armed { name, operation } => {
                write!(f, "-- fault `{name}` (power-cut) waits for flash operation {operation} from now")
            }
            Event::Note(text) => write!(f, "-- {text}"),
        }
    }
}

/// Returns an event as a happening of the trace. Some are for people only, and a message is in the trace before it is shown.
pub(super) fn happening(event: &Event) -> Option<Happening<'_>> {
    Some(match event {
        Event::Reading { sensor, name, value, unit } => {
            Happening::Reading { sensor, reading: name, unit, value: *value }
        }
        Event::Health { sensor, health } if health != "ok" => {
            Happening::SampleFailed { sensor, reason: health }
        }
        Event::Connected { .. } => Happening::Session { begins: true },
        Event::Disconnected { .. } => Happening::Session { begins: false },
        Event::Started(cause) => Happening::Started { cause },
        Event::Fault { name, kind, begins: true, lasts, cuts_power } => {
            Happening::FaultBegins { name, kind, lasts: *lasts, cuts_power: *cuts_power }
        }
        Event::Fault { name, kind, begins: false, .. } => Happening::FaultEnds { name, kind },
        Event::Message { .. }
        | Event::Health { .. }
        | Event::Log(_)
        | Event::SessionRefused(_)
        | Event::MessageRefused(_)
        | Event::Armed { .. }
        | Event::Note(_) => return None,
    })
}

pub(super) fn reset_name(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power-on",
        ResetCause::External => "external",
        ResetCause::Software => "software",
        ResetCause::Watchdog => "watchdog",
        ResetCause::Panic => "panic",
    }
}
