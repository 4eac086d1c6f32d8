//! The watchdog with two stages: the first raises an interrupt, the second resets the chip (offsets: boot ROM and NONOS SDK;
//! meaning of the stages: mongoose-os).

use super::super::time::Time;
use super::Refusal;

const ENABLE: u32 = 1;
/// CTL: the second stage is left out, or resets nothing. What the first does then isn't established.
const SINGLE_STAGE: u32 = 3 << 1;
const FOOD: u32 = 0x73;

/// What an expired stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bite {
    /// Interrupt 8.
    Interrupt,
    /// The chip is reset with cause 4.
    Reset,
}

/// The watchdog.
#[derive(Debug, Default)]
pub struct Watchdog {
    ctl: u32,
    exponents: [u32; 2],
    stage: usize,
    ends_at: Option<Time>,
}

impl Watchdog {
    fn begin(&mut self, stage: usize, now: Time, apb: u64) {
        self.stage = stage;
        let exponent = self.exponents.get(stage).copied().unwrap_or(0) & 15;
        self.ends_at = (self.ctl & ENABLE != 0).then_some(Time(now.0 + (apb << (exponent + 16))));
    }

    /// Returns when the running stage ends.
    pub fn next_event(&self) -> Option<Time> {
        self.ends_at
    }

    /// Returns what happens at `now`.
    pub fn advance(&mut self, now: Time, apb: u64) -> Option<Bite> {
        self.ends_at.filter(|at| *at <= now)?;
        if self.stage == 0 {
            self.begin(1, now, apb);
            return Some(Bite::Interrupt);
        }
        self.ends_at = None;
        Some(Bite::Reset)
    }

    pub(super) fn read(&self, offset: u32, now: Time, apb: u64) -> Result<u32, Refusal> {
        Ok(match offset {
            0x00 => self.ctl,
            0x04 => self.exponents[0],
            0x08 => self.exponents[1],
            0x0c => self.ends_at.map_or(0, |at| (at.0.saturating_sub(now.0) / apb) as u32),
            0x10 => self.stage as u32,
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now: Time, apb: u64) -> Result<(), Refusal> {
        match offset {
            0x00 if value & SINGLE_STAGE != 0 => return Err(Refusal::Unmodelled),
            0x00 => {
                let was_on = self.ctl & ENABLE != 0;
                self.ctl = value & 0x3f;
                match (was_on, value & ENABLE != 0) {
                    (_, false) => self.ends_at = None,
                    (false, true) => self.begin(0, now, apb),
                    (true, true) => {}
                }
            }
            0x04 => self.exponents[0] = value & 15,
            0x08 => self.exponents[1] = value & 15,
            0x14 if value & 0xff == FOOD => self.begin(0, now, apb),
            // Another value is no food; 0x18 acknowledges a stage, which the model needs no word for.
            0x14 | 0x18 => {}
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }
}
