//! `dunlin ports`: lists serial ports, without opening any.

use super::{Exit, Outcome};
use crate::line::{candidates, simulation_runs};

/// List serial ports, without opening any
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {}

/// Runs the command.
pub(crate) fn run(_: &Arguments) -> Outcome {
    let found = candidates();
    for candidate in &found {
        let obstacle = candidate.obstacle().map_or_else(String::new, |obstacle| format!(" ({obstacle})"));
        println!("{:<16} {}{obstacle}", candidate.port, candidate.adapter);
    }
    if simulation_runs() {
        println!("{:<16} the simulation that is running", "sim");
    } else if found.is_empty() {
        println!(
            "no serial port: plug a board in (a charging cable has no data lines), or start `dunlin simulate`"
        );
    }
    Ok(Exit::Done)
}
