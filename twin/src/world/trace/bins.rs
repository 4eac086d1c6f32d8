//! Values over time in bounded memory.

use embassy_time::Instant;

/// Most bins; twice as many as a plot has columns.
const BINS_MAX: usize = 4096;

/// Width of a bin at first, in microseconds.
const FIRST_WIDTH_US: u64 = 1_000;

/// Values over time. When there are too many bins, two become one.
#[derive(Debug)]
pub(super) struct Bins {
    width_us: u64,
    bins: Vec<Bin>,
    interrupted: bool,
}

/// The values of a short time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// The time of the first value, in microseconds.
    pub(super) at_us: u64,
    pub(super) min: f32,
    pub(super) max: f32,
    /// How many values.
    pub(super) count: u64,
    /// A value was missing between the bin before and this one.
    pub(super) after_gap: bool,
}

impl Default for Bins {
    fn default() -> Self {
        Self { width_us: FIRST_WIDTH_US, bins: Vec::new(), interrupted: false }
    }
}

impl Bins {
    /// Adds a value; what is not a number does not count. Times must not go back.
    pub(super) fn add(&mut self, at: Instant, value: f32) {
        if value.is_nan() {
            return;
        }
        let after_gap = core::mem::take(&mut self.interrupted);
        let bin = Bin { at_us: at.as_micros(), min: value, max: value, count: 1, after_gap };
        match self.bins.last_mut() {
            Some(last) if !after_gap && last.at_us / self.width_us == bin.at_us / self.width_us => {
                last.join(bin)
            }
            _ => self.bins.push(bin),
        }
        while self.bins.len() > BINS_MAX {
            self.coarsen();
        }
    }

    /// Says that a value is missing here.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter()
    }

    pub(super) fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    fn coarsen(&mut self) {
        self.width_us = self.width_us.saturating_mul(2);
        let width_us = self.width_us;
        // Gaps narrower than a column of the plot are given up, so that the bins do get fewer.
        self.bins.dedup_by(|bin, before| {
            let same = bin.at_us / width_us == before.at_us / width_us;
            if same {
                before.join(*bin);
            }
            same
        });
    }
}

impl Bin {
    fn join(&mut self, other: Bin) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
    }
}
