//! From a file to an image and back, and what changes between two.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use dunlin::compile::{Line, Source, compile, difference, show};
use proptest::prelude::*;

fn image(text: &str) -> Vec<u8> {
    let source = Source { name: "file.toml".to_owned(), text: text.to_owned() };
    let compiled = compile(&source);
    let problems: Vec<String> = compiled.diagnostics.iter().map(|problem| problem.short(&source)).collect();
    compiled.image.unwrap_or_else(|| panic!("{problems:#?}\n{text}"))
}

fn example(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs");
    image(&fs::read_to_string(folder.join(name)).unwrap())
}

fn comes_back(original: &[u8]) {
    let shown = show(original).unwrap();
    assert_eq!(image(&shown.text), original, "{}", shown.text);
    assert!(shown.is_exact);
}

#[test]
fn every_example_comes_back() {
    for name in ["minimal", "tutorial", "filters", "qos", "two-buses", "failures"] {
        comes_back(&example(&format!("{name}.toml")));
    }
}

#[test]
fn what_a_file_cannot_say_is_told() {
    use dunlin_config_format::config::{Config, I2cBus, List, Or};
    use dunlin_config_format::image::{HEADER_SIZE, Header};
    let original = example("tutorial.toml");
    let config = Config::decode(&original[HEADER_SIZE..]).unwrap();
    // A file counts in kHz.
    let buses = [I2cBus { frequency_hz: Or(100_001), ..config.i2c.get(0).unwrap() }];
    let mut body = vec![0; 4096];
    let len = Config { i2c: List::new(&buses), ..config }.encode(&mut body).unwrap();
    let body = &body[..len];
    let shown = show(&[&Header::new(body, &[]).encode()[..], body].concat()).unwrap();
    assert!(!shown.is_exact, "{}", shown.text);
    assert!(show(&original[1..]).is_err());
}

#[test]
fn the_difference_is_keys_and_topics() {
    let file = |period: &str, sensor: &str, device: &str| {
        image(&format!(
            "[device]\nname = \"{device}\"\n[mqtt]\nbroker = \"10.0.0.1\"\n[i2c.main]\nsda = 4\nscl = 5\n\
             [sensor.{sensor}]\ndriver = \"tsl2591\"\nperiod = \"{period}\"\nretain = true\n"
        ))
    };
    let old = file("2s", "lux", "node");
    assert_eq!(difference(&old, &old).unwrap().lines, []);
    let slower = difference(&old, &file("5s", "lux", "node")).unwrap();
    let expected = [
        Line::Table("[sensor.lux]".into()),
        Line::Removed("period = \"2s\"".into()),
        Line::Added("period = \"5s\"".into()),
    ];
    assert_eq!((slower.lines.as_slice(), slower.stale.len()), (&expected[..], 0));
    let other = difference(&old, &file("2s", "light", "node")).unwrap();
    assert_eq!(other.stale, ["dunlin/node/health/lux", "dunlin/node/reading/lux"]);
    let renamed = difference(&old, &file("2s", "lux", "other")).unwrap();
    assert!(renamed.is_renamed && renamed.stale.is_empty());
    let text = show(&old).unwrap().text;
    let moved = image(&text.replace("10.0.0.1", "10.0.0.2"));
    let moved = difference(&old, &moved).unwrap();
    // The status there becomes `offline`.
    assert_eq!(moved.stale, ["dunlin/node/info", "dunlin/node/health/lux", "dunlin/node/reading/lux"]);
    assert_eq!(moved.broker, ("10.0.0.1".to_owned(), 1883));
}

fn time() -> impl Strategy<Value = String> {
    (1_u32..=86_400, any::<bool>()).prop_map(|(number, is_ms)| {
        if is_ms { format!("\"{}ms\"", number + 99) } else { format!("\"{number}s\"") }
    })
}

fn finite() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("a file has finite numbers", |number| number.is_finite() && *number != 0.0)
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![
        (1_u16..31).prop_map(|half| format!("{{ median = {} }}", 2 * half + 1)),
        (2_u16..=61).prop_map(|window| format!("{{ mean = {window} }}")),
        time().prop_map(|every| format!("{{ mean = {{ every = {every} }} }}")),
        finite().prop_map(|change| format!("{{ delta = {:?} }}", change.abs())),
        finite().prop_map(|percent| format!("{{ delta = \"{:?}%\" }}", percent.abs())),
        time().prop_map(|every| format!("{{ throttle = {every} }}")),
        time().prop_map(|every| format!("{{ heartbeat = {every} }}")),
        (0_u8..=6).prop_map(|decimals| format!("{{ round = {decimals} }}")),
        (finite(), any::<f32>().prop_filter("finite", |offset| offset.is_finite())).prop_map(
            |(slope, offset)| format!("{{ calibrate = {{ slope = {slope:?}, offset = {offset:?} }} }}")
        ),
        (-1e9_f32..0.0, 0.1_f32..1e9)
            .prop_map(|(min, max)| format!("{{ clamp = {{ min = {min:?}, max = {max:?} }} }}")),
    ]
}

fn chain() -> impl Strategy<Value = String> {
    prop::collection::vec(filter(), 0..4).prop_map(|filters| format!("filters = [{}]\n", filters.join(", ")))
}

fn shape() -> impl Strategy<Value = String> {
    (0_u8..3, any::<bool>(), chain())
        .prop_map(|(qos, retain, filters)| format!("qos = {qos}\nretain = {retain}\n{filters}"))
}

/// A sensor on bus `index`, with everything that a file can say of one.
fn sensor(index: usize) -> impl Strategy<Value = String> {
    let readings = prop::sample::subsequence(vec!["illuminance", "full-spectrum", "infrared", "gain"], 1..=4)
        .prop_shuffle();
    let topic = prop::sample::select(vec![
        "",
        "a/gain/{sensor}/{reading}/gain",
        "{device}/{reading}-{sensor}",
        "whole",
    ]);
    let own = prop::option::of(("(illuminance|infrared|gain)", chain()));
    (readings, topic, shape(), own, 2_u32..4000, any::<bool>()).prop_map(
        move |(readings, topic, shape, own, period_s, automatic)| {
            let mut text = format!(
                "[sensor.s{index}]\ndriver = \"tsl2591\"\nbus = \"b{index}\"\nperiod = \"{period_s}s\"\n"
            );
            let _ = writeln!(
                text,
                "readings = {readings:?}\n{shape}integration = \"200ms\"\nlabel = \"\\\"å\\\"\""
            );
            if !topic.is_empty() {
                let _ = writeln!(text, "topic = \"{index}{topic}\"");
            }
            if !automatic {
                text.push_str("report = false\n");
            }
            if let Some((name, filters)) = own {
                let _ = writeln!(text, "[sensor.s{index}.reading.{name}]\n{filters}");
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn every_file_comes_back(
        sensors in (sensor(0), prop::option::of(sensor(1))),
        report in prop::option::of((time(), shape())),
        single in prop::option::of(chain()),
        mqtt in ("[a-z0-9]{1,9}", 1_u16.., 5_u32..60_000, any::<bool>()),
    ) {
        let (host, port, keep_alive_s, has_stats) = mqtt;
        let stats = if has_stats { "\"90s\"" } else { "false" };
        let mut text = format!("[device]\nname = \"n\"\n[mqtt]\nbroker = \"x{host}:{port}\"\nkeep-alive = \"{keep_alive_s}s\"\nstats = {stats}\n");
        text.push_str("[usb]\naddress = \"192.168.7.2/24\"\ndns = \"192.168.7.1\"\n");
        text.push_str("[i2c.b0]\nsda = 4\nscl = 5\nfrequency = \"400kHz\"\n[i2c.b1]\nsda = 12\nscl = 13\n");
        text.push_str(&sensors.0);
        text.push_str(sensors.1.as_deref().unwrap_or_default());
        if let Some((every, shape)) = report {
            let shape = shape.replace("filters = ", "# ");
            let _ = writeln!(text, "[report.several]\nof = [\"s0.*\"]\nevery = {every}\n{shape}");
        }
        if let Some(filters) = single {
            let _ = writeln!(text, "[report.single]\nof = [\"s0.gain\"]\ntopic = \"single\"\n{filters}");
        }
        comes_back(&image(&text));
    }
}

#[test]
fn a_radix_is_a_way_of_writing() {
    let file = |sda: &str, address: &str, delta: &str| {
        image(&format!(
            "[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\n[i2c.main]\nsda = {sda}\nscl = 5\n\
             [sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\naddress = {address}\n\
             filters = [{{ delta = {delta} }}, {{ heartbeat = \"1m\" }}]\n"
        ))
    };
    let decimal = file("12", "41", "16");
    assert_eq!(file("0xc", "0x29", "0x10"), decimal);
    assert_eq!(file("0b1100", "0o51", "0b1_0000"), decimal);
}

/// Two devices may have two passwords; what a file says of its own is shown as it is.
#[test]
fn a_password_comes_from_where_it_is_said_to() {
    let file = |source: &str| {
        format!(
            "[device]\nname = \"2nd-floor\"\n[mqtt]\nbroker = \"10.0.0.1\"\nusername = \"u\"\npassword = {source}\n"
        )
    };
    let original = image(&file("{ env = \"X\" }"));
    let shown = show(&original).unwrap();
    let line = "password = { env = \"MQTT_PASSWORD_2ND_FLOOR\" }";
    assert!(shown.text.contains(line) && shown.text.contains("`export MQTT_PASSWORD_2ND_FLOOR=…`"));
    comes_back(&original);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("show-password");
    fs::create_dir_all(&folder).unwrap();
    for (source, line) in [
        ("{ env = \"X\" }", "password = { env = \"X\" }"),
        ("{ file = \"a b.txt\" }", "password = { file = \"a b.txt\" }"),
        ("\"hunter2\"", line),
    ] {
        fs::write(folder.join("node.toml"), file(source)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_dunlin"))
            .args(["show", "node.toml"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().any(|each| each == line) && !text.contains("hunter2"), "{text}");
    }
}
