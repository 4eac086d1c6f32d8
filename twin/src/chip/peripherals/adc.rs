//! The converter behind the pin TOUT: eleven bits, stored inverted, eight samples at a time.
//!
//! After the NONOS SDK's `test_tout` and esp8266web's `adc.c`, which agree step by step. A conversion without what these
//! switch on first is refused: nobody has said what it would give.

use super::super::time::{PER_MICROSECOND, Time};
use super::Refusal;

/// CFG: a change from 0 to 1 begins.
const START: u32 = 1 << 1;
/// CFG1: the converter is on.
const ENABLE: u32 = 1 << 21;
/// Units of time in a sample: 46,875 a second with the timing that the SDK sets.
const SAMPLE: u64 = PER_MICROSECOND * 1_000_000 / 46_875;
/// What a state other than idle reads as.
const CONVERTING: u32 = 1 << 24;
const RESULTS: usize = 8;
/// Voltage of the largest sample, in microvolts.
const FULL_SCALE_UV: u64 = 1_000_000;
const LARGEST: u64 = 0x7ff;

/// The converter.
#[derive(Debug, Default)]
pub struct Adc {
    cfg: u32,
    timing: [u32; 2],
    cfg1: u32,
    cfg2: u32,
    results: [u32; RESULTS],
    idle_at: Time,
    input_uv: u32,
}

impl Adc {
    /// Sets the voltage at the pin, in microvolts. More than 1 V reads as 1 V.
    pub fn set_input_uv(&mut self, microvolts: u32) {
        self.input_uv = microvolts;
    }

    /// The chip is reset: registers have their defaults (NONOS SDK, which keeps them). The pin keeps its voltage.
    pub(super) fn reset(&mut self) {
        let input_uv = self.input_uv;
        *self = Adc { cfg: 0x08bc, timing: [0x07_0727, 0x4f_1757], input_uv, ..Adc::default() };
    }

    pub(super) fn read(&self, offset: u32, now: Time) -> Result<u32, Refusal> {
        Ok(match offset {
            0x50 => self.cfg | if now < self.idle_at { CONVERTING } else { 0 },
            0x54 => self.timing[0],
            0x58 => self.timing[1],
            0x5c => self.cfg1,
            0x60 => self.cfg2,
            // Results while a conversion goes on are old or new, nobody knows.
            0x80..=0x9c if now < self.idle_at => return Err(Refusal::Unmodelled),
            0x80..=0x9c => self.results.get((offset as usize - 0x80) / 4).copied().unwrap_or(0),
            _ => return Err(Refusal::Unmodelled),
        })
    }

    /// Writes a register. `is_powered` says whether clock, power and the analog block are on.
    pub(super) fn write(
        &mut self,
        offset: u32,
        value: u32,
        now: Time,
        is_powered: bool,
    ) -> Result<(), Refusal> {
        match offset {
            0x50 => {
                let begins = value & START != 0 && self.cfg & START == 0;
                self.cfg = value & !(7 << 24);
                if begins {
                    self.begin(now, is_powered)?;
                }
            }
            0x54 => self.timing[0] = value,
            0x58 => self.timing[1] = value,
            0x5c => self.cfg1 = value,
            0x60 => self.cfg2 = value,
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    fn begin(&mut self, now: Time, is_powered: bool) -> Result<(), Refusal> {
        if !is_powered || self.cfg1 & ENABLE == 0 || now < self.idle_at {
            return Err(Refusal::Unmodelled);
        }
        let count = (self.cfg >> 2 & 7) as usize + 1;
        let raw = raw(self.input_uv);
        self.results.iter_mut().take(count).for_each(|result| *result = raw);
        self.idle_at = Time(now.0 + count as u64 * SAMPLE);
        Ok(())
    }
}

/// Returns the word that a converter leaves for this voltage: inverted, and with a low byte that begins at 21 and has 279/256
/// of its steps missing.
fn raw(microvolts: u32) -> u32 {
    let sample = (u64::from(microvolts) * LARGEST / FULL_SCALE_UV).min(LARGEST) as u32;
    let low = (sample & 0xff) * 256 / 279 + 21;
    !(sample & 0x700 | low.min(0xff)) & 0x7ff
}
