//! What is claimed of speed and size, measured in one run, with a peer beside it where one can be had.

mod memory;
mod push;
mod traffic;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::routine::{root, run};
use crate::{firmware, packages};

/// Runs of each measurement; the least is printed, because a shared machine only adds.
const RUNS: usize = 5;

/// Prints what `dunlin` takes; with `--memory` the RAM of a node alone.
pub(crate) fn bench(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => all(),
        [flag] if flag == "--memory" => memory::print(),
        _ => Err("write `cargo xtask bench` or `cargo xtask bench --memory`".to_owned()),
    }
}

fn all() -> Result<(), String> {
    packages::ensure(packages::TESTS)?;
    run(Command::new("cargo").args(["build", "--quiet", "--release", "--package", "dunlin"]))?;
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let largest = folder.join("largest.toml");
    std::fs::write(&largest, largest_file()).map_err(|error| error.to_string())?;
    let largest = largest.display().to_string();
    let tutorial = "examples/configs/tutorial.toml";
    println!("{:<44} {:>10}", "whole process", "least of 5");
    least("check, tutorial", &["check", "--format", "short", tutorial])?;
    least("check, 32 sensors and 64 reports", &["check", "--format", "short", &largest])?;
    least("a simulated day of the tutorial", &["simulate", tutorial, "--virtual", "--duration", "1d"])?;
    let image = folder.join("tutorial.dunlin").display().to_string();
    dunlin(&["compile", tutorial, "--output", &image])?;
    let len = std::fs::metadata(&image).map_err(|error| error.to_string())?.len();
    println!("{:<44} {len:>8} B", "tutorial image (goal 200)");
    push::print()?;
    traffic::print()?;
    memory::print()?;
    packages::ensure(packages::LX106)?;
    println!("\nthe image");
    firmware::firmware(&[])?;
    println!("\nthe image with the tutorial, on the emulated chip");
    run(example("chip_idle").env("DUNLIN_FIRMWARE", root().join("target/firmware/dunlin.bin")))?;
    println!();
    run(&mut example("chip_speed"))
}

/// Returns what runs an example of the twin.
fn example(name: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--package", "dunlin-twin", "--example", name]);
    command
}

/// Returns the program that is measured.
fn program() -> PathBuf {
    root().join("target/release/dunlin")
}

fn least(name: &str, arguments: &[&str]) -> Result<(), String> {
    let mut least = f64::MAX;
    for _ in 0..RUNS {
        let start = Instant::now();
        dunlin(arguments)?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    println!("{name:<44} {:>7.1} ms", least * 1000.0);
    Ok(())
}

fn dunlin(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(root()).stdout(Stdio::null());
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("dunlin {arguments:?}: {status}")) }
}

/// The most that a device holds: 32 sensors, 64 reports.
fn largest_file() -> String {
    let mut text = "[device]\nname = \"n\"\n[mqtt]\nbroker = \"b\"\n".to_owned();
    for sensor in 0..32 {
        text += &format!("[sensor.s{sensor}]\ndriver = \"internal\"\nperiod = \"10s\"\nreport = false\n");
    }
    for report in 0..64 {
        text += &format!(
            "[report.r{report}]\nof = [\"s{}.uptime\"]\nqos = 1\ntopic = \"t/{report}\"\n",
            report % 32
        );
    }
    text
}
