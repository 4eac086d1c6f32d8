//! How pushes end in front of a real broker, and what is said then.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bench::{Bench, event, interrupt, text, tutorial};
use crate::mosquitto::{Mosquitto, free_port};

/// The tutorial with another topic and a short trial.
fn changed() -> String {
    tutorial()
        .replace("test-topic", "next-topic")
        .replace("\"192.168.1.10\" ", "\"192.168.1.10\"\nconfirm-within = \"5s\" ")
}

/// A simulated node that runs the tutorial, confirmed by `broker`.
fn confirmed(name: &str, broker: &Mosquitto) -> Bench {
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new(name);
    bench.write("node.toml", &tutorial());
    bench.write("next.toml", &changed());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    subscriber
        .find(Duration::from_secs(20), |line| line.contains("\"state\":\"confirmed\""))
        .expect("a confirmation");
    bench
}

/// Waits until the simulated board answers.
fn await_board(bench: &Bench) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !bench.run(&["info", "--port", "sim"]).status.success() {
        assert!(Instant::now() < deadline, "{}", bench.log());
    }
}

#[test]
fn a_push_is_at_the_subscriber_soon_and_lists_what_is_at_fault() {
    let broker = Mosquitto::start("soon");
    let mut bench = confirmed("soon", &broker);
    let subscriber = broker.subscribe(&["-t", "next-topic"]);
    let began = Instant::now();
    let output = bench.run(&["push", "next.toml", "--port", "sim"]);
    assert!(output.status.success() && !text(&output).contains("bridge"), "{}", text(&output));
    let output = bench.run(&["bridge", "--port", "sim"]);
    assert_eq!(
        text(&output),
        "the simulation carries the network of esp8266 itself: there is nothing to do\n"
    );
    let (at, line) = subscriber.next(Duration::from_secs(10)).expect("a message");
    assert!(event(&line).is_some(), "{line}");
    println!(
        "from the start of `dunlin push` to mosquitto_sub's first message: {} ms",
        (at - began).as_millis()
    );
    let output = bench.run(&["rollback", "--port", "sim"]);
    assert!(
        output.status.success() && text(&output).contains("generation 1 runs: device esp8266, confirmed"),
        "{}",
        text(&output)
    );
    let output = bench.run(&["restart", "--port", "sim", "--json"]);
    assert!(
        output.status.success() && text(&output).contains("\"restarted\":\"esp8266\""),
        "{}",
        text(&output)
    );
    let output = bench.run(&["read", "lux-9", "--port", "sim"]);
    assert!(text(&output).contains("has no sensor `lux-9`; it has: lux-1"), "{}", text(&output));
    bench.kill();
}

#[test]
fn a_sensor_that_is_absent_prevents_no_confirmation_and_is_listed() {
    let broker = Mosquitto::start("absent");
    let subscriber = broker.subscribe(&["-v", "-t", "#"]);
    let mut bench = Bench::new("absent");
    bench.write("node.toml", &tutorial());
    bench.write("next.toml", &changed());
    bench.write("gone.toml", "[fault.gone]\nat = \"1s\"\nkind = \"sensor-gone\"\naddress = 0x29\n");
    bench.simulate(&["node.toml", "--broker", &broker.address(), "--scenario", "gone.toml"]);
    subscriber
        .find(Duration::from_secs(20), |line| line.ends_with("health/lux-1 absent"))
        .expect("the fault");
    let output = bench.run(&["push", "next.toml", "--port", "sim"]);
    assert!(output.status.success() && text(&output).contains("confirmed after"), "{}", text(&output));
    let fault = "lux-1: absent: nothing answers at 0x29 on GPIO4/5";
    assert!(text(&output).contains(fault), "{}", text(&output));
    let output = bench.run(&["push", "next.toml", "--port", "sim", "--json"]);
    let events: Vec<serde_json::Value> =
        text(&output).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let fault = events.iter().find(|event| event["event"] == "fault").expect("a fault");
    assert_eq!((&fault["sensor"], &fault["health"]), (&"lux-1".into(), &"absent".into()));
    assert_eq!(events.last().unwrap()["verdict"], "unchanged");
}

#[test]
fn a_broker_that_is_gone_is_not_the_files_fault() {
    let broker = Mosquitto::start("gone");
    let bench = confirmed("gone", &broker);
    drop(broker);
    let output = bench.run(&["push", "next.toml", "--port", "sim"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let words = "it is probably the broker, not your file";
    assert!(text(&output).contains(words), "{}", text(&output));
}

#[test]
fn a_broker_that_refuses_the_birth_confirms_nothing() {
    let folder = std::env::temp_dir().join(format!("dunlin-acl-{}", std::process::id()));
    let list = folder.with_extension("acl");
    // Everything of the node's own, except the birth.
    let allowed = "topic readwrite next-topic\ntopic readwrite dunlin/esp8266/status\ntopic readwrite dunlin/esp8266/request/#\n";
    fs::write(&list, allowed).unwrap();
    let broker = Mosquitto::on_port("acl", free_port(), &format!("acl_file {}", list.display()));
    let mut bench = Bench::new("acl");
    bench.write("node.toml", &tutorial());
    bench.write("next.toml", &changed());
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    // What is confirmed at the bench is what the refused file gives way to.
    let push = |arguments: &[&str]| bench.run(&[&["push"], arguments, &["--port", "sim"]].concat());
    await_board(&bench);
    bench.write("bench.toml", &tutorial().replace("2s", "3s"));
    let output = push(&["bench.toml", "--confirm"]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    let output = push(&["next.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("rolled back: the broker does not let the node write"),
        "{}",
        text(&output)
    );
    assert!(broker.log().contains("Denied PUBLISH from esp8266"), "the broker refused");
    let output = bench.run(&["info", "--port", "sim"]);
    assert!(text(&output).contains("publish-refused"), "{}", text(&output));
    fs::remove_file(list).unwrap();
}

/// A broker with the user `node`, whose password is `right`, and the file of its users.
fn with_user(name: &str) -> (Mosquitto, PathBuf) {
    let users = std::env::temp_dir().join(format!("dunlin-passwords-{name}-{}", std::process::id()));
    let made = std::process::Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&users)
        .args(["node", "right"])
        .status();
    assert!(made.unwrap().success());
    let further = format!("allow_anonymous false\npassword_file {}", users.display());
    (Mosquitto::on_port(name, free_port(), &further), users)
}

/// The tutorial with this password.
fn file(password: &str) -> String {
    let user =
        format!("\"192.168.1.10\"\nconfirm-within = \"5s\"\nusername = \"node\"\npassword = \"{password}\" ");
    tutorial().replace("\"192.168.1.10\" ", &user)
}

#[test]
fn a_simulated_node_has_the_secrets_that_are_there() {
    let (broker, users) = with_user("secrets");
    let mut bench = Bench::new("secrets");
    bench.write("node.toml", &file("right"));
    let subscriber = broker.subscribe(&["-u", "node", "-P", "right", "-t", "test-topic"]);
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    subscriber.find(Duration::from_secs(20), |line| event(line).is_some()).expect("a reading");
    assert!(!bench.log().contains("right"), "{}", bench.log());
    fs::remove_file(users).unwrap();
}

#[test]
fn wrong_credentials_are_told_as_such() {
    let (broker, users) = with_user("users");
    let mut bench = Bench::new("users");
    bench.write("node.toml", &tutorial());
    bench.write("right.toml", &file("right"));
    bench.write("wrong.toml", &file("wrong").replace("test-topic", "next-topic"));
    bench.simulate(&["node.toml", "--broker", &broker.address()]);
    await_board(&bench);
    let output = bench.run(&["push", "right.toml", "--port", "sim"]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    // The compiler's warning is told, and stops nothing.
    assert!(text(&output).contains("`password` stands in the file"), "{}", text(&output));
    let output = bench.run(&["push", "wrong.toml", "--port", "sim"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("the broker refused user name or password"), "{}", text(&output));
    let output = bench.run(&["info", "--port", "sim"]);
    assert!(text(&output).contains("credentials-refused"), "{}", text(&output));
    let address = broker.address();
    let output = bench.run(&["info", "--broker", &address, "--device", "esp8266", "--username", "nobody"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("refuses user name or password: name the user"), "{}", text(&output));
    fs::remove_file(users).unwrap();
}

#[test]
fn a_push_ends_as_it_is_asked_to() {
    let broker = Mosquitto::start("asked");
    let mut bench = confirmed("asked", &broker);
    // A monitor runs all the while.
    let log = bench.folder.join("monitor.log");
    let mut monitor =
        bench.dunlin(&["monitor", "--port", "sim"]).stdout(fs::File::create(&log).unwrap()).spawn().unwrap();
    let output = bench.run(&["push", "next.toml", "--port", "sim", "--no-wait"]);
    assert!(output.status.success() && text(&output).contains("stored after"), "{}", text(&output));
    bench.write("other.toml", &tutorial().replace("\"esp8266\"", "\"other\""));
    let output = bench.run(&["push", "other.toml", "--port", "sim"]);
    assert!(!output.status.success() && text(&output).contains("add `--replace`"), "{}", text(&output));
    drop(broker);
    // Without a broker: given up by a person, vouched for by another, or broken off with the simulation.
    let push = |file: &str| {
        let mut push = bench
            .dunlin(&["push", file, "--port", "sim"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(push.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("on trial")));
        (push, lines)
    };
    bench.write("long.toml", &tutorial().replace("test-topic", "long"));
    let (mut child, mut lines) = push("long.toml");
    interrupt(&child);
    assert!(lines.any(|line| line.contains("no verdict yet: the board goes on alone")));
    assert_eq!(child.wait().unwrap().code(), Some(2), "a script must not take it for confirmed");
    bench.write("vouched.toml", &tutorial().replace("test-topic", "vouched"));
    let output = bench.run(&["push", "vouched.toml", "--port", "sim", "--confirm"]);
    assert!(output.status.success() && text(&output).contains("confirmed"), "{}", text(&output));
    interrupt(&monitor);
    assert!(monitor.wait().unwrap().success());
    assert!(fs::read_to_string(log).unwrap().contains("lux-1.illuminance = "));
    bench.write("last.toml", &tutorial().replace("test-topic", "last"));
    let (child, _) = push("last.toml");
    bench.kill();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the simulation has ended") && told.contains("the image was stored"), "{told}");
    // The tool does not know whether it had a file: with one, the same goes on where it was.
    assert!(told.contains("start it again, with the same file if it had one"), "{told}");
}

#[test]
fn a_second_simulation_is_told_what_stands_in_its_way() {
    let mut bench = Bench::new("second");
    bench.simulate(&[]);
    await_board(&bench);
    let ports = bench.run(&["ports", "--json"]);
    assert!(text(&ports).contains("\"port\":\"sim\""), "{}", text(&ports));
    let second = bench.run(&["simulate", "--duration", "1s"]);
    assert!(text(&second).contains("another one is `sim` already: end it"), "{}", text(&second));
    // A folder whose path is longer than a socket's may be is served all the same; one that is missing is named.
    let long = bench.folder.join("a".repeat(120));
    fs::create_dir(&long).unwrap();
    let third =
        bench.dunlin(&["simulate", "--duration", "1s"]).env("XDG_RUNTIME_DIR", &long).output().unwrap();
    assert!(!text(&third).contains("cannot reach"), "{}", text(&third));
    let missing = bench.folder.join("missing");
    let fourth =
        bench.dunlin(&["simulate", "--duration", "1s"]).env("XDG_RUNTIME_DIR", missing).output().unwrap();
    assert!(text(&fourth).contains("set XDG_RUNTIME_DIR to a folder of yours"), "{}", text(&fourth));
}
