//! The commands that ask a board, over its serial port: a pseudo-terminal with the native board or the shipping image behind it.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, text, tutorial};
use crate::cable::CabledBoard;
use crate::mosquitto::Mosquitto;

/// Runs a command with `--json` that must succeed, and returns its object.
fn answer(bench: &Bench, board: &CabledBoard, arguments: &[&str]) -> Value {
    let output = bench.run(&[arguments, &["--port", &board.port, "--json"]].concat());
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether this is the illuminance of the cabled board's world, 284 lx, within 1 %.
fn is_the_light(reading: &Value) -> bool {
    let is_near = |value: &Value| value.as_f64().is_some_and(|lux| (lux / 284.0 - 1.0).abs() < 0.01);
    reading["name"] == "illuminance" && is_near(&reading["raw"])
}

#[test]
fn a_board_on_a_port_is_asked_and_told() {
    let broker = Mosquitto::start("commands");
    let mut bench = Bench::new("commands");
    let board = CabledBoard::start();

    // An empty board: it waits for a push, and its bus can be looked at.
    let info = answer(&bench, &board, &["info"]);
    assert_eq!(info["facts"]["state"], "safe-mode", "{info}");
    let found = answer(&bench, &board, &["probe", "--sda", "4", "--scl", "5"]);
    let addresses: Vec<_> = found["found"].as_array().unwrap().iter().map(|chip| &chip["address"]).collect();
    assert_eq!((&found["bus"], addresses), (&"free".into(), vec![&40.into(), &41.into()]), "{found}");
    let read = answer(&bench, &board, &["read", "--driver", "tsl2591"]);
    assert!(read["health"] == "ok" && is_the_light(&read["readings"][0]), "{read}");
    let elsewhere = ["read", "--driver", "tsl2591", "--address", "0x30", "--port", &board.port];
    let output = bench.run(&elsewhere);
    assert!(output.status.code() == Some(64) && text(&output).contains("it has 0x29"), "{}", text(&output));
    let output = bench.run(&["pull", "--port", &board.port, "-o", "nothing.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));

    // The same questions to a board that runs.
    bench.write("node.toml", &tutorial().replace("192.168.1.10", &format!("usb-host:{}", broker.port)));
    let output = bench.run(&["push", "node.toml", "--port", &board.port]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    let info = answer(&bench, &board, &["info"]);
    assert_eq!((&info["device"], &info["state"]), (&"esp8266".into(), &"confirmed".into()), "{info}");
    // For people: with units, and without what is empty.
    assert!(info["facts"]["crash"].is_null(), "{info}");
    let output = bench.run(&["info", "--port", &board.port]);
    let told = text(&output);
    let lines: Vec<(&str, &str)> = told.lines().filter_map(|line| line.split_once(' ')).collect();
    assert!(lines.iter().all(|(name, value)| *name != "crash" && value.trim() != "-"), "{told}");
    assert!(lines.iter().any(|(name, value)| *name == "uptime" && value.ends_with(" s")), "{told}");
    let read = answer(&bench, &board, &["read", "lux-1"]);
    assert!(read["health"] == "ok" && is_the_light(&read["readings"][0]), "{read}");
    let output = bench.run(&["pull", "--port", &board.port, "-o", "pulled.toml"]);
    assert!(output.status.success(), "{}", text(&output));
    let output = bench.run(&["push", "pulled.toml", "--port", &board.port]);
    assert!(output.status.success() && text(&output).contains("unchanged"), "{}", text(&output));

    bench.stay(&["monitor", "--port", &board.port, "--json"]);
    let told = || fs::read_to_string(bench.folder.join("stay.log")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while told().matches("\"sent\"").count() < 2 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let told = bench.interrupt();
    let events: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let lux = |event: &&Value| event["name"] == "illuminance";
    assert!(of("reading").into_iter().filter(lux).count() >= 2, "{told}");
    assert!(of("sent").iter().any(|event| event["topic"] == "test-topic"), "{told}");
}
