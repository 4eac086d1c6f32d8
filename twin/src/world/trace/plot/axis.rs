//! Axes: where the ticks are and what they say.

/// A linear scale from values to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Maps `low` to `start` and `high` to `end`; `high` must be above `low`.
    pub(super) fn new((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low, high, start, end }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }
}

/// A tick: its value and its label.
pub(super) type Tick = (f64, String);

/// Returns a range that shows `low` to `high` with some air, and at most `ticks_max` ticks in it.
/// What is always 0 is shown from 0 to 1.
pub(super) fn value_ticks(low: f64, high: f64, ticks_max: u8) -> ((f64, f64), Vec<Tick>) {
    let is_zero = low == 0.0 && high == 0.0;
    let high = if is_zero { 0.9 } else { high };
    let least = low.abs().max(high.abs()).max(1e-6) * 0.02;
    let air = ((high - low) * 0.08).max((least - (high - low)) / 2.0).max(0.0);
    // A quantity that is never negative does not get a range below zero.
    let bottom = if low >= 0.0 { (low - air).max(0.0) } else { low - air };
    let range = (bottom, high + air.max(least / 2.0));
    let raw = (range.1 - range.0) / f64::from(ticks_max);
    let magnitude = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * magnitude >= raw).unwrap_or(10.0);
    let step = factor * magnitude;
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (range.0 / step).ceil() as i64;
    let last = (range.1 / step).floor() as i64;
    let ticks = (first..=last.min(first + 20)).map(|index| {
        let value = index as f64 * step;
        (value, with_thousands(value, decimals))
    });
    (range, ticks.collect())
}

/// Returns a count with commas between groups of three digits.
pub(super) fn whole(count: u64) -> String {
    with_thousands(count as f64, 0)
}

/// Returns a number with commas between groups of three digits.
fn with_thousands(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let sign = if value < 0.0 { "\u{2212}" } else { "" };
    format!("{sign}{out}{rest}")
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;

/// Steps between ticks of time, in seconds.
const TIME_STEPS: [f64; 34] = [
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    5.0 * DAY,
    10.0 * DAY,
    30.0 * DAY,
    60.0 * DAY,
    120.0 * DAY,
    360.0 * DAY,
];

/// Returns ticks for times from 0 to `end` seconds, at most twelve, and how their labels are to be read.
pub(super) fn time_ticks(end: f64) -> (Vec<Tick>, &'static str) {
    let step = TIME_STEPS.into_iter().find(|step| end / step <= 12.0).unwrap_or((end / 12.0).ceil());
    let count = (end / step).floor() as u64;
    let (unit, label): (&str, fn(f64) -> String) = if end <= 2.0 * MINUTE {
        ("seconds", |time| trimmed(time))
    } else if end <= 2.0 * HOUR {
        ("minutes:seconds", |time| two_parts(time, MINUTE))
    } else if end <= 3.0 * DAY {
        ("hours:minutes", |time| two_parts(time / MINUTE, MINUTE))
    } else {
        ("days", |time| trimmed(time / DAY))
    };
    ((0..=count).map(|index| (index as f64 * step, label(index as f64 * step))).collect(), unit)
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn two_parts(time: f64, base: f64) -> String {
    let whole = time.round() as u64;
    let base = base as u64;
    format!("{}:{:02}", whole / base, whole % base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn values_get_round_ticks() {
        let (range, ticks) = value_ticks(270.3, 296.2, 7);
        assert_eq!(labels(&ticks), ["270", "275", "280", "285", "290", "295"]);
        assert!(range.0 < 270.3 && range.1 > 296.2);
        assert_eq!(labels(&value_ticks(0.0, 0.0, 3).1), ["0.0", "0.5"]);
        assert_eq!(labels(&value_ticks(0.0, 21_000.0, 7).1), ["0", "5,000", "10,000", "15,000", "20,000"]);
        assert_eq!(
            labels(&value_ticks(-0.1, 0.1, 7).1),
            ["\u{2212}0.10", "\u{2212}0.05", "0.00", "0.05", "0.10"]
        );
    }

    #[test]
    fn a_constant_gets_a_range_around_it() {
        for value in [0.0, 284.0, -3.0, 1e-9, 1e12] {
            let ((low, high), ticks) = value_ticks(value, value, 7);
            assert!(low <= value && value < high, "{value}: {low} to {high}");
            assert!((1..=22).contains(&ticks.len()), "{value}: {ticks:?}");
        }
    }

    #[test]
    fn times_are_labelled_by_their_length() {
        assert_eq!(
            time_ticks(30.0),
            (ticks(&[0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0], |t| t.to_string()), "seconds")
        );
        assert_eq!(labels(&time_ticks(600.0).0)[..3], ["0:00", "1:00", "2:00"]);
        assert_eq!(labels(&time_ticks(86_400.0).0)[..3], ["0:00", "2:00", "4:00"]);
        assert_eq!(time_ticks(86_400.0).1, "hours:minutes");
        assert_eq!(labels(&time_ticks(31_536_000.0).0)[..3], ["0", "60", "120"]);
        assert_eq!(labels(&time_ticks(0.01).0)[..3], ["0", "0.001", "0.002"]);
        assert!(time_ticks(1e9).0.len() <= 13);
    }

    fn ticks(times: &[f64], label: fn(f64) -> String) -> Vec<Tick> {
        times.iter().map(|&time| (time, label(time))).collect()
    }
}
