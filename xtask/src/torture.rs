//! Power cuts by the million, and faults seeded into the store that the ordinary test must find.

use std::process::Command;

use crate::routine::{root, run};

/// Cuts of a full run.
const CUTS: &str = "30000000";
/// Faults that can be seeded; the agent's store numbers them.
const MUTANTS: u8 = 9;

/// `torture` cuts 30 million times; `torture --mutants` seeds each fault and expects the ordinary test to find it.
pub(crate) fn torture(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => run(test(&["--release"]).args(["--", "--nocapture"]).env("DUNLIN_CUTS", CUTS)),
        [flag] if flag == "--mutants" => mutants(),
        _ => Err("write `cargo xtask torture` or `cargo xtask torture --mutants`".to_owned()),
    }
}

fn mutants() -> Result<(), String> {
    run(test(&["--features", "mutants"]).arg("--no-run"))?;
    for number in 1..=MUTANTS {
        let mut command = test(&["--features", "mutants"]);
        let output = command.env("DUNLIN_MUTANT", number.to_string()).current_dir(root()).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Err(format!("mutant {number} lives: no test finds it"));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix(" --- FAILED")).collect();
        println!("mutant {number}: found by {}", failed.join(", "));
    }
    Ok(())
}

fn test(options: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--package", "dunlin-twin", "--test", "torture"]).args(options);
    command
}
