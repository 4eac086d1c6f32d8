//! Reads single values: numbers, durations.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::diagnostic::Code;
use super::problems::Problems;

/// A value and where it is.
pub(super) type Value<'d> = &'d Spanned<DeValue<'d>>;

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
