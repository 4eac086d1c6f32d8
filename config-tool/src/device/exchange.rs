//! One request and its reply, asked again until it comes.

use std::time::Duration;

use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::{Frame, MAX_PAYLOAD, channel};
use dunlin_config_format::message::{self, ErrorReply, Message, kind};

use super::{Failure, Outbox, Time};

/// How long to wait for a reply, and how often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time after which the request is sent again.
    pub timeout: Duration,
    /// How often it is sent at most.
    pub tries: u32,
}

impl Patience {
    /// For a request that is answered at once: a device may be stalled for 400 ms by a flash erase of its own.
    pub const QUICK: Patience = Patience { timeout: Duration::from_millis(500), tries: 10 };
    /// For a board that may be starting: 5 s in all.
    pub const START: Patience = Patience { timeout: Duration::from_millis(250), tries: 20 };
    /// For a request that erases up to four sectors: a second request meanwhile waits in the device's FIFO.
    pub const ERASE: Patience = Patience { timeout: Duration::from_millis(1000), tries: 8 };
    /// For a measurement: the longest conversion is about a second.
    pub const MEASURE: Patience = Patience { timeout: Duration::from_millis(3000), tries: 4 };
}

/// A request under way.
#[derive(Debug)]
pub struct Exchange {
    kind: u8,
    payload: Vec<u8>,
    patience: Patience,
    /// The numbers under which it was sent, the newest last: a late reply to an earlier sending counts.
    numbers: Vec<u8>,
    deadline: Option<Time>,
}

/// Where an exchange is.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing yet.
    Waiting,
    /// The payload of a reply. The exchange stays open: more parts may follow.
    Reply(Vec<u8>),
    /// It is over.
    Failed(Failure),
}

impl Exchange {
    /// Prepares a request; it is sent with the first step.
    ///
    /// # Errors
    /// [`Failure::RequestTooLong`] where it does not fit into a frame.
    pub fn new<'b, M: Message + Item<'b>>(request: &M, patience: Patience) -> Result<Self, Failure> {
        let mut buffer = [0; MAX_PAYLOAD];
        let payload =
            message::encode_payload(request, &mut buffer).map_err(|_| Failure::RequestTooLong)?.to_vec();
        Ok(Exchange { kind: M::KIND, payload, patience, numbers: Vec::new(), deadline: None })
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    pub(super) fn step(&mut self, now: Time, frame: Option<&Frame<'_>>, outbox: &mut Outbox) -> Answer {
        if let Some(answer) = frame.and_then(|frame| self.take(now, frame)) {
            return answer;
        }
        if self.deadline.is_some_and(|deadline| now < deadline) {
            return Answer::Waiting;
        }
        if self.numbers.len() >= self.patience.tries as usize {
            return Answer::Failed(Failure::NoAnswer);
        }
        match outbox.send_payload(self.kind, &self.payload) {
            Ok(number) => self.numbers.push(number),
            Err(failure) => return Answer::Failed(failure),
        }
        self.deadline = Some(now + self.patience.timeout);
        Answer::Waiting
    }

    fn take(&mut self, now: Time, frame: &Frame<'_>) -> Option<Answer> {
        if frame.channel != channel::CONTROL || !self.numbers.contains(&frame.number) {
            return None;
        }
        if frame.kind == self.kind | kind::REPLY {
            // Further parts of the reply have a whole timeout from here.
            self.deadline = Some(now + self.patience.timeout);
            return Some(Answer::Reply(frame.payload.to_vec()));
        }
        if frame.kind != kind::ERROR {
            return None;
        }
        let failure = match message::decode::<ErrorReply<'_>>(frame.payload) {
            Ok(error) if error.request == self.kind => Failure::refused(error.refusal, error.detail),
            Ok(_) => return None,
            Err(_) => Failure::Garbled,
        };
        Some(Answer::Failed(failure))
    }
}
