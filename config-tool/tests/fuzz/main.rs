//! Everything that parses, against bytes that nobody meant: mutations of good inputs, for ever if one likes.
//!
//! The ordinary test tries a fixed number of each from a fixed seed. `cargo xtask fuzz MINUTES` goes on from another one, and
//! a failure prints the string that `cargo xtask fuzz --replay STRING` repeats.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod board;
mod mutator;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutator::Mutator;
use targets::TARGETS;

/// Variable with the minutes of a long run.
const MINUTES: &str = "DUNLIN_FUZZ_MINUTES";
/// Variable with the string that a failure printed.
const REPLAY: &str = "DUNLIN_FUZZ_REPLAY";
/// Inputs of one seed; a replay repeats them up to the one that failed, because some targets remember.
const ROUND: u32 = 500;

/// Feeds a target the inputs of a seed, up to `count`; the panic of the target comes out with the input's number.
fn round(target: &targets::Target, seed: u64, count: u32) -> Result<(), String> {
    let mut mutator = Mutator::new(seed, (target.corpus)());
    let mut feed = (target.start)();
    for number in 0..count {
        let input = mutator.next();
        let shown: String =
            input.iter().take(200).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        catch_unwind(AssertUnwindSafe(|| feed(&input))).map_err(|_| {
            format!("{}-{seed:x}-{number} panicked on {} bytes: {shown}", target.name, input.len())
        })?;
    }
    Ok(())
}

fn many(name: &str, rounds: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    for seed in 0..rounds {
        if let Err(error) = round(target, seed, ROUND) {
            panic!(
                "{error}\nrepeat it with: cargo xtask fuzz --replay {}",
                error.split(' ').next().unwrap_or_default()
            );
        }
    }
}

#[test]
fn files() {
    many("file", 20);
}

#[test]
fn scenarios() {
    many("scenario", 20);
}

#[test]
fn images() {
    many("image", 80);
}

#[test]
fn frames() {
    many("frames", 80);
}

#[test]
fn flash() {
    many("flash", 10);
}

#[test]
fn requests_over_the_line() {
    many("line", 10);
}

#[test]
fn requests_over_mqtt() {
    many("mqtt", 40);
}

#[test]
fn packets_to_a_broker() {
    many("broker", 80);
}

#[test]
fn packets_to_a_node() {
    many("node", 10);
}

#[test]
#[ignore = "goes on for minutes: cargo xtask fuzz MINUTES"]
fn long_run() {
    let minutes: u64 = std::env::var(MINUTES).unwrap().parse().unwrap();
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let first = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut inputs = 0;
    for seed in first.. {
        for target in TARGETS {
            if let Err(error) = round(target, seed, ROUND) {
                panic!(
                    "{error}\nrepeat it with: cargo xtask fuzz --replay {}",
                    error.split(' ').next().unwrap_or_default()
                );
            }
            inputs += u64::from(ROUND);
        }
        if Instant::now() > end {
            break;
        }
    }
    println!("{inputs} inputs to {} targets: nothing found", TARGETS.len());
}

#[test]
#[ignore = "needs the string of a failure: cargo xtask fuzz --replay STRING"]
fn replay() {
    let string = std::env::var(REPLAY).unwrap();
    let parts: Vec<&str> = string.split('-').collect();
    let [name, seed, number] = parts[..] else { panic!("`{string}` is no string of a failure") };
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seed = u64::from_str_radix(seed, 16).unwrap();
    round(target, seed, number.parse::<u32>().unwrap() + 1).unwrap();
    println!("{string}: nothing wrong");
}
