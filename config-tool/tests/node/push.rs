//! Configurations come, are tried, confirmed or given up, while the node runs.

use dunlin::device::{
    Ask, Failure, HelloTask, InfoTask, Patience, Progress, PullTask, PushOptions, PushTask, Pushed,
    USUAL_RATE,
};
use dunlin_config_format::message::{RateRequest, state};
use dunlin_config_format::reason::Reason;
use dunlin_twin::world::scenario::{Fault, FaultKind};
use embassy_time::{Duration, Instant};

use crate::world::{Wish, World, package};

#[test]
fn an_empty_board_becomes_a_node_in_a_second() {
    let mut world = World::new();
    world.run_s(1);
    let began = world.clock.now();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    let confirmed = world.clock.now() - began;
    world.run_s(3);
    let (at, payload) = world.first_message("test-topic", began).unwrap();
    println!("first message {} ms, confirmed {} ms", (at - began).as_millis(), confirmed.as_millis());
    assert!(payload.starts_with("[\"lux-1\", "), "{payload}");
    assert!(
        (at - began) <= Duration::from_secs(1),
        "the first message came {} ms after",
        (at - began).as_millis()
    );
}

#[test]
fn a_push_changes_a_running_node_in_a_second_and_pushing_again_writes_nothing() {
    let mut world = World::new();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_s(5);
    let began = world.clock.now();
    let changed = package(Wish { topic: "other-topic", ..Wish::default() });
    assert_eq!(world.push(changed.clone()), Ok(Pushed::Confirmed));
    let confirmed = world.clock.now() - began;
    world.run_s(3);
    let (at, _) = world.first_message("other-topic", began).unwrap();
    println!("first message {} ms, confirmed {} ms", (at - began).as_millis(), confirmed.as_millis());
    assert!(
        (at - began) <= Duration::from_secs(1),
        "the first message came {} ms after",
        (at - began).as_millis()
    );
    assert!(world.first_message("test-topic", at).is_none(), "the old configuration is still running");

    let flash = world.simulation.hardware().flash.counts();
    assert_eq!(world.push(changed), Ok(Pushed::Unchanged));
    assert_eq!(world.simulation.hardware().flash.counts(), flash);
}

#[test]
fn a_simulated_broker_is_where_it_is_and_nowhere_else() {
    let unreachable = Reason::BrokerUnreachable;
    for (host, wrong) in [
        ("usb-host", [("usb-host", 9, unreachable), ("192.168.1.10", 1883, unreachable)]),
        ("Broker.lan", [("Broker.lan", 9, unreachable), ("other.lan", 1883, Reason::NameNotResolved)]),
    ] {
        let mut world = World::new();
        world.simulation.serve_only(host, 1883);
        let at = |host, port| package(Wish { host, port, confirm_within_s: 5, ..Wish::default() });
        assert_eq!(world.push(at(host, 1883)), Ok(Pushed::Confirmed), "{host}");
        for (host, port, reason) in wrong {
            let rejected = Pushed::Rejected { reason: Some(reason.code()) };
            assert_eq!(world.push(at(host, port)), Ok(rejected), "{host}:{port}");
        }
    }
}

#[test]
fn the_line_follows_an_agreed_speed_and_comes_back_from_one_that_nobody_uses() {
    let mut world = World::new();
    let ask = |world: &mut World, baud| {
        world.run(&mut Ask::new(&RateRequest { baud }, Patience::QUICK).unwrap()).map(|_| ())
    };
    for refused in [0, 300, 9_599, 921_601, u32::MAX] {
        assert!(matches!(ask(&mut world, refused), Err(Failure::Refused { .. })), "{refused}");
    }
    for baud in [9_600, 921_600, 460_800] {
        assert_eq!(ask(&mut world, baud), Ok(()));
        world.set_rate(baud);
        world.run(&mut HelloTask::new().unwrap()).unwrap();
    }
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_s(30);
    let facts = world.run(&mut InfoTask::new().unwrap()).unwrap();
    let lost = facts.iter().find(|fact| fact.name == "line-overruns").unwrap();
    assert_eq!(lost.value.as_deref(), Some("0"));
    // A program that knows nothing of the speed opens the port.
    world.set_rate(USUAL_RATE);
    let began = world.clock.now();
    world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert!(world.clock.now() - began >= Duration::from_secs(1), "the board was never at another speed");
}

/// The erases are the chip's: two sectors of 400 ms at the worst are told apart from the goal of a second.
#[test]
fn the_slowest_flash_adds_its_erases_and_nothing_else() {
    let mut world = World::with_slow_flash();
    world.run_s(1);
    let began = world.clock.now();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_s(3);
    let (at, _) = world.first_message("test-topic", began).unwrap();
    println!("first message {} ms with 400 ms erases", (at - began).as_millis());
    assert!((at - began) <= Duration::from_millis(800 + 300), "{} ms", (at - began).as_millis());
    assert_eq!(world.simulation.hardware().line.counts().overruns, 0);
}

fn broker_away(from: Instant) -> Fault {
    Fault { name: "away".to_owned(), at: from, duration: None, kind: FaultKind::BrokerAway }
}

#[test]
fn a_configuration_that_finds_no_broker_is_tried_and_rolled_back() {
    let mut world = World::with_faults(vec![broker_away(Instant::from_secs(60))]);
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_until(Instant::from_secs(61));
    let bad = package(Wish { topic: "never", confirm_within_s: 10, ..Wish::default() });
    let mut task = PushTask::new(bad, PushOptions::default()).unwrap();
    let mut trials = Vec::new();
    let pushed = world.run_watching(&mut task, |task| {
        while let Some(progress) = task.take_progress() {
            if let Progress::Trial(trial) = progress {
                trials.push(trial);
            }
        }
        true
    });
    let pushed = pushed.unwrap().unwrap();
    assert!(
        matches!(pushed, Pushed::Rejected { reason: Some(code) }
            if Reason::from_code(code) == Some(Reason::BrokerUnreachable)),
        "{pushed:?}"
    );
    assert!(trials.iter().any(|trial| trial.limit == Some(std::time::Duration::from_secs(10))));
    assert!(trials.iter().any(|trial| trial.attempts > 0), "an attempt was told");
}

#[test]
fn a_person_at_the_bench_confirms_without_a_broker() {
    let mut world = World::with_faults(vec![broker_away(Instant::from_ticks(0))]);
    let options = PushOptions { confirm: true, ..PushOptions::default() };
    let mut task = PushTask::new(package(Wish::default()), options).unwrap();
    assert_eq!(world.run(&mut task), Ok(Pushed::Confirmed));
}

#[test]
fn the_birth_tells_that_a_person_confirmed_also_after_a_restart() {
    let reset = Fault {
        name: "reset".to_owned(),
        at: Instant::from_secs(20),
        duration: None,
        kind: FaultKind::Reset,
    };
    let mut world = World::with_faults(vec![reset]);
    let options = PushOptions { confirm: true, ..PushOptions::default() };
    let mut task = PushTask::new(package(Wish::default()), options).unwrap();
    assert_eq!(world.run(&mut task), Ok(Pushed::Confirmed));
    world.run_until(Instant::from_secs(40));
    assert_eq!(world.push(package(Wish { topic: "other-topic", ..Wish::default() })), Ok(Pushed::Confirmed));
    world.run_s(5);
    let births = world.payloads("dunlin/esp8266/info");
    let told: Vec<bool> = births.iter().map(|birth| birth.contains("\"vouched\":true")).collect();
    // The last configuration is born on trial, and again when the broker has confirmed it.
    assert_eq!(told, [true, true, false, false], "{births:?}");
}

#[test]
fn a_first_configuration_without_a_broker_stays_on_trial() {
    let mut world = World::with_faults(vec![broker_away(Instant::from_ticks(0))]);
    let pushed = world.push(package(Wish::default())).unwrap();
    let reason = Some(Reason::BrokerUnreachable.code());
    assert_eq!(pushed, Pushed::OnTrial { reason });
    world.run_s(3600);
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!((hello.state, hello.generation), (state::TRIAL, Some(1)));
}

#[test]
fn a_board_that_resets_during_a_push_takes_it_all_the_same() {
    for at_ms in (100..700).step_by(60) {
        let at = Instant::from_millis(2000 + at_ms);
        let reset = Fault { name: "reset".to_owned(), at, duration: None, kind: FaultKind::Reset };
        let mut world = World::with_faults(vec![reset]);
        world.run_s(2);
        assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed), "reset at {at_ms} ms");
    }
}

#[test]
fn a_power_cut_in_any_flash_operation_of_a_push_leaves_the_old_or_the_new() {
    for operation in 1..=8 {
        let cut = Fault {
            name: "cut".to_owned(),
            at: Instant::from_secs(10),
            duration: Some(Duration::from_millis(500)),
            kind: FaultKind::PowerCut { operation: Some(operation) },
        };
        let mut world = World::with_faults(vec![cut]);
        assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
        world.run_until(Instant::from_secs(11));
        // The push goes on by itself when the board is back.
        let changed = package(Wish { topic: "other-topic", ..Wish::default() });
        assert_eq!(world.push(changed), Ok(Pushed::Confirmed), "cut in operation {operation}");
        let since = world.clock.now();
        world.run_s(5);
        assert!(world.first_message("other-topic", since).is_some(), "cut in operation {operation}");
        assert_eq!(world.simulation.hardware().flash.counts().misuses, 0);
    }
}

#[test]
fn a_bad_cable_slows_a_push_and_nothing_else() {
    for seed in 0..40 {
        let (flip_ppm, drop_ppm, double_ppm) = (400, 200, 200);
        let noise = Fault {
            name: "cable".to_owned(),
            at: Instant::from_millis(5000 + seed),
            duration: None,
            kind: FaultKind::SerialNoise { flip_ppm, drop_ppm, double_ppm },
        };
        let mut world = World::with_faults(vec![noise]);
        assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
        world.run_until(Instant::from_millis(5001 + seed));
        let changed = package(Wish { topic: "other-topic", ..Wish::default() });
        assert_eq!(world.push(changed.clone()), Ok(Pushed::Confirmed), "seed {seed}");
        let pulled = world.run(&mut PullTask::new().unwrap()).unwrap();
        assert_eq!(pulled.bytes, changed.image, "seed {seed}");
    }
}

#[test]
fn an_image_for_another_device_is_refused() {
    let mut world = World::new();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    let mut other = package(Wish { topic: "other-topic", ..Wish::default() });
    other.device = "porch".to_owned();
    assert!(matches!(world.push(other), Err(Failure::OtherDevice { .. })));
}

#[test]
fn a_changed_secret_holds_with_the_next_generation() {
    let mut world = World::new();
    let mut with_secret = package(Wish { has_password: true, ..Wish::default() });
    with_secret.secrets = vec![("mqtt.password".to_owned(), b"first".to_vec())];
    assert_eq!(world.push(with_secret.clone()), Ok(Pushed::Confirmed));
    assert_eq!(world.push(with_secret.clone()), Ok(Pushed::Unchanged));
    with_secret.secrets[0].1 = b"second".to_vec();
    assert_eq!(world.push(with_secret.clone()), Ok(Pushed::Confirmed));
    assert_eq!(world.push(with_secret), Ok(Pushed::Unchanged));
}

/// The simulated broker listens on every port: what the node tells the one that it leaves, the one that it comes to hears.
#[test]
fn a_node_that_goes_to_another_broker_is_offline_at_the_old_one() {
    let mut world = World::new();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_s(5);
    // Another topic at the same broker: the node has never been away.
    assert_eq!(world.push(package(Wish { topic: "other-topic", ..Wish::default() })), Ok(Pushed::Confirmed));
    world.run_s(5);
    assert_eq!(world.payloads("dunlin/esp8266/status"), ["online", "online"]);
    assert_eq!(world.push(package(Wish { port: 1884, ..Wish::default() })), Ok(Pushed::Confirmed));
    world.run_s(5);
    assert_eq!(world.payloads("dunlin/esp8266/status"), ["online", "online", "offline", "online"]);
    assert_eq!(world.simulation.hardware().flash.counts().misuses, 0);
}
