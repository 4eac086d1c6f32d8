//! Messages a second, to a real mosquitto on loopback, beside mosquitto_pub.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::program;
use crate::routine::root;

/// Messages of a run of mosquitto_pub.
const MESSAGES: usize = 20_000;
/// What a configuration can ask of a node at most: 64 reports of sensors that are read every 100 ms.
const OFFERED: usize = 640;
/// Seconds that the node runs.
const SECONDS: usize = 10;

/// A broker that ends with the value.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints messages a second for each quality of service.
pub(super) fn print() -> Result<(), String> {
    let folder = root().join("target/bench");
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    let port = port.map_err(|error| error.to_string())?.port();
    let _broker = broker(&folder, port)?;
    println!("\n{:<44} {:>10}", "to mosquitto on loopback, whole process", "messages/s");
    for qos in [0, 1] {
        let peer = publish(port, qos)?;
        println!("{:<44} {peer:>10.0}", format!("mosquitto_pub -l, QoS {qos}, {MESSAGES} messages"));
        let (all, wall_s) = in_no_time(&folder, qos)?;
        println!(
            "{:<44} {:>10.0}",
            format!("the node with a world around it, QoS {qos}"),
            all as f64 / wall_s
        );
        let real = in_real_time(&folder, port, qos)?;
        let name = format!("the node in real time, {OFFERED} offered, QoS {qos}");
        println!("{name:<44} {:>10.0}", real as f64 / SECONDS as f64);
    }
    Ok(())
}

fn broker(folder: &Path, port: u16) -> Result<Broker, String> {
    let path = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\nset_tcp_nodelay true\nmax_queued_messages 0\n"
    );
    fs::write(&path, text).map_err(|error| error.to_string())?;
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.arg("-c").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
    let broker = Broker(command.spawn().map_err(|error| format!("mosquitto: {error}"))?);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err("mosquitto does not answer".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(broker)
}

/// Returns messages a second of mosquitto_pub, which sends a line each.
fn publish(port: u16, qos: u8) -> Result<f64, String> {
    let lines = "[\"lux-1\", 624, 284.1312]\n".repeat(MESSAGES);
    let start = Instant::now();
    let mut child = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-V",
            "5",
            "-t",
            "bench",
            "-l",
            "-q",
            &qos.to_string(),
        ])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("mosquitto_pub: {error}"))?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(lines.as_bytes()));
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() || written.is_none_or(|written| written.is_err()) {
        return Err(format!("mosquitto_pub: {status}"));
    }
    Ok(MESSAGES as f64 / start.elapsed().as_secs_f64())
}

/// Writes a configuration that sends as much as one can: 32 sensors, two reports each.
fn busiest(folder: &Path, qos: u8) -> Result<String, String> {
    let mut text = "[device]\nname = \"bench\"\n[mqtt]\nbroker = \"10.0.0.1\"\nstats = false\n".to_owned();
    for sensor in 0..32 {
        text += &format!("[sensor.s{sensor}]\ndriver = \"internal\"\nperiod = \"100ms\"\nreport = false\n");
        for report in ["a", "b"] {
            text += &format!(
                "[report.r{sensor}{report}]\nof = [\"s{sensor}.uptime\"]\nqos = {qos}\npayload = \"plain\"\n"
            );
        }
    }
    let path = folder.join(format!("busiest-{qos}.toml"));
    fs::write(&path, text).map_err(|error| error.to_string())?;
    Ok(path.display().to_string())
}

/// Runs `dunlin simulate`; returns the messages that its summary counts, and how long it took.
fn simulate(arguments: &[&str]) -> Result<(u64, f64), String> {
    let start = Instant::now();
    let output = Command::new(program())
        .arg("simulate")
        .args(arguments)
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count =
        text.lines().find_map(|line| line.strip_prefix("messages")?.split_whitespace().next()?.parse().ok());
    let took = start.elapsed().as_secs_f64();
    count
        .map(|count| (count, took))
        .ok_or_else(|| format!("simulate: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// As fast as the processor is: node, network and broker are one process, and time jumps.
fn in_no_time(folder: &Path, qos: u8) -> Result<(u64, f64), String> {
    simulate(&[&busiest(folder, qos)?, "--virtual", "--duration", "10m"])
}

fn in_real_time(folder: &Path, port: u16, qos: u8) -> Result<u64, String> {
    let (file, broker) = (busiest(folder, qos)?, format!("127.0.0.1:{port}"));
    let duration = format!("{SECONDS}s");
    simulate(&[&file, "--broker", &broker, "--duration", &duration]).map(|(count, _)| count)
}
