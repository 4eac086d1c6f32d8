//! `dunlin push`: brings a configuration to a board and waits for the verdict.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use dunlin_config_format::reason::Reason;
use serde_json::{Value, json};

use super::{CommandError, DEFAULT_FILE, Exit, LineArguments, Outcome, folder, short};
use crate::device::{FAST_RATE, MonitorTask, Package, Progress, PushOptions, PushTask, Pushed, Trial};
use crate::interrupt::Interrupt;
use crate::line::Connection;
use crate::package;

/// How often a file that is watched is looked at.
pub(crate) const SAVE_PERIOD: Duration = Duration::from_millis(200);

/// Bring a configuration to a board and wait until it is confirmed or rolled back
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// File with the configuration
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    #[command(flatten)]
    line: LineArguments,
    /// Push again at every save, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Confirm without a broker, when the node has started (for the bench)
    #[arg(long)]
    confirm: bool,
    /// End when it is stored, without waiting for the verdict
    #[arg(long, conflicts_with = "watch")]
    no_wait: bool,
    /// Replace the configuration of a board that carries another device's
    #[arg(long)]
    replace: bool,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let interrupt = Interrupt::watch().map_err(|error| CommandError::new(Exit::Device, error))?;
    let mut show = Show::new(arguments.json);
    let mut saved = modified(&arguments.file);
    let package = load(&arguments.file)?;
    show.file(&arguments.file, &package);
    let mut connection = arguments.line.connect(Some(&package.device))?;
    let mut exit = push(arguments, package, &mut connection, &mut show, &interrupt)?;
    while arguments.watch && !interrupt.is_set() {
        // The port stays open and goes on serving other commands.
        connection.run_watching(&mut MonitorTask::new(0), |_, _| {
            !interrupt.is_set() && modified(&arguments.file) == saved
        })?;
        if interrupt.is_set() {
            break;
        }
        // An editor may write a file in several steps.
        std::thread::sleep(SAVE_PERIOD);
        saved = modified(&arguments.file);
        let pushed = load(&arguments.file).and_then(|package| {
            show.file(&arguments.file, &package);
            push(arguments, package, &mut connection, &mut show, &interrupt)
        });
        // A mistake in the file, or a rollback, is told; the next save is another try.
        match pushed {
            Ok(pushed) => exit = pushed,
            Err(error) => eprintln!("error: {}", error.text),
        }
    }
    Ok(exit)
}

fn load(path: &Path) -> Result<Package, CommandError> {
    package::load(path).map_err(|error| CommandError::new(Exit::Refused, error))
}

/// Returns what tells one save of a file from the next.
pub(crate) fn modified(path: &Path) -> Option<(SystemTime, u64)> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

fn push(
    arguments: &Arguments,
    package: Package,
    connection: &mut Connection,
    show: &mut Show,
    interrupt: &Interrupt,
) -> Outcome {
    let options = PushOptions {
        confirm: arguments.confirm,
        replace: arguments.replace,
        no_wait: arguments.no_wait,
        rate: Some(FAST_RATE),
    };
    let device = package.device.clone();
    let mut task = PushTask::new(package, options)?;
    let mut is_stored = false;
    let started = Instant::now();
    let ended = connection.run_watching(&mut task, |task, _| {
        while let Some(progress) = task.take_progress() {
            is_stored |= matches!(progress, Progress::Stored { .. } | Progress::Trial(_));
            show.progress(&progress);
        }
        !interrupt.is_set()
    });
    show.end_line();
    let Some(pushed) = ended? else {
        show.interrupted(is_stored);
        return Ok(if is_stored { Exit::Done } else { Exit::Device });
    };
    folder::remember_port(&device, &connection.target().to_string());
    show.pushed(&pushed, started.elapsed());
    Ok(match pushed {
        Pushed::Unchanged | Pushed::Confirmed | Pushed::Stored => Exit::Done,
        Pushed::Rejected { .. } | Pushed::OnTrial { .. } => Exit::Device,
    })
}

/// Tells how a push goes: one line that changes in a terminal, plain lines elsewhere, or JSON Lines.
struct Show {
    is_json: bool,
    is_terminal: bool,
    /// Whether the terminal's last line is one that changes.
    is_open: bool,
    last: String,
}

impl Show {
    fn new(is_json: bool) -> Self {
        Show { is_json, is_terminal: std::io::stderr().is_terminal(), is_open: false, last: String::new() }
    }

    fn file(&mut self, path: &Path, package: &Package) {
        let hash = short(&package.hash);
        if self.is_json {
            let (file, bytes) = (path.display().to_string(), package.image.len());
            return self.json(
                "file",
                &json!({ "file": file, "device": package.device, "bytes": bytes, "hash": hash }),
            );
        }
        println!("{}: device {}, {} bytes, hash {hash}", path.display(), package.device, package.image.len());
    }

    fn progress(&mut self, progress: &Progress) {
        if self.is_json {
            let (event, fields) = as_json(progress);
            return self.json(event, &fields);
        }
        match progress {
            Progress::Hello(hello) => self.line(&format!(
                "board {:x}, firmware {}, runs {}",
                hello.chip_id,
                hello.firmware,
                hello.device.as_deref().unwrap_or("nothing")
            )),
            Progress::Erasing => self.change("preparing"),
            // Elsewhere than in a terminal a line per frame would be a flood.
            Progress::Sending { sent, length } if self.is_terminal => {
                self.change(&format!("sending, {sent} of {length} bytes"));
            }
            Progress::Sending { .. } => {}
            Progress::Stored { generation } => self.line(&format!("stored as generation {generation}")),
            Progress::Trial(trial) => self.change(&on_trial(trial)),
            Progress::Restarted => self.line("the board has restarted or lost the thread: beginning anew"),
        }
    }

    fn pushed(&mut self, pushed: &Pushed, took: Duration) {
        if self.is_json {
            let (verdict, reason) = match pushed {
                Pushed::Unchanged => ("unchanged", None),
                Pushed::Confirmed => ("confirmed", None),
                Pushed::Stored => ("stored", None),
                Pushed::Rejected { reason } => ("rolled-back", *reason),
                Pushed::OnTrial { reason } => ("on-trial", *reason),
            };
            let reason = reason.and_then(Reason::from_code).map(Reason::name);
            return self.json(
                "verdict",
                &json!({ "verdict": verdict, "reason": reason, "seconds": took.as_secs_f64() }),
            );
        }
        let seconds = format!("{:.1} s", took.as_secs_f64());
        match pushed {
            Pushed::Unchanged => {
                println!("unchanged: this configuration runs and is confirmed; nothing was written")
            }
            Pushed::Confirmed => println!("confirmed after {seconds}"),
            Pushed::Stored => println!("stored after {seconds}; `dunlin info` tells the verdict"),
            Pushed::Rejected { reason } => {
                println!("rolled back: {}; the configuration before it runs again", why(*reason));
            }
            Pushed::OnTrial { reason } => {
                println!(
                    "still on trial: {}; there is nothing to go back to, the board goes on trying",
                    why(*reason)
                );
            }
        }
    }

    fn interrupted(&mut self, is_stored: bool) {
        if self.is_json {
            return self.json("interrupted", &json!({ "stored": is_stored }));
        }
        if is_stored {
            println!("the board goes on alone: `dunlin info` tells how the trial ended");
        } else {
            println!("not stored: the board keeps the configuration that it has");
        }
    }

    fn json(&self, event: &str, fields: &Value) {
        let mut object = json!({ "version": 1, "event": event });
        if let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) {
            object.extend(fields.clone());
        }
        println!("{object}");
    }

    fn line(&mut self, text: &str) {
        self.end_line();
        println!("{text}");
    }

    /// A line that the next takes the place of, in a terminal; elsewhere one that is not repeated.
    fn change(&mut self, text: &str) {
        if self.is_terminal {
            eprint!("\r\x1b[2K{text}");
            self.is_open = true;
        } else if without_time(text) != without_time(&self.last) {
            println!("{text}");
        }
        text.clone_into(&mut self.last);
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_open) {
            eprint!("\r\x1b[2K");
        }
    }
}

/// What tells two lines apart that are not one line a moment later.
fn without_time(line: &str) -> &str {
    line.rsplit_once(", ").map_or(line, |(head, _)| head)
}

fn on_trial(trial: &Trial) -> String {
    let elapsed = trial.elapsed.as_secs();
    let time = match trial.limit {
        Some(limit) => format!("{elapsed} s of {} s", limit.as_secs()),
        None => format!("{elapsed} s, without limit"),
    };
    let failed =
        if trial.attempts > 0 { format!(" (attempt {})", trial.attempts + 1) } else { String::new() };
    match trial.reason.and_then(Reason::from_code) {
        None => format!("on trial: starting{failed}, {time}"),
        Some(reason) => format!("on trial: waiting for {}{failed}, {time}", waits_for(reason)),
    }
}

/// What a trial waits for while this is its reason.
fn waits_for(reason: Reason) -> &'static str {
    match reason {
        Reason::NoAddress => "an address",
        Reason::NameNotResolved => "the broker's name to be resolved",
        Reason::BrokerUnreachable | Reason::BrokerSilent | Reason::SessionRefused => "broker",
        Reason::CredentialsRefused => "the broker to accept user and password",
        Reason::PublishRefused => "the broker to accept the birth message",
        Reason::PartSilent => "all parts of the node",
        Reason::Watchdog | Reason::Panic | Reason::Requested | Reason::Unreadable => "another attempt",
    }
}

/// Why a trial ended, or does not end, with what to do about it.
pub(crate) fn why(code: Option<u16>) -> String {
    let Some(reason) = code.and_then(Reason::from_code) else {
        return code.map_or_else(|| "for no reason told".to_owned(), |code| format!("reason {code}"));
    };
    match reason {
        Reason::NoAddress => "the network gave the node no address (DHCP): check the link",
        Reason::NameNotResolved => {
            "the broker's name could not be resolved: check `broker`, or write its address"
        }
        Reason::BrokerUnreachable => {
            "the broker's host did not take the connection: check `broker` and whether it runs"
        }
        Reason::BrokerSilent => {
            "the broker's host took the connection, but nothing there speaks MQTT: check the port"
        }
        Reason::CredentialsRefused => "the broker refused user name or password",
        Reason::PublishRefused => {
            "the broker does not let the node write to its topics: check its access list"
        }
        Reason::SessionRefused => "the broker refused the session: it must speak MQTT 5",
        Reason::PartSilent => "a part of the node did not report: please report this with the configuration",
        Reason::Watchdog => "the node hung: please report this with the configuration",
        Reason::Panic => "the node crashed: please report this with the configuration",
        Reason::Requested => "somebody asked for it",
        Reason::Unreadable => "the firmware can't read it: bring firmware and tool to one version",
    }
    .to_owned()
}

fn as_json(progress: &Progress) -> (&'static str, Value) {
    match progress {
        Progress::Hello(hello) => (
            "board",
            json!({ "chip": format!("{:x}", hello.chip_id), "firmware": hello.firmware, "device": hello.device }),
        ),
        Progress::Erasing => ("erasing", json!({})),
        Progress::Sending { sent, length } => ("sending", json!({ "sent": sent, "length": length })),
        Progress::Stored { generation } => ("stored", json!({ "generation": generation })),
        Progress::Trial(trial) => (
            "trial",
            json!({
                "waits-for": trial.reason.and_then(Reason::from_code).map(Reason::name),
                "seconds": trial.elapsed.as_secs_f64(),
                "limit": trial.limit.map(|limit| limit.as_secs_f64()),
                "failed-attempts": trial.attempts,
            }),
        ),
        Progress::Restarted => ("restarted", json!({})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_told_as_people_wait_for_it() {
        let trial = Trial {
            reason: Some(Reason::BrokerUnreachable.code()),
            elapsed: Duration::from_millis(12_300),
            limit: Some(Duration::from_secs(60)),
            attempts: 0,
        };
        assert_eq!(on_trial(&trial), "on trial: waiting for broker, 12 s of 60 s");
        assert_eq!(without_time(&on_trial(&trial)), "on trial: waiting for broker");
    }

    #[test]
    fn every_reason_has_words() {
        for reason in Reason::ALL {
            assert!(!why(Some(reason.code())).is_empty() && !waits_for(reason).is_empty());
        }
        assert_eq!(why(Some(999)), "reason 999");
    }
}
