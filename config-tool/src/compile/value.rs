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

/// Returns how a number is written that stands in quotation marks, or is one already.
pub(super) fn shown_number(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => {
            let text = text.trim();
            let is_number = text.parse::<f64>().is_ok_and(f64::is_finite) && !text.starts_with(['+', '.']);
            (is_number && !text.ends_with('.')).then(|| text.to_owned())
        }
        DeValue::Integer(number) => parsed(number).map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Names what is wanted, and how it is written where it stands in quotation marks.
fn or_unquoted(wanted: &str, value: &DeValue<'_>, is_right: impl Fn(&str) -> bool) -> String {
    match value {
        DeValue::String(text) if is_right(text.trim()) => {
            format!("it without quotation marks: {}", text.trim())
        }
        _ => wanted.to_owned(),
    }
}

pub(super) fn boolean(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<bool> {
    match value.get_ref() {
        DeValue::Boolean(value) => Some(*value),
        other => {
            let wanted = or_unquoted("`true` or `false`", other, |text| matches!(text, "true" | "false"));
            wrong_type(problems, key, value.span(), other, &wanted);
            None
        }
    }
}

pub(super) fn list<'d>(problems: &mut Problems, key: &str, value: Value<'d>) -> Option<Vec<Value<'d>>> {
    match value.get_ref() {
        DeValue::Array(values) => Some(values.iter().collect()),
        other => {
            let wanted = match other {
                DeValue::String(text) => format!("a list: [{}]", toml::Value::from(text.as_ref())),
                _ => "a list in square brackets".to_owned(),
            };
            wrong_type(problems, key, value.span(), other, &wanted);
            None
        }
    }
}

pub(super) fn integer(
    problems: &mut Problems,
    key: &str,
    value: Value<'_>,
    range: std::ops::RangeInclusive<i64>,
) -> Option<i64> {
    let DeValue::Integer(number) = value.get_ref() else {
        let wanted = or_unquoted("an integer", value.get_ref(), is_integer);
        wrong_type(problems, key, value.span(), value.get_ref(), &wanted);
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

fn is_integer(text: &str) -> bool {
    let (digits, radix) = match text.split_at_checked(2) {
        Some(("0x", digits)) => (digits, 16),
        Some(("0b", digits)) => (digits, 2),
        _ => (text, 10),
    };
    i64::from_str_radix(digits, radix).is_ok() && !digits.starts_with(['+', '0']) || text == "0"
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
            let wanted = match shown_number(other) {
                Some(number) => format!("it without quotation marks: {number}"),
                None => "a number".to_owned(),
            };
            wrong_type(problems, key, value.span(), other, &wanted);
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
        DeValue::String(text) if is_digits(text.trim()) => {
            no_unit(problems, key, value.span(), text.trim().parse().ok(), &range);
            return None;
        }
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) => {
            no_unit(problems, key, value.span(), parsed(number), &range);
            return None;
        }
        DeValue::Float(number) => {
            let ms = number.as_str().parse::<f64>().ok().map(|seconds| seconds * 1000.0);
            let ms = ms.filter(|ms| ms.fract() == 0.0 && (1.0..=1e9).contains(ms)).map(|ms| ms as u64);
            let wanted = match ms.filter(|ms| range.contains(ms)) {
                Some(ms) => shown_ms(ms),
                None => "a duration such as \"2s\"".to_owned(),
            };
            wrong_type(problems, key, value.span(), value.get_ref(), &wanted);
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

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Notes a number that has no unit, with the one that is in range and likely.
fn no_unit(
    problems: &mut Problems,
    key: &str,
    span: Range<usize>,
    number: Option<i64>,
    range: &std::ops::RangeInclusive<u64>,
) {
    let fits = |unit: &str| {
        let text = format!("{}{unit}", number?);
        let is_fine = crate::duration::parse(&text).is_ok_and(|time| range.contains(&time.as_millis()));
        is_fine.then(|| format!("write \"{text}\""))
    };
    // Nobody thinks of 2000 or 60000 seconds, but of 1800, 3600 or 86400.
    let is_seconds = number.is_some_and(|number| number < 1000 || number % 600 == 0 && number % 1000 != 0);
    let units = if is_seconds { ["s", "ms"] } else { ["ms", "s"] };
    let help = units.into_iter().find_map(fits).unwrap_or_else(|| match *range.end() {
        ..1000 => format!("it must be from {} to {}", shown_ms(*range.start()), shown_ms(*range.end())),
        _ => "write a duration such as \"2s\"".to_owned(),
    });
    problems.error(Code::Duration, span, format!("`{key}` has no unit"), help);
}

/// Writes milliseconds as a duration.
pub(crate) fn shown_ms(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = units.iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size));
    unit.map_or_else(|| format!("\"{ms}ms\""), |(size, name)| format!("\"{}{name}\"", ms / size))
}
