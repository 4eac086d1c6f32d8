//! What a run says: lines, the live view of a terminal, or JSON Lines; and the summary at its end.

use std::io::{IsTerminal, Write};

use dunlin_twin::devices::nor_flash::NorFlash;
use embassy_time::Duration;
use serde_json::json;

use super::super::check::has_color;
use super::Arguments;
use super::view::View;
use crate::simulate::{Line, Run};

/// Longest virtual run whose lines are shown.
const LINES_MAX: Duration = Duration::from_secs(600);

/// Where the lines of a run go.
pub(super) enum Output {
    /// A day has 43,200 lines: its summary tells more. A file on the standard output is nothing to read between lines.
    Nowhere,
    Lines,
    Json,
    Terminal(View),
}

impl Output {
    pub(super) fn new(arguments: &Arguments) -> Self {
        if arguments.json {
            return Output::Json;
        }
        if arguments.is_piped() {
            return Output::Nowhere;
        }
        if arguments.is_virtual && arguments.duration.is_some_and(|duration| duration > LINES_MAX) {
            return Output::Nowhere;
        }
        if arguments.plain || arguments.is_virtual || !std::io::stdout().is_terminal() {
            return Output::Lines;
        }
        Output::Terminal(View::new(has_color()))
    }

    pub(super) fn show(&mut self, lines: impl ExactSizeIterator<Item = Line>) {
        // A pipe that nobody reads any more is no reason to stop.
        let _ = match self {
            Output::Nowhere => Ok(()),
            Output::Json => write_json(lines),
            Output::Lines => write_lines(lines.filter(Line::is_for_people)),
            Output::Terminal(_) if lines.len() == 0 => Ok(()),
            Output::Terminal(view) => view.show(lines.filter(Line::is_for_people)),
        };
    }
}

fn write_lines(lines: impl Iterator<Item = Line>) -> std::io::Result<()> {
    let is_colored = has_color();
    let mut out = std::io::stdout().lock();
    for line in lines {
        if is_colored && line.message().is_none() {
            writeln!(out, "\x1b[2m{line}\x1b[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

fn write_json(lines: impl Iterator<Item = Line>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", line.json())?;
    }
    out.flush()
}

/// Tells what came of a run.
pub(super) fn summary(arguments: &Arguments, node: &Run, flash: &NorFlash) {
    let story = node.story.borrow();
    let (counts, flash) = (story.trace.counts(), flash.counts());
    let (mut transactions, mut samples) = (0, 0);
    node.simulation.hardware().wiring.for_each_bus(|_, bus| {
        transactions += bus.counters().transactions;
        samples += bus.samples();
    });
    let seconds = node.clock.now().as_millis() as f64 / 1000.0;
    if arguments.json {
        let summary = json!({
            "version": 1, "event": "summary", "time": seconds, "samples": samples, "transactions": transactions,
            "messages": counts.messages, "bytes": counts.payload_bytes, "deliveries": story.deliveries,
            "sessions": counts.sessions, "asleep": node.simulation.asleep(), "faults": counts.faults,
            "erases": flash.erases, "programs": flash.programs, "misuses": flash.misuses,
        });
        println!("{summary}");
        return;
    }
    let say = |text: String| arguments.say(&text);
    say(format!("\nsimulated       {seconds:.1} s"));
    say(format!("samples         {samples} read over I2C, in {transactions} transactions"));
    say(format!("messages        {} at the broker ({} bytes)", counts.messages, counts.payload_bytes));
    if story.deliveries > 0 {
        say(format!("deliveries      {} to subscribers", story.deliveries));
    }
    say(format!("sessions        {}", counts.sessions));
    if let Some(share) = node.simulation.asleep() {
        say(format!("processor       asleep for {:.1} % of the time", share * 100.0));
    }
    say(format!("faults          {}", counts.faults));
    say(format!(
        "flash           {} erases, {} programs, {} misuses",
        flash.erases, flash.programs, flash.misuses
    ));
}
