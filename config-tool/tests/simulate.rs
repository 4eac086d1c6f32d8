//! `dunlin simulate` in front of a user: what it tells is what happened.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

/// A folder of a test's own, in which simulations have a name of their own too.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("dunlin-simulate-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("runtime")).unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs/tutorial.toml");
        fs::copy(example, folder.join("node.toml")).unwrap();
        Place(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
        command.arg("simulate").args(arguments).current_dir(&self.0);
        command.env("XDG_RUNTIME_DIR", self.0.join("runtime"));
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        ended(self.command(arguments).output().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ended(output: Output) -> (Option<i32>, String) {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// Accepts connections and answers each CONNECT with `answer`; returns the address.
fn broker_that_answers(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer);
            // The node closes first.
            let _ = stream.read(&mut request);
        }
    });
    address
}

#[test]
fn a_broker_that_refuses_is_told_and_nothing_else() {
    let place = Place::new("refused");
    // CONNACK of MQTT 5 with reason 0x87, not authorized (section 3.2.2.2).
    let address = broker_that_answers(b"\x20\x03\x00\x87\x00");
    let (code, text) = place.run(&["--broker", &address, "--duration", "3s"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("-- the broker refused the session: 0x87, not authorized"), "{text}");
    assert!(text.contains("-- node: no session with the broker: credentials-refused"), "{text}");
    assert!(!text.contains("connected to the broker"), "{text}");
    assert!(text.contains("messages        0 at") && text.contains("sessions        0"), "{text}");
}

#[test]
fn a_closed_port_is_told_in_the_nodes_own_words() {
    let place = Place::new("closed");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, text) = place.run(&["--broker", &format!("127.0.0.1:{port}"), "--duration", "3s"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("-- node: no session with the broker: broker-unreachable"), "{text}");
    assert!(text.contains("messages        0 at") && text.contains("sessions        0"), "{text}");
}

#[test]
fn what_speaks_no_mqtt_is_no_broker() {
    let place = Place::new("http");
    let address = broker_that_answers(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (_, text) = place.run(&["--broker", &address, "--duration", "3s"]);
    assert!(!text.contains("connected to the broker"), "{text}");
    assert!(text.contains("messages        0 at") && text.contains("sessions        0"), "{text}");
}

#[test]
fn the_story_and_the_csv_are_in_the_order_of_their_times() {
    let place = Place::new("order");
    let scenario = "[fault.blackout]\nat = \"4s\"\nfor = \"2s\"\nkind = \"power-cut\"\n";
    place.write("s.toml", scenario);
    let (_, text) = place.run(&[
        "--virtual",
        "--duration",
        "10s",
        "--csv",
        "run.csv",
        "--scenario",
        "s.toml",
        "--plot",
        "o.svg",
    ]);
    let time = |line: &str| line.split_once(" s  ").and_then(|(time, _)| time.trim().parse::<f64>().ok());
    let times: Vec<f64> = text.lines().filter_map(time).collect();
    assert!(times.len() > 10 && times.is_sorted(), "{text}");
    let place_of =
        |text: &str, part: &str| text.find(part).unwrap_or_else(|| panic!("no `{part}` in {text}"));
    assert!(place_of(&text, "board started: power-on") < place_of(&text, "connected to the broker"));
    assert!(text.contains("6.000 s  -- board started: power-on"), "{text}");
    let csv = place.text("run.csv");
    let times: Vec<f64> =
        csv.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{csv}");
    assert!(place_of(&csv, ",start,") < place_of(&csv, ",session,,begins"));
    assert!(csv.contains("4.000000,fault,blackout,begins,power-cut"), "{csv}");
    assert!(csv.contains("6.000000,fault,blackout,ends,power-cut\n6.000000,start,,,power-on"), "{csv}");
}

#[test]
fn csv_and_plot_hold_the_light_the_readings_the_failures_and_the_flash() {
    let place = Place::new("csv");
    place.write(
        "s.toml",
        "[light]\nilluminance = 284.0\n\n[fault.gone]\nat = \"5s\"\nfor = \"4s\"\nkind = \"sensor-gone\"\naddress = 0x29\n",
    );
    let (code, text) = place.run(&[
        "--virtual",
        "--duration",
        "20s",
        "--scenario",
        "s.toml",
        "--csv",
        "r.csv",
        "--plot",
        "o.svg",
    ]);
    assert_eq!(code, Some(0), "{text}");
    let csv = place.text("r.csv");
    let rows = |part: &str| csv.lines().filter(|line| line.contains(part)).count();
    // Samples at 0, 2, 4, 10, 12, … 18 s; those at 6 and 8 s fail.
    assert_eq!(
        (rows(",truth,illuminance,284,lx"), rows(",reading,lux-1.illuminance,284.1")),
        (8, 8),
        "{csv}"
    );
    assert_eq!((rows(",failure,lux-1,,absent"), rows(",flash,program,0xab300,4")), (1, 1), "{csv}");
    assert_eq!(rows("test-topic.value"), 0);
    let plot = place.text("o.svg");
    for part in
        ["illuminance in the world", "lux-1.illuminance", "lux-1 gives no readings", "test-topic", ">gone<"]
    {
        assert!(plot.contains(part), "`{part}` is missing in the plot");
    }
}

/// The standard output is the file then, whole and nothing else; whoever reads only its head ends the run.
#[test]
fn a_file_may_be_the_standard_output() {
    let place = Place::new("piped");
    let run = ["--virtual", "--duration", "20s"];
    place.run(&[&run[..], &["--csv", "r.csv", "--plot", "o.svg", "--pcap", "r.pcap"]].concat());
    for (option, file) in [("--csv", "r.csv"), ("--plot", "o.svg"), ("--pcap", "r.pcap")] {
        let output = place.command(&[&run[..], &[option, "-"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{option}");
        assert!(output.stdout == place.read(file), "{option} - is not what {file} is");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("device `esp8266`") && told.contains("simulated       20.0 s"), "{told}");
    }
    assert!(!place.0.join("-").exists());
    let mut day = place.command(&["--virtual", "--duration", "1d", "--csv", "-"]);
    let mut day = day.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(day.stdout.take());
    let output = day.wait_with_output().unwrap();
    assert_eq!(output.status.code(), None, "it ends by the signal of a closed pipe");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("error"));
}

#[test]
fn json_lines_are_objects_with_a_version() {
    let place = Place::new("json");
    let output = place.command(&["--virtual", "--duration", "5s", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(objects.iter().all(|object| object["version"] == 1));
    let events: Vec<&str> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"simulation"), Some(&"summary")));
    for event in ["started", "connected", "log", "message", "reading", "health"] {
        assert!(events.contains(&event), "`{event}` is missing: {text}");
    }
    assert_eq!(objects.last().unwrap()["samples"], 3);
}

#[test]
fn bad_arguments_are_refused_before_anything_happens() {
    let place = Place::new("arguments");
    for (arguments, part) in [
        (&["--broker", "no such host:1883"][..], "is no broker"),
        (&["--broker", "127.0.0.1:99999"], "is no broker"),
        (&["--csv", "missing/run.csv"], "`missing/run.csv` can't be written"),
        (&["--plot", "missing/out.svg"], "`missing/out.svg` can't be written"),
        (&["--pcap", "missing/run.pcap"], "`missing/run.pcap` can't be written"),
        (&["--flash", "missing/chip.flash"], "`missing/chip.flash`"),
        (&["--plot", "out.png"], "a plot is SVG, which browsers show; write `--plot out.svg`"),
        (&["--plot", "out"], "`out` would not be what it is called"),
        (&["--csv", "-", "--json"], "--csv and --json would both write to the standard output"),
        (&["--csv", "-", "--pcap", "-"], "--csv and --pcap would both write to the standard output"),
        (&["--flash", "/dev/zero"], "is no flash file"),
    ] {
        let output = place.command(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
        assert!(error.contains(part) && output.stdout.is_empty(), "{arguments:?}: {error}");
    }
    // What is there already stays until the run writes something else.
    place.write("run.csv", "kept");
    place.write("bad.toml", "nonsense = 1");
    let (code, _) = place.run(&["bad.toml", "--csv", "run.csv"]);
    assert_eq!((code, place.text("run.csv").as_str()), (Some(1), "kept"));
}

#[test]
fn a_missing_secret_is_noted() {
    let place = Place::new("secret");
    let file = place.text("node.toml").replace(
        "broker = \"192.168.1.10\"",
        "broker = \"192.168.1.10\"\nusername = \"u\"\npassword = { env = \"DUNLIN_NO_SUCH_SECRET\" }",
    );
    place.write("node.toml", &file);
    let (code, text) = place.run(&["--virtual", "--duration", "3s"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("note: the variable `DUNLIN_NO_SUCH_SECRET` is not set"), "{text}");
}

#[test]
fn a_subscriber_is_told_the_host_of_a_broker_elsewhere() {
    let place = Place::new("host");
    let (_, text) = place.run(&["--broker", "127.0.0.1:1", "--duration", "1ms"]);
    assert!(text.contains("mosquitto_sub -h 127.0.0.1 -p 1 -v -t '#'"), "{text}");
}

#[test]
fn equal_seeds_give_equal_files_and_others_do_not() {
    let place = Place::new("seeds");
    // Loss makes the packets of seeds differ, and a torn write their flash.
    place.write(
        "s.toml",
        "seed = 7\n[light]\nilluminance = 284.0\nnoise = { deviation = \"2%\" }\n\
         [fault.bad-wire]\nat = \"5s\"\nfor = \"20s\"\nkind = \"loss\"\nrate = \"20%\"\n\
         [fault.torn]\nat = \"0s\"\nkind = \"power-cut\"\noperation = 1\n",
    );
    let run = |arguments: &[&str]| {
        let all =
            ["--virtual", "--duration", "40s", "--scenario", "s.toml", "--csv", "r.csv", "--pcap", "r.pcap"];
        let (code, text) = place.run(&[&all[..], &["--flash", "chip"], arguments].concat());
        assert_eq!(code, Some(0), "{text}");
        let files = ["r.csv", "r.pcap", "chip"].map(|name| place.read(name));
        fs::remove_file(place.0.join("chip")).unwrap();
        files
    };
    let (first, second, other) = (run(&["--seed", "1"]), run(&["--seed", "1"]), run(&["--seed", "2"]));
    for ((first, second), other) in first.iter().zip(&second).zip(&other) {
        assert!(first == second && first != other);
    }
    // The command line goes before the file, with 0 too.
    let (own, same, zero) = (run(&[]), run(&["--seed", "7"]), run(&["--seed", "0"]));
    assert!(own == same && own[0] != zero[0]);
}

#[test]
fn a_power_cut_that_waits_for_a_flash_operation_begins_with_it() {
    let place = Place::new("armed");
    place.write(
        "s.toml",
        "[light]\nilluminance = 284.0\n\
         [fault.torn]\nat = \"0s\"\nkind = \"power-cut\"\noperation = 1\nfor = \"5s\"\n",
    );
    let (code, text) =
        place.run(&["--virtual", "--duration", "20s", "--scenario", "s.toml", "--csv", "r.csv"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0.000 s  -- fault `torn` (power-cut) waits for flash operation 1"), "{text}");
    let csv = place.text("r.csv");
    let time = |words: &[&str]| {
        let line = csv.lines().find(|line| words.iter().all(|word| line.contains(word)));
        let line = line.unwrap_or_else(|| panic!("no {words:?} in {csv}"));
        line.split(',').next().unwrap().parse::<f64>().unwrap()
    };
    let (begins, ends) = (time(&["torn", "begins"]), time(&["torn", "ends"]));
    // With the first operation, which notes the confirmation, and not before.
    assert!(begins > 0.01 && (ends - begins - 5.0).abs() < 0.01, "{begins} {ends}");
}

#[test]
fn a_flash_file_is_judged_by_the_slot_that_runs() {
    let place = Place::new("slots");
    let old = place.text("node.toml");
    place.write("new.toml", &old.replace("test-topic", "new-topic"));
    let run = |file: &str| place.run(&[file, "--virtual", "--duration", "3s", "--flash", "chip"]);
    assert_eq!(run("node.toml").0, Some(0));
    // The image of the other file is stored in the other slot as the next generation, and confirmed by a run of it.
    let mut chip = place.read("chip");
    let compiled = Command::new(env!("CARGO_BIN_EXE_dunlin"))
        .args(["compile", "new.toml", "-o", "new.dunlin"])
        .current_dir(&place.0)
        .output();
    assert!(compiled.unwrap().status.success());
    let image = place.read("new.dunlin");
    let parsed = dunlin_config_format::image::Image::parse(&image).unwrap();
    let header = dunlin_config_format::image::Header { generation: 2, ..parsed.header }.encode();
    let at = dunlin_config_format::flash_map::SLOTS[1].address as usize;
    let bytes = [&header[..], parsed.body, parsed.assets].concat();
    chip[at..at + bytes.len()].copy_from_slice(&bytes);
    fs::write(place.0.join("chip"), &chip).unwrap();
    let (code, text) = run("new.toml");
    assert!(code == Some(0) && text.contains("new-topic"), "{text}");
    let (code, text) = run("node.toml");
    assert!(
        code == Some(64) && text.contains("--as-stored"),
        "the older slot holds it, and it does not run: {text}"
    );
}

#[test]
fn what_is_stored_runs_only_where_something_is() {
    let place = Place::new("stored");
    let run = || place.run(&["--virtual", "--duration", "3s", "--flash", "chip", "--as-stored"]);
    let (code, text) = run();
    assert!(code == Some(64) && text.contains("there is no flash file `chip`"), "{text}");
    assert!(!place.0.join("chip").exists());
    // A chip that was erased.
    place.write("chip", "");
    let (code, text) = run();
    assert!(code == Some(0) && text.contains("the node waits for a push"), "{text}");
    assert!(!text.contains("test-topic") && text.contains("sessions        0"), "{text}");
}

#[test]
fn a_flash_file_that_cannot_be_written_ends_the_run() {
    let place = Place::new("full");
    // On trial still: the next run will note that it is confirmed.
    let (code, text) = place.run(&["--virtual", "--duration", "1ms", "--flash", "chip"]);
    assert_eq!(code, Some(0), "{text}");
    let script = format!(
        "trap '' XFSZ; ulimit -f 600; exec {} simulate --virtual --duration 5s --flash chip",
        env!("CARGO_BIN_EXE_dunlin")
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(&place.0).output().unwrap();
    let (code, text) = ended(output);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the flash file `chip` can't be written: File too large"), "{text}");
    assert!(!text.contains("generation 1 confirmed") && !text.contains("test-topic"), "{text}");
}

#[test]
fn two_simulations_do_not_share_a_flash_file() {
    let place = Place::new("lock");
    let mut first = place.command(&["--flash", "chip", "--duration", "1m"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !fs::metadata(place.0.join("chip")).is_ok_and(|metadata| metadata.len() > 0) {
        assert!(std::time::Instant::now() < deadline, "the first simulation does not start");
    }
    let (code, text) = place.run(&["--flash", "chip", "--virtual", "--duration", "1s"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("another simulation uses the flash file `chip`"), "{text}");
}

#[test]
fn a_chip_that_starts_nothing_is_told_and_ends_with_an_error() {
    let place = Place::new("foreign");
    for (name, bytes, words) in [
        ("foreign.bin", &b"a photograph of a shore"[..], "ets_main.c 181"),
        ("empty.bin", &[0xff; 64], "the flash chip is empty"),
    ] {
        fs::write(place.0.join(name), bytes).unwrap();
        let (code, text) = place.run(&["--firmware", name, "--virtual", "--duration", "1s"]);
        assert!(text.contains("the chip stands still") && text.contains(words), "{text}");
        assert_eq!(code, Some(2), "{text}");
    }
}
