//! Filters: what they are called, what they need, and how they are stored.
//!
//! The next filter joins here (a variant, its line in [`FILTER_KINDS`], its words and its rule) and in the agent's
//! `filter` folder (what it does). Nothing else names a filter.

use crate::cbor;
use crate::limits::{DECIMALS, PERIOD_MAX_MS, PERIOD_MIN_MS, WINDOW};

/// One step between a sensor's reading and a message: takes a value, gives a value or none.
///
/// Stored as an array of the variant's number and its parameters. A reader refuses a number that it does not know: a
/// filter that is skipped changes what values mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// Middle value of the last `window` values, from the first value on.
    Median {
        /// Number of values, odd, 3 to 61.
        window: u16,
    },
    /// Arithmetic mean of the last `window` values, from the first value on.
    Mean {
        /// Number of values, 2 to 61.
        window: u16,
    },
    /// Arithmetic mean of the values of each time span; one value a span.
    MeanEvery {
        /// The span in milliseconds, 100 to 86,400,000.
        every_ms: u32,
    },
    /// Passes a value that differs from the last one passed by at least `change`.
    Delta {
        /// The smallest difference, above 0, in the reading's unit.
        change: f32,
    },
    /// Passes a value that differs from the last one passed by at least `percent` of the latter.
    DeltaPercent {
        /// The smallest difference in percent, above 0.
        percent: f32,
    },
    /// Passes at most one value in each `every_ms`.
    Throttle {
        /// The shortest time between two values passed, in milliseconds, 100 to 86,400,000.
        every_ms: u32,
    },
    /// Passes the newest value again after `every_ms` without one: the filters before it cannot silence it for longer.
    Heartbeat {
        /// The longest time between two values passed, in milliseconds, 100 to 86,400,000.
        every_ms: u32,
    },
    /// Rounds half away from zero to a number of decimals.
    Round {
        /// Decimals, 0 to 6.
        decimals: u8,
    },
    /// Returns `slope · value + offset`.
    Calibrate {
        /// Factor; finite, not 0.
        slope: f32,
        /// Summand, in the reading's unit; finite.
        offset: f32,
    },
    /// Limits the value to a range.
    Clamp {
        /// Lowest value; finite, below `max`.
        min: f32,
        /// Highest value; finite.
        max: f32,
    },
}

cbor::variants!(Filter {
    0 Median { window },
    1 Mean { window },
    2 MeanEvery { every_ms },
    3 Delta { change },
    4 DeltaPercent { percent },
    5 Throttle { every_ms },
    6 Heartbeat { every_ms },
    7 Round { decimals },
    8 Calibrate { slope, offset },
    9 Clamp { min, max },
});

impl Filter {
    /// What a reader has in hand when it has refused a number: nothing that is ever used.
    const UNKNOWN: Self = Filter::Round { decimals: 0 };

    /// Returns the 32-bit words of memory that the filter needs between two values.
    ///
    /// The sum over a configuration is at most [`FILTER_WORDS`](crate::limits::FILTER_WORDS).
    pub fn words(&self) -> u16 {
        match *self {
            // A count of the values so far, and the values.
            Filter::Median { window } | Filter::Mean { window } => 1 + window,
            // Count, sum (two words: a float of 32 bits drifts over a day), end of the span (two words).
            Filter::MeanEvery { .. } => 5,
            // Whether one was passed, and which.
            Filter::Delta { .. } | Filter::DeltaPercent { .. } => 2,
            // Whether one was passed, and when (two words).
            Filter::Throttle { .. } | Filter::Heartbeat { .. } => 3,
            Filter::Round { .. } | Filter::Calibrate { .. } | Filter::Clamp { .. } => 0,
        }
    }

    /// Returns whether the filter may pass nothing for a value that it is given.
    pub fn can_silence(&self) -> bool {
        matches!(
            self,
            Filter::MeanEvery { .. }
                | Filter::Delta { .. }
                | Filter::DeltaPercent { .. }
                | Filter::Throttle { .. }
        )
    }

    /// Returns whether every parameter is in its range.
    pub fn is_valid(&self) -> bool {
        let time = |ms: u32| (PERIOD_MIN_MS..=PERIOD_MAX_MS).contains(&ms);
        match *self {
            Filter::Median { window } => (3..=WINDOW).contains(&window) && window % 2 == 1,
            Filter::Mean { window } => (2..=WINDOW).contains(&window),
            Filter::MeanEvery { every_ms }
            | Filter::Throttle { every_ms }
            | Filter::Heartbeat { every_ms } => time(every_ms),
            Filter::Delta { change } => change.is_finite() && change > 0.0,
            Filter::DeltaPercent { percent } => percent.is_finite() && percent > 0.0,
            Filter::Round { decimals } => decimals <= DECIMALS,
            Filter::Calibrate { slope, offset } => slope.is_finite() && slope != 0.0 && offset.is_finite(),
            Filter::Clamp { min, max } => min.is_finite() && max.is_finite() && min < max,
        }
    }
}

/// A filter's name in the user's file and what its parameters may be.
#[derive(Clone, Copy, Debug)]
pub struct FilterKind {
    /// Name, as in `{ median = 5 }`.
    pub name: &'static str,
    /// What it does, as one line of help.
    pub summary: &'static str,
    /// An example that fits into a file as it is.
    pub example: &'static str,
    /// What may stand behind the equals sign.
    pub parameter: Parameter,
}

/// What a filter's parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// An odd count of samples.
    OddCount,
    /// A count of samples, or `{ every = "60s" }`.
    CountOrEvery,
    /// A number, or a percentage as `"10%"`.
    NumberOrPercent,
    /// A duration.
    Duration,
    /// A count of decimals.
    Decimals,
    /// Pairs `[[measured, true], …]`, or `{ slope = …, offset = … }`.
    Calibration,
    /// `{ min = …, max = … }`.
    Range,
}

/// Every filter that a file may name.
pub const FILTER_KINDS: &[FilterKind] = &[
    FilterKind {
        name: "median",
        summary: "middle value of the last values; removes single outliers",
        example: "{ median = 5 }",
        parameter: Parameter::OddCount,
    },
    FilterKind {
        name: "mean",
        summary: "mean of the last values, or of each time span",
        example: "{ mean = 10 }",
        parameter: Parameter::CountOrEvery,
    },
    FilterKind {
        name: "delta",
        summary: "only values that changed by at least so much",
        example: "{ delta = \"10%\" }",
        parameter: Parameter::NumberOrPercent,
    },
    FilterKind {
        name: "throttle",
        summary: "at most one value in each time span",
        example: "{ throttle = \"30s\" }",
        parameter: Parameter::Duration,
    },
    FilterKind {
        name: "heartbeat",
        summary: "at least one value in each time span, whatever the filters before it hold back",
        example: "{ heartbeat = \"5m\" }",
        parameter: Parameter::Duration,
    },
    FilterKind {
        name: "round",
        summary: "rounds to a number of decimals",
        example: "{ round = 1 }",
        parameter: Parameter::Decimals,
    },
    FilterKind {
        name: "calibrate",
        summary: "straight line through measured and true values (least squares for more than two)",
        example: "{ calibrate = [[0.0, 0.4], [25.0, 25.1]] }",
        parameter: Parameter::Calibration,
    },
    FilterKind {
        name: "clamp",
        summary: "limits the value to a range",
        example: "{ clamp = { min = 0.0, max = 100.0 } }",
        parameter: Parameter::Range,
    },
];
