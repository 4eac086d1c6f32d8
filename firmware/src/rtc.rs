//! Why the chip started, and the memory of the real-time clock, which outlives a reset but not a power cut.
//!
//! Of that memory the 512 bytes from 0x6000_1200 are the user's; the vendor's radio code has what is before.

use dunlin_agent::platform::{Crash, RETAINED_WORDS, ResetCause};

use crate::mmio::{Register, Registers};

const CTRL: Register = Register::new(0x6000_0700);
const REASON: Register = Register::new(0x6000_0714);
const MEMORY: Registers<128> = Registers::new(0x6000_1200);

/// Resets the chip.
const CTRL_RESET: u32 = 1 << 31;

/// Marks the memory as written by this layout.
const MAGIC: u32 = u32::from_le_bytes(*b"DNR1");
const MAGIC_WORD: u32 = 0;
/// Magic, what ended the last run, three words of where, agent's words; inverted sum of all of them.
const END_WORD: u32 = 1;
const AGENT_WORD: u32 = 5;
const SUM_WORD: u32 = AGENT_WORD + RETAINED_WORDS as u32;
/// A word that changes at every start and is worth keeping, for [`entropy`](crate::entropy). Outside of the sum.
const SEED_WORD: u32 = SUM_WORD + 1;

/// Number of the end that is a hang.
const HANG: u32 = 4;

/// What ended a run, where the program knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is known.
    Unknown,
    /// The agent asked for a restart.
    Requested,
    /// A panic: address and length of the source file's name, and the line.
    Panic {
        /// Address of the file's name in the image that ran.
        file: u32,
        /// Length of the name in bytes.
        len: u32,
        /// Line, counted from 1.
        line: u32,
    },
    /// An exception of the processor.
    Exception {
        /// EXCCAUSE.
        cause: u32,
        /// EPC1: the instruction.
        at: u32,
        /// EXCVADDR: the address that it used.
        address: u32,
    },
    /// The stack has reached its guard; where the processor was when that was found.
    StackOverflow {
        /// EPC1; 0 where it was found later.
        at: u32,
    },
    /// The first stage of the watchdog was over; where the processor was.
    Hang {
        /// EPC1.
        at: u32,
    },
}

impl End {
    fn to_words(self) -> [u32; 4] {
        match self {
            End::Unknown => [0; 4],
            End::Requested => [1, 0, 0, 0],
            End::Panic { file, len, line } => [2, file, len, line],
            End::Exception { cause, at, address } => [3, cause, at, address],
            End::Hang { at } => [HANG, at, 0, 0],
            End::StackOverflow { at } => [5, at, 0, 0],
        }
    }

    fn from_words(words: [u32; 4]) -> Self {
        match words {
            [1, ..] => End::Requested,
            [2, file, len, line] => End::Panic { file, len, line },
            [3, cause, at, address] => End::Exception { cause, at, address },
            [HANG, at, ..] => End::Hang { at },
            [5, at, ..] => End::StackOverflow { at },
            _ => End::Unknown,
        }
    }
}

/// The start before this one and this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Why the chip started.
    pub cause: ResetCause,
    /// What ended the run before.
    pub end: End,
    /// The agent's words from before.
    pub words: [u32; RETAINED_WORDS],
}

/// Where constants may be: the chip's RAM and the window on flash.
const MEMORIES: [core::ops::Range<usize>; 2] = [0x3ffe_8000..0x4000_0000, 0x4020_0000..0x4030_0000];
/// The longest name of a source file, in bytes.
const NAME_LEN: usize = 120;

impl Start {
    /// Returns what ended the run before, if it was a crash.
    pub fn crash(&self) -> Option<Crash> {
        match (self.end, self.cause) {
            (End::Panic { file, len, line }, ResetCause::Panic) => {
                let file = name(file as usize, len as usize).unwrap_or("another image's file");
                Some(Crash::Panic { file, line })
            }
            (End::Exception { cause, at, address }, ResetCause::Panic) => {
                Some(Crash::Exception { cause, at, address })
            }
            (End::StackOverflow { at }, ResetCause::Panic) => {
                Some(Crash::StackOverflow { at: (at != 0).then_some(at) })
            }
            (End::Hang { at }, ResetCause::Watchdog) => Some(Crash::Hang { at: Some(at) }),
            // The second stage came alone: nothing could note where.
            (_, ResetCause::Watchdog) => Some(Crash::Hang { at: None }),
            _ => None,
        }
    }
}

/// Returns the name of a source file that a panic left the place of. The image may have been replaced since: what lies
/// there now is a name only if it could be one.
fn name(address: usize, len: usize) -> Option<&'static str> {
    let end = address.checked_add(len)?;
    let is_constant = MEMORIES.iter().any(|memory| memory.contains(&address) && end <= memory.end);
    if len > NAME_LEN || !is_constant {
        return None;
    }
    let pointer = core::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: the bytes lie in memory, where every read is defined. A constant of the image does not change; where the image is
    // another one they may, and only ASCII is taken for a name, which is a valid text whatever becomes of it.
    let bytes = unsafe { core::slice::from_raw_parts(pointer, len) };
    let could_be = bytes.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte));
    core::str::from_utf8(bytes).ok().filter(|_| could_be && len > 0)
}

/// Reads why the chip started, and forgets what ended the run before. To be called once, early.
pub fn begin() -> Start {
    let reason = REASON.read() & 0xf;
    let is_valid = reason != POWER_ON && MEMORY.at(MAGIC_WORD).read() == MAGIC && sum() == stored_sum();
    let (end, words) = if is_valid {
        let end = core::array::from_fn(|index| MEMORY.at(END_WORD + index as u32).read());
        (End::from_words(end), core::array::from_fn(|index| MEMORY.at(AGENT_WORD + index as u32).read()))
    } else {
        (End::Unknown, [0; RETAINED_WORDS])
    };
    MEMORY.at(MAGIC_WORD).write(MAGIC);
    note(End::Unknown);
    retain(&words);
    Start { cause: cause(reason, end), end, words }
}

/// Reset reason of the chip: power came up.
const POWER_ON: u32 = 1;

/// Tells the agent's causes from the chip's reason (ROM function `rtc_get_reset_reason`) and what is known of the end.
fn cause(reason: u32, end: End) -> ResetCause {
    match (reason, end) {
        (POWER_ON, _) => ResetCause::PowerOn,
        (_, End::Panic { .. } | End::Exception { .. } | End::StackOverflow { .. }) => ResetCause::Panic,
        (4, _) => ResetCause::Watchdog,
        // Bit 31 of the control register may come back as either.
        (3, _) | (2, End::Requested) => ResetCause::Software,
        // External reset, and the wake from a deep sleep that this firmware never begins.
        _ => ResetCause::External,
    }
}

/// Notes how this run ends, for the next start.
pub fn note(end: End) {
    keep(END_WORD, &end.to_words());
}

/// Forgets a note of the watchdog's first stage; returns whether there was one.
pub fn forget_hang() -> bool {
    let was_noted = MEMORY.at(END_WORD).read() == HANG;
    if was_noted {
        note(End::Unknown);
    }
    was_noted
}

/// Keeps the agent's words.
pub fn retain(words: &[u32; RETAINED_WORDS]) {
    keep(AGENT_WORD, words);
}

/// Writes words and the sum over all of them. No interrupt comes between: its handler notes things too.
fn keep(first: u32, words: &[u32]) {
    critical_section::with(|_| {
        for (index, word) in (first..).zip(words) {
            MEMORY.at(index).write(*word);
        }
        MEMORY.at(SUM_WORD).write(sum());
    });
}

/// Returns the word that outlives a reset, and replaces it.
pub fn exchange_seed(seed: u32) -> u32 {
    let old = MEMORY.at(SEED_WORD).read();
    MEMORY.at(SEED_WORD).write(seed);
    old
}

fn sum() -> u32 {
    !(MAGIC_WORD..SUM_WORD).fold(0u32, |sum, index| sum.rotate_left(5).wrapping_add(MEMORY.at(index).read()))
}

fn stored_sum() -> u32 {
    MEMORY.at(SUM_WORD).read()
}

/// Resets the chip.
pub fn reset() -> ! {
    CTRL.set(CTRL_RESET);
    loop {
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_survives_its_words() {
        for end in [
            End::Unknown,
            End::Requested,
            End::Panic { file: 0x3ffe_8123, len: 20, line: 42 },
            End::Exception { cause: 28, at: 0x4021_0000, address: 8 },
            End::Hang { at: 0x4021_1234 },
            End::StackOverflow { at: 0 },
        ] {
            assert_eq!(End::from_words(end.to_words()), end);
        }
    }

    #[test]
    fn a_crash_is_told_when_it_was_one() {
        let start = |cause, end| Start { cause, end, words: [0; RETAINED_WORDS] };
        let hang = End::Hang { at: 0x4021_1234 };
        assert_eq!(start(ResetCause::Watchdog, hang).crash(), Some(Crash::Hang { at: Some(0x4021_1234) }));
        assert_eq!(start(ResetCause::External, hang).crash(), None);
        let held = Some(Crash::Hang { at: None });
        assert_eq!(start(ResetCause::Watchdog, End::Unknown).crash(), held);
        let overflow = |at| start(ResetCause::Panic, End::StackOverflow { at }).crash();
        assert_eq!(overflow(0), Some(Crash::StackOverflow { at: None }));
        assert_eq!(overflow(0x4021_1234), Some(Crash::StackOverflow { at: Some(0x4021_1234) }));
        // Not an address of a name: told as what it is, and never read.
        let panic = End::Panic { file: 0x6000_0000, len: 20, line: 42 };
        let file = "another image's file";
        assert_eq!(start(ResetCause::Panic, panic).crash(), Some(Crash::Panic { file, line: 42 }));
        assert_eq!(start(ResetCause::PowerOn, panic).crash(), None);
        for (address, len) in [(0x3fff_fff0, 17), (0x3ffe_8000, 121), (usize::MAX, 2), (0x3ffe_7fff, 1)] {
            assert_eq!(name(address, len), None);
        }
    }

    #[test]
    fn power_on_is_never_evidence_and_a_panic_always_is() {
        let panic = End::Panic { file: 1, len: 1, line: 1 };
        assert_eq!(cause(1, panic), ResetCause::PowerOn);
        assert_eq!(cause(3, panic), ResetCause::Panic);
        assert_eq!(cause(2, End::Unknown), ResetCause::External);
        assert_eq!(cause(3, End::Requested), ResetCause::Software);
        assert_eq!(cause(2, End::Requested), ResetCause::Software);
        assert_eq!(cause(2, End::StackOverflow { at: 0 }), ResetCause::Panic);
        assert_eq!(cause(4, End::Hang { at: 1 }), ResetCause::Watchdog);
        // Stage one was noted, the agent fed it, and somebody pressed the button.
        assert_eq!(cause(2, End::Hang { at: 1 }), ResetCause::External);
    }
}
