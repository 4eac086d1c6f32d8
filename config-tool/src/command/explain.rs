//! `dunlin explain`: a diagnostic, a driver or a filter in a few words.

use clap::Args;
use dunlin_config_format::config::FILTER_KINDS;
use dunlin_config_format::driver::{Driver, OptionValues};

use super::{CommandError, Exit};
use crate::compile::Code;

/// Explain a diagnostic (D012), a driver (tsl2591) or a filter (median)
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to explain; everything there is, without it
    what: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(what) = &arguments.what else {
        let drivers: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
        let filters: Vec<&str> = FILTER_KINDS.iter().map(|kind| kind.name).collect();
        println!("drivers: {}\nfilters: {}\n", drivers.join(", "), filters.join(", "));
        for code in Code::ALL {
            println!("{}  {}", code.name(), code.explanation());
        }
        return Ok(Exit::Done);
    };
    if let Some(code) = Code::ALL.iter().find(|code| code.name().eq_ignore_ascii_case(what)) {
        println!("{}: {}", code.name(), code.explanation());
        return Ok(Exit::Done);
    }
    if let Some(kind) = FILTER_KINDS.iter().find(|kind| kind.name == what) {
        println!("{}: {}\nexample: filters = [{}]", kind.name, kind.summary, kind.example);
        return Ok(Exit::Done);
    }
    let Some(driver) = Driver::ALL.iter().find(|driver| driver.info().name == what) else {
        let text = format!("nothing is called `{what}`: `dunlin explain` lists what there is");
        return Err(CommandError::new(Exit::Usage, text));
    };
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
    Ok(Exit::Done)
}
