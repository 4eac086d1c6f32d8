//! What the parts of a running agent share.
//!
//! The agent runs on one thread as one future, so cells suffice. A part writes what it owns and reads the rest; nothing
//! here decides anything.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use dunlin_config_format::Reason;
use dunlin_config_format::image::HASH_SIZE;
use dunlin_config_format::limits::{BODY_SIZE, MEMBERS, SENSORS};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;

use crate::event::Events;
use crate::payload::{Record, Values};
use crate::platform::{Crash, Platform, ResetCause};
use crate::sampler::Measured;
use crate::schedule::Lateness;
use crate::sensor::Health;
use crate::store::Store;
use crate::supervisor::Promises;
use crate::uplink::Outbox;

/// What never changes between two starts of the board.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// Random number of this start; a host that sees another one knows that the board has restarted.
    pub id: u32,
    /// Identifier of the chip.
    pub chip_id: u32,
    /// Why the board started.
    pub cause: ResetCause,
    /// What ended the run before, where more than the cause is known.
    pub crash: Option<Crash>,
    /// When it started: on a chip the clock's zero, in a world that is older than the board some other time.
    pub at: Instant,
}

/// The configuration that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// Counts configurations; 0 while none runs.
    pub generation: u32,
    /// Hash of the image.
    pub hash: [u8; HASH_SIZE],
    /// Whether it has been confirmed.
    pub confirmed: bool,
    /// Whether it was confirmed because a person vouched for it, and not by a broker.
    pub vouched: bool,
    /// Failed attempts.
    pub attempts: u8,
    /// When it was started.
    pub started: Option<Instant>,
    /// Whether there is a confirmed configuration to go back to.
    pub has_fallback: bool,
    /// The configuration that was given up last, and why.
    pub rolled_back: Option<(u32, Option<Reason>)>,
}

/// What the config loop is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Start what the store now says.
    Apply,
    /// Restart the board.
    Restart,
}

/// What the statistics tell of the samples of the running configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct SampleCounts {
    /// Samples that failed.
    pub faults: u32,
    /// How late samples were.
    pub lateness: Lateness,
}

/// Counters since start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages sent at QoS 0 or acknowledged.
    pub published: Cell<u32>,
    /// Messages that the broker refused.
    pub refused: Cell<u32>,
    /// Connections to the broker.
    pub connections: Cell<u32>,
    /// Connections that were found dead.
    pub dead_links: Cell<u32>,
    /// Requests over MQTT that were left unanswered.
    pub unanswered: Cell<u32>,
}

/// Health of the sensors, and which of it the broker does not know yet.
#[derive(Debug)]
pub struct HealthTable {
    states: [Health; SENSORS],
    /// Sensors that have been sampled; a bit each.
    known: u32,
    /// Sensors whose state the broker does not know; a bit each.
    unsent: u32,
}

impl Default for HealthTable {
    fn default() -> Self {
        HealthTable { states: [Health::Ok; SENSORS], known: 0, unsent: 0 }
    }
}

impl HealthTable {
    /// Notes the state of the sensor at `index`.
    pub fn set(&mut self, index: usize, state: Health) {
        if let Some(entry) = self.states.get_mut(index) {
            *entry = state;
            self.known |= 1 << index;
            self.unsent |= 1 << index;
        }
    }

    /// Returns the state of the sensor at `index`.
    pub fn get(&self, index: usize) -> Health {
        self.states.get(index).copied().unwrap_or(Health::Ok)
    }

    /// Marks every state that is known as unknown to the broker.
    pub fn resend(&mut self) {
        self.unsent = self.known;
    }

    /// Returns the first sensor whose state the broker does not know.
    pub fn first_unsent(&self) -> Option<usize> {
        (self.unsent != 0).then(|| self.unsent.trailing_zeros() as usize)
    }

    /// Notes that the broker is told the state of the sensor at `index`.
    pub fn sent(&mut self, index: usize) {
        self.unsent &= !(1 << index);
    }
}

/// Who asked for a measurement outside the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The host, over USB.
    Usb,
    /// A request over MQTT.
    Mqtt,
}

/// One measurement outside the schedule, for one asker at a time.
#[derive(Debug, Default)]
pub struct Measurement {
    state: Cell<MeasurementState>,
}

#[derive(Clone, Copy, Debug, Default)]
enum MeasurementState {
    #[default]
    Idle,
    Asked(Asker, u8),
    Done(Asker, Measured),
}

impl Measurement {
    /// Asks for a measurement of the sensor at `index`; false where another asker is served.
    pub fn ask(&self, asker: Asker, index: u8) -> bool {
        let is_free = match self.state.get() {
            MeasurementState::Idle => true,
            MeasurementState::Asked(other, _) | MeasurementState::Done(other, _) => other == asker,
        };
        if is_free {
            self.state.set(MeasurementState::Asked(asker, index));
        }
        is_free
    }

    /// Returns the sensor to measure.
    pub fn asked(&self) -> Option<(Asker, u8)> {
        match self.state.get() {
            MeasurementState::Asked(asker, index) => Some((asker, index)),
            _ => None,
        }
    }

    /// Answers what was asked.
    pub fn answer(&self, asker: Asker, measured: Measured) {
        self.state.set(MeasurementState::Done(asker, measured));
    }

    /// Returns whether the answer for `asker` is there.
    pub fn is_done(&self, asker: Asker) -> bool {
        matches!(self.state.get(), MeasurementState::Done(other, _) if other == asker)
    }

    /// Returns the answer for `asker`.
    pub fn done(&self, asker: Asker) -> Option<Measured> {
        match self.state.get() {
            MeasurementState::Done(other, measured) if other == asker => Some(measured),
            _ => None,
        }
    }

    /// Forgets what `asker` has asked: nobody waits for it any more.
    pub fn cancel(&self, asker: Asker) {
        if let MeasurementState::Asked(other, _) | MeasurementState::Done(other, _) = self.state.get()
            && other == asker
        {
            self.state.set(MeasurementState::Idle);
        }
    }

    /// Takes the answer for `asker`.
    pub fn take(&self, asker: Asker) -> Option<Measured> {
        match self.state.get() {
            MeasurementState::Done(other, measured) if other == asker => {
                self.state.set(MeasurementState::Idle);
                Some(measured)
            }
            _ => None,
        }
    }
}

/// Snapshots of the values of messages with several: as many as can wait without losing the oldest.
const SNAPSHOTS: usize = 8;

/// The values of messages with several values.
#[derive(Debug)]
pub struct Snapshots {
    values: [[f32; MEMBERS]; SNAPSHOTS],
    /// Which message each snapshot belongs to: report and count.
    owners: [Option<(u8, u32)>; SNAPSHOTS],
    next: u8,
}

impl Snapshots {
    const fn new() -> Self {
        Snapshots { values: [[f32::NAN; MEMBERS]; SNAPSHOTS], owners: [None; SNAPSHOTS], next: 0 }
    }

    /// Makes the record of a message.
    pub fn record(&mut self, report: u8, seq: u32, at_ms: u64, values: &[f32]) -> Record {
        if let [value] = values {
            return Record::of_value(report, seq, at_ms, *value);
        }
        let place = self.next;
        self.next = (place + 1) % SNAPSHOTS as u8;
        if let Some(snapshot) = self.values.get_mut(usize::from(place)) {
            for (target, value) in snapshot.iter_mut().zip(values) {
                *target = *value;
            }
        }
        if let Some(owner) = self.owners.get_mut(usize::from(place)) {
            *owner = Some((report, seq));
        }
        Record::of_snapshot(report, seq, at_ms, place)
    }

    /// Returns the values of a record; none where a newer message has taken their place.
    pub fn values<'v>(&'v self, record: &'v Record) -> Option<&'v [f32]> {
        match record.values() {
            Values::One(value) => Some(core::slice::from_ref(value)),
            Values::Snapshot(place) => {
                let place = usize::from(place);
                let owner = self.owners.get(place).copied().flatten();
                let is_owner = owner == Some((record.report(), record.seq()));
                self.values.get(place).filter(|_| is_owner).map(|values| values.as_slice())
            }
        }
    }
}

/// The body of the running configuration. Everyone borrows it to read; the config loop alone replaces it.
pub struct Body {
    /// The bytes.
    pub bytes: [u8; BODY_SIZE],
    /// How many of them count.
    pub len: usize,
}

/// Tells a part that something waits for it. Only those leave one that are polled before the part, in the same poll of the agent:
/// the part finds it there, and the agent is not woken to be polled once more.
#[derive(Debug, Default)]
pub struct Note(Cell<bool>);

impl Note {
    /// Leaves the note.
    pub fn leave(&self) {
        self.0.set(true);
    }

    /// Waits for the note and takes it. Dropping the future leaves it where it is.
    pub async fn taken(&self) {
        poll_fn(|_| if self.0.take() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// What the parts of a running agent share.
pub struct Shared {
    /// This start.
    pub boot: Boot,
    /// The configuration that runs.
    pub running: Cell<Running>,
    /// What the running configuration's confirmation waits for.
    pub obstacle: Cell<Option<Reason>>,
    /// Whether the broker has acknowledged the birth message of the running configuration.
    pub born: Cell<bool>,
    /// Counters.
    pub counters: Counters,
    /// Records on their way to the broker.
    pub outbox: RefCell<Outbox<Record, minimq::Op>>,
    /// Health of the sensors.
    pub health: RefCell<HealthTable>,
    /// The generation that is confirmed at its start, without a broker.
    pub confirm_next: Cell<Option<u32>>,
    /// Whether a birth message is due: the node or what it runs has changed.
    pub birth_due: Cell<bool>,
    /// Whether the running configuration is being left for the one that the store now says.
    pub is_leaving: Cell<bool>,
    /// Whether every sensor of the running configuration has been sampled once.
    pub sampled: Cell<bool>,
    /// When each part will be back at the latest.
    pub promises: Promises,
    /// A measurement outside the schedule.
    pub measurement: Measurement,
    /// Snapshots that records in the outbox point to.
    pub snapshots: RefCell<Snapshots>,
    /// What is told to the host unasked.
    pub events: Events,
    /// The body of the running configuration.
    pub body: RefCell<Body>,
    /// Samples that failed since start, and the longest lateness in milliseconds: for the statistics.
    pub samples: Cell<SampleCounts>,
    /// Wakes the sampler: a measurement is asked for.
    pub sampler: Signal<NoopRawMutex, ()>,
    /// Wakes the supervisor: something that it waits for has happened.
    pub supervisor: Signal<NoopRawMutex, ()>,
    /// Tells the uplink that there is something to send.
    pub uplink: Note,
    /// Wakes the USB server: a measurement is done.
    pub measured: Signal<NoopRawMutex, ()>,
    /// Wakes the config loop.
    pub change: Signal<NoopRawMutex, Change>,
}

impl Boot {
    /// Returns milliseconds from the start to `at`.
    pub fn uptime_ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.at).as_millis()
    }
}

impl Shared {
    /// Returns the state of a board that has just started.
    pub fn new(boot: Boot) -> Self {
        Shared {
            boot,
            running: Cell::default(),
            obstacle: Cell::new(None),
            born: Cell::new(false),
            counters: Counters::default(),
            outbox: RefCell::new(Outbox::new()),
            health: RefCell::new(HealthTable::default()),
            confirm_next: Cell::new(None),
            birth_due: Cell::new(false),
            is_leaving: Cell::new(false),
            sampled: Cell::new(false),
            promises: Promises::default(),
            measurement: Measurement::default(),
            snapshots: RefCell::new(Snapshots::new()),
            events: Events::new(),
            body: RefCell::new(Body { bytes: [0; BODY_SIZE], len: 0 }),
            samples: Cell::default(),
            sampler: Signal::new(),
            supervisor: Signal::new(),
            uplink: Note::default(),
            change: Signal::new(),
            measured: Signal::new(),
        }
    }
}

/// A running board: what its parts share, and the hardware that more than one of them uses.
pub struct Node<P: Platform> {
    /// What the parts share.
    pub shared: Shared,
    /// Configurations and secrets.
    pub store: RefCell<Store<P::Flash>>,
    /// The I2C masters.
    pub i2c: RefCell<P::I2c>,
    /// Entropy, reset, and memory that outlives one.
    pub system: RefCell<P::System>,
}
