//! What befalls a node and when, as data: an environment and timed faults.
//!
//! A [`Scenario`] is plain values that anyone can build; [`Scenario::validate`] says whether it makes sense, and a
//! [`Schedule`] hands out its events in the order of their times. It knows nothing of boards: whoever owns the wires, the
//! network, the broker, the flash and the serial line carries the events out. For the wires that is done by
//! [`carry_out_on_wires`].
//!
//! # As a file
//! The host tool reads scenarios from TOML and builds these types. Everything named is a table keyed by its identifier;
//! the name of a fault is what plots and summaries call it.
//!
//! ```toml
//! seed = 7                          # noise, losses, damage; the command line's --seed wins
//!
//! [light]
//! illuminance = 284.0               # lux; or one of the three below
//! # day    = { start = "10h", sunrise = "6h", sunset = "20h", night = 0.0, noon = 20000.0 }
//! # steps  = [["0s", 284.0], ["30s", 12.5], ["45s", 284.0]]
//! # replay = { file = "light.csv", repeat = true }      # columns: seconds,illuminance
//! noise = { deviation = "2%", period = "12s" }
//! infrared-share = 0.495            # the rest is visible; 0.495 is daylight
//!
//! [fault.loose-contact]
//! at      = "20s"
//! kind    = "nack"                  # the sensor doesn't answer …
//! address = 0x29
//! times   = 2                       # … two transactions; or: for = "10s"
//!
//! [fault.short-circuit]
//! at     = "40s"
//! kind   = "stuck-bus"
//! pulses = 5                        # freed by a bus clear; without it, by power or at the end of `for`
//! sda    = 4                        # without it, every bus
//!
//! [fault.unplugged]
//! at      = "1m"
//! for     = "10s"
//! kind    = "sensor-gone"
//! address = 0x29
//!
//! [fault.broker-restart]
//! at   = "90s"
//! for  = "20s"
//! kind = "broker-away"              # refuses connections; "broker-mute" accepts them and never answers
//!
//! [fault.bad-wire]
//! at   = "2m"
//! for  = "30s"
//! kind = "loss"                     # or "delay" with delay = "200ms"; "black-hole"; "link-down"
//! rate = "10%"
//!
//! [fault.blackout]
//! at   = "3m"
//! for  = "2s"
//! kind = "power-cut"
//!
//! [fault.torn-write]
//! at        = "3m30s"
//! kind      = "power-cut"
//! operation = 3                     # not at once, but within the third flash operation from then on
//!
//! [fault.button]
//! at   = "4m"
//! kind = "reset"
//!
//! [fault.crosstalk]
//! at    = "4m30s"
//! for   = "20s"
//! kind  = "serial-noise"
//! flips = "0.1%"                    # of the bytes; also drops and doubles
//! ```

mod invalid;
mod schedule;
mod wires;

pub use invalid::InvalidScenario;
pub use schedule::{Edge, Event, Schedule};
pub use wires::carry_out_on_wires;

use super::environment::Environment;
use embassy_time::{Duration, Instant};

/// What befalls a node and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// For everything that is random and has no seed of its own.
    pub seed: u64,
    /// What the sensors measure.
    pub environment: Environment,
    /// Faults, in any order.
    pub faults: Vec<Fault>,
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What people call it: 1 to 32 characters of `a-z0-9-`, different for each fault.
    pub name: String,
    /// When it begins; the world starts at 0.
    pub at: Instant,
    /// When it ends; `None` for a fault that ends by itself or lasts for ever. For a power cut, how long power is off.
    pub duration: Option<Duration>,
    /// What happens.
    pub kind: FaultKind,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// A device's address is not acknowledged.
    Nack {
        /// The device's 7-bit address.
        address: u8,
        /// In so many transactions; `None`: until the fault ends.
        times: Option<u32>,
    },
    /// A device holds a data line low.
    StuckBus {
        /// GPIO number of the data line; `None`: every bus.
        sda: Option<u8>,
        /// Clock pulses that free it; `None`: power, or the end of the fault.
        pulses: Option<u32>,
    },
    /// A device is off the bus, and starts from power-on when it is back.
    SensorGone {
        /// The device's 7-bit address.
        address: u8,
    },
    /// The broker refuses connections, and drops those that it had.
    BrokerAway,
    /// The broker accepts connections and bytes, and never answers.
    BrokerMute,
    /// The network cable is out.
    LinkDown,
    /// Frames vanish both ways, while the link says that it is up.
    BlackHole,
    /// Frames are lost at random.
    Loss {
        /// Probability for each frame and direction, 0 to 1.
        rate: f64,
    },
    /// Frames take longer.
    Delay {
        /// Additional time for each direction, at most 60 s.
        delay: Duration,
    },
    /// Power goes off, and comes back after the fault's duration (at once, without one).
    PowerCut {
        /// Not at the fault's time, but in the middle of this flash operation (erase or program) from then on, counted
        /// from 1.
        operation: Option<u32>,
    },
    /// The board is reset: RAM is lost, words that outlive a reset are not.
    Reset,
    /// The serial line damages bytes.
    SerialNoise {
        /// Bytes in a million with a flipped bit.
        flip_ppm: u32,
        /// Bytes in a million that vanish.
        drop_ppm: u32,
        /// Bytes in a million that arrive twice.
        double_ppm: u32,
    },
}

impl FaultKind {
    /// Returns the name of the kind, as in a file.
    pub const fn name(&self) -> &'static str {
        match self {
            FaultKind::Nack { .. } => "nack",
            FaultKind::StuckBus { .. } => "stuck-bus",
            FaultKind::SensorGone { .. } => "sensor-gone",
            FaultKind::BrokerAway => "broker-away",
            FaultKind::BrokerMute => "broker-mute",
            FaultKind::LinkDown => "link-down",
            FaultKind::BlackHole => "black-hole",
            FaultKind::Loss { .. } => "loss",
            FaultKind::Delay { .. } => "delay",
            FaultKind::PowerCut { .. } => "power-cut",
            FaultKind::Reset => "reset",
            FaultKind::SerialNoise { .. } => "serial-noise",
        }
    }
}

impl Scenario {
    /// Returns a scenario in which nothing goes wrong.
    pub fn quiet(environment: Environment) -> Self {
        Self { seed: 0, environment, faults: Vec::new() }
    }
}
