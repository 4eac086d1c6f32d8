//! Questions: one request with one reply, and replies of several items.

use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::Frame;
use dunlin_config_format::message::{self, InfoItem, InfoRequest, Message, ReadItem, ReadRequest, Value};

use super::exchange::Answer;
use super::{Exchange, Failure, Outbox, Patience, Task, Time};

/// A request with a single reply; its output is the reply's payload.
#[derive(Debug)]
pub struct Ask(Exchange);

impl Ask {
    /// Prepares a request.
    ///
    /// # Errors
    /// [`Failure::RequestTooLong`] where it does not fit into a frame.
    pub fn new<'b, M: Message + Item<'b>>(request: &M, patience: Patience) -> Result<Self, Failure> {
        Exchange::new(request, patience).map(Ask)
    }
}

impl Task for Ask {
    type Output = Vec<u8>;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Vec<u8>, Failure>> {
        match self.0.step(now, frame, outbox) {
            Answer::Waiting => None,
            Answer::Reply(payload) => Some(Ok(payload)),
            Answer::Failed(failure) => Some(Err(failure)),
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.0.deadline()
    }
}

/// Collects the items of a reply, whichever of its sendings they come from.
#[derive(Debug)]
struct Items<T>(Vec<Option<T>>);

impl<T> Items<T> {
    fn put(&mut self, index: usize, count: usize, item: T) -> Option<Vec<T>> {
        if self.0.len() != count {
            self.0 = std::iter::repeat_with(|| None).take(count).collect();
        }
        *self.0.get_mut(index)? = Some(item);
        if self.0.iter().all(Option::is_some) { Some(self.0.drain(..).flatten().collect()) } else { None }
    }
}

/// A fact of INFO.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its name, as in the birth message.
    pub name: String,
    /// Its value, as text; none where there is none.
    pub value: Option<String>,
    /// Whether the value is text rather than a number or a truth.
    pub is_text: bool,
}

impl Fact {
    /// Returns the sensor whose health this is.
    pub fn sensor(&self) -> Option<&str> {
        self.name.strip_prefix("health.")
    }
}

/// Asks how the node is.
#[derive(Debug)]
pub struct InfoTask {
    exchange: Exchange,
    items: Items<Fact>,
}

impl InfoTask {
    /// Prepares the question.
    ///
    /// # Errors
    /// None in practice: the request is of fixed size.
    pub fn new() -> Result<Self, Failure> {
        Ok(InfoTask { exchange: Exchange::new(&InfoRequest {}, Patience::QUICK)?, items: Items(Vec::new()) })
    }
}

impl Task for InfoTask {
    type Output = Vec<Fact>;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Vec<Fact>, Failure>> {
        let payload = match self.exchange.step(now, frame, outbox) {
            Answer::Waiting => return None,
            Answer::Failed(failure) => return Some(Err(failure)),
            Answer::Reply(payload) => payload,
        };
        let Ok(item) = message::decode::<InfoItem<'_>>(&payload) else { return Some(Err(Failure::Garbled)) };
        let value = match item.value {
            Value::Null => None,
            Value::Bool(value) => Some(value.to_string()),
            Value::Unsigned(value) => Some(value.to_string()),
            Value::Float(value) => Some(value.to_string()),
            Value::Text(value) => Some(value.to_owned()),
        };
        let fact = Fact { name: item.name.to_owned(), value, is_text: matches!(item.value, Value::Text(_)) };
        self.items.put(item.index.into(), item.count.into(), fact).map(Ok)
    }

    fn deadline(&self) -> Option<Time> {
        self.exchange.deadline()
    }
}

/// A reading that READ measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The sensor's health after the measurement.
    pub health: String,
    /// Name of the reading; none where the sensor gave none.
    pub name: Option<String>,
    /// The value as measured.
    pub raw: Option<f32>,
    /// What the filters would make of it.
    pub filtered: Option<f32>,
    /// Unit of both.
    pub unit: Option<String>,
}

/// Measures afresh.
#[derive(Debug)]
pub struct ReadTask {
    exchange: Exchange,
    items: Items<Measurement>,
}

impl ReadTask {
    /// Prepares the question.
    ///
    /// # Errors
    /// [`Failure::RequestTooLong`] where the sensor's name is longer than any can be.
    pub fn new(request: &ReadRequest<'_>) -> Result<Self, Failure> {
        Ok(ReadTask { exchange: Exchange::new(request, Patience::MEASURE)?, items: Items(Vec::new()) })
    }
}

impl Task for ReadTask {
    type Output = Vec<Measurement>;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Vec<Measurement>, Failure>> {
        let payload = match self.exchange.step(now, frame, outbox) {
            Answer::Waiting => return None,
            Answer::Failed(failure) => return Some(Err(failure)),
            Answer::Reply(payload) => payload,
        };
        let Ok(item) = message::decode::<ReadItem<'_>>(&payload) else { return Some(Err(Failure::Garbled)) };
        let measurement = Measurement {
            health: item.health.to_owned(),
            name: item.name.map(str::to_owned),
            raw: item.raw,
            filtered: item.filtered,
            unit: item.unit.map(str::to_owned),
        };
        self.items.put(item.index.into(), item.count.into(), measurement).map(Ok)
    }

    fn deadline(&self) -> Option<Time> {
        self.exchange.deadline()
    }
}
