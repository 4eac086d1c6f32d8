//! What a node tells its host unasked: readings, health, messages, and lines of its log.
//!
//! Events are small values in a short queue. When nobody takes them, the oldest make room: a log is not worth a sample.

use core::cell::{Cell, RefCell};

use dunlin_config_format::Reason;
use dunlin_config_format::config::QoS;
use dunlin_config_format::flash_map;
use dunlin_config_format::message::monitor;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::Instant;
use heapless::Deque;

use crate::payload::Record;
use crate::platform::{Crash, FlashChip};
use crate::sensor::Health;
use crate::text::Text;

/// Events that wait to be told.
const QUEUE_SIZE: usize = 16;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A reading passed its filters.
    Reading {
        /// Index of the sensor.
        sensor: u8,
        /// Number of the reading.
        reading: u8,
        /// Its value.
        value: f32,
    },
    /// A sensor's health changed.
    Health {
        /// Index of the sensor.
        sensor: u8,
        /// Its health now.
        health: Health,
    },
    /// A message of a report went out: at QoS 0 sent, above acknowledged.
    Sent {
        /// The message.
        record: Record,
        /// Its quality of service.
        qos: QoS,
    },
    /// A line of the log.
    Log(Log),
}

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// The agent started on a board.
    Booted,
    /// The run before ended in a crash that left a trace.
    Crashed(Crash),
    /// The flash chip can't hold configurations.
    FlashChip(FlashChip),
    /// A configuration was started.
    Started {
        /// Its generation.
        generation: u32,
        /// Whether it has been confirmed.
        confirmed: bool,
    },
    /// Nothing can be run: the node waits for a push.
    SafeMode,
    /// A session with the broker was opened.
    Connected,
    /// There is no session with the broker; why.
    Unreachable(Reason),
    /// The session with the broker was lost.
    Lost,
    /// The same, after others that came to nothing.
    LostAgain,
    /// The broker gave the session to another client with the same identifier.
    TakenOver,
    /// The broker acknowledged nothing for a whole keep alive.
    Dead,
    /// A request over MQTT was left unanswered: its response topic is too long, or too many came at once.
    Unanswered,
    /// The running configuration was confirmed.
    Confirmed {
        /// Its generation.
        generation: u32,
    },
    /// An attempt of the running configuration failed.
    AttemptFailed {
        /// Its generation.
        generation: u32,
        /// Why.
        reason: Reason,
    },
    /// A write to flash failed.
    FlashFault,
}

impl Crash {
    /// Writes it for people: `panic at agent/src/run.rs:12`, `exception 28 at 0x40210000, address 0x00000008`.
    pub fn render(&self, text: &mut Text<'_>) {
        let address = |text: &mut Text<'_>, address: u32| {
            text.str("0x");
            text.hex(&address.to_be_bytes());
        };
        match *self {
            Crash::Panic { file, line } => {
                text.str("panic at ");
                text.str(file);
                text.str(":");
                text.integer(line.into());
            }
            Crash::Exception { cause, at, address: used } => {
                text.str("exception ");
                text.integer(cause.into());
                text.str(" at ");
                address(text, at);
                text.str(", address ");
                address(text, used);
            }
            Crash::Hang { at: Some(at) } => {
                text.str("hang, last at ");
                address(text, at);
            }
            Crash::Hang { at: None } => text.str("hang, with interrupts held"),
            Crash::Late(part) => {
                text.str("hang, the ");
                text.str(part.name());
                text.str(" did not come back");
            }
            Crash::StackOverflow { at } => {
                text.str("stack overflow");
                if let Some(at) = at {
                    text.str(", found at ");
                    address(text, at);
                }
            }
        }
    }
}

impl FlashChip {
    /// Writes it for people: `usable`, `too small: 512 KiB, 1024 KiB are needed`.
    pub fn render(&self, text: &mut Text<'_>) {
        match *self {
            FlashChip::Usable => text.str("usable"),
            FlashChip::TooSmall { kib } => {
                text.str("too small: ");
                text.integer(kib.into());
                text.str(" KiB, ");
                text.integer((flash_map::SIZE / 1024).into());
                text.str(" KiB are needed");
            }
            FlashChip::Protected => text.str("protected against writing"),
            FlashChip::Silent => text.str("it does not answer"),
        }
    }
}

impl Log {
    /// Writes the line.
    pub fn render(&self, text: &mut Text<'_>) {
        let mut with_number = |before: &str, number: u32, after: &str| {
            text.str(before);
            text.integer(number.into());
            text.str(after);
        };
        match *self {
            Log::Booted => {
                text.str("dunlin ");
                text.str(env!("CARGO_PKG_VERSION"));
            }
            Log::Crashed(crash) => {
                text.str("the run before ended: ");
                crash.render(text);
            }
            Log::FlashChip(chip) => {
                text.str("no configuration can be stored, the flash chip: ");
                chip.render(text);
            }
            Log::Started { generation, confirmed: true } => {
                with_number("generation ", generation, " started")
            }
            Log::Started { generation, confirmed: false } => {
                with_number("generation ", generation, " started on trial")
            }
            Log::SafeMode => text.str("safe mode: no configuration can be run, waiting for `dunlin push`"),
            Log::Connected => text.str("connected to the broker"),
            Log::Unreachable(reason) => {
                text.str("no session with the broker: ");
                text.str(reason.name());
            }
            Log::Lost => text.str("the broker closed the session"),
            Log::LostAgain => text.str(
                "the broker closes one session after the other: does another node use this node's name?",
            ),
            Log::TakenOver => text.str("another node uses this node's name: it has taken the session over"),
            Log::Dead => text.str("the link to the broker is dead"),
            Log::Unanswered => text.str(
                "a request was left unanswered: its response topic is too long, or too many came at once",
            ),
            Log::Confirmed { generation } => with_number("generation ", generation, " confirmed"),
            Log::AttemptFailed { generation, reason } => {
                with_number("attempt of generation ", generation, " failed: ");
                text.str(reason.name());
            }
            Log::FlashFault => text.str("a write to flash failed"),
        }
    }
}

/// Events that have not been told yet, with their times.
pub struct Events {
    queue: RefCell<Deque<(Instant, Event), QUEUE_SIZE>>,
    added: Signal<NoopRawMutex, ()>,
    wanted: Cell<u8>,
}

impl Events {
    /// Returns an empty queue.
    pub const fn new() -> Self {
        Events { queue: RefCell::new(Deque::new()), added: Signal::new(), wanted: Cell::new(0) }
    }

    /// Chooses which events are kept beside lines of the log: bits of
    /// [`monitor`].
    pub fn want(&self, what: u8) {
        self.wanted.set(what);
    }

    /// Adds an event that happens now, if anybody wants it.
    pub fn add(&self, event: Event) {
        let bit = match event {
            Event::Reading { .. } => monitor::READINGS,
            Event::Health { .. } => monitor::HEALTH,
            Event::Sent { .. } => monitor::SENT,
            Event::Log(_) => 0,
        };
        if bit != 0 && self.wanted.get() & bit == 0 {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_full() {
            queue.pop_front();
        }
        // Cannot fail: there is room for one.
        let _ = queue.push_back((Instant::now(), event));
        self.added.signal(());
    }

    /// Adds a line of the log.
    pub fn log(&self, line: Log) {
        self.add(Event::Log(line));
    }

    /// Waits for the next event.
    ///
    /// # Cancellation Safety
    /// Dropping the future loses no event.
    pub async fn next(&self) -> (Instant, Event) {
        loop {
            let first = self.queue.borrow_mut().pop_front();
            if let Some(event) = first {
                return event;
            }
            self.added.wait().await;
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Events::new()
    }
}
