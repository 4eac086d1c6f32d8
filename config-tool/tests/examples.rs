//! Every example runs in the simulator, and the first lines of its run are kept.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs")
}

/// Returns the lines `TOPIC  PAYLOAD` of a virtual run.
fn messages(file: &str, further: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_dunlin"))
        .args(["simulate", file, "--virtual", "--duration", "70s"])
        .args(further)
        .current_dir(folder())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{file}: {text}");
    let message = |line: &str| line.split_once(" s  ").map(|(_, message)| message.to_owned());
    text.lines().filter_map(message).filter(|message| !message.starts_with("--")).collect()
}

/// Lines of a run that are kept: what it says of itself, and the first messages and events.
const FIRST: usize = 100;

/// Compares the first lines of a virtual run with those that are kept in `first-lines`, to the letter; `DUNLIN_GOLDEN=write`
/// writes them anew.
fn compare(name: &str, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_dunlin"))
        .arg("simulate")
        .args(arguments)
        .args(["--virtual", "--duration", "70s"])
        .env_remove("DUNLIN_PASSWORD")
        .current_dir(folder())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {text}");
    let first: String = text.split_inclusive('\n').take(FIRST).collect();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/first-lines/{name}.txt"));
    if std::env::var_os("DUNLIN_GOLDEN").is_some() {
        fs::write(kept, first).unwrap();
        return;
    }
    let expected = fs::read_to_string(kept).unwrap();
    for (index, (found, expected)) in first.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{name}: line {}", index + 1);
    }
    assert_eq!(first, expected, "{name}: one has more lines");
}

#[test]
fn first_lines_are_these() {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".toml").filter(|name| !name.ends_with(".scenario")) {
            compare(name, &[&file]);
            names.push(name.to_owned());
        }
    }
    assert!(names.len() >= 6, "{names:?}");
    compare("failures-scenario", &["failures.toml", "--scenario", "failures.scenario.toml"]);
}

#[test]
fn the_scenario_of_failures_is_told_on_the_health_topic() {
    let messages = messages("failures.toml", &["--scenario", "failures.scenario.toml"]);
    let health: Vec<&str> = messages
        .iter()
        .filter_map(|message| message.strip_prefix("dunlin/failures/health/light  "))
        .collect();
    assert_eq!(health, ["ok", "absent", "ok", "ok", "ok"]);
    let offline = messages.iter().filter(|message| *message == "dunlin/failures/status  offline").count();
    assert_eq!(offline, 2, "the will, for the broker's restart and for the blackout");
}

/// Returns what `check` says of a need of a file.
fn need(file: &str, name: &str) -> String {
    let check =
        Command::new(env!("CARGO_BIN_EXE_dunlin")).args(["check", file]).current_dir(folder()).output();
    let text = String::from_utf8(check.unwrap().stdout).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
    line.trim().to_owned()
}

/// Bytes of a PUBLISH packet with two bytes of length (MQTT 5, section 3.3) and no identifier.
fn packet_len(message: &str) -> usize {
    let (topic, payload) = message.split_once("  ").unwrap();
    3 + 2 + topic.len() + 1 + payload.len()
}

#[test]
fn a_day_has_as_many_samples_as_messages_and_every_message_arrives() {
    let output = Command::new(env!("CARGO_BIN_EXE_dunlin"))
        .args(["simulate", "tutorial.toml", "--virtual", "--duration", "1d"])
        .current_dir(folder())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // A reading every 2 s, statistics every minute, and status, birth twice, health.
    let messages = 43_200 + 1_439 + 4;
    for line in [
        "samples         43200 read",
        &format!("messages        {messages} at"),
        &format!("deliveries      {messages} to"),
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // `check` knew it: the count, and no more bytes.
    let told = need("tutorial.toml", "messages");
    assert!(told.starts_with(&format!("{messages} a day, at most ")), "{told}");
    let most: f64 = told.split_whitespace().nth(5).unwrap().parse().unwrap();
    let payloads = text.lines().find_map(|line| line.strip_prefix("messages ")?.split_once('('));
    let payloads: usize = payloads.unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    let frames = 43_200 * packet_len("test-topic  ") + 1_439 * packet_len("dunlin/esp8266/stats  ");
    let sent = (payloads + frames) as f64 / 1e6;
    assert!(sent <= most && 2.0 * sent > most, "{sent} of {most} MB");
}

#[test]
fn no_packet_is_longer_than_the_budget_says() {
    for file in ["minimal", "tutorial", "filters", "qos", "two-buses", "failures"] {
        let name = format!("{file}.toml");
        let told = need(&name, "worst packet");
        let most: usize = told.split_whitespace().next().unwrap().parse().unwrap();
        let reports =
            |line: &&String| !["/info", "/stats", "/status", "/health"].iter().any(|own| line.contains(own));
        let messages = messages(&name, &[]);
        let longest = messages.iter().filter(reports).map(|message| packet_len(message)).max().unwrap();
        assert!(longest <= most && 2 * longest > most, "{file}: {longest} of {most}");
    }
}

#[test]
fn a_flash_file_with_another_configuration_is_refused_and_both_ways_out_work() {
    let place = std::env::temp_dir().join(format!("dunlin-flash-file-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let flash = place.join("flash.bin");
    let run = |file: &str, further: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dunlin"))
            .args(["simulate", file, "--virtual", "--duration", "5s", "--flash", flash.to_str().unwrap()])
            .args(further)
            .current_dir(folder())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run("tutorial.toml", &[]);
    assert!(code == Some(0) && text.contains("test-topic"), "{text}");
    let (code, text) = run("tutorial.toml", &[]);
    assert!(
        code == Some(0) && text.contains("\"generation\":1,\"state\":\"confirmed\""),
        "it was confirmed before: {text}"
    );
    let before = std::fs::read(&flash).unwrap();
    let (code, text) = run("minimal.toml", &[]);
    assert!(
        code == Some(64) && text.contains("--as-stored") && text.contains("another flash file"),
        "{text}"
    );
    assert!(std::fs::read(&flash).unwrap() == before, "nothing was written");
    let (code, text) = run("minimal.toml", &["--as-stored"]);
    assert!(code == Some(0) && text.contains("test-topic"), "what is stored runs: {text}");
    std::fs::write(&flash, b"short").unwrap();
    let (code, text) = run("tutorial.toml", &[]);
    assert!(code == Some(64) && text.contains("is no flash file"), "{text}");
    std::fs::remove_dir_all(place).unwrap();
}

/// Returns a payload with `#` for each number, and the numbers.
fn split_numbers(payload: &str) -> (String, Vec<f64>) {
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    let mut rest = payload;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = &rest[start..];
        let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
        shape += &rest[..start];
        shape.push('#');
        numbers.extend(number[..end].parse::<f64>());
        rest = &number[end..];
    }
    (shape + rest, numbers)
}

/// Returns the payloads of each topic but those with memory, counters and start numbers of the board.
fn by_topic(messages: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (topic, payload) in messages.iter().filter_map(|message| message.split_once("  ")) {
        if !topic.ends_with("/info") && !topic.ends_with("/stats") {
            topics.entry(topic.to_owned()).or_default().push(payload.to_owned());
        }
    }
    topics
}

#[test]
#[ignore = "needs the image: DUNLIN_FIRMWARE names it"]
fn the_image_says_what_the_native_board_says() {
    let image = std::env::var("DUNLIN_FIRMWARE").unwrap();
    let files = ["tutorial.toml", "qos.toml", "failures.toml"].map(|file| (file, true));
    // What passes filters hangs on when it was sampled, and the others report readings of the board itself.
    let others = ["filters.toml", "minimal.toml", "two-buses.toml"].map(|file| (file, false));
    for (file, is_alike) in files.into_iter().chain(others) {
        let native = by_topic(&messages(file, &[]));
        let chip = by_topic(&messages(file, &["--firmware", &image]));
        assert!(native.keys().eq(chip.keys()), "{file}: {native:?} {chip:?}");
        for (topic, payloads) in &native {
            let others = &chip[topic];
            // The chip is at the broker a second later, and its samples begin then.
            let is_as_many = payloads.len().abs_diff(others.len()) <= 1;
            assert!(is_as_many || !is_alike, "{file}, {topic}: {payloads:?} {others:?}");
            for (one, other) in payloads.iter().zip(others) {
                let ((shape, numbers), (same, found)) = (split_numbers(one), split_numbers(other));
                assert_eq!(shape, same, "{file}, {topic}");
                let is_near = |(a, b): (&f64, &f64)| (a - b).abs() <= 0.03 * a.abs().max(1.0) + 1.0;
                assert!(
                    !is_alike || numbers.iter().zip(&found).all(is_near),
                    "{file}, {topic}: {one} and {other}"
                );
            }
        }
    }
}
