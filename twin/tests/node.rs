//! A node in its world, on the virtual clock: the agent, its sensors and its broker together.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod node_world;

use dunlin_config_format::config::QoS;
use node_world::{World, tutorial};

#[test]
fn the_tutorial_says_what_it_always_said() {
    let mut world = World::new(&tutorial(2_000, QoS::AtMostOnce));
    world.run_s(21);
    let messages = world.messages("test-topic");
    assert_eq!(messages.len(), 11, "{messages:?}");
    for (index, message) in messages.iter().enumerate() {
        let (seconds, lux) =
            message.strip_prefix("[\"lux-1\", ").unwrap().trim_end_matches(']').split_once(", ").unwrap();
        assert_eq!(seconds.parse::<usize>().unwrap(), 2 * index);
        let lux: f64 = lux.parse().unwrap();
        assert!((lux / 284.0 - 1.0).abs() < 0.01, "{lux}");
    }
    assert_eq!(world.messages("dunlin/esp8266/status"), ["online"]);
    assert_eq!(world.messages("dunlin/esp8266/health/lux-1"), ["ok"]);
}

#[test]
fn a_day_takes_no_time_and_loses_nothing() {
    let mut world = World::new(&tutorial(2_000, QoS::AtMostOnce));
    let start = std::time::Instant::now();
    world.run_s(86_400);
    println!("a day took {:?}", start.elapsed());
    assert_eq!(world.count("test-topic"), 43_200);
}
