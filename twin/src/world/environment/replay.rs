//! Recorded values, from the text of a CSV file.

use core::fmt;
use embassy_time::Instant;

/// The name of the first column: seconds since the start of the world.
const TIME_COLUMN: &str = "seconds";

/// Recorded values over time. Between two of them the value goes straight from one to the other; before the first and
/// after the last it stands still.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Time in microseconds and value; at least one, times rising.
    points: Vec<(u64, f64)>,
    repeat: bool,
}

/// Why a recording cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The first line does not name the columns.
    Header {
        /// What it says.
        found: String,
    },
    /// No column has the wanted name.
    Column {
        /// The wanted name.
        wanted: String,
        /// The names that there are.
        found: String,
    },
    /// A field is not a finite number, or a time is negative.
    Number {
        /// Line, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// A line has too few fields.
    Missing {
        /// Line, from 1.
        line: usize,
    },
    /// A time is not after the one before it.
    Order {
        /// Line, from 1.
        line: usize,
    },
    /// There is no line with values.
    Empty,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayError::Header { found } => {
                write!(f, "line 1: columns must be named, `{TIME_COLUMN}` first, found `{found}`")
            }
            ReplayError::Column { wanted, found } => {
                write!(f, "line 1: no column `{wanted}` among `{found}`")
            }
            ReplayError::Number { line, found } => {
                write!(f, "line {line}: `{found}` is not a number, or out of range")
            }
            ReplayError::Missing { line } => write!(f, "line {line}: fewer fields than columns"),
            ReplayError::Order { line } => write!(f, "line {line}: times must rise from line to line"),
            ReplayError::Empty => {
                write!(f, "no values; write lines such as `0,284.1` below the column names")
            }
        }
    }
}

impl core::error::Error for ReplayError {}

impl Replay {
    /// Reads `column` of a CSV file's text. The first line names the columns, `seconds` first; empty lines and those that
    /// begin with `#` do not count; fields are separated by commas and not quoted. With `repeat` the recording starts over
    /// after its last time.
    ///
    /// # Errors
    /// The first fault, with its line.
    ///
    /// # Examples
    /// ```
    /// use dunlin_twin::world::environment::{ILLUMINANCE_COLUMN, Replay};
    /// let replay = Replay::parse("seconds,illuminance\n0,100\n10,200\n", ILLUMINANCE_COLUMN, false).unwrap();
    /// assert_eq!(replay.at(embassy_time::Instant::from_secs(5)), 150.0);
    /// ```
    pub fn parse(text: &str, column: &str, repeat: bool) -> Result<Self, ReplayError> {
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let mut lines = lines.by_ref().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let (_, header) = lines.next().ok_or(ReplayError::Empty)?;
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        if names.first() != Some(&TIME_COLUMN) {
            return Err(ReplayError::Header { found: header.trim().chars().take(60).collect() });
        }
        let column_index = names.iter().skip(1).position(|&name| name == column).map(|index| index + 1);
        let column_index = column_index.ok_or_else(|| ReplayError::Column {
            wanted: column.to_owned(),
            found: header.trim().chars().take(60).collect(),
        })?;
        let mut points: Vec<(u64, f64)> = Vec::new();
        for (index, line) in lines {
            let line_number = index + 1;
            let mut fields = line.split(',').map(str::trim);
            let time = fields.next().ok_or(ReplayError::Missing { line: line_number })?;
            let value = fields.nth(column_index - 1).ok_or(ReplayError::Missing { line: line_number })?;
            let time_us = microseconds(number(time, line_number)?).ok_or_else(|| ReplayError::Number {
                line: line_number,
                found: time.chars().take(60).collect(),
            })?;
            if points.last().is_some_and(|&(last, _)| last >= time_us) {
                return Err(ReplayError::Order { line: line_number });
            }
            points.push((time_us, number(value, line_number)?));
        }
        if points.is_empty() { Err(ReplayError::Empty) } else { Ok(Self { points, repeat }) }
    }

    /// Returns the value at this moment.
    pub fn at(&self, at: Instant) -> f64 {
        let last = self.points.last().map_or(0, |&(time, _)| time);
        let time = if self.repeat && last > 0 { at.as_micros() % last } else { at.as_micros() };
        let after = self.points.partition_point(|&(each, _)| each <= time);
        match (after.checked_sub(1).and_then(|index| self.points.get(index)), self.points.get(after)) {
            (Some(&(from, low)), Some(&(to, high))) => {
                low + (high - low) * ((time - from) as f64 / (to - from) as f64)
            }
            (Some(&(_, value)), None) | (None, Some(&(_, value))) => value,
            (None, None) => 0.0,
        }
    }
}

fn number(text: &str, line: usize) -> Result<f64, ReplayError> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(ReplayError::Number { line, found: text.chars().take(60).collect() }),
    }
}

/// Returns whole microseconds; `None` outside 0 to 100 years.
fn microseconds(seconds: f64) -> Option<u64> {
    (0.0..=3.2e9).contains(&seconds).then_some((seconds * 1e6).round() as u64)
}
