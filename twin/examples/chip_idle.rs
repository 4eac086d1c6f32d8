//! Prints how much of each second the shipping image sleeps while it runs the tutorial: a reading every 2 s, sent at QoS 0.
//!
//! ```console
//! $ DUNLIN_FIRMWARE=target/firmware/dunlin.bin cargo run --release -p dunlin-twin --example chip_idle
//! ```
#![expect(clippy::unwrap_used, reason = "the support of the tests may panic")]

use dunlin_config_format::config::QoS;

#[path = "../tests/node_world/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod node_world;
use node_world::{World, tutorial};

/// Seconds until the node has its session and is confirmed.
const START_S: u64 = 10;
/// Seconds that are looked at: statistics and a repeated SUBSCRIBE are among them.
const SECONDS: u64 = 120;

fn main() -> Result<(), String> {
    if std::env::var_os("DUNLIN_FIRMWARE").is_none() {
        return Err(
            "DUNLIN_FIRMWARE names no image; `cargo xtask firmware` builds target/firmware/dunlin.bin"
                .to_owned(),
        );
    }
    let mut world = World::new(&tutorial(2_000, QoS::AtMostOnce));
    world.run_s(START_S);
    let before = world.count("test-topic");
    let mut awake_us = Vec::new();
    for _ in 0..SECONDS {
        let from_us = awake(&mut world);
        world.run_s(1);
        awake_us.push(awake(&mut world) - from_us);
    }
    let messages = (world.count("test-topic") - before) as u64;
    if messages + 1 < SECONDS / 2 {
        return Err(format!("the node was not idle but away: {messages} readings in {SECONDS} s"));
    }
    awake_us.sort_unstable();
    let sum: u64 = awake_us.iter().sum();
    println!("asleep, mean of {SECONDS} s {:>19.2} %", asleep(sum as f64 / SECONDS as f64));
    for (name, share) in [("quietest", 0.0), ("median", 0.5), ("busiest", 1.0)] {
        let index = (share * (SECONDS - 1) as f64) as usize;
        println!("asleep, {name:<8} second {:>16.2} %", asleep(awake_us[index] as f64));
    }
    Ok(())
}

/// Returns how many microseconds the core has been awake. A chip that sleeps is behind the world: its own time counts.
fn awake(world: &mut World) -> u64 {
    world.simulation.chip().map_or(0, |chip| chip.now().micros() - chip.slept_us())
}

/// Returns the share of a second, in percent, that is not awake.
fn asleep(awake_us: f64) -> f64 {
    100.0 - awake_us / 1e4
}
