//! A node that is asked through its broker.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, interrupt, text, tutorial};
use crate::mosquitto::Mosquitto;

/// Monitors a device behind a broker until it is told what is waited for; returns everything.
fn monitored(bench: &Bench, broker: &str, device: &str, awaited: &str) -> String {
    let path = bench.folder.join("monitor.log");
    let log = fs::File::create(&path).unwrap();
    let mut monitor = bench
        .dunlin(&["monitor", "--broker", broker, "--device", device])
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(&path).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !told().contains(awaited) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    interrupt(&monitor);
    assert!(monitor.wait().unwrap().success());
    told()
}

#[test]
fn a_node_is_asked_over_mqtt() {
    let broker = Mosquitto::start("ask");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("ask");
    bench.write("node.toml", &tutorial());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    subscriber.find(Duration::from_secs(10), |line| line.contains("confirmed")).expect("a confirmation");
    let address = broker.address();
    let at = ["--broker", address.as_str(), "--device", "esp8266"];
    let read = bench.run(&[&["read", "lux-1"], &at[..]].concat());
    assert!(read.status.success() && text(&read).starts_with("illuminance"), "{}", text(&read));
    assert!(text(&read).contains(" lx"), "{}", text(&read));
    let wrong = bench.run(&[&["read", "lux-2"], &at[..]].concat());
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong).contains("no such sensor; it has: lux-1"), "{}", text(&wrong));
    for at in [&at[..], &["--port", "sim"]] {
        let none = bench.run(&[&["read"], at].concat());
        assert!(none.status.success() && text(&none) == "lux-1\n", "{}", text(&none));
    }
    let info = bench.run(&[&["info", "--json"], &at[..]].concat());
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!((&info["device"], &info["facts"]["state"]), (&"esp8266".into(), &"confirmed".into()));
    let nobody = bench.run(&["info", "--broker", &address, "--device", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(text(&nobody).contains("is `nobody` its name"), "{}", text(&nobody));
    let away = bench.run(&["info", "--broker", "127.0.0.1:1", "--device", "esp8266"]);
    assert!(away.status.code() == Some(2) && text(&away).contains("is it there"), "{}", text(&away));
    for (device, is_there) in [("esp8266", true), ("nobody", false)] {
        let told = monitored(&bench, &address, device, if is_there { "/status  online" } else { "no node" });
        assert!(told.contains(&format!("listening to dunlin/{device}/#")), "{told}");
        assert!(told.contains("a topic of their own are not among them"), "{told}");
        let missing = format!("no node has told its status below dunlin/{device}:");
        assert_eq!(told.contains(&missing), !is_there, "{told}");
    }
    let half = bench.run(&["info", "--broker", &address]);
    assert!(half.status.code() == Some(64) && text(&half).contains("--device"), "{}", text(&half));
}
