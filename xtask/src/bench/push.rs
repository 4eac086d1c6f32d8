//! A push to a running node: how long it takes on a line at the wire's speed, and what the line allows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{RUNS, program};
use crate::routine::{root, run};

/// A simulation that ends with the value, and what it prints.
struct Node {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    fn start(folder: &Path, erase: &str, file: &str) -> Result<Self, String> {
        let mut child = Command::new(program())
            .args(["simulate", file, "--erase-time", erase, "--seed", "1"])
            .env("XDG_RUNTIME_DIR", folder)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let output = child.stdout.take().ok_or("no output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Node { child, lines })
    }

    fn wait_for(&self, words: &str) -> Result<Instant, String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (at, line) = self.lines.recv_timeout(left).map_err(|_| format!("no `{words}` came"))?;
            if line.contains(words) {
                return Ok(at);
            }
        }
    }
}

/// Prints the times for both kinds of flash.
pub(super) fn print() -> Result<(), String> {
    let folder = root().join("target/bench/push");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let tutorial = fs::read_to_string(root().join("examples/configs/tutorial.toml"))
        .map_err(|error| error.to_string())?;
    let file = |name: &str, text: &str| -> Result<String, String> {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(path.display().to_string())
    };
    let first = file("first.toml", &tutorial)?;
    println!("\n{:<44} {:>10}", "push at 115,200 baud, from the process' start", "least of 5");
    for erase in ["45ms", "400ms"] {
        let node = Node::start(&folder, erase, &first)?;
        node.wait_for("\"state\":\"confirmed\"")?;
        let mut least = [f64::MAX; 2];
        for run in 0..RUNS {
            let topic = format!("topic-{run}");
            let next = file("next.toml", &tutorial.replace("test-topic", &topic))?;
            let start = Instant::now();
            let status = Command::new(program())
                .args(["push", &next, "--port", "sim"])
                .env("XDG_RUNTIME_DIR", &folder)
                .env("XDG_STATE_HOME", &folder)
                .stdout(Stdio::null())
                .status()
                .map_err(|error| error.to_string())?;
            let confirmed = start.elapsed().as_secs_f64();
            if !status.success() {
                return Err(format!("push: {status}"));
            }
            let arrived = node.wait_for(&topic)?.duration_since(start).as_secs_f64();
            for (least, time) in least.iter_mut().zip([arrived, confirmed]) {
                *least = least.min(time);
            }
        }
        let [arrived, confirmed] = least.map(|time| time * 1000.0);
        println!("{:<44} {arrived:>7.0} ms", format!("first message of the new one, erase {erase}"));
        println!("{:<44} {confirmed:>7.0} ms", format!("confirmed, erase {erase}"));
    }
    of_the_line()
}

/// Prints how close a push of 7,680 bytes comes to what the line allows, on a clock that nothing else moves.
fn of_the_line() -> Result<(), String> {
    println!("\npush beside the line's limit, erases left out (goal 1.15); whole push");
    run(Command::new("cargo").current_dir(root()).args([
        "test",
        "--quiet",
        "--package",
        "dunlin",
        "--test",
        "usb",
        "a_clean_push_comes_close_to_the_line",
        "--",
        "--nocapture",
    ]))
}
