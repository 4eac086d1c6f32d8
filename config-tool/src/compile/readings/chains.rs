//! The filters of a sensor's readings.

use std::collections::BTreeMap;

use dunlin_config_format::config::Filter;
use dunlin_config_format::driver::{Driver, DriverInfo};
use toml::de::DeValue;

use super::super::filters::chain;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::wrong_type;
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

/// Reads `[sensor.ID.reading.NAME]`.
fn single_filters(
    problems: &mut Problems,
    table: &Table<'_>,
    info: &DriverInfo,
    is_default: bool,
) -> ReadingFilters {
    let mut filters = ReadingFilters::new();
    let Some(value) = table.get("reading") else { return filters };
    let DeValue::Table(readings) = value.get_ref() else {
        let wanted = "a table: `[sensor.ID.reading.NAME]`";
        wrong_type(problems, "reading", value.span(), value.get_ref(), wanted);
        return filters;
    };
    for (name, span, value) in Table::new(readings, value.span(), "reading").entries() {
        if is_default && is_of_another(info, name) {
            continue;
        }
        let number = reading_number(problems, info, name, span.clone());
        let DeValue::Table(inner) = value.get_ref() else {
            wrong_type(problems, name, value.span(), value.get_ref(), "a table with `filters`");
            continue;
        };
        let inner = Table::new(inner, span, "a reading");
        inner.refuse_others(problems, &["filters"], &[("label", "give the sensor one")]);
        if let (Some(number), Some(own)) = (number, chain(problems, &inner)) {
            filters.insert(number, own);
        }
    }
    filters
}

/// Returns whether a reading is one of other drivers: then a default means those.
pub(super) fn is_of_another(info: &DriverInfo, name: &str) -> bool {
    let has = |info: &DriverInfo| info.readings.iter().any(|reading| reading.name == name);
    !has(info) && Driver::ALL.iter().any(|driver| has(driver.info()))
}
