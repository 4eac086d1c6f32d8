//! The hardware of a native board: what the agent's platform is made of on a host.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub use dunlin_agent::platform::ResetCause;
use dunlin_agent::platform::{Condition, Crash, Parts, Platform, RATES, RETAINED_WORDS, System};
use embassy_time::{Duration, Instant};
use rand_core::Rng;
use rand_pcg::Pcg32;

use crate::devices::i2c::{Wiring, WiringMaster};
use crate::devices::nor_flash::NorFlash;
use crate::world::clock::Clock;
use crate::world::serial_line::{SerialLine, SerialReader, SerialWriter};

/// How long the watchdog waits to be fed. The chip's bites after 6.7 s at the earliest.
pub const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(8);

/// What a board keeps while the agent on it comes and goes.
#[derive(Clone)]
pub struct Hardware {
    /// The world's clock.
    pub clock: Clock,
    /// The flash chip; it keeps its contents without power.
    pub flash: NorFlash,
    /// The wires to the sensors.
    pub wiring: Wiring,
    /// The line to the host.
    pub line: SerialLine,
    /// Identifier of the chip.
    pub chip_id: u32,
    state: Rc<State>,
}

/// What outlives a reset, and what the board's owner watches.
struct State {
    retained: Cell<[u32; RETAINED_WORDS]>,
    cause: Cell<ResetCause>,
    fed: Cell<Instant>,
    random: RefCell<Pcg32>,
}

impl Hardware {
    /// Returns a board that has just got power.
    pub fn new(
        clock: Clock,
        flash: NorFlash,
        wiring: Wiring,
        line: SerialLine,
        chip_id: u32,
        random: Pcg32,
    ) -> Self {
        let state = State {
            retained: Cell::new([0; RETAINED_WORDS]),
            cause: Cell::new(ResetCause::PowerOn),
            fed: Cell::new(clock.now()),
            random: RefCell::new(random),
        };
        Hardware { clock, flash, wiring, line, chip_id, state: Rc::new(state) }
    }

    /// Prepares for a start with this cause. A power cut forgets what a reset keeps.
    pub fn reset(&self, cause: ResetCause) {
        if cause == ResetCause::PowerOn {
            self.state.retained.set([0; RETAINED_WORDS]);
        }
        self.state.cause.set(cause);
        self.state.fed.set(self.clock.now());
    }

    /// Returns when the watchdog bites, unless it is fed before.
    pub fn watchdog_bites_at(&self) -> Instant {
        self.state.fed.get() + WATCHDOG_TIMEOUT
    }

    /// Returns random bits for one start of the board.
    pub fn entropy(&self) -> u64 {
        self.state.random.borrow_mut().next_u64()
    }
}

/// The platform of one start.
pub struct NativeBoard(pub Hardware);

impl Platform for NativeBoard {
    type Flash = NorFlash;
    type SerialReader = SerialReader;
    type SerialWriter = SerialWriter;
    type I2c = WiringMaster;
    type System = NativeSystem;

    fn split(self) -> Parts<Self> {
        let (serial_reader, serial_writer) = self.0.line.board();
        Parts {
            flash: self.0.flash.clone(),
            serial_reader,
            serial_writer,
            i2c: self.0.wiring.master(self.0.clock.clone()),
            system: NativeSystem(self.0),
        }
    }
}

/// Entropy, reset and memory of a native board.
pub struct NativeSystem(Hardware);

impl System for NativeSystem {
    fn reset_cause(&self) -> ResetCause {
        self.0.state.cause.get()
    }

    fn crash(&self) -> Option<Crash> {
        None
    }

    fn chip_id(&self) -> u32 {
        self.0.chip_id
    }

    fn entropy(&mut self) -> u64 {
        self.0.entropy()
    }

    fn retained(&self) -> [u32; RETAINED_WORDS] {
        self.0.state.retained.get()
    }

    fn retain(&mut self, words: [u32; RETAINED_WORDS]) {
        self.0.state.retained.set(words);
    }

    fn feed_watchdog(&mut self) {
        self.0.state.fed.set(self.0.clock.now());
    }

    fn condition(&self) -> Condition {
        let overruns = u32::try_from(self.0.line.counts().overruns).unwrap_or(u32::MAX);
        Condition { overruns, ..Condition::default() }
    }

    fn accepts_rate(&self, baud: u32) -> bool {
        RATES.contains(&baud)
    }

    fn set_rate(&mut self, baud: u32) {
        self.0.line.set_board_rate(baud);
    }

    fn stack(&self) -> Option<(u32, u32)> {
        None
    }
}
