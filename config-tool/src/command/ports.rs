//! `dunlin ports`: lists serial ports, without opening any.

use serde_json::{Value, json};

use super::{Exit, Outcome};
use crate::line::{Candidate, candidates, simulation_runs};

/// List serial ports, without opening any
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    /// What `--port` takes, a line each, and nothing else
    #[arg(long, conflicts_with = "json")]
    names: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let found = candidates();
    if arguments.json {
        println!("{}", as_json(&found));
        return Ok(Exit::Done);
    }
    if arguments.names {
        found.iter().for_each(|candidate| println!("{}", candidate.port));
        if simulation_runs() {
            println!("sim");
        }
        return Ok(Exit::Done);
    }
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

fn as_json(found: &[Candidate]) -> Value {
    let mut ports: Vec<Value> = found
        .iter()
        .map(|each| {
            json!({ "port": each.port, "adapter": each.adapter, "usb": each.is_usb, "obstacle": each.obstacle() })
        })
        .collect();
    if simulation_runs() {
        ports.push(json!({ "port": "sim", "adapter": "simulation", "usb": false, "obstacle": null }));
    }
    json!({ "version": 1, "ports": ports })
}
