//! A node in its world, on the virtual clock: the agent, its sensors and its broker together.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod node_world;

use dunlin_config_format::config::{Config, List, QoS};
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{FaultKind, Scenario};
use node_world::{World, fault, tutorial};

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

#[test]
fn another_node_of_the_same_name_is_told_apart_from_a_lost_session() {
    let mut world = World::new(&tutorial(2_000, QoS::AtMostOnce));
    world.run_s(10);
    assert_eq!(world.line("another node"), None);
    // CONNECT of MQTT 3.1.1 with the node's identifier (section 3.1).
    let now = world.clock.now();
    let other = world.broker.open(now).unwrap();
    world.broker.receive(now, other, b"\x10\x13\x00\x04MQTT\x04\x02\x00\x00\x00\x07esp8266");
    world.run_s(600);
    assert!(world.line("another node uses this node's name").is_some(), "{}", world.console());
    assert!(world.count("test-topic") > 300 - 150 && world.broker.is_closed(other), "the node has come back");
}

#[test]
fn equal_seeds_repeat_to_the_byte() {
    let run = |seed| {
        let mut scenario = Scenario::quiet(Environment::room(seed));
        scenario.seed = seed;
        scenario.faults = vec![fault("loss", 5, Some(20), FaultKind::Loss { rate: 0.3 })];
        let mut world = World::with(&tutorial(2_000, QoS::AtLeastOnce), &scenario);
        let capture = |world: &World, begin: bool| {
            // The chip's packets go over its serial line, where what it printed stands for them.
            let Some(lan) = world.simulation.lan() else {
                return world.simulation.hardware().line.counts().to_host.to_le_bytes().to_vec();
            };
            if begin {
                lan.link().start_capture();
            }
            lan.link().take_capture()
        };
        capture(&world, true);
        world.run_s(60);
        (capture(&world, false), world.messages("test-topic"))
    };
    let (first, second, other) = (run(1), run(1), run(2));
    assert!(first == second);
    assert!(first.0 != other.0 && first.1 != other.1);
}

#[test]
fn a_broker_away_for_an_hour_costs_no_record_of_qos_1_that_fits() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![fault("away", 10, Some(3600), FaultKind::BrokerAway)];
    let mut world = World::with(&tutorial(60_000, QoS::AtLeastOnce), &scenario);
    world.run_s(4000);
    let seconds: Vec<usize> = world.seconds("test-topic");
    let expected: Vec<usize> = (0..=66).map(|minute| minute * 60).collect();
    let mut unique = seconds.clone();
    unique.dedup();
    assert_eq!(unique, expected, "each sample once, in order");
}

#[test]
fn sampling_keeps_its_schedule_while_the_link_is_dead() {
    for kind in [FaultKind::BlackHole, FaultKind::BrokerMute] {
        let mut scenario = Scenario::quiet(Environment::constant(284.0));
        scenario.faults = vec![fault("dead", 100, Some(300), kind)];
        let mut world = World::with(&tutorial(2_000, QoS::AtMostOnce), &scenario);
        world.run_s(99);
        assert_eq!(world.line("dead"), None);
        world.run_s(91);
        // Keep alive 60 s: a dead link is known at most 90 s after it died.
        assert!(world.line("the link to the broker is dead").is_some(), "{kind:?}: {:?}", world.console());
        world.run_s(600);
        let stats = world.messages("dunlin/esp8266/stats").pop().unwrap();
        assert!(stats.contains("\"missed\":0,"), "{stats}");
        let p99: u32 =
            stats.split("\"lateness-p99-ms\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
        assert!(p99 < 10, "{stats}");
        assert_eq!(world.seconds("test-topic").last(), Some(&788), "{kind:?}");
    }
}

#[test]
fn a_confirmed_configuration_is_never_rolled_back_for_a_broker() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![
        fault("away", 10, Some(86_400), FaultKind::BrokerAway),
        fault("reset", 40_000, None, FaultKind::Reset),
    ];
    let mut world = World::with(&tutorial(60_000, QoS::AtLeastOnce), &scenario);
    world.run_s(90_000);
    let birth = world.messages("dunlin/esp8266/info").pop().unwrap();
    assert!(birth.contains("\"generation\":1,\"state\":\"confirmed\""), "{birth}");
    assert!(birth.contains("\"rollback\":null"), "{birth}");
    assert_eq!(world.simulation.hardware().flash.counts().erases, 0);
}

#[test]
fn a_first_configuration_without_a_broker_stays_on_trial() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![fault("away", 0, Some(50_000), FaultKind::BrokerAway)];
    let mut world = World::with(&tutorial(60_000, QoS::AtLeastOnce), &scenario);
    world.run_s(49_000);
    assert_eq!(world.simulation.hardware().flash.counts().programs, 0, "a wait costs no flash");
    world.run_s(2_000);
    let birth = world.messages("dunlin/esp8266/info").pop().unwrap();
    assert!(birth.contains("\"state\":\"confirmed\""), "{birth}");
}

#[test]
fn a_sensor_that_goes_and_comes_back_is_told() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![
        fault("gone", 10, Some(10), FaultKind::SensorGone { address: 0x29 }),
        fault("stuck", 30, Some(10), FaultKind::StuckBus { sda: None, pulses: None }),
        fault("cleared", 50, None, FaultKind::StuckBus { sda: None, pulses: Some(5) }),
    ];
    let mut world = World::with(&tutorial(2_000, QoS::AtMostOnce), &scenario);
    world.run_s(70);
    assert_eq!(world.messages("dunlin/esp8266/health/lux-1"), ["ok", "absent", "ok", "stuck-bus", "ok"]);
    let seconds = world.seconds("test-topic");
    assert!(
        seconds.iter().all(|second| !(10..20).contains(second) && !(30..40).contains(second)),
        "{seconds:?}"
    );
    // Nine clock pulses free a bus that needs five: no sample is lost to it.
    assert!(seconds.contains(&50) && seconds.contains(&52));
}

#[test]
fn a_sensor_that_is_gone_before_its_bus_is_used_is_absent() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![fault("gone", 0, Some(10), FaultKind::SensorGone { address: 0x29 })];
    let mut world = World::with(&tutorial(2_000, QoS::AtMostOnce), &scenario);
    world.run_s(20);
    assert_eq!(world.messages("dunlin/esp8266/health/lux-1"), ["absent", "ok"]);
}

#[test]
fn a_configuration_without_sensors_is_confirmed() {
    let tutorial = tutorial(2_000, QoS::AtMostOnce);
    let config = Config::decode(&tutorial).unwrap();
    let bare = Config { i2c: List::default(), sensors: List::default(), reports: List::default(), ..config };
    let mut body = vec![0; 4096];
    let len = bare.encode(&mut body).unwrap();
    body.truncate(len);
    let mut world = World::new(&body);
    world.run_s(10);
    let birth = world.messages("dunlin/esp8266/info").pop().unwrap();
    assert!(birth.contains("\"state\":\"confirmed\""), "{birth}");
}

#[test]
fn packet_identifiers_wrap_around() {
    let mut world = World::new(&tutorial(300, QoS::AtLeastOnce));
    world.run_s(70_000 * 3 / 10 + 1);
    assert!(world.count("test-topic") >= 70_000);
    assert_eq!(world.count("dunlin/esp8266/status"), 1, "one session");
}

#[test]
fn quality_of_service_2_delivers_each_once_through_loss() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![fault("loss", 5, Some(200), FaultKind::Loss { rate: 0.2 })];
    let mut world = World::with(&tutorial(2_000, QoS::ExactlyOnce), &scenario);
    world.run_s(400);
    let seconds = world.seconds("test-topic");
    let mut unique = seconds.clone();
    unique.dedup();
    assert_eq!(seconds, unique);
    assert_eq!(seconds.len(), 200);
}

#[test]
fn uptime_counts_from_the_start_of_the_board() {
    let mut scenario = Scenario::quiet(Environment::constant(284.0));
    scenario.faults = vec![fault("cut", 11, Some(2), FaultKind::PowerCut { operation: None })];
    let mut world = World::with(&tutorial(2_000, QoS::AtMostOnce), &scenario);
    world.run_s(18);
    assert_eq!(world.seconds("test-topic"), [0, 2, 4, 6, 8, 10, 0, 2, 4]);
}
