//! What a board supplies. The only door between the agent and hardware.
//!
//! Two boards implement these traits: the chip (`firmware`) and the native board of the twin. The network device is not
//! here: a board passes an [`embassy_net_driver::Driver`] to [`network::new`](crate::network::new).
//!
//! # For implementers
//! Flash and I2C calls block. A blocking call takes its real duration of the board's clock, on a simulated board too, so
//! that whatever the agent measures is what a chip would measure.

use embassy_time::Duration;
use embedded_hal::i2c::I2c;
use embedded_io_async::{Read, Write};
use embedded_storage::nor_flash::NorFlash;

/// Everything a node's behaviour needs from its board.
pub trait Platform {
    /// The flash chip, addressed from 0. Write size at most 4 bytes, erase size 4096 bytes.
    type Flash: NorFlash;
    /// The receiving half of the host's serial line.
    type SerialReader: Read;
    /// The sending half of the host's serial line.
    type SerialWriter: Write;
    /// The I2C masters.
    type I2c: I2cMaster;
    /// Everything else, small enough to be asked one call at a time.
    type System: System;

    /// Takes the board apart, so that each part of the agent owns what it uses.
    fn split(self) -> Parts<Self>
    where
        Self: Sized;
}

/// A board taken apart.
pub struct Parts<P: Platform> {
    /// The flash chip.
    pub flash: P::Flash,
    /// Bytes from the host.
    pub serial_reader: P::SerialReader,
    /// Bytes to the host.
    pub serial_writer: P::SerialWriter,
    /// The I2C masters.
    pub i2c: P::I2c,
    /// Entropy, reset and memory that outlives a reset.
    pub system: P::System,
}

/// Where an I2C bus is and how fast it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I2cPins {
    /// GPIO number of the data line.
    pub sda: u8,
    /// GPIO number of the clock line.
    pub scl: u8,
    /// Clock frequency in Hz.
    pub frequency_hz: u32,
}

/// I2C masters on any two pins.
///
/// A bus is a handle made for one exchange: configuring pins is cheap, and nothing has to outlive a configuration.
pub trait I2cMaster {
    /// A bus on two pins.
    type Bus<'a>: I2c + ClearBus
    where
        Self: 'a;

    /// Returns the bus on `pins`. Does not touch the lines.
    fn bus(&mut self, pins: I2cPins) -> Self::Bus<'_>;
}

/// Frees an I2C bus whose data line a device holds low (I2C-bus specification UM10204, section 3.1.16).
pub trait ClearBus {
    /// Sends up to nine clock pulses and a stop; returns whether both lines are high afterwards.
    fn clear_bus(&mut self) -> bool;
}

/// Why the board started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetCause {
    /// Supply voltage came up. Never evidence against a configuration.
    PowerOn,
    /// The reset line, for example by opening the serial port.
    External,
    /// The agent asked for it.
    Software,
    /// A hardware watchdog.
    Watchdog,
    /// A panic, or an exception of the processor.
    Panic,
}

/// What ended the run before, where the board knows more than the cause. Addresses are those of the image that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A panic.
    Panic {
        /// The source file.
        file: &'static str,
        /// The line, counted from 1.
        line: u32,
    },
    /// An exception of the processor.
    Exception {
        /// Its number.
        cause: u32,
        /// The instruction.
        at: u32,
        /// The address that the instruction used, where it used one.
        address: u32,
    },
    /// The stack was full.
    StackOverflow {
        /// Where the processor was when that was found; none where it was found later.
        at: Option<u32>,
    },
    /// The program did not feed the watchdog.
    Hang {
        /// Where the processor was when the watchdog first noticed; none where no interrupt came through.
        at: Option<u32>,
    },
    /// A part of the agent did not come back, so that the watchdog was not fed. The agent finds it out itself.
    Late(Part),
}

/// A part of the agent that the supervisor looks after. The numbers are kept over a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Serves the host.
    Server = 1,
    /// Moves frames between the network's driver and the stack.
    Network = 2,
    /// Measures.
    Sampler = 3,
    /// Speaks with the broker.
    Uplink = 4,
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 4] = [Part::Server, Part::Network, Part::Sampler, Part::Uplink];

    /// Returns what people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Server => "USB server",
            Part::Network => "network stack",
            Part::Sampler => "sampler",
            Part::Uplink => "uplink",
        }
    }
}

/// Whether the flash chip can hold configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlashChip {
    /// It can.
    #[default]
    Usable,
    /// It ends before the flash map does: nothing is erased or written, because that would hit the firmware.
    TooSmall {
        /// Its size in KiB.
        kib: u32,
    },
    /// It is protected against writing, and stays so.
    Protected,
    /// It does not answer as a flash chip does.
    Silent,
}

/// How the board itself is, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// How long the processor has slept; none where the board can't tell.
    pub asleep: Option<Duration>,
    /// Times that bytes from the host were lost because there was no room.
    pub overruns: u32,
    /// Characters from the host without a stop bit, as noise and a wrong rate cause.
    pub framing_errors: u32,
    /// Breaks on the host's line.
    pub breaks: u32,
    /// Whether the entropy of this start is the same at every start: no better source was found.
    pub entropy_repeats: bool,
    /// Whether the flash chip can hold configurations.
    pub flash: FlashChip,
    /// CRC-32 of the program's code, by which its names are found; none where the program is the host's.
    pub image: Option<u32>,
}

/// Words of memory that outlive a reset but not a power cut.
pub const RETAINED_WORDS: usize = 8;

/// Entropy, reset and its cause, and memory that outlives a reset.
pub trait System {
    /// Returns why the board started. The same value until the next start.
    fn reset_cause(&self) -> ResetCause;
    /// Returns what ended the run before, after a crash that left a trace.
    fn crash(&self) -> Option<Crash>;
    /// Returns a 32-bit identifier of the chip, printed in hexadecimal.
    fn chip_id(&self) -> u32;
    /// Returns 64 random bits.
    fn entropy(&mut self) -> u64;
    /// Returns the retained words; all zero after power-on.
    fn retained(&self) -> [u32; RETAINED_WORDS];
    /// Replaces the retained words.
    fn retain(&mut self, words: [u32; RETAINED_WORDS]);
    /// Feeds the hardware watchdog. The supervisor calls it, and only when every part has checked in.
    fn feed_watchdog(&mut self);
    /// Returns how the board itself is.
    fn condition(&self) -> Condition;
    /// Returns whether the host's line can run at `baud` bits per second. [`USUAL_RATE`](crate::usb::USUAL_RATE) always can.
    fn accepts_rate(&self, baud: u32) -> bool;
    /// Changes the speed of the host's line to one that it can run at. Whoever calls it has flushed the sending half.
    fn set_rate(&mut self, baud: u32);
    /// Returns the most stack ever used and the stack's size, in bytes, where the board can tell.
    fn stack(&self) -> Option<(u32, u32)>;
}

/// Speeds of the host's line that both boards offer, in bits per second: the longest frame takes less than a second, and the
/// chip's divider comes within 0.3 %.
pub const RATES: core::ops::RangeInclusive<u32> = 9_600..=921_600;

/// The longest time a device may hold the clock line low before a transfer fails.
pub const CLOCK_STRETCH_LIMIT: Duration = Duration::from_millis(25);
