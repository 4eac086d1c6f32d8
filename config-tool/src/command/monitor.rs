//! `dunlin monitor`: readings, health, messages and log lines as they come.

use std::io::Write;
use std::time::{Duration, Instant};

use dunlin_config_format::message::monitor;
use serde_json::{Value, json};

use super::node::NodeArguments;
use super::{CARRIED, CommandError, Exit, Outcome, number};
use crate::device::{MonitorTask, NodeEvent};
use crate::interrupt::Interrupt;
use crate::remote::Remote;

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// How long a broker may take to tell the status of a node, which it retains.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);

/// Show readings, health, messages and log lines as they come, until Ctrl-C
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| CommandError::new(Exit::Device, error))?;
    if let Some(remote) = arguments.node.remote()? {
        return over_mqtt(arguments, remote, &interrupt);
    }
    let (mut connection, hello) = arguments.node.line.meet(None)?;
    let name = hello.device.clone().unwrap_or_else(|| hello.chip());
    if !arguments.json {
        println!("{name} on {}; Ctrl-C ends", connection.target());
    }
    let mut task = MonitorTask::new(monitor::READINGS | monitor::HEALTH | monitor::LOG | monitor::SENT);
    connection.run_watching(&mut task, |task, text| {
        let shown = show(arguments, task, text);
        // A closed pipe, such as that of `head`, is a reader that has seen enough.
        shown.is_ok() && !interrupt.is_set()
    })?;
    if connection.has_carried() && !arguments.json {
        // To a pipe that is closed nothing is told.
        let _ = writeln!(std::io::stdout(), "{CARRIED}");
    }
    Ok(Exit::Done)
}

/// Shows what the node tells under its own topics; a report with a topic of its own is not among them.
fn over_mqtt(arguments: &Arguments, mut remote: Remote, interrupt: &Interrupt) -> Outcome {
    let gone = |error: String| CommandError::new(Exit::Device, error);
    let filter = remote.listen().map_err(gone)?;
    let node = filter.trim_end_matches("/#");
    if !arguments.json {
        // To a pipe that is closed nothing is told.
        let _ = writeln!(
            std::io::stdout(),
            "listening to {filter}; Ctrl-C ends\nmessages with a topic of their own are not among them: `dunlin monitor --port PORT` \
             or `mosquitto_sub` shows those"
        );
    }
    let status = format!("{node}/status");
    let start = Instant::now();
    let mut awaits_status = true;
    while !interrupt.is_set() {
        let message = remote.next_message(LOOK).map_err(gone)?;
        awaits_status &= message.as_ref().is_none_or(|message| message.topic != status);
        if awaits_status && start.elapsed() >= STATUS_PATIENCE {
            awaits_status = false;
            eprintln!("no node has told its status below {node}: check `--device` and `--prefix`");
        }
        let Some(message) = message else { continue };
        let at = start.elapsed().as_secs_f64();
        let mut output = std::io::stdout().lock();
        let written = if arguments.json {
            let payload = String::from_utf8_lossy(&message.payload);
            let event = json!({
                "version": 1, "event": "message", "time": at, "topic": message.topic, "payload": payload,
            });
            writeln!(output, "{event}")
        } else {
            writeln!(output, "{at:>10.3}  {}  {}", message.topic, printable(&message.payload))
        };
        if written.and_then(|()| output.flush()).is_err() {
            break;
        }
    }
    Ok(Exit::Done)
}

fn show(arguments: &Arguments, task: &mut MonitorTask, text: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    if !text.is_empty() && !arguments.json {
        write!(output, "{}", printable(text))?;
    }
    while let Some(event) = task.take_event() {
        if arguments.json {
            writeln!(output, "{}", as_json(&event))?;
        } else {
            writeln!(output, "{}", as_text(&event))?;
        }
    }
    output.flush()
}

/// Text as it came, with a dot for each byte that a terminal would act on.
fn printable(text: &[u8]) -> String {
    let keep = |c: char| if matches!(c, '\n' | '\t') || !c.is_control() && c != '\u{fffd}' { c } else { '.' };
    String::from_utf8_lossy(text).replace('\r', "").chars().map(keep).collect()
}

fn as_text(event: &NodeEvent) -> String {
    let at = |uptime: &std::time::Duration| format!("{:>10.3}", uptime.as_secs_f64());
    match event {
        NodeEvent::Reading { uptime, sensor, name, value, unit } => {
            format!("{}  {sensor}.{name} = {value} {}", at(uptime), unit.as_deref().unwrap_or_default())
        }
        NodeEvent::Health { uptime, sensor, health } => format!("{}  {sensor} is {health}", at(uptime)),
        NodeEvent::Log { uptime, text } => format!("{}  {}", at(uptime), printable(text.as_bytes())),
        NodeEvent::Sent { uptime, topic, payload, qos } => {
            let line = format!("{}  → {topic} (QoS {qos})  {}", at(uptime), printable(payload));
            line.trim_end().to_owned()
        }
        NodeEvent::Lost(count) => format!("{:>10}  {count} events were lost on the line", ""),
        NodeEvent::Answers(false) => format!("{:>10}  the board does not answer any more", ""),
        NodeEvent::Answers(true) => format!("{:>10}  the board answers again", ""),
    }
}

fn as_json(event: &NodeEvent) -> Value {
    match event {
        NodeEvent::Reading { uptime, sensor, name, value, unit } => json!({
            "version": 1, "event": "reading", "uptime": uptime.as_secs_f64(),
            "sensor": sensor, "name": name, "value": number(*value), "unit": unit,
        }),
        NodeEvent::Health { uptime, sensor, health } => json!({
            "version": 1, "event": "health", "uptime": uptime.as_secs_f64(), "sensor": sensor, "health": health,
        }),
        NodeEvent::Log { uptime, text } => {
            json!({ "version": 1, "event": "log", "uptime": uptime.as_secs_f64(), "text": text })
        }
        NodeEvent::Sent { uptime, topic, payload, qos } => json!({
            "version": 1, "event": "sent", "uptime": uptime.as_secs_f64(),
            "topic": topic, "payload": String::from_utf8_lossy(payload), "qos": qos,
        }),
        NodeEvent::Lost(count) => json!({ "version": 1, "event": "lost", "count": count }),
        NodeEvent::Answers(answers) => json!({ "version": 1, "event": "line", "answers": answers }),
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_a_terminal_would_act_on_is_a_dot() {
        assert_eq!(printable(b"a\x1b[2Jb\xff\r\n"), "a.[2Jb.\n");
    }
}
