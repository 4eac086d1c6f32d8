//! The tables `i2c.ID`: buses and their pins.

use std::ops::{Range, RangeInclusive};

use dunlin_config_format::config::{I2cBus, Or, is_free_pin};
use dunlin_config_format::limits::{BUSES, I2C_FREQUENCY_MAX_HZ, I2C_FREQUENCY_MIN_HZ};
use toml::de::DeValue;

use super::super::diagnostic::Code;
use super::super::keys;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{parsed, wrong_type};
use super::named;

/// The names D0 to D8 on the boards whose pins have names, as GPIO numbers.
const D_PINS: [u8; 9] = [16, 5, 4, 0, 2, 14, 12, 13, 15];

/// What to do about a pin that can't be a line of a bus.
const USE: &str = "use GPIO4 (D2), GPIO5 (D1), GPIO12 (D6), GPIO13 (D7) or GPIO14 (D5)";

/// Returns a pin as people find it: by its number on the chip, and by its name on a board where it has one.
fn shown(gpio: u8) -> String {
    let name = match gpio {
        1 => Some("TX".to_owned()),
        3 => Some("RX".to_owned()),
        _ => D_PINS.iter().position(|pin| *pin == gpio).map(|number| format!("D{number}")),
    };
    name.map_or_else(|| format!("GPIO{gpio}"), |name| format!("GPIO{gpio} ({name})"))
}

pub(in super::super) fn i2c<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    board: Option<&str>,
) -> Vec<I2cBus<'t>> {
    let mut buses: Vec<I2cBus<'t>> = Vec::new();
    let help = "name the bus: `[i2c.main]` with `sda` and `scl`";
    for (id, bus) in named(problems, root, "i2c", help) {
        bus.refuse_others(problems, &keys::I2C.names(), &[]);
        let frequency_hz = frequency(problems, &bus).unwrap_or(Or::<100_000>::DEFAULT);
        let (sda, scl) = (pin(problems, &bus, "sda", board), pin(problems, &bus, "scl", board));
        for key in ["sda", "scl"] {
            if bus.get(key).is_none() {
                bus.missing(problems, key, if key == "sda" { "4" } else { "5" });
            }
        }
        let (Some(sda), Some(scl)) = (sda, scl) else {
            // Its sensors have nothing to do with that: they find the bus.
            buses.push(I2cBus { id, sda: u8::MAX, scl: u8::MAX, frequency_hz: Or(frequency_hz) });
            continue;
        };
        let taken =
            |pin: u8| buses.iter().find(|other| other.sda == pin || other.scl == pin).map(|other| other.id);
        if sda == scl {
            problems.error(
                Code::Duplicate,
                bus.span.clone(),
                format!("{} has {} as sda and as scl", bus.name, shown(sda)),
                "give each a pin of its own",
            );
        }
        for (key, pin) in [("sda", sda), ("scl", scl)] {
            if let (Some(other), Some(value)) = (taken(pin), bus.get(key)) {
                problems.error(
                    Code::Duplicate,
                    value.span(),
                    format!("{} belongs to [i2c.{other}] already", shown(pin)),
                    "give each bus pins of its own",
                );
            }
        }
        buses.push(I2cBus { id, sda, scl, frequency_hz: Or(frequency_hz) });
    }
    if buses.len() > BUSES {
        problems.error(
            Code::Budget,
            0..0,
            format!("{} I2C buses", buses.len()),
            format!("a device has at most {BUSES}"),
        );
    }
    buses
}

fn pin(problems: &mut Problems, bus: &Table<'_>, key: &str, board: Option<&str>) -> Option<u8> {
    let value = bus.get(key)?;
    let gpio = match value.get_ref() {
        DeValue::Integer(number) => parsed(number).and_then(|number| u8::try_from(number).ok()),
        DeValue::String(text) => pin_named(problems, key, text, value.span(), board)?,
        other => {
            wrong_type(problems, key, value.span(), other, "a GPIO number");
            return None;
        }
    };
    let Some(gpio) = gpio.filter(|gpio| is_free_pin(*gpio)) else {
        let found = gpio.map_or_else(
            || "no pin of the ESP8266".to_owned(),
            |gpio| match gpio {
                1 | 3 => format!("{}, which carries the serial line", shown(gpio)),
                6..=11 => format!("{}, which carries the flash chip", shown(gpio)),
                16 => format!(
                    "{}, which belongs to the real-time clock and can't be a line of a bus",
                    shown(gpio)
                ),
                _ => format!("{}, which the ESP8266 does not have", shown(gpio)),
            },
        );
        problems.error(Code::Pin, value.span(), format!("`{key}` is {found}"), USE);
        return None;
    };
    if matches!(gpio, 0 | 2 | 15) {
        let why = match gpio {
            15 => "it must be low at power-on, and I2C pulls it high",
            _ => "it must be high at power-on",
        };
        let help = format!("{why}; {} and {} are safe", shown(4), shown(5));
        problems.warning(Code::BootPin, value.span(), format!("`{key}` is {}", shown(gpio)), help);
    }
    Some(gpio)
}

/// Returns the pin that a board calls `D2`; the outer option is none where that is told already.
fn pin_named(
    problems: &mut Problems,
    key: &str,
    text: &str,
    span: Range<usize>,
    board: Option<&str>,
) -> Option<Option<u8>> {
    let number = |prefix: &str| text.to_ascii_uppercase().strip_prefix(prefix)?.parse::<u8>().ok();
    if let Some(gpio) = number("GPIO").or_else(|| number("")) {
        let help = format!("write the number without quotation marks: {gpio}");
        problems.error(Code::Pin, span, format!("`{key}` is \"{text}\""), help);
        return None;
    }
    let gpio = number("D").and_then(|number| D_PINS.get(usize::from(number)).copied());
    if let (Some(gpio), None) = (gpio, board) {
        let help = format!(
            "on a D1 mini and a NodeMCU that is GPIO{gpio}: write `{gpio}`, or `board = \"d1-mini\"` in [device]"
        );
        let message = format!("`{key}` is \"{text}\", and the board is not known");
        problems.error(Code::Pin, span, message, help);
        return None;
    }
    Some(gpio)
}

fn frequency(problems: &mut Problems, bus: &Table<'_>) -> Option<u32> {
    let value = bus.get("frequency")?;
    let range = I2C_FREQUENCY_MIN_HZ..=I2C_FREQUENCY_MAX_HZ;
    let DeValue::String(text) = value.get_ref() else {
        let wanted = right_frequency(value.get_ref(), &range);
        wrong_type(problems, "frequency", value.span(), value.get_ref(), &wanted);
        return None;
    };
    let hertz = text
        .strip_suffix("kHz")
        .map(|number| (number, 1_000))
        .or_else(|| text.strip_suffix("MHz").map(|number| (number, 1_000_000)))
        .and_then(|(number, unit)| number.trim().parse::<u32>().ok()?.checked_mul(unit));
    let hertz = hertz.filter(|hertz| range.contains(hertz));
    if hertz.is_none() {
        let message = format!("`frequency` is \"{text}\"");
        problems.error(Code::OutOfRange, value.span(), message, "write \"10kHz\" to \"400kHz\"");
    }
    hertz
}

/// Tells how a frequency is written that is a bare number of hertz or kilohertz.
fn right_frequency(value: &DeValue<'_>, range: &RangeInclusive<u32>) -> String {
    let number = match value {
        DeValue::Integer(number) => parsed(number).and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    let as_hertz = number.filter(|hertz| hertz.is_multiple_of(1000) && range.contains(hertz));
    let as_kilohertz =
        number.filter(|number| number.checked_mul(1000).is_some_and(|hertz| range.contains(&hertz)));
    match as_hertz.map(|hertz| hertz / 1000).or(as_kilohertz) {
        Some(kilohertz) => format!("\"{kilohertz}kHz\""),
        None => "\"10kHz\" to \"400kHz\"".to_owned(),
    }
}
