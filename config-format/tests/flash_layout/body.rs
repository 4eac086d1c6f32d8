//! The tables of the body: keys, types and defaults as the source has them; numbers, drivers and filters.

use std::collections::BTreeMap;

use dunlin_config_format::driver::{Driver, OptionValues};

use crate::document::read;
use crate::source::{Field, structures};
use crate::{from, number, table};

const SOURCES: [&str; 6] =
    ["config/mod", "config/settings", "config/sensor", "config/report", "config/filter", "driver"];

/// The form of a structure in the document's words, and its rows: what is compared of them.
type Rows = (&'static str, Vec<Vec<String>>);

/// The structures of the source that a body is made of, by name.
fn all() -> BTreeMap<String, Rows> {
    let sources = SOURCES.map(|path| read(&format!("config-format/src/{path}.rs")));
    let structures = sources.iter().flat_map(|source| structures(source));
    structures
        .map(|structure| {
            let fields = structure.fields.iter();
            let rows = match structure.form.as_str() {
                "map" => ("A map:", fields.map(row).collect()),
                "array" => ("An array:", fields.map(row).collect()),
                "number" => (
                    "A number:",
                    fields.map(|field| vec![field.number.to_string(), field.name.clone()]).collect(),
                ),
                "variants" => ("An array:", fields.map(parameter).collect()),
                other => panic!("a structure of the form `{other}`"),
            };
            (structure.name, rows)
        })
        .collect()
}

/// Key, name, type and default of a field.
fn row(field: &Field) -> Vec<String> {
    let kind = field.kind.as_str();
    let inner = |prefix: &str| kind.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    let (kind, default) = match (inner("Option<"), inner("Or<"), inner("List<'a, ")) {
        (Some(inner), ..) => (words(inner), "absent".to_owned()),
        (_, Some(default), _) => ("u32".to_owned(), default.replace('_', "")),
        (.., Some(element)) => (
            format!("list of {}", words(element)),
            if field.is_optional { "empty".to_owned() } else { String::new() },
        ),
        _ if !field.is_optional => (words(kind), String::new()),
        _ => (
            words(kind),
            match kind {
                "bool" => "false",
                "Link" => "empty",
                _ => "0",
            }
            .to_owned(),
        ),
    };
    vec![field.number.to_string(), field.name.clone(), kind, default]
}

fn words(kind: &str) -> String {
    match kind {
        "&'a str" => "text".to_owned(),
        "[u8; 4]" => "4 bytes".to_owned(),
        other => other.trim_end_matches("<'a>").to_owned(),
    }
}

/// Number, name, position, parameter and type of a filter's parameter.
fn parameter(field: &Field) -> Vec<String> {
    let (number, variant) = field.variant.clone().unwrap();
    vec![number, variant, field.number.to_string(), field.name.clone(), field.kind.clone()]
}

#[test]
fn every_structure_has_its_table() {
    let structures = all();
    assert_eq!(structures.len(), 16, "the source is read wrongly");
    let document = from("## Body");
    let named = document.split("\n**`").skip(1).map(|part| part.split('`').next().unwrap());
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    assert_eq!(named, structures.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, (form, rows)) in structures {
        let mark = format!("**`{name}`**");
        assert!(from(&mark)[1..].starts_with(&format!("{mark} {form}")), "{name} is {form}");
        let width = rows.first().map_or(0, Vec::len);
        let found: Vec<_> = table(&mark, 0).iter().map(|row| row[..width].to_vec()).collect();
        assert_eq!(found, rows, "{name}");
    }
}

#[test]
fn drivers_are_the_codes() {
    let rows = table("### Drivers", 0);
    assert_eq!(rows.len(), Driver::ALL.len());
    for (row, driver) in rows.iter().zip(Driver::ALL) {
        let info = driver.info();
        let addresses: Vec<_> = info.addresses.iter().map(|address| format!("{address:#04x}")).collect();
        let expected = [driver.number().to_string(), info.name.to_owned(), addresses.join(", ")];
        assert_eq!(row[..3], expected);
        let summary = table("**`Driver`**", 0)[usize::from(driver.number())][2].clone();
        assert_eq!(summary, info.summary);
    }
    let mut readings = table("### Drivers", 1).into_iter();
    let mut options = table("### Drivers", 2).into_iter();
    for driver in Driver::ALL {
        for (index, reading) in driver.info().readings.iter().enumerate() {
            let (lowest, highest) = reading.range;
            let expected = [
                driver.number().to_string(),
                index.to_string(),
                reading.name.to_owned(),
                reading.unit.to_owned(),
                lowest.to_string(),
                highest.to_string(),
                if reading.primary { "yes" } else { "no" }.to_owned(),
            ];
            assert_eq!(readings.next().unwrap(), expected);
        }
        for option in driver.info().options {
            let values = match option.values {
                OptionValues::Names(names) => {
                    let names: Vec<_> = names.iter().map(|(name, value)| format!("{value} {name}")).collect();
                    names.join(", ")
                }
                OptionValues::Duration { min_ms, max_ms, step_ms } => {
                    format!("{min_ms} to {max_ms} in steps of {step_ms}, milliseconds")
                }
            };
            let number = driver.number().to_string();
            let expected =
                [number, option.key.to_string(), option.name.to_owned(), option.default.to_string(), values];
            assert_eq!(options.next().unwrap(), expected);
        }
    }
    assert_eq!((readings.next(), options.next()), (None, None));
}

#[test]
fn conversion_times_are_the_codes() {
    let rows = table("### Drivers", 0);
    assert_eq!(rows[0][3], format!("{} ms", Driver::Internal.conversion_ms(|_| 0)));
    let words = &rows[1][3];
    let (factor, rest) = words.split_once(" × integration + ").unwrap();
    let (offset, rest) = rest.split_once(" ms, rounded down; ").unwrap();
    assert_eq!(rest, "twice that where gain is auto");
    for integration in (100..=600).step_by(100) {
        let cycle = (factor.parse::<f64>().unwrap() * f64::from(integration) + 1e-9) as u32 + number(offset);
        for gain in 0..=4 {
            let option = |key| if key == 0 { gain } else { integration };
            let expected = if gain == 0 { 2 * cycle } else { cycle };
            assert_eq!(Driver::Tsl2591.conversion_ms(option), expected, "{gain} {integration}");
        }
    }
}
