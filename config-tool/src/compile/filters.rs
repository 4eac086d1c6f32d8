//! Filters, from `{ NAME = parameter }`.

use dunlin_config_format::config::{FILTER_KINDS, Filter, Parameter};
use dunlin_config_format::limits::{DECIMALS, FILTERS, PERIOD_MAX_MS, PERIOD_MIN_MS, WINDOW};
use toml::de::DeValue;

use super::diagnostic::Code;
use super::nearest::nearest;
use super::problems::Problems;
use super::reader::Table;
use super::value::{Value, duration_ms, integer, number, type_name, wrong_type};

const TIME: std::ops::RangeInclusive<u64> = PERIOD_MIN_MS as u64..=PERIOD_MAX_MS as u64;

/// Reads a chain of filters.
pub(super) fn chain(problems: &mut Problems, table: &Table<'_>) -> Option<Vec<Filter>> {
    let values = table.list(problems, "filters")?;
    if values.len() > FILTERS {
        let span = table.get("filters").map_or(0..0, |value| value.span());
        problems.error(
            Code::OutOfRange,
            span,
            format!("{} filters in a chain", values.len()),
            format!("at most {FILTERS} are possible"),
        );
    }
    Some(values.into_iter().filter_map(|value| filter(problems, value)).collect())
}

fn filter(problems: &mut Problems, value: Value<'_>) -> Option<Filter> {
    let names: Vec<&str> = FILTER_KINDS.iter().map(|kind| kind.name).collect();
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("a filter is {}", type_name(value.get_ref()));
        problems.error(
            Code::Filter,
            value.span(),
            message,
            "write a table with the filter's name, such as { median = 5 }",
        );
        return None;
    };
    let mut entries = table.iter();
    let (Some((key, parameter)), None) = (entries.next(), entries.next()) else {
        let help = "write one filter in each pair of braces: [{ median = 5 }, { round = 1 }]";
        problems.error(Code::Filter, value.span(), format!("a filter with {} keys", table.len()), help);
        return None;
    };
    let name = key.get_ref().as_ref();
    let Some(kind) = FILTER_KINDS.iter().find(|kind| kind.name == name) else {
        let help = match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.join(", ")),
        };
        problems.error(Code::UnknownName, key.span(), format!("unknown filter `{name}`"), help);
        return None;
    };
    let window = i64::from(WINDOW);
    match kind.parameter {
        Parameter::OddCount => {
            let window = integer(problems, name, parameter, 3..=window)?;
            if window % 2 == 0 {
                let help = format!("a median needs an odd count, such as {}", window + 1);
                problems.error(Code::OutOfRange, parameter.span(), format!("`{name}` is {window}"), help);
                return None;
            }
            Some(Filter::Median { window: u16::try_from(window).ok()? })
        }
        Parameter::CountOrEvery => match parameter.get_ref() {
            DeValue::Table(_) => {
                let every_ms = member(problems, parameter, name, "every", |problems, value| {
                    duration_ms(problems, "every", value, TIME)
                })?;
                Some(Filter::MeanEvery { every_ms })
            }
            _ => Some(Filter::Mean {
                window: u16::try_from(integer(problems, name, parameter, 2..=window)?).ok()?,
            }),
        },
        Parameter::NumberOrPercent => delta(problems, name, parameter),
        Parameter::Duration => {
            let every_ms = duration_ms(problems, name, parameter, TIME)?;
            Some(if name == "throttle" {
                Filter::Throttle { every_ms }
            } else {
                Filter::Heartbeat { every_ms }
            })
        }
        Parameter::Decimals => {
            let decimals = integer(problems, name, parameter, 0..=i64::from(DECIMALS))?;
            Some(Filter::Round { decimals: u8::try_from(decimals).ok()? })
        }
        Parameter::Calibration => calibration(problems, name, parameter),
        Parameter::Range => {
            let min =
                member(problems, parameter, name, "min", |problems, value| number(problems, "min", value));
            let max =
                member(problems, parameter, name, "max", |problems, value| number(problems, "max", value));
            let (min, max) = (min?, max?);
            if min >= max {
                problems.error(Code::OutOfRange, parameter.span(), "`min` is not below `max`", "swap them");
                return None;
            }
            Some(Filter::Clamp { min, max })
        }
    }
}

/// Reads a member of a filter's table, whose other members are `min`, `max`, `every`, `slope` and `offset`.
fn member<T>(
    problems: &mut Problems,
    value: Value<'_>,
    filter: &str,
    key: &str,
    read: impl FnOnce(&mut Problems, Value<'_>) -> Option<T>,
) -> Option<T> {
    let DeValue::Table(table) = value.get_ref() else {
        wrong_type(problems, filter, value.span(), value.get_ref(), &format!("a table with `{key}`"));
        return None;
    };
    let known: &[&str] = match filter {
        "clamp" => &["min", "max"],
        "mean" => &["every"],
        _ => &["slope", "offset"],
    };
    let table = Table { table, span: value.span(), name: format!("`{filter}`") };
    if known.first() == Some(&key) {
        table.refuse_others(problems, known, &[]);
    }
    match table.get(key) {
        Some(value) => read(problems, value),
        None => {
            table.missing(problems, key, "…");
            None
        }
    }
}

fn delta(problems: &mut Problems, name: &str, parameter: Value<'_>) -> Option<Filter> {
    let above_zero = |problems: &mut Problems, value: f32| {
        if value <= 0.0 {
            problems.error(
                Code::OutOfRange,
                parameter.span(),
                format!("`{name}` is {value}"),
                "it must be above 0",
            );
        }
        (value > 0.0).then_some(value)
    };
    let DeValue::String(text) = parameter.get_ref() else {
        let change = number(problems, name, parameter)?;
        return Some(Filter::Delta { change: above_zero(problems, change)? });
    };
    let percent = text
        .strip_suffix('%')
        .and_then(|text| text.trim().parse::<f32>().ok())
        .filter(|value| value.is_finite());
    match percent {
        Some(percent) => Some(Filter::DeltaPercent { percent: above_zero(problems, percent)? }),
        None => {
            let message = format!("`{name}` is \"{text}\"");
            problems.error(
                Code::Filter,
                parameter.span(),
                message,
                "write a number in the reading's unit, or a percentage such as \"10%\"",
            );
            None
        }
    }
}

/// A straight line through pairs of measured and true values: exact for two, least squares for more.
fn calibration(problems: &mut Problems, name: &str, parameter: Value<'_>) -> Option<Filter> {
    if let DeValue::Table(_) = parameter.get_ref() {
        let slope =
            member(problems, parameter, name, "slope", |problems, value| number(problems, "slope", value));
        let offset =
            member(problems, parameter, name, "offset", |problems, value| number(problems, "offset", value));
        let (slope, offset) = (slope?, offset?);
        if slope == 0.0 {
            problems.error(
                Code::OutOfRange,
                parameter.span(),
                "`slope` is 0",
                "a slope of 0 makes every value the same",
            );
            return None;
        }
        return Some(Filter::Calibrate { slope, offset });
    }
    let help = "write pairs of measured and true values: [[0.0, 0.4], [25.0, 25.1]]";
    let DeValue::Array(values) = parameter.get_ref() else {
        wrong_type(
            problems,
            name,
            parameter.span(),
            parameter.get_ref(),
            "pairs of measured and true values",
        );
        return None;
    };
    let mut pairs = Vec::new();
    for value in values.iter() {
        let pair = match value.get_ref() {
            DeValue::Array(pair) if pair.len() == 2 => {
                let mut numbers = pair.iter().filter_map(|value| number(problems, name, value));
                numbers.next().zip(numbers.next())
            }
            _ => {
                problems.error(Code::Filter, value.span(), "not a pair of numbers", help);
                None
            }
        };
        pairs.push(pair?);
    }
    let count = pairs.len() as f64;
    let mean = |values: &dyn Fn(&(f32, f32)) -> f32| {
        pairs.iter().map(|pair| f64::from(values(pair))).sum::<f64>() / count
    };
    let (mean_x, mean_y) = (mean(&|pair| pair.0), mean(&|pair| pair.1));
    let spread: f64 = pairs.iter().map(|pair| (f64::from(pair.0) - mean_x).powi(2)).sum();
    let slope =
        pairs.iter().map(|pair| (f64::from(pair.0) - mean_x) * (f64::from(pair.1) - mean_y)).sum::<f64>()
            / spread;
    if pairs.len() < 2 || slope == 0.0 || !slope.is_finite() {
        problems.error(Code::Filter, parameter.span(), "no straight line goes through these pairs", help);
        return None;
    }
    let offset = mean_y - slope * mean_x;
    Some(Filter::Calibrate { slope: slope as f32, offset: offset as f32 })
}
