//! `dunlin explain`: a key, a driver, a filter or a diagnostic in a few words.

use clap::Args;
use dunlin_config_format::config::FILTER_KINDS;
use dunlin_config_format::driver::{Driver, OptionValues};
use dunlin_config_format::limits::IDENTIFIER_LEN;

use super::{CommandError, Exit};
use crate::compile::Code;
use crate::compile::keys::{Kind, TABLES, TableKeys};
use crate::compile::shown_ms;

/// Explain a key (sensor.period), a driver (tsl2591), a filter (median) or a diagnostic (D012)
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to explain; everything there is, without it
    what: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(what) = &arguments.what else {
        list();
        return Ok(Exit::Done);
    };
    if let Some(code) = Code::ALL.iter().find(|code| code.name().eq_ignore_ascii_case(what)) {
        println!("{}: {}", code.name(), code.explanation());
    } else if let Some(kind) = FILTER_KINDS.iter().find(|kind| kind.name == what) {
        println!("{}: {}\nexample: filters = [{}]", kind.name, kind.summary, kind.example);
    } else if let Some(driver) = Driver::ALL.iter().find(|driver| driver.info().name == what) {
        explain_driver(*driver);
    } else if !explain_key(what) {
        let text = format!("nothing is called `{what}`: `dunlin explain` lists what there is");
        return Err(CommandError::new(Exit::Usage, text));
    }
    Ok(Exit::Done)
}

fn list() {
    let drivers: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
    let filters: Vec<&str> = FILTER_KINDS.iter().map(|kind| kind.name).collect();
    println!("drivers: {}\nfilters: {}\n", drivers.join(", "), filters.join(", "));
    for table in TABLES {
        println!("{:<9} {}", table.name, table.summary);
    }
    println!("\na key of a table: `dunlin explain sensor.period`\n");
    for code in Code::ALL {
        println!("{}  {}", code.name(), code.explanation());
    }
}

/// Explains `sensor`, `sensor.period`, or `period` wherever there is one; returns whether there is something to explain.
fn explain_key(what: &str) -> bool {
    let what = what.trim_start_matches('[').trim_end_matches(']');
    if let Some(table) = TABLES.iter().find(|table| table.name == what) {
        println!("{}: {}\n", heading(table), table.summary);
        for key in table.keys {
            println!("  {:<15} {}", key.name, key.summary);
        }
        return true;
    }
    let (table, name) = what.split_once('.').map_or((None, what), |(table, name)| (Some(table), name));
    // `sensor.lux-1.period` is what a user sees in an own file.
    let name = name.rsplit('.').next().unwrap_or(name);
    let mut found = false;
    for table in TABLES.iter().filter(|each| table.is_none_or(|table| each.name == table)) {
        for key in table.keys.iter().filter(|key| key.name == name) {
            println!("{} {}: {}", heading(table), key.name, key.summary);
            println!("  possible: {}", possible(key.kind));
            println!("  unless given: {}", key.default.unwrap_or("it must be there"));
            found = true;
        }
    }
    found
}

fn heading(table: &TableKeys) -> String {
    if table.is_named { format!("[{}.ID]", table.name) } else { format!("[{}]", table.name) }
}

fn possible(kind: Kind) -> String {
    match kind {
        Kind::Identifier => format!("1 to {IDENTIFIER_LEN} of the characters a-z, 0-9 and -"),
        Kind::Text(most) => format!("a text of 1 to {most} bytes"),
        Kind::OneOf(names) => names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Integer(least, most) => format!("{least} to {most}"),
        Kind::Duration(least, most) => format!("{} to {}", shown_ms(least), shown_ms(most)),
        Kind::DurationOrOff(least, most) => {
            format!("{} to {}, or false", shown_ms(least), shown_ms(most))
        }
        Kind::Frequency => "\"10kHz\" to \"400kHz\"".to_owned(),
        Kind::Pin => {
            "a GPIO number, such as 4, or \"D2\" where the board is known; not 1, 3 and 6 to 11".to_owned()
        }
        Kind::Ipv4 => "an IPv4 address, such as \"192.168.7.1\"".to_owned(),
        Kind::Ipv4Network => "address and prefix length, such as \"192.168.7.2/24\"".to_owned(),
        Kind::Secret => "{ env = \"NAME\" } or { file = \"PATH\" }".to_owned(),
        Kind::Texts => "a list of texts in quotation marks".to_owned(),
        Kind::Filters => "a list of filters: [{ median = 5 }, { round = 1 }]".to_owned(),
        Kind::Off => "false".to_owned(),
        Kind::Readings => "tables, such as [sensor.lux-1.reading.infrared] with `filters`".to_owned(),
    }
}

fn explain_driver(driver: Driver) {
    let info = driver.info();
    println!("{}: {}\n\nreadings", info.name, info.summary);
    for reading in info.readings {
        let primary = if reading.primary { "  (reported unless `readings` says otherwise)" } else { "" };
        println!(
            "  {:<14} {:<4} {} to {}{primary}",
            reading.name, reading.unit, reading.range.0, reading.range.1
        );
    }
    for option in info.options {
        let values = match option.values {
            OptionValues::Names(names) => {
                names.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            }
            OptionValues::Duration { min_ms, max_ms, step_ms } => {
                format!("\"{min_ms}ms\" to \"{max_ms}ms\" in steps of {step_ms} ms")
            }
        };
        println!("\noption `{}`: {}\n  {values}", option.name, option.summary);
    }
}
