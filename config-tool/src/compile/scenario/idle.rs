//! Faults of a scenario that befall nothing in a run.

use std::ops::Range;

use dunlin_config_format::config::{Config, Sensor};
use dunlin_twin::world::scenario::{Fault, FaultKind, Scenario};
use embassy_time::{Duration, Instant};

use super::super::diagnostic::{Code, Diagnostic, Source};
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::syntax;
use super::super::value::shown_ms;

/// Returns a warning for each fault of a scenario that is without effect: nothing answers at its address, no bus has its data
/// line, or the run has ended before it begins.
pub fn idle_faults(
    source: &Source,
    scenario: &Scenario,
    config: &Config<'_>,
    duration: Option<Duration>,
) -> Vec<Diagnostic> {
    let mut problems = Problems::default();
    let (root, hidden) = syntax::parse(&mut problems, &source.text);
    let root = root.as_ref().map(|root| Table::new(root.get_ref(), 0..0, super::THE_SCENARIO));
    // Where a key of a fault has its value.
    let place = |fault: &Fault, key: &str| -> Range<usize> {
        let faults = root.as_ref().and_then(|root| root.get("fault")?.get_ref().as_table());
        let value = faults.and_then(|faults| faults.get(fault.name.as_str())?.get_ref().as_table()?.get(key));
        value.map_or(0..0, |value| value.span())
    };
    for fault in &scenario.faults {
        if let Some(duration) = duration.filter(|&duration| fault.at >= Instant::from_ticks(0) + duration) {
            let message = format!("the run ends before `{}` begins", fault.name);
            let help = format!("write an earlier time, or a longer --duration than {}", shown(duration));
            problems.warning(Code::OutOfRange, place(fault, "at"), message, help);
        }
        let (key, message, help) = match fault.kind {
            FaultKind::Nack { address, .. } | FaultKind::SensorGone { address } => {
                let Err(help) = answers(config, address) else { continue };
                ("address", format!("nothing that the configuration names answers at 0x{address:02x}"), help)
            }
            FaultKind::StuckBus { sda: Some(sda), .. } => {
                let Err(help) = is_data_line(config, sda) else { continue };
                ("sda", format!("GPIO{sda} is the data line of no bus in the configuration"), help)
            }
            _ => continue,
        };
        problems.warning(Code::Reference, place(fault, key), message, help);
    }
    problems.finish(&source.text, &hidden).0
}

/// Returns a duration as it is written on a command line.
fn shown(duration: Duration) -> String {
    shown_ms(duration.as_millis()).trim_matches('"').to_owned()
}

/// Returns the sensors on buses, each with its address.
fn on_buses<'c>(config: &'c Config<'c>) -> impl Iterator<Item = (u8, Sensor<'c>)> {
    let sensors = config.sensors.iter().filter(|sensor| sensor.bus.is_some());
    sensors.filter_map(|sensor| Some((sensor.address()?, sensor)))
}

/// Returns whether a sensor of the configuration is at an address; what to do where none is.
fn answers(config: &Config<'_>, address: u8) -> Result<(), String> {
    let nearest = on_buses(config).min_by_key(|(its, _)| its.abs_diff(address));
    match nearest {
        Some((its, _)) if its == address => Ok(()),
        Some((its, sensor)) => Err(format!("did you mean 0x{its:02x}, where `{}` is?", sensor.id)),
        None => Err("it has no sensor on a bus: remove the fault, or add a sensor".to_owned()),
    }
}

/// Returns whether a pin is the data line of a bus; what to do where it is not.
fn is_data_line(config: &Config<'_>, sda: u8) -> Result<(), String> {
    let lines: Vec<String> =
        config.i2c.iter().map(|bus| format!("GPIO{} ([i2c.{}])", bus.sda, bus.id)).collect();
    if config.i2c.iter().any(|bus| bus.sda == sda) {
        return Ok(());
    }
    Err(match lines.is_empty() {
        true => "it has no bus: remove the fault, or add `[i2c.main]`".to_owned(),
        false => format!("there are: {}; without `sda`, every bus is meant", lines.join(", ")),
    })
}
