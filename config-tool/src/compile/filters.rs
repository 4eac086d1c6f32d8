//! Filters, from `{ NAME = parameter }`.

use std::ops::Range;

use dunlin_config_format::config::{FILTER_KINDS, Filter, FilterKind, Parameter};
use dunlin_config_format::limits::{DECIMALS, FILTERS, PERIOD_MAX_MS, PERIOD_MIN_MS, WINDOW};
use toml::de::{DeArray, DeValue};

use super::diagnostic::Code;
use super::nearest::nearest;
use super::problems::Problems;
use super::reader::Table;
use super::value::{Value, duration_ms, integer, number, shown_ms, shown_number, type_name, wrong_type};

const TIME: std::ops::RangeInclusive<u64> = PERIOD_MIN_MS as u64..=PERIOD_MAX_MS as u64;

/// Reads a chain of filters; `false` is an empty one, which removes that of the defaults.
pub(super) fn chain(problems: &mut Problems, table: &Table<'_>) -> Option<Vec<Filter>> {
    let value = table.get("filters")?;
    let values = match value.get_ref() {
        DeValue::Array(values) => values,
        DeValue::Boolean(false) => return Some(Vec::new()),
        other => {
            let wanted = match one(other) {
                Some(kind) => format!("a list of filters: [{}]", kind.example),
                None => "a list of filters, such as [{ median = 5 }], or `false` for none".to_owned(),
            };
            wrong_type(problems, "filters", value.span(), other, &wanted);
            return None;
        }
    };
    if values.len() > FILTERS {
        problems.error(
            Code::OutOfRange,
            value.span(),
            format!("{} filters in a chain", values.len()),
            format!("at most {FILTERS} are possible"),
        );
    }
    Some(values.iter().filter_map(|value| filter(problems, value)).collect())
}

/// Warns of throttles in a table's own filters that let every value of a sensor pass.
pub(super) fn idle_throttles(problems: &mut Problems, table: &Table<'_>, period_ms: u32) {
    let Some(DeValue::Array(values)) = table.own("filters").map(|value| value.get_ref()) else { return };
    let throttles = values.iter().filter_map(|value| value.get_ref().as_table()?.get("throttle"));
    for value in throttles {
        let Some(text) = value.get_ref().as_str() else { continue };
        let idle = *TIME.start()..=period_ms.into();
        let is_idle = crate::duration::parse(text).is_ok_and(|time| idle.contains(&time.as_millis()));
        if is_idle {
            let message =
                format!("`throttle` is \"{text}\", and a value comes every {}", shown_ms(period_ms.into()));
            problems.warning(Code::Idle, value.span(), message, "write a longer time, or remove the filter");
        }
    }
}

/// Returns the filter that a value names which is not in a list, or not in a table.
fn one(value: &DeValue<'_>) -> Option<&'static FilterKind> {
    let name = match value {
        DeValue::String(text) => text.as_ref(),
        DeValue::Table(table) => table.iter().next()?.0.get_ref(),
        _ => return None,
    };
    FILTER_KINDS.iter().find(|kind| kind.name == name)
}

fn filter(problems: &mut Problems, value: Value<'_>) -> Option<Filter> {
    let DeValue::Table(table) = value.get_ref() else {
        let example = one(value.get_ref()).map_or("{ median = 5 }", |kind| kind.example);
        let help = format!("write a table with the filter's name, such as {example}");
        let message = format!("a filter is {}", type_name(value.get_ref()));
        problems.error(Code::Filter, value.span(), message, help);
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
        let names: Vec<&str> = FILTER_KINDS.iter().map(|kind| kind.name).collect();
        let help = match (calibration(name, parameter.get_ref()), nearest(name, &names)) {
            (Some(line), _) => format!("write {line}"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => format!("there are: {}", names.join(", ")),
        };
        problems.error(Code::UnknownName, key.span(), format!("unknown filter `{name}`"), help);
        return None;
    };
    if !is_right_type(kind.parameter, parameter.get_ref()) {
        let (wanted, span) = (right_form(kind, parameter.get_ref()), parameter.span());
        wrong_type(problems, name, span, parameter.get_ref(), &wanted);
        return None;
    }
    with_parameter(problems, kind, parameter)
}

/// Returns the calibration that a filter of other systems is.
fn calibration(name: &str, value: &DeValue<'_>) -> Option<String> {
    let number = shown_number(value);
    let (slope, offset) = match name {
        "multiply" | "scale" => (number.unwrap_or_else(|| "2.0".to_owned()), "0.0".to_owned()),
        "offset" | "add" => ("1.0".to_owned(), number.unwrap_or_else(|| "0.5".to_owned())),
        _ => return None,
    };
    Some(format!("{{ calibrate = {{ slope = {slope}, offset = {offset} }} }}"))
}

fn is_right_type(parameter: Parameter, value: &DeValue<'_>) -> bool {
    use DeValue::{Array, Float, Integer, String, Table};
    match parameter {
        Parameter::OddCount | Parameter::Decimals => matches!(value, Integer(_)),
        Parameter::CountOrEvery => matches!(value, Integer(_) | Table(_)),
        Parameter::NumberOrPercent => matches!(value, Integer(_) | Float(_) | String(_)),
        Parameter::Duration => matches!(value, Integer(_) | String(_)),
        Parameter::Calibration => matches!(value, Array(_) | Table(_)),
        Parameter::Range => matches!(value, Table(_)),
    }
}

/// Tells how a filter is written whose parameter has a wrong type: with the value that was meant, where that is clear.
fn right_form(kind: &FilterKind, value: &DeValue<'_>) -> String {
    let name = kind.name;
    let is_duration = |text: &str| crate::duration::parse(text).is_ok();
    let what = match (kind.parameter, value) {
        (Parameter::CountOrEvery, DeValue::String(text)) if is_duration(text) => {
            return format!("a time span as {{ {name} = {{ every = \"{text}\" }} }}");
        }
        (Parameter::Duration, DeValue::Table(table)) => {
            let only = table.iter().next().filter(|_| table.len() == 1);
            match only.map(|(_, value)| value.get_ref()) {
                Some(DeValue::String(text)) if is_duration(text) => {
                    return format!("{{ {name} = \"{text}\" }}");
                }
                _ => "a duration",
            }
        }
        (Parameter::Range, DeValue::Array(values)) => {
            let numbers: Vec<String> =
                values.iter().filter_map(|value| shown_number(value.get_ref())).collect();
            match numbers.as_slice() {
                [min, max] => return format!("{{ {name} = {{ min = {min}, max = {max} }} }}"),
                _ => "the lowest and the highest value",
            }
        }
        (Parameter::OddCount, _) => "a count of samples",
        (Parameter::CountOrEvery, _) => "a count of samples, or { every = \"60s\" }",
        (Parameter::NumberOrPercent, _) => "a number or a percentage",
        (Parameter::Duration, _) => "a duration",
        (Parameter::Decimals, _) => "a count of decimals",
        (Parameter::Calibration, _) => "pairs of measured and true values",
        (Parameter::Range, _) => "the lowest and the highest value",
    };
    match shown_number(value).filter(|_| matches!(value, DeValue::String(_))) {
        Some(number) => format!("it without quotation marks: {{ {name} = {number} }}"),
        None => format!("{what}, as in {}", kind.example),
    }
}

fn with_parameter(problems: &mut Problems, kind: &FilterKind, parameter: Value<'_>) -> Option<Filter> {
    let (name, window) = (kind.name, i64::from(WINDOW));
    match (kind.parameter, parameter.get_ref()) {
        (Parameter::OddCount, _) => {
            let window = integer(problems, name, parameter, 3..=window)?;
            if window % 2 == 0 {
                let help = format!("a median needs an odd count, such as {}", window + 1);
                problems.error(Code::OutOfRange, parameter.span(), format!("`{name}` is {window}"), help);
                return None;
            }
            Some(Filter::Median { window: u16::try_from(window).ok()? })
        }
        (Parameter::CountOrEvery, DeValue::Table(_)) => {
            let table = members(problems, name, parameter, &[("every", "\"60s\"")])?;
            Some(Filter::MeanEvery { every_ms: table.duration_ms(problems, "every", TIME)? })
        }
        (Parameter::CountOrEvery, _) => {
            let window = integer(problems, name, parameter, 2..=window)?;
            Some(Filter::Mean { window: u16::try_from(window).ok()? })
        }
        (Parameter::NumberOrPercent, _) => delta(problems, name, parameter),
        (Parameter::Duration, _) => {
            let every_ms = duration_ms(problems, name, parameter, TIME)?;
            Some(match name {
                "throttle" => Filter::Throttle { every_ms },
                _ => Filter::Heartbeat { every_ms },
            })
        }
        (Parameter::Decimals, _) => {
            let decimals = integer(problems, name, parameter, 0..=i64::from(DECIMALS))?;
            Some(Filter::Round { decimals: u8::try_from(decimals).ok()? })
        }
        (Parameter::Calibration, DeValue::Array(values)) => {
            line_through(problems, name, parameter.span(), values)
        }
        (Parameter::Calibration, _) => {
            let [slope, offset] = numbers(problems, name, parameter, [("slope", "1.0"), ("offset", "0.0")])?;
            if slope == 0.0 {
                let help = "a slope of 0 makes every value the same";
                problems.error(Code::OutOfRange, parameter.span(), "`slope` is 0", help);
                return None;
            }
            Some(Filter::Calibrate { slope, offset })
        }
        (Parameter::Range, _) => {
            let [min, max] = numbers(problems, name, parameter, [("min", "0.0"), ("max", "100.0")])?;
            if min >= max {
                problems.error(Code::OutOfRange, parameter.span(), "`min` is not below `max`", "swap them");
                return None;
            }
            Some(Filter::Clamp { min, max })
        }
    }
}

/// Returns the table of a filter's parameter that has exactly these keys, each given with an example.
fn members<'d>(
    problems: &mut Problems,
    filter: &str,
    value: Value<'d>,
    known: &[(&str, &str)],
) -> Option<Table<'d>> {
    let DeValue::Table(table) = value.get_ref() else { return None };
    let table = Table::new(table, value.span(), format!("`{filter}`"));
    let names: Vec<&str> = known.iter().map(|&(name, _)| name).collect();
    table.refuse_others(problems, &names, &[]);
    for (name, example) in known.iter().filter(|(name, _)| table.get(name).is_none()) {
        table.missing(problems, name, example);
    }
    Some(table)
}

/// Returns the two numbers that a filter's table has.
fn numbers(
    problems: &mut Problems,
    filter: &str,
    value: Value<'_>,
    known: [(&str, &str); 2],
) -> Option<[f32; 2]> {
    let table = members(problems, filter, value, &known)?;
    let [first, second] =
        known.map(|(name, _)| table.get(name).and_then(|value| number(problems, name, value)));
    Some([first?, second?])
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
            let help = match shown_number(parameter.get_ref()) {
                Some(number) => format!("write {number} in the reading's unit, or \"{number}%\""),
                None => "write a number in the reading's unit, or a percentage such as \"10%\"".to_owned(),
            };
            problems.error(Code::Filter, parameter.span(), format!("`{name}` is \"{text}\""), help);
            None
        }
    }
}

/// A straight line through pairs of measured and true values: exact for two, least squares for more.
fn line_through(
    problems: &mut Problems,
    name: &str,
    span: Range<usize>,
    values: &DeArray<'_>,
) -> Option<Filter> {
    let help = "write pairs of measured and true values: [[0.0, 0.4], [25.0, 25.1]]";
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
    let line = Filter::Calibrate { slope: slope as f32, offset: (mean_y - slope * mean_x) as f32 };
    if pairs.len() < 2 || !line.is_valid() {
        problems.error(Code::Filter, span, "no straight line goes through these pairs", help);
        return None;
    }
    Some(line)
}
