//! When a sensor is sampled: at start, then on multiples of its period since start, whatever happens in between.

use embassy_time::{Duration, Instant};

/// Buckets of the histogram of lateness: below 1 ms, 2 ms, 4 ms, … and the rest.
const BUCKETS: usize = 16;

/// The times of one sensor's samples. Times keep their phase: a late sample does not make the next one late. The period is in
/// the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    next: Instant,
}

impl Schedule {
    /// Starts at `start`.
    pub fn new(start: Instant) -> Self {
        Schedule { next: start }
    }

    /// Returns when the next sample is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Takes the sample that is due; returns by how much it is late and how many samples were missed whole. `period` is not
    /// zero.
    pub fn take(&mut self, now: Instant, period: Duration) -> (Duration, u32) {
        let late = now.saturating_duration_since(self.next);
        let missed = late.as_ticks() / period.as_ticks().max(1);
        self.next += Duration::from_ticks(period.as_ticks().saturating_mul(missed + 1));
        (
            Duration::from_ticks(late.as_ticks() - missed * period.as_ticks()),
            u32::try_from(missed).unwrap_or(u32::MAX),
        )
    }
}

/// How late samples were.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    counts: [u32; BUCKETS],
    /// The longest, in milliseconds.
    pub longest_ms: u32,
    /// Samples that were missed because the one before was late by more than a period.
    pub missed: u32,
}

impl Lateness {
    /// Returns a histogram of nothing.
    pub const fn new() -> Self {
        Lateness { counts: [0; BUCKETS], longest_ms: 0, missed: 0 }
    }

    /// Counts a sample.
    pub fn count(&mut self, late: Duration, missed: u32) {
        let ms = u32::try_from(late.as_millis()).unwrap_or(u32::MAX);
        let bucket = (u32::BITS - ms.leading_zeros()).min(BUCKETS as u32 - 1);
        if let Some(count) = self.counts.get_mut(bucket as usize) {
            *count = count.saturating_add(1);
        }
        self.longest_ms = self.longest_ms.max(ms);
        self.missed = self.missed.saturating_add(missed);
    }

    /// Returns a time in milliseconds that 99 of 100 samples were not later than: the upper end of a bucket.
    pub fn p99_ms(&self) -> u32 {
        let total: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen * 100 >= total * 99 {
                return (1 << bucket) - 1;
            }
        }
        self.longest_ms
    }
}

impl Default for Lateness {
    fn default() -> Self {
        Lateness::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_sample_does_not_shift_the_next() {
        let mut schedule = Schedule::new(Instant::from_millis(100));
        let mut take = |ms| schedule.take(Instant::from_millis(ms), Duration::from_secs(2));
        assert_eq!(take(100), (Duration::from_ticks(0), 0));
        assert_eq!(take(2_107), (Duration::from_millis(7), 0));
        // The sample at 4,100 ms and one more were missed whole.
        assert_eq!(take(8_150), (Duration::from_millis(50), 2));
        assert_eq!(schedule.next(), Instant::from_millis(10_100));
    }

    #[test]
    fn a_million_late_samples_make_no_drift() {
        let mut schedule = Schedule::new(Instant::from_millis(3));
        for _ in 0..1_000_000u64 {
            schedule.take(schedule.next() + Duration::from_micros(13), Duration::from_millis(700));
        }
        assert_eq!(schedule.next(), Instant::from_millis(3 + 700_000_000));
    }

    #[test]
    fn the_histogram_knows_the_99th_percentile() {
        let mut lateness = Lateness::new();
        for _ in 0..990 {
            lateness.count(Duration::from_micros(300), 0);
        }
        for _ in 0..10 {
            lateness.count(Duration::from_millis(100), 0);
        }
        assert_eq!(lateness.p99_ms(), 0);
        lateness.count(Duration::from_millis(100), 0);
        assert_eq!(lateness.p99_ms(), 127);
        assert_eq!(lateness.longest_ms, 100);
    }
}
