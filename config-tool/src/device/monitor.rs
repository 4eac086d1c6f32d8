//! What a node tells unasked, as owned events.

use std::collections::VecDeque;
use std::time::Duration;

use dunlin_config_format::frame::{Frame, channel};
use dunlin_config_format::message::{
    self, HealthEvent, LogEvent, MonitorRequest, ReadingEvent, SentEvent, kind,
};

use super::exchange::Answer;
use super::{Exchange, Failure, Outbox, Patience, Task, Time};

/// How often the monitor is switched on anew: a board that has restarted tells again after at most this time.
const RENEWAL: Duration = Duration::from_secs(2);

/// Something that a node tells. `uptime` is the time since its start.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeEvent {
    /// A reading passed its filters.
    Reading {
        /// When.
        uptime: Duration,
        /// The sensor's identifier.
        sensor: String,
        /// Name of the reading.
        name: String,
        /// Its value.
        value: f32,
        /// Its unit.
        unit: Option<String>,
    },
    /// A sensor's health changed.
    Health {
        /// When.
        uptime: Duration,
        /// The sensor's identifier.
        sensor: String,
        /// Its health now.
        health: String,
    },
    /// A line of the log.
    Log {
        /// When.
        uptime: Duration,
        /// The line.
        text: String,
    },
    /// A message went to the broker.
    Sent {
        /// When.
        uptime: Duration,
        /// Its topic.
        topic: String,
        /// The beginning of its payload.
        payload: Vec<u8>,
        /// Its quality of service.
        qos: u8,
    },
    /// So many events were lost on the way.
    Lost(u8),
    /// The board does not answer, or answers again.
    Answers(bool),
}

/// Listens until it is dropped; it has no output of its own.
#[derive(Debug)]
pub struct MonitorTask {
    what: u8,
    exchange: Option<Exchange>,
    renew_at: Time,
    answers: Option<bool>,
    next_number: Option<u8>,
    events: VecDeque<NodeEvent>,
}

impl MonitorTask {
    /// Prepares to listen to `what`; see [`monitor`](message::monitor).
    pub fn new(what: u8) -> Self {
        let renew_at = Duration::ZERO;
        MonitorTask {
            what,
            exchange: None,
            renew_at,
            answers: None,
            next_number: None,
            events: VecDeque::new(),
        }
    }

    /// Takes the next event.
    pub fn take_event(&mut self) -> Option<NodeEvent> {
        self.events.pop_front()
    }

    fn set_answers(&mut self, now: bool) {
        // The first answer is no news.
        if self.answers.is_some_and(|before| before != now) {
            self.events.push_back(NodeEvent::Answers(now));
        }
        self.answers = Some(now);
    }

    fn hear(&mut self, frame: &Frame<'_>) {
        let Some(event) = decode(frame) else { return };
        if let Some(expected) = self.next_number
            && expected != frame.number
        {
            self.events.push_back(NodeEvent::Lost(frame.number.wrapping_sub(expected)));
        }
        self.next_number = Some(frame.number.wrapping_add(1));
        self.events.push_back(event);
    }
}

fn decode(frame: &Frame<'_>) -> Option<NodeEvent> {
    let payload = frame.payload;
    let after = Duration::from_millis;
    Some(match frame.kind {
        kind::EVENT_READING => {
            let event: ReadingEvent<'_> = message::decode(payload).ok()?;
            NodeEvent::Reading {
                uptime: after(event.uptime_ms),
                sensor: event.sensor.to_owned(),
                name: event.name.to_owned(),
                value: event.value,
                unit: event.unit.map(str::to_owned),
            }
        }
        kind::EVENT_HEALTH => {
            let event: HealthEvent<'_> = message::decode(payload).ok()?;
            let (sensor, health) = (event.sensor.to_owned(), event.health.to_owned());
            NodeEvent::Health { uptime: after(event.uptime_ms), sensor, health }
        }
        kind::EVENT_LOG => {
            let event: LogEvent<'_> = message::decode(payload).ok()?;
            NodeEvent::Log { uptime: after(event.uptime_ms), text: event.text.to_owned() }
        }
        kind::EVENT_SENT => {
            let event: SentEvent<'_> = message::decode(payload).ok()?;
            let (topic, payload) = (event.topic.to_owned(), event.payload.to_vec());
            NodeEvent::Sent { uptime: after(event.uptime_ms), topic, payload, qos: event.qos }
        }
        _ => return None,
    })
}

impl Task for MonitorTask {
    type Output = ();

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<(), Failure>> {
        if let Some(frame) = frame.filter(|frame| frame.channel == channel::LOG) {
            self.hear(frame);
            return None;
        }
        if self.exchange.is_none() && now >= self.renew_at {
            match Exchange::new(&MonitorRequest { what: self.what }, Patience::QUICK) {
                Ok(exchange) => self.exchange = Some(exchange),
                Err(failure) => return Some(Err(failure)),
            }
        }
        let exchange = self.exchange.as_mut()?;
        match exchange.step(now, frame, outbox) {
            Answer::Waiting => return None,
            Answer::Reply(_) => self.set_answers(true),
            Answer::Failed(Failure::NoAnswer) if self.answers.is_some() => self.set_answers(false),
            Answer::Failed(failure) => return Some(Err(failure)),
        }
        self.exchange = None;
        self.renew_at = now + RENEWAL;
        None
    }

    fn deadline(&self) -> Option<Time> {
        self.exchange.as_ref().map_or(Some(self.renew_at), Exchange::deadline)
    }
}
