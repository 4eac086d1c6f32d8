//! Brings an image to a device and waits for the verdict.
//!
//! The order is HELLO, RATE for a long image, secrets, BEGIN, DATA, END, VERDICT. Each step may be repeated without harm. A device that restarts on
//! the way has no transfer any more and says so: the push then begins anew, and a device that had stored the image before it
//! restarted is asked for the verdict at once.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use dunlin_config_format::frame::{Frame, channel};
use dunlin_config_format::message::{
    self, BeginReply, BeginRequest, DataReply, EndReply, EndRequest, ErrorReply, HASH_SIZE, Message, Refusal,
    SecretReply, SecretRequest, VerdictReply, VerdictRequest, flag, kind, outcome,
};

use super::exchange::Answer;
use super::sending::Sending;
use super::{Exchange, Failure, Hello, HelloTask, Outbox, Patience, RateTask, Task, Time};

/// How often a push begins anew after a restart of the device.
const RESTARTS: u32 = 5;

/// How long after one verdict the next is asked for.
const VERDICT_PERIOD: Duration = Duration::from_millis(50);

/// The shortest image for which the line is made faster: agreeing on it takes 40 ms with a slow adapter, as long as 500 bytes
/// at the usual speed.
const FASTER_FROM: u32 = 1024;

/// How long a trial without an end is watched. The board goes on alone after that.
const ENDLESS_TRIAL: Duration = Duration::from_secs(90);

/// What is pushed: an image, what it is for, and the secrets that it names.
#[derive(Clone)]
pub struct Package {
    /// The image's bytes.
    pub image: Vec<u8>,
    /// Its hash.
    pub hash: [u8; HASH_SIZE],
    /// Name of the device that it is for.
    pub device: String,
    /// The lowest version of the configuration format with which it can be read.
    pub schema: u16,
    /// The drivers that it needs: number and name.
    pub drivers: Vec<(u8, String)>,
    /// Name and value of each secret.
    pub secrets: Vec<(String, Vec<u8>)>,
    /// What the compiler warns of, as people read it.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Package {
    /// Leaves the secrets' values out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.secrets.iter().map(|(name, _)| name).collect();
        f.debug_struct("Package")
            .field("device", &self.device)
            .field("secrets", &names)
            .finish_non_exhaustive()
    }
}

/// How to push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushOptions {
    /// Confirm without a broker.
    pub confirm: bool,
    /// Replace another device's configuration.
    pub replace: bool,
    /// End when it is stored, without waiting for the verdict.
    pub no_wait: bool,
    /// Bits per second to ask for where an image is long enough to gain by it.
    pub rate: Option<u32>,
}

/// What a push has come to so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The device has told who it is.
    Hello(Box<Hello>),
    /// The device looks what it has, and erases where the image is another.
    Preparing,
    /// So many bytes have arrived.
    Sending {
        /// Bytes acknowledged.
        sent: u32,
        /// Bytes in all.
        length: u32,
    },
    /// The image is stored.
    Stored {
        /// The generation that it became.
        generation: u32,
    },
    /// The image is on trial.
    Trial(Trial),
    /// The device has restarted: the push begins anew.
    Restarted,
}

/// Where a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Code of what still stands before the confirmation.
    pub reason: Option<u16>,
    /// Time since it began.
    pub elapsed: Duration,
    /// When it ends; none where nothing ends it.
    pub limit: Option<Duration>,
    /// Failed attempts so far.
    pub attempts: u8,
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The image runs and is confirmed; nothing was written.
    Unchanged,
    /// The image is confirmed.
    Confirmed,
    /// The image is stored; nobody waited for the verdict.
    Stored,
    /// The image was given up, and the configuration before it runs.
    Rejected {
        /// Code of the reason.
        reason: Option<u16>,
    },
    /// The trial has no end and is still going on: no confirmed configuration to return to.
    OnTrial {
        /// Code of what it waits for.
        reason: Option<u16>,
    },
}

/// A push under way.
#[derive(Debug)]
pub struct PushTask {
    package: Package,
    options: PushOptions,
    state: State,
    restarts: u32,
    /// Whether END was sent: only then can the image be stored without our knowing.
    ended: bool,
    /// Whether another speed was asked for: once, for if it was of no use the first time it won't be later.
    is_rate_asked: bool,
    /// Whether a secret is not in use yet, so that an unchanged image must be stored again.
    again: bool,
    generation: Option<u32>,
    watched_since: Option<Time>,
    progress: VecDeque<Progress>,
}

#[derive(Debug)]
enum State {
    Hello(HelloTask),
    Rate(RateTask),
    Secret(usize, Exchange),
    Begin(Exchange),
    Data(Sending),
    End(Exchange),
    Verdict(Exchange),
    /// Until the next verdict is asked for.
    Rest(Time),
}

/// What a step came to.
enum Next {
    Wait,
    Go(State),
    End(Pushed),
}

impl PushTask {
    /// Prepares a push.
    ///
    /// # Errors
    /// [`Failure::RequestTooLong`] where a secret or the device's name does not fit into a frame.
    pub fn new(package: Package, options: PushOptions) -> Result<Self, Failure> {
        let task = PushTask {
            state: State::Hello(HelloTask::new()?),
            restarts: 0,
            ended: false,
            is_rate_asked: false,
            again: false,
            generation: None,
            watched_since: None,
            progress: VecDeque::new(),
            package,
            options,
        };
        // What can't be sent is found before the device is touched.
        task.begin()?;
        for index in 0..task.package.secrets.len() {
            task.secret(index)?;
        }
        Ok(task)
    }

    /// Takes what has happened since the last call.
    pub fn take_progress(&mut self) -> Option<Progress> {
        self.progress.pop_front()
    }

    fn length(&self) -> u32 {
        u32::try_from(self.package.image.len()).unwrap_or(u32::MAX)
    }

    /// The step after secret number `index` - 1.
    fn secret(&self, index: usize) -> Result<State, Failure> {
        match self.package.secrets.get(index) {
            Some((name, value)) => Exchange::new(&SecretRequest { name, value }, Patience::ERASE)
                .map(|e| State::Secret(index, e)),
            None => self.begin(),
        }
    }

    fn begin(&self) -> Result<State, Failure> {
        let flags = [
            (self.options.confirm, flag::CONFIRM),
            (self.options.replace, flag::REPLACE),
            (self.again, flag::AGAIN),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |flags, (_, bit)| flags | bit);
        let (length, hash, device) = (self.length(), self.package.hash, &self.package.device);
        Exchange::new(&BeginRequest { length, hash, flags, device }, Patience::ERASE).map(State::Begin)
    }

    fn end(&self) -> Result<State, Failure> {
        let (length, hash) = (self.length(), self.package.hash);
        Exchange::new(&EndRequest { length, hash }, Patience::ERASE).map(State::End)
    }

    fn verdict(&self) -> Result<State, Failure> {
        let (hash, generation) = (self.package.hash, self.generation);
        Exchange::new(&VerdictRequest { hash, generation }, Patience::QUICK).map(State::Verdict)
    }

    fn hello(&mut self, hello: Hello) -> Result<Next, Failure> {
        let hash = Some(self.package.hash);
        let is_stored = hello.active_hash == hash || hello.stored_hash == hash;
        self.progress.push_back(Progress::Hello(Box::new(hello.clone())));
        check(&self.package, &hello, self.options.replace)?;
        // A device that lost our END's reply has it already; otherwise BEGIN decides.
        if self.ended && is_stored {
            return self.stored(None);
        }
        match self.options.rate.filter(|_| self.length() >= FASTER_FROM && !self.is_rate_asked) {
            Some(baud) => {
                self.is_rate_asked = true;
                Ok(Next::Go(State::Rate(RateTask::new(baud)?)))
            }
            None => self.secret(0).map(Next::Go),
        }
    }

    fn stored(&mut self, generation: Option<u32>) -> Result<Next, Failure> {
        self.generation = generation;
        if let Some(generation) = generation {
            self.progress.push_back(Progress::Stored { generation });
        }
        if self.options.no_wait { Ok(Next::End(Pushed::Stored)) } else { self.verdict().map(Next::Go) }
    }

    fn begun(&mut self, payload: &[u8]) -> Result<Next, Failure> {
        let reply: BeginReply = message::decode(payload).map_err(|_| Failure::Garbled)?;
        match reply.outcome {
            outcome::UNCHANGED => Ok(Next::End(Pushed::Unchanged)),
            outcome::READY => {
                self.progress.push_back(Progress::Sending { sent: reply.next, length: self.length() });
                let sending = Sending::new(reply.next, reply.window);
                Ok(Next::Go(if reply.next < self.length() { State::Data(sending) } else { self.end()? }))
            }
            _ => Err(Failure::Garbled),
        }
    }

    fn judged(&mut self, now: Time, payload: &[u8]) -> Result<Next, Failure> {
        let reply: VerdictReply = message::decode(payload).map_err(|_| Failure::Garbled)?;
        match reply.outcome {
            outcome::CONFIRMED => Ok(Next::End(Pushed::Confirmed)),
            outcome::REJECTED => Ok(Next::End(Pushed::Rejected { reason: reply.reason })),
            outcome::STARTING => Ok(Next::Go(State::Rest(now + VERDICT_PERIOD))),
            outcome::TRIAL => {
                self.progress.push_back(Progress::Trial(Trial {
                    reason: reply.reason,
                    elapsed: Duration::from_millis(reply.elapsed_ms.unwrap_or(0).into()),
                    limit: reply.limit_ms.map(|limit| Duration::from_millis(limit.into())),
                    attempts: reply.attempts.unwrap_or(0),
                }));
                let since = *self.watched_since.get_or_insert(now);
                if reply.limit_ms.is_none() && now.saturating_sub(since) >= ENDLESS_TRIAL {
                    return Ok(Next::End(Pushed::OnTrial { reason: reply.reason }));
                }
                Ok(Next::Go(State::Rest(now + VERDICT_PERIOD)))
            }
            outcome::UNKNOWN => Err(Failure::Forgotten),
            _ => Err(Failure::Garbled),
        }
    }

    /// Begins anew, or gives up where that does not help.
    fn recover(&mut self, failure: Failure) -> Result<Next, Failure> {
        let lost = failure.is(Refusal::NoTransfer)
            || failure.is(Refusal::HashMismatch)
            || failure.is(Refusal::Incomplete)
            || failure.is(Refusal::Malformed)
            || failure == Failure::NoAnswer && !matches!(self.state, State::Hello(_));
        if !lost {
            return Err(failure);
        }
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(if failure.is(Refusal::NoTransfer) { Failure::RestartsAgain } else { failure });
        }
        self.progress.push_back(Progress::Restarted);
        Ok(Next::Go(State::Hello(HelloTask::new()?)))
    }

    fn advance(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Result<Next, Failure> {
        let answer = match &mut self.state {
            State::Hello(task) => {
                return match task.step(now, frame, outbox) {
                    None => Ok(Next::Wait),
                    Some(Ok(hello)) => self.hello(hello),
                    Some(Err(Failure::NoAnswer)) if self.restarts > 0 => Err(Failure::Silent),
                    Some(Err(failure)) => Err(failure),
                };
            }
            State::Rate(task) => {
                return match task.step(now, frame, outbox) {
                    None => Ok(Next::Wait),
                    Some(Ok(())) => self.secret(0).map(Next::Go),
                    Some(Err(failure)) => Err(failure),
                };
            }
            State::Rest(until) => {
                return if now < *until { Ok(Next::Wait) } else { self.verdict().map(Next::Go) };
            }
            State::Data(_) => return self.send(now, frame, outbox),
            State::Secret(_, exchange)
            | State::Begin(exchange)
            | State::End(exchange)
            | State::Verdict(exchange) => exchange.step(now, frame, outbox),
        };
        let payload = match answer {
            Answer::Waiting => return Ok(Next::Wait),
            Answer::Failed(failure) => return Err(failure),
            Answer::Reply(payload) => payload,
        };
        match &self.state {
            State::Secret(index, _) => {
                let index = *index;
                let reply: SecretReply = message::decode(&payload).map_err(|_| Failure::Garbled)?;
                self.again |= !reply.in_use;
                self.secret(index + 1).map(Next::Go)
            }
            State::Begin(_) => self.begun(&payload),
            State::End(_) => {
                let reply: EndReply = message::decode(&payload).map_err(|_| Failure::Garbled)?;
                self.stored(Some(reply.generation))
            }
            _ => self.judged(now, &payload),
        }
    }

    fn send(&mut self, now: Time, frame: Option<&Frame<'_>>, outbox: &mut Outbox) -> Result<Next, Failure> {
        let length = self.length();
        let State::Data(sending) = &mut self.state else { return Ok(Next::Wait) };
        if let Some(frame) = frame.filter(|frame| frame.channel == channel::CONTROL) {
            if frame.kind == DataReply::KIND
                && let Ok(reply) = message::decode::<DataReply>(frame.payload)
            {
                sending.take(now, frame.number, &reply);
            } else if frame.kind == kind::ERROR
                && let Ok(error) = message::decode::<ErrorReply<'_>>(frame.payload)
                && error.request == kind::DATA
            {
                return Err(Failure::refused(error.refusal, error.detail));
            }
        }
        let sent = sending.acknowledged();
        if frame.is_some() {
            self.progress.push_back(Progress::Sending { sent, length });
        }
        if sent >= length {
            return self.end().map(Next::Go);
        }
        sending.fill(now, &self.package.image, outbox)?;
        Ok(Next::Wait)
    }
}

impl Task for PushTask {
    type Output = Pushed;

    fn step(
        &mut self,
        now: Time,
        frame: Option<&Frame<'_>>,
        outbox: &mut Outbox,
    ) -> Option<Result<Pushed, Failure>> {
        let mut frame = frame;
        loop {
            let next = match self.advance(now, frame.take(), outbox) {
                Ok(next) => next,
                Err(failure) => match self.recover(failure) {
                    Ok(next) => next,
                    Err(failure) => return Some(Err(failure)),
                },
            };
            match next {
                Next::Wait => return None,
                Next::End(pushed) => return Some(Ok(pushed)),
                // The new state sends its first request at once.
                Next::Go(state) => {
                    match state {
                        State::Begin(_) => self.progress.push_back(Progress::Preparing),
                        State::End(_) => self.ended = true,
                        _ => {}
                    }
                    self.state = state;
                }
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Hello(task) => task.deadline(),
            State::Rate(task) => task.deadline(),
            State::Secret(_, exchange)
            | State::Begin(exchange)
            | State::End(exchange)
            | State::Verdict(exchange) => exchange.deadline(),
            State::Data(sending) => sending.deadline(),
            State::Rest(until) => Some(*until),
        }
    }
}

/// Whether the device can take the package.
fn check(package: &Package, hello: &Hello, replace: bool) -> Result<(), Failure> {
    if let Some(found) = hello.device.as_ref().filter(|found| !replace && **found != package.device) {
        return Err(Failure::OtherDevice { found: found.clone(), wanted: package.device.clone() });
    }
    if package.schema < hello.schema.0 || package.schema > hello.schema.1 {
        return Err(Failure::SchemaNotRead { wanted: package.schema, reads: hello.schema });
    }
    if let Some((_, name)) = package.drivers.iter().find(|(number, _)| !hello.drivers.contains(number)) {
        return Err(Failure::DriverMissing { driver: name.clone() });
    }
    let length = u32::try_from(package.image.len()).unwrap_or(u32::MAX);
    if length > hello.image_limit {
        return Err(Failure::ImageTooLong { length, limit: hello.image_limit });
    }
    Ok(())
}
