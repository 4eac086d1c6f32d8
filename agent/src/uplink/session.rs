//! One session with the broker, from the birth message to its end.

use dunlin_config_format::Reason;
use dunlin_config_format::config::QoS;
use dunlin_config_format::topic::Topic;
use embassy_futures::select::{Either3, select3};
use embassy_time::{Duration, Instant, Timer, with_deadline};
use minimq::{
    Connection, Error, Io, Op, PeerError, PubError, Publication, ResourceError, RetainHandling,
    SubscriptionOptions, TopicFilter,
};

use super::messages::{Message, Rendered};
use super::outbox::Fate;
use super::request::{Request, Unanswerable};
use super::{Leaving, Uplink};
use crate::event::Event;
use crate::node::Asker;
use crate::text::Overflow;

/// Time between two attempts to have a birth message accepted, while a configuration is on trial.
const BIRTH_RETRY: Duration = Duration::from_secs(5);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The uplink was told to leave, and nothing is left to send.
    Left,
    /// The transport or the broker closed the connection.
    Lost,
    /// The broker acknowledged nothing for the whole keep alive.
    Dead,
}

/// What the node sends beside records, in the order of urgency. One at a time is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Status,
    Birth,
    Subscribe,
    Health(usize),
    /// Answers the request in this place.
    Reply(usize),
    Stats,
    /// Leaves behind the retained message with this number.
    Leave(usize),
}

/// What a session remembers between two packets.
struct Progress {
    /// When the broker last acknowledged something or sent a message: proof that it is there.
    heard: Instant,
    /// The task in flight.
    task: Option<(Op, Task)>,
    status_due: bool,
    subscribe_due: bool,
    birth_not_before: Instant,
    stats_at: Instant,
    /// The request that may measure, and one that came while it was there and needs no measurement.
    requests: [Option<Request>; 2],
    /// Retained messages that have been left behind.
    left: usize,
}

impl Uplink<'_> {
    /// Attends to a session until it ends.
    ///
    /// Dropping the future leaves the connection as it is; unacknowledged records stay in the outbox.
    pub(super) async fn attend<IO: Io>(&self, connection: &mut Connection<'_, '_, IO>) -> End {
        let now = Instant::now();
        let stats_every = Duration::from_secs(self.config.mqtt.stats_every_s.0.into());
        let mut progress = Progress {
            heard: now,
            task: None,
            status_due: true,
            subscribe_due: true,
            birth_not_before: now,
            stats_at: if stats_every == Duration::MIN { Instant::MAX } else { now + stats_every },
            requests: [None, None],
            left: 0,
        };
        self.shared.birth_due.set(true);
        self.shared.health.borrow_mut().resend();
        let keep_alive = Duration::from_secs(self.config.mqtt.keep_alive_s.0.into());
        loop {
            let dead_at = progress.heard + keep_alive;
            self.shared.promises.uplink.set(dead_at);
            match with_deadline(dead_at, self.send(connection, &mut progress)).await {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return End::Lost,
                Err(_) => return End::Dead,
            }
            let is_done = progress.task.is_none() && self.shared.outbox.borrow().is_empty();
            if self.leaving.get() != Leaving::No && is_done {
                return End::Left;
            }
            let probe_at = progress.heard + keep_alive / 2;
            let wake_at = if self.is_waiting(&progress) { dead_at } else { probe_at };
            let birth_at = if self.shared.birth_due.get() { progress.birth_not_before } else { Instant::MAX };
            let wake_at = wake_at.min(progress.stats_at).min(birth_at);
            let mut refused = false;
            match select3(connection.poll(), self.shared.uplink.taken(), Timer::at(wake_at)).await {
                Either3::First(Ok(Some(inbound))) => {
                    progress.heard = Instant::now();
                    match Request::read(&inbound, self.topics, self.config) {
                        Ok(Some(request)) => self.accept(&mut progress.requests, request),
                        Ok(None) => {}
                        Err(Unanswerable) => self.leave_unanswered(),
                    }
                }
                Either3::First(Ok(None)) | Either3::Second(()) | Either3::Third(()) => {}
                Either3::First(Err(Error::Peer(PeerError::Rejected(_)))) => refused = true,
                Either3::First(Err(_)) => return End::Lost,
            }
            self.settle(connection, &mut progress, refused);
            let now = Instant::now();
            if now >= progress.heard + keep_alive {
                return End::Dead;
            }
            // A link that carries only QoS 0 tells nothing: a repeated SUBSCRIBE is the cheapest request that is answered.
            let silent = now >= progress.heard + keep_alive / 2;
            progress.subscribe_due |= silent && !self.is_waiting(&progress);
        }
    }

    /// Whether an answer of the broker is outstanding.
    fn is_waiting(&self, progress: &Progress) -> bool {
        progress.task.is_some() || self.shared.outbox.borrow().in_flight() > 0
    }

    /// Takes note of what the broker has acknowledged.
    fn settle<IO: Io>(&self, connection: &Connection<'_, '_, IO>, progress: &mut Progress, refused: bool) {
        let counters = &self.shared.counters;
        let mut refused = refused;
        if let Some((op, task)) = progress.task
            && !connection.is_pending(&op)
        {
            progress.task = None;
            progress.heard = Instant::now();
            if connection.is_complete(&op) && task == Task::Birth {
                self.birth_answered(progress, core::mem::take(&mut refused));
            }
        }
        let fate = |op: &Op| match (connection.is_pending(op), connection.is_complete(op)) {
            (true, _) => Fate::Pending,
            (false, true) => Fate::Acknowledged,
            (false, false) => Fate::Lost,
        };
        let tell = |record, qos| {
            if !refused {
                self.shared.events.add(Event::Sent { record, qos });
            }
        };
        let acknowledged = self.shared.outbox.borrow_mut().settle(fate, tell);
        if acknowledged > 0 {
            progress.heard = Instant::now();
            // A refusal is an answer too: the record is done with, but it has not been published.
            let published = acknowledged - u32::from(refused);
            counters.published.set(counters.published.get().saturating_add(published));
            counters.refused.set(counters.refused.get().saturating_add(u32::from(refused)));
        }
    }

    fn birth_answered(&self, progress: &mut Progress, refused: bool) {
        if !refused {
            self.shared.obstacle.set(None);
            self.shared.born.set(true);
            self.shared.supervisor.signal(());
        } else if !self.shared.running.get().confirmed {
            self.shared.obstacle.set(Some(Reason::PublishRefused));
            self.shared.birth_due.set(true);
            progress.birth_not_before = Instant::now() + BIRTH_RETRY;
        }
    }

    /// Sends what is due: tasks first, one at a time, then records.
    async fn send<IO: Io>(
        &self,
        connection: &mut Connection<'_, '_, IO>,
        progress: &mut Progress,
    ) -> Result<(), Gone> {
        while progress.task.is_none() && connection.can_publish(minimq::QoS::AtLeastOnce) {
            let Some(task) = self.next_task(progress) else { break };
            let op = match self.send_task(connection, progress, task).await? {
                Sent::Done(op) => op,
                Sent::NoRoom => return Ok(()),
                Sent::Never => None,
            };
            self.task_sent(progress, task);
            progress.task = op.map(|op| (op, task));
        }
        loop {
            let Some(next) = self.shared.outbox.borrow().next() else { return Ok(()) };
            let (record, qos) = (next.record, next.qos);
            if !connection.can_publish(mqtt_qos(qos)) {
                return Ok(());
            }
            let Some(report) = self.config.reports.get(usize::from(record.report())) else {
                self.shared.outbox.borrow_mut().skip(&next);
                continue;
            };
            let topic = self.topics.report(&report);
            let message = Rendered { uplink: self, message: Message::Record(&record, &report) };
            let publication = Publication::new(&topic, message).qos(mqtt_qos(qos));
            let publication = if report.retain { publication.retain() } else { publication };
            let quiet = !self.is_waiting(progress);
            match sent(connection.publish(publication).await, quiet)? {
                Sent::Done(op) => {
                    if op.is_none() {
                        self.count(&self.shared.counters.published);
                        self.shared.events.add(Event::Sent { record, qos });
                    }
                    self.shared.outbox.borrow_mut().sent(&next, op);
                }
                Sent::NoRoom => return Ok(()),
                Sent::Never => self.shared.outbox.borrow_mut().skip(&next),
            }
        }
    }

    fn next_task(&self, progress: &mut Progress) -> Option<Task> {
        let now = Instant::now();
        if matches!(self.leaving.get(), Leaving::Elsewhere | Leaving::ForGood) {
            // Behind the last records, which may be retained as well.
            let is_next = self.shared.outbox.borrow().is_empty() && self.left_behind(progress.left).is_some();
            return is_next.then_some(Task::Leave(progress.left));
        }
        if progress.status_due {
            return Some(Task::Status);
        }
        if self.shared.birth_due.get() && now >= progress.birth_not_before {
            return Some(Task::Birth);
        }
        if progress.subscribe_due {
            return Some(Task::Subscribe);
        }
        if let Some(index) = self.shared.health.borrow().first_unsent() {
            return Some(Task::Health(index));
        }
        let is_answerable =
            |request: &Option<Request>| request.as_ref().is_some_and(|request| self.is_answerable(request));
        if let Some(place) = progress.requests.iter().position(is_answerable) {
            return Some(Task::Reply(place));
        }
        (now >= progress.stats_at).then_some(Task::Stats)
    }

    /// Returns the retained messages that the broker is to keep when the node has left, by number. An empty one is kept
    /// by no broker (MQTT 5, section 3.3.1.3).
    fn left_behind(&self, number: usize) -> Option<(Topic, &'static str)> {
        match self.leaving.get() {
            Leaving::Elsewhere => (number == 0).then(|| (self.topics.status(), "offline")),
            _ => self.retained(number).map(|topic| (topic, "")),
        }
    }

    /// Returns the topics under which the broker keeps messages of this node, by number.
    fn retained(&self, number: usize) -> Option<Topic> {
        let sensors = self.config.sensors.len();
        match number {
            0 => Some(self.topics.status()),
            1 => Some(self.topics.info()),
            _ if number < 2 + sensors => {
                self.config.sensors.get(number - 2).map(|sensor| self.topics.health(sensor.id))
            }
            _ => {
                let mut retained = self.config.reports.iter().filter(|report| report.retain);
                retained.nth(number - 2 - sensors).map(|report| self.topics.report(&report))
            }
        }
    }

    async fn send_task<IO: Io>(
        &self,
        connection: &mut Connection<'_, '_, IO>,
        progress: &Progress,
        task: Task,
    ) -> Result<Sent, Gone> {
        let quiet = self.shared.outbox.borrow().in_flight() == 0;
        let (topic, message) = match task {
            Task::Subscribe => {
                // Retained requests are old requests; the node answers new ones.
                let options = SubscriptionOptions::default()
                    .maximum_qos(minimq::QoS::AtLeastOnce)
                    .retain_behavior(RetainHandling::Never);
                let filter = self.topics.requests();
                let result = connection.subscribe(&[TopicFilter::new(&filter).options(options)], &[]).await;
                return sent(result.map(Some).map_err(PubError::<Overflow, _>::Session), quiet);
            }
            Task::Status => (self.topics.status(), Message::Text("online")),
            Task::Birth => (self.topics.info(), Message::Birth(self.network.address())),
            Task::Stats => (self.topics.stats(), Message::Stats),
            Task::Health(index) => {
                let Some(sensor) = self.config.sensors.get(index) else { return Ok(Sent::Never) };
                (self.topics.health(sensor.id), Message::Text(self.shared.health.borrow().get(index).name()))
            }
            Task::Leave(number) => {
                let Some((topic, payload)) = self.left_behind(number) else { return Ok(Sent::Never) };
                (topic, Message::Text(payload))
            }
            Task::Reply(place) => {
                let Some(request) = progress.requests.get(place).and_then(Option::as_ref) else {
                    return Ok(Sent::Never);
                };
                let message = Rendered { uplink: self, message: Message::Reply(request) };
                let reply_topic = self.topics.reply();
                let publication = request.publication(&reply_topic, message).qos(minimq::QoS::AtLeastOnce);
                return sent(connection.publish(publication).await, quiet);
            }
        };
        let publication = Publication::new(&topic, Rendered { uplink: self, message });
        let publication = match task {
            Task::Stats => publication,
            _ => publication.qos(minimq::QoS::AtLeastOnce).retain(),
        };
        sent(connection.publish(publication).await, quiet)
    }

    fn task_sent(&self, progress: &mut Progress, task: Task) {
        match task {
            Task::Status => progress.status_due = false,
            Task::Birth => self.shared.birth_due.set(false),
            Task::Subscribe => progress.subscribe_due = false,
            Task::Health(index) => self.shared.health.borrow_mut().sent(index),
            Task::Reply(place) => {
                let request = progress.requests.get_mut(place).and_then(Option::take);
                if request.is_some_and(|request| request.is_measured()) {
                    self.shared.measurement.cancel(Asker::Mqtt);
                }
            }
            Task::Leave(_) => progress.left += 1,
            Task::Stats => progress.stats_at += Duration::from_secs(self.config.mqtt.stats_every_s.0.into()),
        }
    }
}

/// The connection cannot be used any more.
struct Gone;

/// What became of a packet.
enum Sent {
    /// Written; the operation to wait for, where it is acknowledged.
    Done(Option<Op>),
    /// There is no room now; try again when something has been acknowledged.
    NoRoom,
    /// It will never fit.
    Never,
}

/// Sorts the outcomes of a publication. With a `quiet` session nothing will make room later.
fn sent<P, E>(result: Result<Option<Op>, PubError<P, E>>, quiet: bool) -> Result<Sent, Gone> {
    let no_room = if quiet { Sent::Never } else { Sent::NoRoom };
    match result {
        Ok(op) => Ok(Sent::Done(op)),
        Err(PubError::Payload(_)) => Ok(no_room),
        Err(PubError::Session(Error::NotReady)) => Ok(no_room),
        Err(PubError::Session(Error::Resource(ResourceError::PacketTooLarge))) => Ok(Sent::Never),
        Err(PubError::Session(Error::Resource(_))) => Ok(no_room),
        Err(PubError::Session(Error::InvalidRequest)) => Ok(Sent::Never),
        Err(PubError::Session(_)) => Err(Gone),
    }
}

fn mqtt_qos(qos: QoS) -> minimq::QoS {
    match qos {
        QoS::AtMostOnce => minimq::QoS::AtMostOnce,
        QoS::AtLeastOnce => minimq::QoS::AtLeastOnce,
        QoS::ExactlyOnce => minimq::QoS::ExactlyOnce,
    }
}
