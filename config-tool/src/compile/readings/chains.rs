//! The filters of a sensor's readings.

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::Filter;
use dunlin_config_format::driver::{Driver, DriverInfo};
use toml::de::DeValue;

use super::super::filters::{chain, idle_throttles};
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{Value, wrong_type};
use super::reading_number;

/// Filters of single readings, by number.
pub(super) type ReadingFilters = BTreeMap<u8, Vec<Filter>>;

/// Returns the filters of every reading, and those of single readings that have their own. What the sensor says goes before
/// what the defaults say.
pub(super) fn reading_filters(
    problems: &mut Problems,
    table: &Table<'_>,
    info: &DriverInfo,
) -> (Vec<Filter>, ReadingFilters) {
    let (own, defaults) = table.layers();
    let chains = |problems: &mut Problems, layer: &Table<'_>, is_default| {
        (chain(problems, layer), single_filters(problems, layer, info, is_default))
    };
    let (filters, mut single) = defaults.map(|layer| chains(problems, &layer, true)).unwrap_or_default();
    let (own_filters, own_single) = chains(problems, &own, false);
    if own_filters.is_some() {
        single.clear();
    }
    single.extend(own_single);
    (own_filters.or(filters).unwrap_or_default(), single)
}

/// Warns of filters of a sensor's own that do nothing at this period.
pub(super) fn idle_filters(problems: &mut Problems, table: &Table<'_>, period_ms: u32) {
    idle_throttles(problems, table, period_ms);
    let Some(DeValue::Table(readings)) = table.own("reading").map(|value| value.get_ref()) else { return };
    for inner in readings.values().filter_map(|value| value.get_ref().as_table()) {
        idle_throttles(problems, &Table::new(inner, 0..0, "a reading"), period_ms);
    }
}

/// Checks the filters that a sensor has itself and whose driver is not known.
pub(super) fn own_filters(problems: &mut Problems, table: &Table<'_>) {
    let (own, _) = table.layers();
    chain(problems, &own);
    for (name, span, value) in readings(problems, &own) {
        single(problems, name, span, value);
    }
}

/// Reads `[sensor.ID.reading.NAME]`.
fn single_filters(
    problems: &mut Problems,
    table: &Table<'_>,
    info: &DriverInfo,
    is_default: bool,
) -> ReadingFilters {
    let mut filters = ReadingFilters::new();
    for (name, span, value) in readings(problems, table) {
        if is_default && is_of_another(info, name) {
            continue;
        }
        let number = reading_number(problems, info, name, span.clone());
        if let (Some(own), Some(number)) = (single(problems, name, span, value), number) {
            filters.insert(number, own);
        }
    }
    filters
}

/// Returns the tables of single readings in the order of the text: name, place and value.
fn readings<'t>(problems: &mut Problems, table: &Table<'t>) -> Vec<(&'t str, Range<usize>, Value<'t>)> {
    let Some(value) = table.get("reading") else { return Vec::new() };
    let DeValue::Table(readings) = value.get_ref() else {
        let wanted = "a table: `[sensor.ID.reading.NAME]`";
        wrong_type(problems, "reading", value.span(), value.get_ref(), wanted);
        return Vec::new();
    };
    Table::new(readings, value.span(), "reading").entries()
}

/// Returns the filters of a single reading, where its table has some.
fn single(problems: &mut Problems, name: &str, span: Range<usize>, value: Value<'_>) -> Option<Vec<Filter>> {
    let DeValue::Table(inner) = value.get_ref() else {
        wrong_type(problems, name, value.span(), value.get_ref(), "a table with `filters`");
        return None;
    };
    let inner = Table::new(inner, span, "a reading");
    inner.refuse_others(problems, &["filters"], &[("label", "give the sensor one")]);
    chain(problems, &inner)
}

/// Returns whether a reading is one of other drivers: then a default means those.
pub(super) fn is_of_another(info: &DriverInfo, name: &str) -> bool {
    let has = |info: &DriverInfo| info.readings.iter().any(|reading| reading.name == name);
    !has(info) && Driver::ALL.iter().any(|driver| has(driver.info()))
}
