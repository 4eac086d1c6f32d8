//! The JSON Schema of a file, for editors that complete and check TOML.
//!
//! It says what a schema can say: names, types, ranges. `dunlin check` knows more.

use dunlin_config_format::config::{FILTER_KINDS, Parameter};
use dunlin_config_format::driver::{Driver, OptionInfo, OptionValues};
use dunlin_config_format::limits::{DECIMALS, FILTERS, IDENTIFIER_LEN, WINDOW};
use serde_json::{Map, Value, json};

use super::keys::{DEFAULTS, Key, Kind, SENSOR, TABLES, TableKeys};

/// A duration as a file has it, see [`duration`](crate::duration).
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";

/// Returns the schema (JSON Schema draft 7, which editors know best).
pub fn schema() -> Value {
    let properties: Map<String, Value> =
        TABLES.iter().map(|table| (table.name.to_owned(), whole_table(table))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A Dunlin node",
        "type": "object",
        "properties": properties,
        "required": ["device", "mqtt"],
        "additionalProperties": false,
        "definitions": { "filter": filter() },
    })
}

fn whole_table(table: &TableKeys) -> Value {
    let one = if table.name == DEFAULTS.name {
        let options = Driver::ALL.iter().flat_map(|driver| driver.info().options);
        object(table, options.map(|option| (option.name.to_owned(), driver_option(option))).collect())
    } else if table.name == "vars" {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    } else if table.name == SENSOR.name {
        let drivers: Vec<Value> = Driver::ALL.iter().map(|driver| sensor(*driver)).collect();
        json!({ "type": "object", "anyOf": drivers })
    } else {
        object(table, Map::new())
    };
    let mut whole = if table.is_named {
        json!({ "type": "object", "additionalProperties": one, "propertyNames": identifier() })
    } else {
        one
    };
    whole["description"] = table.summary.into();
    whole
}

fn required(table: &TableKeys) -> Vec<&'static str> {
    // `[defaults]` may give some.
    let is_default = |key: &Key| DEFAULTS.keys.iter().any(|each| each.name == key.name);
    let is_required = |key: &&Key| key.default.is_none() && !is_default(key);
    table.keys.iter().filter(is_required).map(|key| key.name).collect()
}

fn object(table: &TableKeys, further: Map<String, Value>) -> Value {
    let mut properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), described(key))).collect();
    properties.extend(further);
    json!({
        "type": "object",
        "properties": properties,
        "required": required(table),
        "additionalProperties": false,
    })
}

/// A sensor with one driver.
fn sensor(driver: Driver) -> Value {
    let info = driver.info();
    let mut own: Map<String, Value> =
        info.options.iter().map(|option| (option.name.to_owned(), driver_option(option))).collect();
    own.insert("driver".to_owned(), json!({ "const": info.name, "description": info.summary }));
    let readings: Vec<&str> = info.readings.iter().map(|reading| reading.name).collect();
    own.insert("readings".to_owned(), json!({ "type": "array", "items": { "enum": readings } }));
    object(&SENSOR, own)
}

fn driver_option(option: &OptionInfo) -> Value {
    let mut value = match option.values {
        OptionValues::Names(names) => {
            json!({ "enum": names.iter().map(|&(name, _)| name).collect::<Vec<_>>() })
        }
        OptionValues::Duration { .. } => json!({ "type": "string", "pattern": DURATION }),
    };
    value["description"] = option.summary.into();
    value
}

fn described(key: &Key) -> Value {
    let mut value = match key.kind {
        Kind::Identifier => identifier(),
        Kind::Text(most) => json!({ "type": "string", "minLength": 1, "maxLength": most }),
        Kind::OneOf(names) => json!({ "enum": names }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Duration(..) => duration(),
        Kind::DurationOrOff(..) => json!({ "anyOf": [{ "const": false }, duration()] }),
        Kind::Frequency => json!({ "type": "string", "pattern": "^[0-9]+ ?[kM]Hz$" }),
        Kind::Pin => json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": 16 },
            { "type": "string", "pattern": "^[Dd][0-8]$" },
        ] }),
        Kind::Ipv4 => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+){3}$" }),
        Kind::Ipv4Network => json!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+){3}/[0-9]+$" }),
        Kind::Secret => json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            one_key("env", json!({ "type": "string" })),
            one_key("file", json!({ "type": "string" })),
        ] }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Filters => filters(),
        Kind::Off => json!({ "type": "boolean" }),
        Kind::Readings => {
            json!({ "type": "object", "additionalProperties": one_key("filters", filters()) })
        }
    };
    value["description"] = key.summary.into();
    if let Some(default) = key.default.and_then(|default| serde_json::from_str::<Value>(default).ok()) {
        value["default"] = default;
    }
    value
}

fn identifier() -> Value {
    json!({ "type": "string", "pattern": format!("^[a-z0-9-]{{1,{IDENTIFIER_LEN}}}$") })
}

fn duration() -> Value {
    json!({ "type": "string", "minLength": 2, "pattern": DURATION })
}

fn one_key(key: &str, value: Value) -> Value {
    json!({ "type": "object", "properties": { key: value }, "required": [key], "additionalProperties": false })
}

fn filters() -> Value {
    json!({ "anyOf": [
        { "type": "array", "maxItems": FILTERS, "items": { "$ref": "#/definitions/filter" } },
        { "const": false },
    ] })
}

fn filter() -> Value {
    let number = || json!({ "type": "number" });
    let pair = |a: &str, b: &str| {
        json!({
            "type": "object",
            "properties": { a: number(), b: number() },
            "required": [a, b],
            "additionalProperties": false,
        })
    };
    let parameter = |parameter: Parameter| match parameter {
        Parameter::OddCount => json!({ "type": "integer", "minimum": 3, "maximum": WINDOW }),
        Parameter::CountOrEvery => {
            json!({ "anyOf": [{ "type": "integer", "minimum": 2, "maximum": WINDOW }, one_key("every", duration())] })
        }
        Parameter::NumberOrPercent => {
            json!({ "anyOf": [{ "type": "number", "exclusiveMinimum": 0 }, { "type": "string", "pattern": "%$" }] })
        }
        Parameter::Duration => duration(),
        Parameter::Decimals => json!({ "type": "integer", "minimum": 0, "maximum": DECIMALS }),
        Parameter::Calibration => {
            let values = json!({ "type": "array", "items": number(), "minItems": 2, "maxItems": 2 });
            json!({ "anyOf": [{ "type": "array", "items": values, "minItems": 2 }, pair("slope", "offset")] })
        }
        Parameter::Range => pair("min", "max"),
    };
    let kinds = FILTER_KINDS.iter().map(|kind| {
        let mut value = one_key(kind.name, parameter(kind.parameter));
        value["description"] = kind.summary.into();
        value
    });
    json!({ "oneOf": kinds.collect::<Vec<_>>() })
}
