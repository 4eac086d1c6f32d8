//! Reads tables key by key, notes every problem, and never stops at one.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Severity, printable};

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<Diagnostic>);

impl Problems {
    pub(super) fn error(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, code, span, &message.into(), &help.into());
    }

    /// Notes an error with message and help, unless one is noted for this very place.
    pub(super) fn unless_told(&mut self, code: Code, span: Range<usize>, told: &(String, String)) {
        if !self.0.iter().any(|problem| problem.span == span) {
            self.error(code, span, told.0.clone(), told.1.clone());
        }
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, code, span, &message.into(), &help.into());
    }

    fn push(&mut self, severity: Severity, code: Code, span: Range<usize>, message: &str, help: &str) {
        let (message, help) = (printable(&short(message)), printable(&short(help)));
        self.0.push(Diagnostic { code, severity, span, message, help, hidden: Vec::new() });
    }

    /// Returns the problems in the order of their places, and how many there are beyond [`TOLD`]; errors are told first.
    pub(super) fn finish(self, text: &str, hidden: &[Range<usize>]) -> (Vec<Diagnostic>, usize) {
        let mut told = self.0;
        let place = |problem: &Diagnostic| (problem.span.start, problem.span.end);
        told.sort_by_key(place);
        told.dedup();
        told.sort_by_key(|problem| problem.severity == Severity::Warning);
        let untold = told.len().saturating_sub(TOLD);
        told.truncate(TOLD);
        told.sort_by_key(place);
        for problem in &mut told {
            let (before, after) = text.split_at_checked(problem.span.start).unwrap_or((text, ""));
            let start = before.rfind('\n').map_or(0, |at| at + 1);
            let end = before.len() + after.find('\n').unwrap_or(after.len());
            let in_line = hidden.iter().filter(|range| range.start <= end && range.end >= start);
            problem.hidden = in_line.cloned().collect();
        }
        (told, untold)
    }
}

/// Most problems of a file that are told; one with more is another kind of file.
const TOLD: usize = 100;

/// Returns a text without its middle where it is too long to be read: a value may be as long as the file.
fn short(text: &str) -> std::borrow::Cow<'_, str> {
    let (head, tail) = (text.char_indices().nth(300), text.char_indices().nth_back(99));
    match (head, tail) {
        (Some((head, _)), Some((tail, _))) if head < tail => {
            [text.get(..head).unwrap_or_default(), "…", text.get(tail..).unwrap_or_default()].concat().into()
        }
        _ => text.into(),
    }
}

/// A value and where it is.
pub(super) type Value<'d> = &'d Spanned<DeValue<'d>>;

/// A table that is being read.
#[derive(Clone)]
pub(super) struct Table<'d> {
    pub(super) table: &'d DeTable<'d>,
    /// Where the table is, for what is missing in it.
    pub(super) span: Range<usize>,
    /// What people call it: `[mqtt]`, `[sensor.lux-1]`.
    pub(super) name: String,
}

impl<'d> Table<'d> {
    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<Value<'d>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Returns keys and values in the order of the text.
    pub(super) fn entries(&self) -> Vec<(&'d str, Range<usize>, Value<'d>)> {
        let mut entries: Vec<_> =
            self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// Notes every key that is not one of `known`; those in `later` are known and do not work yet.
    pub(super) fn refuse_others(&self, problems: &mut Problems, known: &[&str], later: &[&str]) {
        for (key, span, _) in self.entries() {
            if known.contains(&key) {
                continue;
            }
            if later.contains(&key) {
                let help = "it arrives with a later version; remove it for now";
                problems.error(Code::Later, span, format!("`{key}` does not work yet"), help);
                continue;
            }
            let help = match nearest(key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{} has: {}", self.name, known.join(", ")),
            };
            // Where the text is misread, a piece of a secret may look like a key.
            let is_misread = problems.0.first().is_some_and(|problem| problem.code == Code::Syntax);
            let shown = if is_misread && self.name == "[mqtt]" { String::new() } else { format!(" `{key}`") };
            problems.error(Code::UnknownKey, span, format!("unknown key{shown} in {}", self.name), help);
        }
    }

    /// Returns a text.
    pub(super) fn text(&self, problems: &mut Problems, key: &str) -> Option<(&'d str, Range<usize>)> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), value.span())),
            other => {
                wrong_type(problems, key, value.span(), other, "a text in quotation marks");
                None
            }
        }
    }

    /// Returns yes or no.
    pub(super) fn boolean(&self, problems: &mut Problems, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                wrong_type(problems, key, value.span(), other, "`true` or `false`");
                None
            }
        }
    }

    /// Returns an integer in a range.
    pub(super) fn integer(
        &self,
        problems: &mut Problems,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.get(key)?;
        integer(problems, key, value, range)
    }

    /// Returns a list.
    pub(super) fn list(&self, problems: &mut Problems, key: &str) -> Option<Vec<Value<'d>>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Array(values) => Some(values.iter().collect()),
            other => {
                wrong_type(problems, key, value.span(), other, "a list in square brackets");
                None
            }
        }
    }

    /// Returns milliseconds in a range.
    pub(super) fn duration_ms(
        &self,
        problems: &mut Problems,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u32> {
        duration_ms(problems, key, self.get(key)?, range)
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, problems: &mut Problems, key: &str, example: &str) {
        let help = format!("add `{key} = {example}`");
        problems.error(Code::MissingKey, self.span.clone(), format!("{} has no `{key}`", self.name), help);
    }
}

pub(super) fn wrong_type(
    problems: &mut Problems,
    key: &str,
    span: Range<usize>,
    found: &DeValue<'_>,
    wanted: &str,
) {
    let message = format!("`{key}` is {}", type_name(found));
    problems.error(Code::WrongType, span, message, format!("write {wanted}"));
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns the value of an integer, whatever its radix: `18`, `0x12`, `0o22`, `0b10010`.
pub(super) fn parsed(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(super) fn integer(
    problems: &mut Problems,
    key: &str,
    value: Value<'_>,
    range: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let DeValue::Integer(number) = value.get_ref() else {
        wrong_type(problems, key, value.span(), value.get_ref(), "an integer");
        return None;
    };
    match parsed(number).filter(|number| range.contains(number)) {
        Some(number) => Some(number),
        None => {
            let message = format!("`{key}` is {number}");
            let help = match number.radix() {
                16 => format!("it must be from {:#x} to {:#x}", range.start(), range.end()),
                _ => format!("it must be from {} to {}", range.start(), range.end()),
            };
            problems.error(Code::OutOfRange, value.span(), message, help);
            None
        }
    }
}

/// Returns an integer, and how it is written.
pub(super) fn number_of(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<(i64, String)> {
    let DeValue::Integer(number) = value.get_ref() else {
        wrong_type(problems, key, value.span(), value.get_ref(), "an integer");
        return None;
    };
    let written = match number.radix() {
        16 => format!("0x{}", number.as_str()),
        8 => format!("0o{}", number.as_str()),
        2 => format!("0b{}", number.as_str()),
        _ => number.as_str().to_owned(),
    };
    // What is larger than any number is out of every range.
    Some((i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX), written))
}

/// Returns a finite number, written with or without a point.
pub(super) fn number(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<f32> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => parsed(number).map(|number| number as f32),
        DeValue::Float(number) => number.as_str().parse::<f32>().ok(),
        other => {
            wrong_type(problems, key, value.span(), other, "a number");
            return None;
        }
    };
    let finite = read.filter(|number| number.is_finite());
    if finite.is_none() {
        problems.error(
            Code::OutOfRange,
            value.span(),
            format!("`{key}` is not a finite number"),
            "write a number such as `1.5`",
        );
    }
    finite
}

pub(super) fn duration_ms(
    problems: &mut Problems,
    key: &str,
    value: Value<'_>,
    range: std::ops::RangeInclusive<u64>,
) -> Option<u32> {
    duration_in_ms(problems, key, value, range).and_then(|ms| u32::try_from(ms).ok())
}

/// Returns milliseconds in a range that may end beyond 49 days.
pub(super) fn duration_in_ms(
    problems: &mut Problems,
    key: &str,
    value: Value<'_>,
    range: std::ops::RangeInclusive<u64>,
) -> Option<u64> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) => {
            let message = format!("`{key}` has no unit");
            let fits = |unit: &str| {
                let text = format!("{}{unit}", parsed(number)?);
                let is_fine =
                    crate::duration::parse(&text).is_ok_and(|time| range.contains(&time.as_millis()));
                is_fine.then(|| format!("write \"{text}\""))
            };
            let help = fits("s")
                .or_else(|| fits("ms"))
                .unwrap_or_else(|| "write a duration such as \"2s\"".to_owned());
            problems.error(Code::Duration, value.span(), message, help);
            return None;
        }
        other => {
            wrong_type(problems, key, value.span(), other, "a duration such as \"2s\"");
            return None;
        }
    };
    match crate::duration::parse(text) {
        Ok(duration) if range.contains(&duration.as_millis()) => Some(duration.as_millis()),
        Ok(_) => {
            let help = format!("it must be from {} to {}", shown_ms(*range.start()), shown_ms(*range.end()));
            problems.error(Code::OutOfRange, value.span(), format!("`{key}` is \"{text}\""), help);
            None
        }
        Err(error) => {
            problems.error(Code::Duration, value.span(), format!("`{key}` is \"{text}\""), error);
            None
        }
    }
}

/// Writes milliseconds as a duration.
pub(crate) fn shown_ms(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size));
    unit.map_or_else(|| format!("\"{ms}ms\""), |(size, name)| format!("\"{}{name}\"", ms / size))
}

/// Returns the known name that is most like `name`, where one is like it.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase();
    let most = |candidate: &str| 1 + candidate.len().min(name.len()) / 4;
    // As many changes as the lengths differ are needed in any case.
    let may_be = |candidate: &&&str| candidate.len().abs_diff(name.len()) <= most(candidate);
    let near =
        known.iter().filter(may_be).map(|candidate| (distance(&name, &candidate.to_lowercase()), *candidate));
    near.filter(|(distance, candidate)| *distance <= most(candidate))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, near)| near)
}

/// The number of single-character changes between two names (Levenshtein 1966), with a swap as one (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let width = b.len() + 1;
    let mut cost: Vec<usize> = vec![0; (a.len() + 1) * width];
    for row in 0..=a.len() {
        for column in 0..=b.len() {
            cost[row * width + column] = if row == 0 || column == 0 {
                row + column
            } else {
                let change = usize::from(a[row - 1] != b[column - 1]);
                let mut best = (cost[(row - 1) * width + column] + 1)
                    .min(cost[row * width + column - 1] + 1)
                    .min(cost[(row - 1) * width + column - 1] + change);
                if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                    best = best.min(cost[(row - 2) * width + column - 2] + 1);
                }
                best
            };
        }
    }
    cost[a.len() * width + b.len()]
}
