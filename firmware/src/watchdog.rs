//! The hardware watchdog, in two stages of 3.36 s.
//!
//! The agent's supervisor feeds it every 3 s when every part has checked in. The first stage's interrupt only notes where the
//! processor was, for the next start to tell; nothing but feeding ends the second stage, which resets the chip.

use crate::mmio::Register;
use crate::rtc::{self, End};

const CTL: Register = Register::new(0x6000_0900);
const FIRST_STAGE: Register = Register::new(0x6000_0904);
const SECOND_STAGE: Register = Register::new(0x6000_0908);
const ACKNOWLEDGE: Register = Register::new(0x6000_0918);
const FEED: Register = Register::new(0x6000_0914);
const EDGE_INTERRUPTS: Register = Register::new(0x3ff0_0004);

/// What feeds it.
const FOOD: u32 = 0x73;
/// Both stages, with the bits that every known program writes.
const CTL_TWO_STAGES: u32 = 0x38;
const CTL_ENABLE: u32 = 1;
/// Exponent: a stage lasts 2^(12+16) cycles of 80 MHz, 3.36 s.
const EXPONENT: u32 = 12;
/// Lets its interrupt through to the processor.
const EDGE_WATCHDOG: u32 = 1 << 0;

/// Starts the watchdog. It can't be stopped but by a reset.
pub fn start() {
    CTL.write(0);
    FIRST_STAGE.write(EXPONENT);
    SECOND_STAGE.write(EXPONENT);
    feed();
    EDGE_INTERRUPTS.set(EDGE_WATCHDOG);
    CTL.write(CTL_TWO_STAGES);
    CTL.write(CTL_TWO_STAGES | CTL_ENABLE);
}

/// Feeds the watchdog: the first stage begins anew.
#[inline(always)]
pub fn feed() {
    FEED.write(FOOD);
}

/// Feeds the watchdog for the supervisor. What the first stage has noted was no hang then: the stage is acknowledged, as the
/// ROM's handler does it, and the note is forgotten.
pub fn feed_and_forget() {
    critical_section::with(|_| {
        feed();
        if rtc::forget_hang() {
            ACKNOWLEDGE.write(FOOD);
        }
    });
}

/// Serves interrupt 8: the first stage is over. `interrupted_at` is the address that the processor was at.
pub fn on_interrupt(interrupted_at: u32) {
    rtc::note(End::Hang { at: interrupted_at });
}
