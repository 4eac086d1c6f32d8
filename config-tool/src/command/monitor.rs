//! `dunlin monitor`: readings, health, messages and log lines as they come.

use std::io::Write;

use dunlin_config_format::message::monitor;
use serde_json::{Value, json};

use super::{CommandError, Exit, LineArguments, Outcome, number};
use crate::device::{MonitorTask, NodeEvent};
use crate::interrupt::Interrupt;

/// Show readings, health, messages and log lines as they come, until Ctrl-C
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| CommandError::new(Exit::Device, error))?;
    let (mut connection, hello) = arguments.line.meet(None)?;
    let name = hello.device.unwrap_or_else(|| format!("{:x}", hello.chip_id));
    if !arguments.json {
        println!("{name} on {}; Ctrl-C ends", connection.target());
    }
    let mut task = MonitorTask::new(monitor::READINGS | monitor::HEALTH | monitor::LOG | monitor::SENT);
    connection.run_watching(&mut task, |task, text| {
        let shown = show(arguments, task, text);
        // A closed pipe, such as that of `head`, is a reader that has seen enough.
        shown.is_ok() && !interrupt.is_set()
    })?;
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
