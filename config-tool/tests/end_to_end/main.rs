//! The product in front of a user: the program, a real mosquitto and its clients, on loopback.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod bench;
mod cable;
mod commands;
mod mosquitto;
mod over_mqtt;
mod push;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use bench::{Bench, event, text, tutorial};
use cable::CabledBoard;
use mosquitto::{Mosquitto, repository};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

#[test]
fn the_tutorial_reaches_a_real_broker_every_two_seconds() {
    let broker = Mosquitto::start("tutorial");
    let subscriber = broker.subscribe(&["-t", "test-topic"]);
    let mut bench = Bench::new("tutorial");
    bench.write("node.toml", &tutorial());
    bench.write("light.toml", "[light]\nilluminance = 284.0\n");
    bench.simulate(&["node.toml", "--scenario", "light.toml", "--broker", &broker.address()]);
    let lines: Vec<(Instant, String)> =
        (0..4).map(|_| subscriber.next(Duration::from_secs(10)).expect("a message")).collect();
    for (index, (_, line)) in lines.iter().enumerate() {
        let (second, lux) = event(line).unwrap_or_else(|| panic!("`{line}`"));
        assert_eq!(second, 2 * index as u64);
        assert!((lux / 284.0 - 1.0).abs() < 0.01, "{lux} lx in a world of 284 lx");
    }
    assert!(lines.is_sorted_by_key(|(at, _)| *at), "they arrive in the order of their seconds: {lines:?}");
    let log = broker.log();
    assert!(log.contains("as esp8266 (p5, c1, k60"), "MQTT 5, clean start, keep alive 60: {log}");
    // A request with response topic and correlation data, as mosquitto_rr makes it.
    let answer = broker.client(
        "mosquitto_rr",
        &["-t", "dunlin/esp8266/request/read", "-e", "answers/1", "-m", "lux-1", "-W", "5"],
    );
    assert!(answer.contains("\"sensor\":\"lux-1\",\"health\":\"ok\",\"illuminance\":"), "{answer}");
    let answer = broker.client(
        "mosquitto_rr",
        &["-t", "dunlin/esp8266/request/read", "-e", "answers/1", "-m", "lux-9", "-W", "5"],
    );
    assert_eq!(answer.trim(), r#"{"error":"no-such-sensor","have":["lux-1"]}"#);
    let answer = broker
        .client("mosquitto_rr", &["-t", "dunlin/esp8266/request/info", "-e", "answers/1", "-n", "-W", "5"]);
    let info: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&info["device"], &info["state"]), (&"esp8266".into(), &"confirmed".into()), "{answer}");
}

#[test]
fn an_answer_tells_a_value_that_a_filter_withholds() {
    let broker = Mosquitto::start("withheld");
    let subscriber = broker.subscribe(&["-t", "dunlin/esp8266/health/lux-1"]);
    let mut bench = Bench::new("withheld");
    let filtered = tutorial().replace("topic   = ", "filters = [{ throttle = \"1h\" }]\ntopic   = ");
    bench.write("node.toml", &filtered);
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    // It comes behind the first value, which passes, and behind the subscription to requests.
    subscriber.next(Duration::from_secs(10)).expect("the health of the sensor");
    let answer = broker.client(
        "mosquitto_rr",
        &["-t", "dunlin/esp8266/request/read", "-e", "answers/1", "-m", "lux-1", "-W", "5"],
    );
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let names = answer.as_object().unwrap().keys();
    assert!(names.clone().any(|name| name == "illuminance"), "{answer}");
    assert!(answer["illuminance"].is_null() && answer["raw"]["illuminance"].is_number(), "{answer}");
}

#[test]
fn two_nodes_with_one_name_say_what_may_be_wrong() {
    let broker = Mosquitto::start("namesakes");
    let mut benches = [Bench::new("first"), Bench::new("second")];
    for bench in &mut benches {
        bench.write("node.toml", &tutorial());
        bench.simulate(&["node.toml", "--broker", &broker.address()]);
    }
    let deadline = Instant::now() + Duration::from_secs(90);
    while !benches.iter().any(|bench| bench.log().contains("does another node use this node's name?")) {
        assert!(Instant::now() < deadline, "{}", benches[0].log());
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_board_reaches_the_broker_through_the_cable_it_is_pushed_by() {
    let broker = Mosquitto::start("cable");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("cable");
    let board = CabledBoard::start();
    let file = tutorial().replace("192.168.1.10", &format!("usb-host:{}", broker.port));
    bench.write("node.toml", &file);
    // A push carries the network itself: the trial ends with a confirmation.
    let output = bench.run(&["push", "node.toml", "--port", &board.port]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    assert!(text(&output).contains("keep `dunlin bridge` running"), "{}", text(&output));
    subscriber.find(Duration::from_secs(15), |line| line.ends_with("online")).expect("the birth");
    // Then a command that stays does.
    bench.stay(&["bridge", "--port", &board.port]);
    let find = |topic: &str| subscriber.find(Duration::from_secs(15), |line| line.starts_with(topic));
    for _ in 0..3 {
        let (_, line) = find("test-topic").expect("a reading");
        assert!(event(line.trim_start_matches("test-topic ")).is_some(), "{line}");
    }
    // Another command pushes through it meanwhile, and readings go on.
    bench
        .write("next.toml", &file.replace("test-topic", "next-topic").replace("payload", "qos = 2\npayload"));
    let output = bench.run(&["push", "next.toml", "--port", &board.port]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    for _ in 0..3 {
        find("next-topic").expect("a reading after the push");
    }
    // The node learns at once that nobody carries it any more; whoever comes next does.
    bench.kill();
    let output = bench.run(&["info", "--port", &board.port]);
    assert!(output.status.success(), "{}", text(&output));
    bench.stay(&["monitor", "--port", &board.port]);
    find("next-topic").expect("a reading over the next command");
    // It says at its end what ends with it.
    let log = bench.interrupt();
    assert!(log.contains("keep `dunlin bridge` running"), "{log}");
}

#[test]
fn a_push_changes_the_running_node_and_the_same_push_changes_nothing() {
    let broker = Mosquitto::start("push");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("push");
    bench.write("node.toml", &tutorial());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    subscriber
        .find(Duration::from_secs(10), |line| line.starts_with("test-topic"))
        .expect("the first reading");
    bench.write(
        "next.toml",
        &tutorial().replace("test-topic", "next-topic").replace("payload", "qos = 1\npayload"),
    );
    let output = bench.run(&["push", "next.toml", "--port", "sim"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("confirmed"), "{}", text(&output));
    subscriber.find(Duration::from_secs(10), |line| line.starts_with("next-topic")).expect("the new topic");
    assert!(broker.log().contains("Received PUBLISH from esp8266 (d0, q1"), "QoS 1 in the broker's log");
    let output = bench.run(&["push", "next.toml", "--port", "sim"]);
    assert!(output.status.success() && text(&output).contains("unchanged"), "{}", text(&output));
    let output = bench.run(&["info", "--port", "sim"]);
    assert!(
        text(&output).contains("confirmed") && text(&output).contains("generation           2"),
        "{}",
        text(&output)
    );
    // What is on the board is what was pushed.
    let output = bench.run(&["pull", "--port", "sim", "-o", "pulled.dunlin"]);
    assert!(output.status.success() && text(&output).contains("generation 2, hash"), "{}", text(&output));
    let output = bench.run(&["push", "pulled.dunlin", "--port", "sim"]);
    assert!(text(&output).contains("unchanged"), "{}", text(&output));
    // As a file as well, and what another one would change is told.
    assert!(bench.run(&["pull", "--port", "sim", "-o", "pulled.toml"]).status.success());
    let output = bench.run(&["diff", "pulled.toml", "--port", "sim", "--exit-code"]);
    assert!(output.status.success() && text(&output).contains("no difference"), "{}", text(&output));
    let output = bench.run(&["diff", "node.toml", "--port", "sim", "--exit-code"]);
    assert_eq!(output.status.code(), Some(1));
    let changes =
        "\n[sensor.lux-1]\n- topic = \"next-topic\"\n+ topic = \"test-topic\"\n- qos = 1\n+ qos = 0\n";
    assert!(text(&output).contains(changes), "{}", text(&output));
    let output = bench.run(&["show", "--port", "sim"]);
    assert!(text(&output).contains("topic = \"next-topic\""), "{}", text(&output));
}

#[test]
fn a_node_that_gets_another_name_takes_its_retained_messages_along() {
    let broker = Mosquitto::start("rename");
    let mut bench = Bench::new("rename");
    let kept = tutorial().replace("payload", "retain = true\npayload");
    bench.write("node.toml", &kept);
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    let retained = || broker.client("mosquitto_sub", &["-v", "-t", "#", "--retained-only", "-W", "1"]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !["test-topic [", "esp8266/status", "esp8266/info", "health/lux-1"]
        .iter()
        .all(|part| retained().contains(part))
    {
        assert!(Instant::now() < deadline, "{}", retained());
    }
    bench.write(
        "other.toml",
        &kept.replace("name = \"esp8266\"", "name = \"other\"").replace("test-topic", "other-topic"),
    );
    let output = bench.run(&["push", "other.toml", "--port", "sim", "--replace"]);
    assert!(output.status.success(), "{}", text(&output));
    let left = retained();
    assert!(left.contains("dunlin/other/status online"), "{left}");
    assert!(!left.contains("esp8266") && !left.contains("test-topic"), "{left}");
}

#[test]
fn every_quality_of_service_is_in_the_brokers_log() {
    let broker = Mosquitto::start("qos");
    let subscriber = broker.subscribe(&["-v", "-q", "2", "-t", "qos/#"]);
    let mut bench = Bench::new("qos");
    bench.write("node.toml", &fs::read_to_string(repository("examples/configs/qos.toml")).unwrap());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    for qos in ["qos/0 ", "qos/1 ", "qos/2 "] {
        subscriber.find(Duration::from_secs(10), |line| line.starts_with(qos)).expect(qos);
    }
    let log = broker.log();
    for words in [
        "(d0, q0, r0",
        "(d0, q1, r0",
        "(d0, q2, r0",
        "Sending PUBACK to qos",
        "Sending PUBREC to qos",
        "Received PUBREL from qos",
    ] {
        assert!(log.contains(words), "`{words}` is missing in the broker's log");
    }
}

#[test]
fn a_simulation_that_watches_its_file_follows_every_good_save() {
    let broker = Mosquitto::start("watch");
    let subscriber = broker.subscribe(&["-v", "-t", "+"]);
    let mut bench = Bench::new("watch");
    bench.write("node.toml", &tutorial());
    bench.simulate(&["node.toml", "--broker", &broker.address(), "--watch"]);
    let arrives = |topic: &str| {
        let found = subscriber.find(Duration::from_secs(10), |line| line.starts_with(topic));
        assert!(found.is_some(), "{topic}");
    };
    arrives("test-topic");
    bench.write("node.toml", "period =");
    thread::sleep(Duration::from_secs(1));
    arrives("test-topic");
    bench.write("node.toml", &tutorial().replace("test-topic", "saved"));
    arrives("saved");
}

#[test]
fn a_file_with_a_wrong_broker_is_given_up() {
    let broker = Mosquitto::start("rollback");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("rollback");
    bench.write("node.toml", &tutorial());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    subscriber
        .find(Duration::from_secs(10), |line| line.contains("\"state\":\"confirmed\""))
        .expect("a confirmation");
    let wrong = tutorial().replace("\"192.168.1.10\" ", "\"192.168.1.11\"\nconfirm-within = \"5s\" ");
    bench.write("wrong.toml", &wrong);
    let output = bench.run(&["push", "wrong.toml", "--port", "sim"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("rolled back"), "{}", text(&output));
    assert!(!text(&output).contains("not your file"), "{}", text(&output));
    let birth = subscriber.find(Duration::from_secs(20), |line| {
        line.contains("\"rollback\":{\"generation\":2,\"reason\":\"broker-unreachable\"}")
    });
    assert!(birth.is_some(), "the birth message tells why");
    let output = bench.run(&["info", "--port", "sim"]);
    assert!(text(&output).contains("broker-unreachable"), "{}", text(&output));
    subscriber
        .find(Duration::from_secs(10), |line| line.starts_with("test-topic"))
        .expect("the old readings are back");
}

#[test]
fn a_trial_that_was_cut_off_ends_as_it_would_have() {
    let broker = Mosquitto::start("cut");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("cut");
    let address = broker.address();
    let common = ["--broker", &address, "--flash", "chip"];
    bench.write("node.toml", &tutorial());
    bench.simulate(&[&["node.toml"], &common[..]].concat());
    let confirmed = |line: &str| line.contains("\"state\":\"confirmed\"");
    subscriber.find(Duration::from_secs(10), confirmed).expect("a confirmation");
    let wrong = tutorial().replace("\"192.168.1.10\" ", "\"192.168.1.11\"\nconfirm-within = \"5s\" ");
    bench.write("wrong.toml", &wrong);
    let output = bench.run(&["push", "wrong.toml", "--port", "sim", "--no-wait"]);
    assert!(output.status.success(), "{}", text(&output));
    bench.kill();
    // The broker is still where the confirmed configuration finds it, though another is on trial.
    bench.simulate(&[&["node.toml", "--as-stored"], &common[..]].concat());
    let birth =
        subscriber.find(Duration::from_secs(60), |line| line.contains("\"rollback\":{\"generation\":2"));
    assert!(birth.is_some(), "{}", bench.log());
    assert!(bench.log().contains("stands in for 192.168.1.10:1883"), "{}", bench.log());
}

#[test]
fn killed_at_any_moment_of_a_push_it_has_the_old_or_the_new_configuration() {
    let broker = Mosquitto::start("kill");
    let mut bench = Bench::new("kill");
    let file = |index: u64| tutorial().replace("test-topic", &format!("topic-{index}"));
    bench.write("node.toml", &file(0));
    let rounds = std::env::var("DUNLIN_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    // The clock's nanoseconds, unless a failure is repeated.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("DUNLIN_KILL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now);
    println!("DUNLIN_KILL_SEED={seed} draws the same moments");
    let mut random = Pcg32::seed_from_u64(seed);
    let mut possible = vec![0];
    for round in 1..=rounds {
        let mut arguments = vec!["--broker", "", "--flash", "chip.flash"];
        let address = broker.address();
        arguments[1] = &address;
        // The file seeds the empty chip; afterwards the chip knows.
        let image = if round == 1 { vec!["node.toml"] } else { vec!["seed.toml", "--as-stored"] };
        bench.write("seed.toml", &file(*possible.last().unwrap()));
        bench.simulate(&[image.as_slice(), &arguments].concat());
        let deadline = Instant::now() + Duration::from_secs(20);
        let configuration = loop {
            assert!(Instant::now() < deadline, "the board does not answer: {}", bench.log());
            let output = bench.run(&["pull", "--port", "sim", "--force", "-o", "pulled.dunlin"]);
            if output.status.success() {
                break fs::read(bench.folder.join("pulled.dunlin")).unwrap();
            }
        };
        let found = possible.iter().copied().find(|index| {
            let topic = format!("topic-{index}").into_bytes();
            configuration
                .windows(topic.len() + 1)
                .any(|window| window[..topic.len()] == topic[..] && !window[topic.len()].is_ascii_digit())
        });
        let found = found.unwrap_or_else(|| panic!("round {round}: none of {possible:?}, seed {seed}"));
        // An update takes the slot of one that is on trial, and then the last confirmed one is the old one.
        while !text(&bench.run(&["info", "--port", "sim"])).contains("confirmed") {
            assert!(Instant::now() < deadline, "it is not confirmed: {}", bench.log());
        }
        bench.write("next.toml", &file(round));
        let mut push = bench
            .dunlin(&["push", "next.toml", "--port", "sim"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A push takes about 300 ms; the moments are anywhere in it and shortly after.
        let moment = Duration::from_micros(u64::from(random.next_u32() % 350_000));
        thread::sleep(moment);
        bench.kill();
        let _ = push.kill();
        let _ = push.wait();
        possible = vec![found, round];
    }
}
