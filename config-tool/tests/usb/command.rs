//! The program itself against a board behind a pseudo-terminal.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::bench::Running;

fn dunlin(board: &Running, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).args(["--port", &board.target.to_string()]);
    // What a run remembers does not leave the test.
    command.env("XDG_STATE_HOME", std::env::temp_dir().join(format!("dunlin-test-{}", std::process::id())));
    command
}

fn run(board: &Running, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = dunlin(board, arguments).output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), text)
}

/// An image file for `esp8266`, its own for each test.
fn image_file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("dunlin-{}-{name}.dunlin", std::process::id()));
    std::fs::write(&path, crate::bench::image(500, 1)).unwrap();
    path
}

#[test]
fn push_pull_info_and_erase() {
    let board = Running::start();
    let file = image_file("push");
    let path = file.to_str().unwrap();
    let (code, text) = run(&board, &["push", path]);
    assert_eq!(code, 0, "{text}");
    for words in ["device esp8266", "stored as generation 1", "on trial: starting", "confirmed after"] {
        assert!(text.contains(words), "`{words}` is missing in: {text}");
    }
    let (code, text) = run(&board, &["push", path]);
    assert!(code == 0 && text.contains("unchanged"), "{text}");

    let pulled = file.with_extension("pulled");
    let (code, text) = run(&board, &["pull", "-o", pulled.to_str().unwrap()]);
    assert!(code == 0 && text.contains("device esp8266, generation 1, hash "), "{text}");
    // What is there may be written by hand.
    let (code, text) = run(&board, &["pull", "-o", pulled.to_str().unwrap()]);
    assert!(code == 64 && text.contains("add `--force`"), "{text}");
    assert_eq!(run(&board, &["pull", "--force", "-o", pulled.to_str().unwrap()]).0, 0);
    assert_eq!(std::fs::read(&pulled).unwrap(), std::fs::read(&file).unwrap());

    let (code, text) = run(&board, &["info", "--json"]);
    assert_eq!(code, 0, "{text}");
    let info: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&info["version"], &info["device"], &info["generation"]),
        (&1.into(), &"esp8266".into(), &1.into())
    );
    assert_eq!(info["chip"], "00c0ffee");
    let (code, text) = run(&board, &["diff", path, "--json"]);
    let diff: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((code, &diff["version"], &diff["equal"]), (0, &1.into(), &true.into()));

    let (code, text) = run(&board, &["erase"]);
    assert!(code == 64 && text.contains("--yes"), "{text}");
    let (code, text) = run(&board, &["erase", "--yes", "--json"]);
    let erased: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!((code, &erased["version"], &erased["erased"]), (0, &1.into(), &"esp8266".into()));
    let (code, text) = run(&board, &["pull"]);
    assert!(code == 2 && text.contains("nothing is stored"), "{text}");
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(pulled).unwrap();
}

#[test]
fn push_in_json_is_a_line_for_each_event() {
    let board = Running::start();
    let file = image_file("json");
    let (code, text) = run(&board, &["push", file.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{text}");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["version"] == 1), "{text}");
    assert_eq!(events[0]["event"], "file");
    assert_eq!(events.last().unwrap()["verdict"], "confirmed");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn read_and_probe_end_in_toml() {
    let board = Running::start();
    let (code, text) = run(&board, &["read", "lux-1"]);
    assert!(code == 0 && text.contains("illuminance      284.1312 lx  filtered 284 lx"), "{text}");
    let (code, text) = run(&board, &["read", "lux-2"]);
    assert!(code == 2 && text.contains("has no sensor `lux-2`; it has: lux-1"), "{text}");
    let (code, text) = run(&board, &["read", "--driver", "tsl2591", "--sda", "4", "--scl", "5"]);
    assert!(code == 0 && text.contains("[sensor.tsl2591-1]"), "{text}");
    // What does not answer is not worth a place in a file.
    let (code, text) = run(&board, &["read", "--driver", "tsl2591", "--sda", "12", "--scl", "14"]);
    assert!(code == 2 && text.contains("tsl2591: absent") && !text.contains("[sensor"), "{text}");
    let (code, text) = run(&board, &["probe", "--sda", "4", "--scl", "5"]);
    assert!(code == 0 && text.contains("0x29  could be tsl2591") && text.contains("sda = 4"), "{text}");
    let (code, text) = run(&board, &["probe", "--sda", "4", "--scl", "4"]);
    assert!(code == 2 && text.contains("two different free GPIO"), "{text}");
}

#[test]
fn push_works_while_monitor_holds_the_port() {
    let board = Running::start();
    let mut monitor = dunlin(&board, &["monitor", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["value"]), (&"reading".into(), &284.1312.into()));
    let file = image_file("shared");
    let (code, text) = run(&board, &["push", file.to_str().unwrap()]);
    assert!(code == 0 && text.contains("confirmed"), "{text}");
    assert!(lines.next().is_some());
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    // The holder was killed and could not clean up: the port is free all the same.
    assert_eq!(run(&board, &["read", "lux-1"]).0, 0);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn push_watch_pushes_at_every_save_until_ctrl_c() {
    let board = Running::start();
    let file = image_file("watch");
    let arguments = ["push", file.to_str().unwrap(), "--watch", "--json"];
    let mut watch = dunlin(&board, &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut verdicts = lines.filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        event["verdict"].as_str().map(str::to_owned)
    });
    assert_eq!(verdicts.next().as_deref(), Some("confirmed"));
    std::fs::write(&file, crate::bench::image(700, 2)).unwrap();
    assert_eq!(verdicts.next().as_deref(), Some("confirmed"));
    // While it watches, it serves the port to others.
    assert_eq!(run(&board, &["read", "lux-1"]).0, 0);
    let process = rustix::process::Pid::from_child(&watch);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn what_can_t_be_pushed_is_told_before_a_port_is_opened() {
    let nowhere = ["--port", "/dev/ttyUSB-none"];
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_dunlin")).args(arguments).args(nowhere).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["push", "no-such-file"]);
    assert!(code == 1 && text.contains("`no-such-file` does not exist"), "{text}");
    let file = image_file("damaged");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, text) = run(&["push", file.to_str().unwrap()]);
    assert!(code == 1 && text.contains("damaged"), "{text}");
    std::fs::remove_file(file).unwrap();
    let (code, text) = run(&["info"]);
    assert!(code == 2 && text.contains("does not exist"), "{text}");
    for path in ["/dev/null", "/tmp"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_dunlin")).args(["info", "--port", path]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("is no serial port: `dunlin ports`"), "{text}");
    }
    let (code, _) = run(&["frobnicate"]);
    assert_eq!(code, 64);
}
