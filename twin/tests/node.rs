//! A node in its world, on the virtual clock: the agent, its sensors and its broker together.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod node_world;

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_config_format::config::{Config, List, QoS};
use dunlin_twin::world::broker::Activity;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{FaultKind, Scenario};
use embassy_time::{Duration, Instant};
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

/// What a subscriber and the broker have seen of a year.
#[derive(Default)]
struct Year {
    readings: u64,
    others: u64,
    deliveries: u64,
    /// How long behind their seconds the second reading and the last one came.
    lateness: [Duration; 2],
}

impl Year {
    fn see(&mut self, at: Instant, activity: &Activity<'_>) {
        match activity {
            Activity::Published { topic: "test-topic", payload, .. } => {
                let second = 2 * self.readings;
                let expected = format!("[\"lux-1\", {second}, ");
                let text = String::from_utf8_lossy(payload);
                assert!(text.starts_with(&expected), "{text} at {second} s");
                self.readings += 1;
                self.lateness[usize::from(self.readings > 2)] = at - Instant::from_secs(second);
            }
            Activity::Published { .. } => self.others += 1,
            Activity::Delivered { .. } => self.deliveries += 1,
            _ => {}
        }
    }
}

#[test]
#[ignore = "takes minutes: `cargo xtask torture --year` runs it"]
fn a_year_has_neither_fault_nor_drift() {
    const DAYS: u64 = 365;
    let mut world = World::new(&tutorial(2_000, QoS::AtMostOnce));
    let year: Rc<RefCell<Year>> = Rc::default();
    let seen = Rc::clone(&year);
    world.broker.observe(move |at, activity| seen.borrow_mut().see(at, activity));
    // CONNECT and SUBSCRIBE to everything, of MQTT 3.1.1 (sections 3.1 and 3.8).
    let subscriber = world.broker.open(world.clock.now()).unwrap();
    for packet in [&b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s"[..], b"\x82\x06\x00\x01\x00\x01#\x00"] {
        world.broker.receive(world.clock.now(), subscriber, packet);
    }
    for _ in 0..DAYS {
        world.run_s(86_400);
        let len = world.broker.output(subscriber).len();
        world.broker.consume_output(subscriber, len);
    }
    let mut samples = 0;
    world.simulation.hardware().wiring.for_each_bus(|_, bus| samples += bus.samples());
    let year = year.borrow();
    println!("{samples} samples, {} readings, {} deliveries", year.readings, year.deliveries);
    assert_eq!((samples, year.readings), (DAYS * 43_200, DAYS * 43_200));
    // Statistics every minute after the first; status, birth twice, health.
    assert_eq!(year.others, DAYS * 1440 - 1 + 4);
    assert_eq!(year.deliveries, year.readings + year.others);
    assert_eq!(year.lateness[0], year.lateness[1], "the last sample is no later than the second");
    let counts = world.simulation.hardware().flash.counts();
    assert_eq!((counts.erases, counts.programs, counts.misuses), (0, 1, 0), "the confirmation alone");
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
        // The chip's packets go over its serial line.
        if let Some(lan) = world.simulation.lan() {
            lan.link().start_capture();
        }
        world.run_s(60);
        let packets = world.simulation.lan().map(|lan| lan.link().take_capture());
        (packets, world.heard(), world.messages("test-topic"))
    };
    let (first, second, other) = (run(1), run(1), run(2));
    assert!(first == second);
    // The native board says the same on its line, whatever is measured: its packets go over the simulated network.
    let (packets, heard, messages) = &first;
    assert!((packets, heard) != (&other.0, &other.1) && *messages != other.2);
    assert!(packets.is_some() || heard.len() > 100);
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
    // A reading is of the end of its integration, 113 ms after its time. The sample of 21,000.9 s is still integrating.
    let expected: Vec<usize> = (0..70_003).map(|sample| (sample * 300 + 113) / 1000).collect();
    let seconds = world.seconds("test-topic");
    let differs = seconds.iter().zip(&expected).position(|(found, wanted)| found != wanted);
    assert_eq!((seconds.len(), differs), (expected.len(), None), "each sample once, in order");
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
