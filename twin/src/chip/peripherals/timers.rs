//! The timers FRC1, which counts down 23 bits, and FRC2, which counts up 32 (RTOS SDK `timer_register.h`).
//!
//! In hold mode (bit 0 of CTRL) an interrupt sets a status, and there is no other until the status is cleared
//! (esp-open-rtos, `timer_regs.h`).

use super::super::time::Time;
use super::Refusal;

const RUN: u32 = 1 << 7;
const RELOAD: u32 = 1 << 6;
const HOLD: u32 = 1 << 0;
const STATUS: u32 = 1 << 8;
const RANGE1: u64 = 1 << 23;

/// A counter that runs from a moment on.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    ctrl: u32,
    load: u32,
    /// The count at `since`.
    count: u32,
    since: Time,
}

impl Counter {
    /// Units of time in a count; none while it stands.
    fn step(&self, apb: u64) -> Option<u64> {
        let divider = match self.ctrl >> 2 & 3 {
            0 => 1,
            1 => 16,
            _ => 256,
        };
        (self.ctrl & RUN != 0).then_some(divider * apb)
    }

    /// Counts from one zero of FRC1 to the next.
    fn period(&self) -> u64 {
        if self.ctrl & RELOAD != 0 { u64::from(self.load).max(1) } else { RANGE1 }
    }

    /// It fires: returns whether that is an interrupt.
    fn fire(&mut self) -> bool {
        let is_held = self.ctrl & STATUS != 0;
        if self.ctrl & HOLD != 0 {
            self.ctrl |= STATUS;
        }
        !is_held
    }

    fn elapsed(&self, now: Time, apb: u64) -> u64 {
        self.step(apb).map_or(0, |step| now.0.saturating_sub(self.since.0) / step)
    }

    /// Sets the count as it is now, so that control or clock may change.
    fn hold(&mut self, now: Time, count: u32, apb: u64) {
        let part = self.step(apb).map_or(0, |step| now.0.saturating_sub(self.since.0) % step);
        self.count = count;
        self.since = Time(now.0 - part);
    }
}

/// Both timers.
#[derive(Debug, Default)]
pub struct Timers {
    first: Counter,
    second: Counter,
    alarm: u32,
    /// When FRC1 has fired last, so that one passage of zero is told once.
    fired: [Option<Time>; 2],
}

/// Which timers have fired: FRC1, FRC2.
pub type Fired = [bool; 2];

impl Timers {
    fn count1(&self, now: Time, apb: u64) -> u32 {
        let elapsed = self.first.elapsed(now, apb);
        let start = u64::from(self.first.count);
        if elapsed <= start {
            return (start - elapsed) as u32;
        }
        let period = self.first.period();
        (period - 1 - (elapsed - start - 1) % period) as u32
    }

    fn count2(&self, now: Time, apb: u64) -> u32 {
        self.second.count.wrapping_add(self.second.elapsed(now, apb) as u32)
    }

    /// When each fires next: FRC1 at 0, FRC2 at its alarm.
    fn due(&self, now: Time, apb: u64) -> [Option<Time>; 2] {
        let first = self.first.step(apb).map(|step| {
            let left = u64::from(self.count1(now, apb));
            let base = self.first.since.0 + self.first.elapsed(now, apb) * step;
            let left = if left == 0 { self.first.period() } else { left };
            Time(base + left * step)
        });
        let second = self.second.step(apb).map(|step| {
            let left = self.alarm.wrapping_sub(self.count2(now, apb));
            let left = if left == 0 { 1 << 32 } else { u64::from(left) };
            Time(self.second.since.0 + self.second.elapsed(now, apb) * step + left * step)
        });
        [first, second]
    }

    /// Returns which timers raise an interrupt at `now`; the caller calls at every [`next_event`](Self::next_event).
    pub fn advance(&mut self, now: Time, apb: u64) -> Fired {
        let [first, second] = self.fired.map(|due| due.is_some_and(|at| at <= now));
        if first || second {
            self.plan(now, apb);
        }
        [first && self.first.fire(), second && self.second.fire()]
    }

    /// Plans what fires next, after anything has changed or fired.
    pub fn plan(&mut self, now: Time, apb: u64) {
        self.fired = self.due(now, apb);
    }

    /// Returns when the next timer fires.
    pub fn next_event(&self) -> Option<Time> {
        self.fired.into_iter().flatten().min()
    }

    /// The peripheral clock changes from cycles of `before` to others.
    pub fn clock_changes(&mut self, now: Time, before: u64) {
        let (one, two) = (self.count1(now, before), self.count2(now, before));
        self.first.hold(now, one, before);
        self.second.hold(now, two, before);
        (self.first.since, self.second.since) = (now, now);
    }

    pub(super) fn read(&self, offset: u32, now: Time, apb: u64) -> Result<u32, Refusal> {
        Ok(match offset {
            0x00 | 0x0c => self.first.load,
            0x04 => self.count1(now, apb),
            0x08 => self.first.ctrl,
            0x20 => self.second.load,
            0x24 => self.count2(now, apb),
            0x28 => self.second.ctrl,
            0x2c => 0,
            0x30 => self.alarm,
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now: Time, apb: u64) -> Result<(), Refusal> {
        match offset {
            0x00 => {
                self.first.load = value & 0x7f_ffff;
                (self.first.count, self.first.since) = (self.first.load, now);
            }
            0x08 => {
                let count = self.count1(now, apb);
                self.first.hold(now, count, apb);
                self.first.ctrl = self.first.ctrl & STATUS | value & 0xff;
            }
            // Any write clears the interrupt's status; the line to the processor is an edge.
            0x0c => self.first.ctrl &= !STATUS,
            0x2c => self.second.ctrl &= !STATUS,
            0x20 => {
                self.second.load = value;
                (self.second.count, self.second.since) = (value, now);
            }
            0x28 => {
                let count = self.count2(now, apb);
                self.second.hold(now, count, apb);
                self.second.ctrl = self.second.ctrl & STATUS | value & 0xff;
            }
            0x30 => self.alarm = value,
            _ => return Err(Refusal::Unmodelled),
        }
        self.plan(now, apb);
        Ok(())
    }
}
