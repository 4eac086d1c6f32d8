//! The real-time clock: why the chip was reset, a slow counter, and memory that outlives a reset.

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use super::super::time::{PER_MICROSECOND, Time};
use super::Refusal;

/// Words of memory, from 0x60001000 on.
const MEMORY_WORDS: usize = 256;
/// Units of time between two ticks of the RC oscillator: nominally 150 kHz.
const TICK: u64 = PER_MICROSECOND * 1_000_000 / 150_000;
/// How far a tick is off, at most, either way, unless set: 200 ns, 3 % of a tick (*choice of this model*).
const JITTER: Time = Time(PER_MICROSECOND / 5);

/// Registers that hold what is written: the power of the converter (0x10), and what outlives a sleep.
const POWER: u32 = 0x10;
const STORES: std::ops::RangeInclusive<u32> = 0x30..=0x3c;

/// Why the chip starts, as register 0x714 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Supply voltage came up.
    PowerOn = 1,
    /// The reset line.
    External = 2,
    /// Bit 31 of register 0x700.
    Software = 3,
    /// The watchdog.
    Watchdog = 4,
}

/// The real-time clock.
#[derive(Debug)]
pub struct Rtc {
    cause: Cause,
    memory: Vec<u32>,
    power: u32,
    stores: [u32; 4],
    seed: u64,
    jitter: Time,
    reset_due: bool,
}

impl Rtc {
    /// Returns the clock after power-on. `seed` decides the oscillator's jitter.
    pub fn new(seed: u64) -> Self {
        Rtc {
            cause: Cause::PowerOn,
            memory: vec![0; MEMORY_WORDS],
            power: 0,
            stores: [0; 4],
            seed,
            jitter: JITTER,
            reset_due: false,
        }
    }

    /// Sets how far a tick of the RC oscillator is off, at most, either way. Without any it is the crystal's own time.
    pub fn set_jitter(&mut self, jitter: Time) {
        self.jitter = jitter;
    }

    /// The chip starts for this reason. Without power the memory is gone.
    pub fn reset(&mut self, cause: Cause) {
        if cause == Cause::PowerOn {
            // What memory holds at power-on is not defined.
            let mut random = Pcg32::seed_from_u64(self.seed ^ 0x5254_434d);
            self.memory.fill_with(|| random.next_u32());
            self.stores = [0; 4];
        }
        self.cause = cause;
        self.power = 0;
        self.reset_due = false;
    }

    /// Returns whether the program asked for a reset.
    pub fn reset_is_due(&self) -> bool {
        self.reset_due
    }

    /// Returns the slow counter. Each tick is a little early or late, as an RC oscillator is against a crystal.
    fn ticks(&self, now: Time) -> u32 {
        let near = now.0 / TICK;
        let is_over = |tick: u64| {
            let noise = (tick ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            tick * TICK + noise % (2 * self.jitter.0).max(1) <= now.0 + self.jitter.0
        };
        (near.saturating_sub(1)..=near + 1).rev().find(|tick| is_over(*tick)).unwrap_or(0) as u32
    }

    pub(super) fn read(&self, offset: u32, now: Time) -> Result<u32, Refusal> {
        Ok(match offset {
            0x14 => self.cause as u32,
            0x1c => self.ticks(now),
            // No sleep is under way, and none has ended.
            0x00 | 0x08 | 0x18 => 0,
            POWER => self.power,
            _ if STORES.contains(&offset) => {
                self.stores.get((offset as usize - 0x30) / 4).copied().unwrap_or(0)
            }
            // The alarm, its interrupt, sleep, and GPIO16.
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) -> Result<(), Refusal> {
        match offset {
            0x00 if value >> 31 != 0 => self.reset_due = true,
            0x00 if value == 0 => {}
            POWER => self.power = value,
            _ if STORES.contains(&offset) => {
                if let Some(word) = self.stores.get_mut((offset as usize - 0x30) / 4) {
                    *word = value;
                }
            }
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    pub(super) fn memory(&mut self, offset: u32) -> Result<&mut u32, Refusal> {
        self.memory.get_mut(offset as usize / 4).ok_or(Refusal::Unmodelled)
    }
}
