//! Power cuts by the million, one of them again, and faults seeded into the store that the ordinary tests must find.

use std::process::Command;

use crate::firmware;
use crate::mutants;
use crate::routine::{root, run};

/// Updates of a full run on the image, each cut at every flash operation.
const UPDATES: &str = "200";
/// Kills of a full run.
const KILLS: &str = "200";
/// Frames of a full run.
const FRAMES: &str = "1000000";
/// The tests of the node that have a full run on the image.
const CUT_EACH: &str = "power::a_power_cut_at_any_flash_operation_leaves_the_old_or_the_new";
const BAD_CABLE: &str = "noise::a_bad_cable_stores_and_tells_nothing_wrong";
/// Cuts of a full run.
const CUTS: &str = "30000000";

/// Runs the torn-cut tests of the slot store.
///
/// `torture` cuts 30 million times, in an optimized build; `torture --replay STRING` repeats the cut whose string a failure has
/// printed; `torture --mutants` seeds each fault and expects the ordinary tests to find it; `torture --image` cuts 200 updates
/// of the image on the emulated chip at every flash operation, and `--image --replay STRING` repeats one of these cuts;
/// `torture --frames` sends a million frames over a bad cable to the image;
/// `torture --kills` kills the simulator 200 times during pushes; `torture --year` runs the tutorial for a simulated year.
pub(crate) fn torture(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [] => run(test(&["--release", "--", "--exact", "long_run", "--ignored", "--nocapture"])
            .env("DUNLIN_TORTURE_CUTS", CUTS)),
        [flag] if flag == "--mutants" => mutants::mutants(),
        [flag] if flag == "--image" => on_image(CUT_EACH, "DUNLIN_UPDATES", UPDATES),
        [flag, replay, string] if flag == "--image" && replay == "--replay" => {
            on_image(CUT_EACH, "DUNLIN_REPLAY", string)
        }
        [flag] if flag == "--frames" => on_image(BAD_CABLE, "DUNLIN_NOISE_FRAMES", FRAMES),
        [flag, string] if flag == "--replay" => {
            run(test(&["--", "--exact", "replay", "--ignored", "--nocapture"])
                .env("DUNLIN_TORTURE_REPLAY", string))
        }
        [flag] if flag == "--kills" => run(Command::new("cargo")
            .args(["test", "--quiet", "--package", "dunlin", "--test", "end_to_end", "killed_at_any_moment"])
            .args(["--", "--nocapture"])
            .env("DUNLIN_KILLS", KILLS)),
        [flag] if flag == "--year" => run(Command::new("cargo")
            .args(["test", "--quiet", "--release", "--package", "dunlin-twin", "--test", "node", "a_year"])
            .args(["--", "--ignored", "--nocapture"])),
        _ => Err("write `cargo xtask torture`, `cargo xtask torture --replay STRING`, \
                  `cargo xtask torture --image`, `--frames`, `--kills`, `--year` or `--mutants`"
            .to_owned()),
    }
}

/// Runs a test of the node on the image that is built for it; the variable says how much of it.
fn on_image(test: &str, variable: &str, value: &str) -> Result<(), String> {
    firmware::firmware(&[])?;
    run(Command::new("cargo")
        .args(["test", "--quiet", "--release", "--package", "dunlin", "--test", "node"])
        .args([test, "--", "--exact", "--nocapture"])
        .env("DUNLIN_FIRMWARE", root().join("target/firmware/dunlin.bin"))
        .env(variable, value))
}

/// Returns the command that runs the torn-cut tests.
pub(crate) fn test(options: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--package", "dunlin-twin", "--test", "torture"]).args(options);
    command
}
