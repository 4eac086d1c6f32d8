//! The column "range" of the body's tables: the ends are accepted, what is beyond them is refused.

use std::collections::BTreeMap;

use dunlin_config_format::config::{
    Config, DecodeError, Device, Filter, I2cBus, Link, LinkKind, List, Member, Mqtt, OptionValue, Or,
    Payload, QoS, ReadingSettings, Report, Sensor, StaticIpv4,
};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::limits::{BUSES, FILTER_WORDS};

use crate::{document, from, number, table};

const BUS: I2cBus<'_> = I2cBus { id: "main", sda: 4, scl: 5, frequency_hz: Or(100_000) };
const SENSOR: Sensor<'_> = Sensor {
    id: "node",
    label: None,
    driver: Driver::Internal,
    bus: None,
    address: None,
    period_ms: 2_000,
    options: List::new(&[]),
    readings: List::new(&[]),
};
const REPORT: Report<'_> = Report {
    id: None,
    topic: None,
    qos: QoS::AtMostOnce,
    retain: false,
    payload: Payload::Json,
    members: List::new(&[Member { sensor: 0, reading: 0 }]),
    every_ms: None,
    filters: List::new(&[]),
};
const CONFIG: Config<'_> = Config {
    device: Device { name: "a", label: None },
    mqtt: Mqtt::at("b"),
    link: Link { kind: LinkKind::Usb, address: None },
    i2c: List::new(&[]),
    sensors: List::new(&[SENSOR]),
    reports: List::new(&[]),
};

/// Encodes a configuration and reads it back; returns whether it is accepted.
fn is_accepted(config: &Config<'_>) -> bool {
    let mut body = [0xa5; 8192];
    let len = config.encode(&mut body).unwrap();
    match Config::decode(&body[..len]) {
        Ok(read) => read == *config,
        Err(DecodeError::Invalid(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

fn bus(bus: I2cBus<'_>) -> bool {
    is_accepted(&Config { i2c: List::new(&[bus]), ..CONFIG })
}

fn sensor(sensor: Sensor<'_>) -> bool {
    is_accepted(&Config { sensors: List::new(&[sensor]), ..CONFIG })
}

fn report(report: Report<'_>) -> bool {
    is_accepted(&Config { reports: List::new(&[report]), ..CONFIG })
}

fn mqtt(mqtt: Mqtt<'_>) -> bool {
    is_accepted(&Config { mqtt, ..CONFIG })
}

fn filter(filter: Filter) -> bool {
    let filters = [filter];
    let readings = [ReadingSettings { number: 0, filters: List::new(&filters) }];
    sensor(Sensor { readings: List::new(&readings), ..SENSOR })
        && report(Report { filters: List::new(&filters), ..REPORT })
}

/// Tells whether a field with the value, the length or the count `n` is accepted.
fn probe(name: &str, n: u32) -> bool {
    let count = n.min(1000) as usize;
    let text = "x".repeat(count);
    let text = text.as_str();
    let numbered = |index: u32| format!("x{index}");
    let filters = vec![Filter::Round { decimals: 1 }; count];
    match name {
        "Config.i2c" => {
            let ids: Vec<_> = (0..n).map(numbered).collect();
            let pins = [(0, 2), (4, 5), (12, 13), (14, 15)];
            let pins = pins.iter().chain([&(9, 10)]);
            let buses = ids.iter().zip(pins).map(|(id, &(sda, scl))| I2cBus { id, sda, scl, ..BUS });
            is_accepted(&Config { i2c: List::new(&buses.collect::<Vec<_>>()), ..CONFIG })
        }
        "Config.sensors" => {
            let ids: Vec<_> = (0..n).map(numbered).collect();
            let sensors: Vec<_> = ids.iter().map(|id| Sensor { id, ..SENSOR }).collect();
            is_accepted(&Config { sensors: List::new(&sensors), ..CONFIG })
        }
        "Config.reports" => is_accepted(&Config { reports: List::new(&vec![REPORT; count]), ..CONFIG }),
        "Device.name" => is_accepted(&Config { device: Device { name: text, label: None }, ..CONFIG }),
        "Device.label" => is_accepted(&Config { device: Device { name: "a", label: Some(text) }, ..CONFIG }),
        "Mqtt.host" => mqtt(Mqtt { host: text, ..CONFIG.mqtt }),
        "Mqtt.port" => mqtt(Mqtt { port: Or(n), ..CONFIG.mqtt }),
        "Mqtt.client_identifier" => mqtt(Mqtt { client_identifier: Some(text), ..CONFIG.mqtt }),
        "Mqtt.username" => mqtt(Mqtt { username: Some(text), ..CONFIG.mqtt }),
        "Mqtt.keep_alive_s" => mqtt(Mqtt { keep_alive_s: Or(n), ..CONFIG.mqtt }),
        "Mqtt.prefix" => mqtt(Mqtt { prefix: Some(text), ..CONFIG.mqtt }),
        "Mqtt.confirm_within_s" => mqtt(Mqtt { confirm_within_s: Or(n), ..CONFIG.mqtt }),
        "Mqtt.stats_every_s" => mqtt(Mqtt { stats_every_s: Or(n), ..CONFIG.mqtt }),
        "StaticIpv4.prefix_len" => {
            let address =
                StaticIpv4 { address: [10, 0, 0, 2], prefix_len: n as u8, gateway: None, dns: None };
            is_accepted(&Config { link: Link { kind: LinkKind::Usb, address: Some(address) }, ..CONFIG })
        }
        "I2cBus.id" => bus(I2cBus { id: text, ..BUS }),
        "I2cBus.frequency_hz" => bus(I2cBus { frequency_hz: Or(n), ..BUS }),
        "Sensor.id" => sensor(Sensor { id: text, ..SENSOR }),
        "Sensor.label" => sensor(Sensor { label: Some(text), ..SENSOR }),
        "Sensor.period_ms" => sensor(Sensor { period_ms: n, ..SENSOR }),
        "ReadingSettings.filters" => {
            let readings = [ReadingSettings { number: 0, filters: List::new(&filters) }];
            sensor(Sensor { readings: List::new(&readings), ..SENSOR })
        }
        "Report.id" => report(Report { id: Some(text), ..REPORT }),
        "Report.topic" => report(Report { topic: Some(text), ..REPORT }),
        "Report.members" => {
            let ids = ["a", "b", "c"];
            let sensors = ids.map(|id| Sensor { id, ..SENSOR });
            let members =
                (0..n as u8).map(|at| Member { sensor: at / 7, reading: at % 7 }).collect::<Vec<_>>();
            let report = [Report { members: List::new(&members), every_ms: Some(1000), ..REPORT }];
            is_accepted(&Config { sensors: List::new(&sensors), reports: List::new(&report), ..CONFIG })
        }
        "Report.every_ms" => report(Report { every_ms: Some(n), ..REPORT }),
        "Report.filters" => report(Report { filters: List::new(&filters), ..REPORT }),
        "Median.window" => filter(Filter::Median { window: n as u16 }),
        "Mean.window" => filter(Filter::Mean { window: n as u16 }),
        "MeanEvery.every_ms" => filter(Filter::MeanEvery { every_ms: n }),
        "Throttle.every_ms" => filter(Filter::Throttle { every_ms: n }),
        "Heartbeat.every_ms" => filter(Filter::Heartbeat { every_ms: n }),
        "Round.decimals" => filter(Filter::Round { decimals: n as u8 }),
        other => panic!("`{other}` has a range and no probe"),
    }
}

/// The ranges that the document tells, by structure and field.
fn ranges() -> BTreeMap<String, (u32, u32, bool)> {
    let mut ranges = BTreeMap::new();
    let mut add = |name: String, kind: &str, cell: &str| {
        if cell.is_empty() || kind == "f32" {
            return;
        }
        let unit = match kind {
            "text" => " bytes",
            _ if kind.starts_with("list of ") => " elements",
            _ if cell.ends_with(", odd") => ", odd",
            _ => "",
        };
        let range = cell.strip_suffix(unit).unwrap_or_else(|| panic!("{name}: `{cell}`"));
        let (low, high) = range.split_once(" to ").unwrap_or_else(|| panic!("{name}: `{cell}`"));
        ranges.insert(name, (number(low), number(high), unit == ", odd"));
    };
    for part in from("## Body").split("\n**`").skip(1) {
        let structure = part.split('`').next().unwrap();
        for row in table(&format!("**`{structure}`**"), 0) {
            match structure {
                "Filter" => add(format!("{}.{}", row[1], row[3]), &row[4], &row[5]),
                _ if row.len() == 6 => add(format!("{structure}.{}", row[1]), &row[2], &row[4]),
                _ => {}
            }
        }
    }
    ranges
}

#[test]
fn ranges_end_where_the_tables_say() {
    let ranges = ranges();
    assert_eq!(ranges.len(), 31, "{ranges:?}");
    // There are no pins for more buses than that.
    assert_eq!(ranges["Config.i2c"].1 as usize, BUSES);
    for (name, (low, high, is_odd)) in ranges {
        let step = if is_odd { 2 } else { 1 };
        assert!(probe(&name, low), "{name}: {low} is refused");
        assert!(probe(&name, high), "{name}: {high} is refused");
        assert!(!probe(&name, high + step), "{name}: {} is accepted", high + step);
        assert!(low < step || !probe(&name, low - step), "{name}: {} is accepted", low - step);
        assert!(!is_odd || !probe(&name, low + 1), "{name}: {} is accepted", low + 1);
    }
}

#[test]
fn floats_are_what_the_table_says() {
    let cell = |name: &str, parameter: &str| {
        let rows = table("**`Filter`**", 0);
        rows.iter().find(|row| row[1] == name && row[3] == parameter).unwrap()[5].clone()
    };
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    for value in bad {
        assert!(!filter(Filter::Delta { change: value }) && !filter(Filter::DeltaPercent { percent: value }));
        assert!(!filter(Filter::Calibrate { slope: value, offset: 0.0 }));
        assert!(!filter(Filter::Calibrate { slope: 1.0, offset: value }));
        assert!(
            !filter(Filter::Clamp { min: value, max: 1.0 })
                && !filter(Filter::Clamp { min: 0.0, max: value })
        );
    }
    assert_eq!([cell("Delta", "change"), cell("DeltaPercent", "percent")], ["above 0", "above 0"]);
    assert!(!filter(Filter::Delta { change: 0.0 }) && filter(Filter::Delta { change: f32::MIN_POSITIVE }));
    assert!(!filter(Filter::DeltaPercent { percent: 0.0 }) && filter(Filter::DeltaPercent { percent: 0.1 }));
    assert_eq!([cell("Calibrate", "slope"), cell("Calibrate", "offset")], ["not 0", "any"]);
    assert!(!filter(Filter::Calibrate { slope: 0.0, offset: 0.0 }));
    assert!(filter(Filter::Calibrate { slope: -1.0, offset: f32::MIN }));
    assert_eq!([cell("Clamp", "min"), cell("Clamp", "max")], ["below max", "any"]);
    assert!(
        !filter(Filter::Clamp { min: 1.0, max: 1.0 }) && filter(Filter::Clamp { min: -1.0, max: f32::MAX })
    );
}

#[test]
fn filters_need_the_words_that_the_table_tells() {
    for row in table("**`Filter`**", 0) {
        let words = |window: u16| {
            match row[1].as_str() {
                "Median" => Filter::Median { window },
                "Mean" => Filter::Mean { window },
                "MeanEvery" => Filter::MeanEvery { every_ms: 1 },
                "Delta" => Filter::Delta { change: 1.0 },
                "DeltaPercent" => Filter::DeltaPercent { percent: 1.0 },
                "Throttle" => Filter::Throttle { every_ms: 1 },
                "Heartbeat" => Filter::Heartbeat { every_ms: 1 },
                "Round" => Filter::Round { decimals: 1 },
                "Calibrate" => Filter::Calibrate { slope: 1.0, offset: 0.0 },
                "Clamp" => Filter::Clamp { min: 0.0, max: 1.0 },
                other => panic!("{other}"),
            }
            .words()
        };
        match row[6].strip_suffix(" + window") {
            Some(more) => {
                assert_eq!((words(3), words(61)), (3 + number(more) as u16, 61 + number(more) as u16))
            }
            None => assert_eq!(u32::from(words(3)), number(&row[6]), "{row:?}"),
        }
    }
    let text = document::read("flash-layout.md");
    assert!(text.contains(&format!("together need at most {FILTER_WORDS} words")));
}

#[test]
fn pins_and_addresses_are_what_the_tables_say() {
    let cell = |name: &str, field: &str| {
        table(&format!("**`{name}`**"), 0).iter().find(|row| row[1] == field).unwrap()[5].clone()
    };
    let pins: Vec<_> =
        (0..=255).filter(|&sda| bus(I2cBus { sda, scl: if sda == 5 { 4 } else { 5 }, ..BUS })).collect();
    let words: Vec<_> = pins.iter().map(u8::to_string).collect();
    let (last, rest) = words.split_last().unwrap();
    assert!(cell("I2cBus", "sda").ends_with(&format!("data line: {} or {last}", rest.join(", "))));
    let first = |first: u8| {
        let address = StaticIpv4 { address: [first, 0, 0, 1], prefix_len: 24, gateway: None, dns: None };
        is_accepted(&Config { link: Link { kind: LinkKind::Usb, address: Some(address) }, ..CONFIG })
    };
    let accepted: Vec<_> = (0..=255).filter(|&octet| first(octet)).collect();
    assert_eq!(accepted, (1..=126).chain(128..=223).collect::<Vec<u8>>());
    assert!(cell("StaticIpv4", "address").ends_with("first octet is 1 to 126 or 128 to 223"));
    // Options rise, each once.
    let option = |key, value| OptionValue { key, value };
    let lux = |options: &[OptionValue]| {
        let sensors =
            [Sensor { driver: Driver::Tsl2591, bus: Some(0), options: List::new(options), ..SENSOR }];
        is_accepted(&Config { i2c: List::new(&[BUS]), sensors: List::new(&sensors), ..CONFIG })
    };
    assert!(lux(&[option(0, 1), option(1, 200)]));
    assert!(!lux(&[option(1, 200), option(0, 1)]) && !lux(&[option(0, 1), option(0, 1)]));
}
