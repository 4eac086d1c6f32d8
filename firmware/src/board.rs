//! The chip as the agent's platform.

use dunlin_agent::platform::{
    Condition, Crash, FlashChip, Parts, Platform, RATES, RETAINED_WORDS, ResetCause, System,
};

use crate::entropy::{Entropy, Quality};
use crate::flash::Flash;
use crate::i2c::Masters;
use crate::rtc::{End, Start};
use crate::uart::{self, LineCounts, Reader, Writer};
use crate::{efuse, idle, image, rtc, stack, watchdog};

/// Everything that the agent gets of the chip.
#[derive(Debug)]
pub struct Board {
    /// The flash chip.
    pub flash: Flash,
    /// Bytes from the host.
    pub reader: Reader,
    /// Bytes to the host.
    pub writer: Writer,
    /// The I2C masters.
    pub i2c: Masters,
    /// Entropy, reset and retained memory.
    pub system: Chip,
}

impl Platform for Board {
    type Flash = Flash;
    type SerialReader = Reader;
    type SerialWriter = Writer;
    type I2c = Masters;
    type System = Chip;

    fn split(self) -> Parts<Self> {
        Parts {
            flash: self.flash,
            serial_reader: self.reader,
            serial_writer: self.writer,
            i2c: self.i2c,
            system: self.system,
        }
    }
}

/// What is left of the chip: small things that are asked one call at a time.
#[derive(Clone, Debug)]
pub struct Chip {
    cause: ResetCause,
    crash: Option<Crash>,
    words: [u32; RETAINED_WORDS],
    entropy: Entropy,
    flash: FlashChip,
}

impl Chip {
    /// Returns the chip of this start.
    pub fn new(start: &Start, entropy: Entropy, flash: FlashChip) -> Self {
        Chip { cause: start.cause, crash: start.crash(), words: start.words, entropy, flash }
    }
}

impl System for Chip {
    fn reset_cause(&self) -> ResetCause {
        self.cause
    }

    fn crash(&self) -> Option<Crash> {
        self.crash
    }

    fn chip_id(&self) -> u32 {
        efuse::chip_id()
    }

    fn entropy(&mut self) -> u64 {
        self.entropy.draw()
    }

    fn retained(&self) -> [u32; RETAINED_WORDS] {
        self.words
    }

    fn retain(&mut self, words: [u32; RETAINED_WORDS]) {
        self.words = words;
        rtc::retain(&words);
    }

    fn feed_watchdog(&mut self) {
        if stack::has_overflowed() {
            rtc::note(End::StackOverflow { at: 0 });
            rtc::reset();
        }
        watchdog::feed_and_forget();
    }

    fn condition(&self) -> Condition {
        let LineCounts { overruns, framing, breaks } = uart::counts();
        Condition {
            asleep: Some(idle::asleep()),
            overruns,
            framing_errors: framing,
            breaks,
            entropy_repeats: self.entropy.quality() == Quality::Repeating,
            flash: self.flash,
            image: image::checksum(),
        }
    }

    fn accepts_rate(&self, baud: u32) -> bool {
        RATES.contains(&baud)
    }

    fn set_rate(&mut self, baud: u32) {
        uart::set_rate(baud);
    }

    fn stack(&self) -> Option<(u32, u32)> {
        stack::usage()
    }
}
