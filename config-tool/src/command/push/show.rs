//! How a push is told: to people, and to scripts.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use dunlin_config_format::reason::Reason;
use dunlin_config_format::slot::ATTEMPTS;
use serde_json::{Value, json};

use super::super::{CARRIED, short};
use super::remarks::{Remarks, SensorFault};
use crate::device::{Package, Progress, Pushed, Trial};

/// How often a trial that goes on is told where each line stays.
const SPARSE: Duration = Duration::from_secs(10);

/// Tells how a push goes: one line that changes in a terminal, plain lines elsewhere, or JSON Lines.
pub(super) struct Show {
    is_json: bool,
    is_terminal: bool,
    /// Whether the terminal's last line is one that changes.
    is_open: bool,
    /// What was told last of the trial where each line stays: what it waits for, and when.
    told: Option<(String, Duration)>,
}

impl Show {
    pub(super) fn new(is_json: bool) -> Self {
        Show { is_json, is_terminal: std::io::stderr().is_terminal(), is_open: false, told: None }
    }

    pub(super) fn file(&mut self, path: &Path, package: &Package) {
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

    pub(super) fn progress(&mut self, progress: &Progress) {
        if self.is_json {
            let (event, fields) = as_json(progress);
            return self.json(event, &fields);
        }
        match progress {
            Progress::Hello(hello) => self.line(&format!(
                "board {}, firmware {}, runs {}",
                hello.chip(),
                hello.firmware,
                hello.device.as_deref().unwrap_or("nothing")
            )),
            Progress::Preparing => self.change("preparing"),
            // Elsewhere than in a terminal a line per frame would be a flood.
            Progress::Sending { sent, length } if self.is_terminal => {
                self.change(&format!("sending, {sent} of {length} bytes"));
            }
            Progress::Sending { .. } => {}
            Progress::Stored { generation } => self.line(&format!("stored as generation {generation}")),
            Progress::Trial(trial) if self.is_terminal || is_due(&mut self.told, trial) => {
                self.change(&format!("{}, {}", on_trial(trial), time(trial)));
            }
            Progress::Trial(_) => {}
            Progress::Restarted => self.line("the board has restarted or lost the thread: beginning anew"),
        }
    }

    /// Tells the verdict, and what a person should know with it.
    pub(super) fn pushed(&mut self, pushed: &Pushed, took: Duration, remarks: &Remarks) {
        if self.is_json {
            for SensorFault { sensor, health, words } in &remarks.faults {
                self.json("fault", &json!({ "sensor": sensor, "health": health, "text": words }));
            }
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
                &json!({
                    "verdict": verdict, "reason": reason, "seconds": took.as_secs_f64(),
                    "same-broker": remarks.is_same_broker,
                }),
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
                let broker = if remarks.is_same_broker {
                    "; the configuration before it has the same broker: it is probably the broker, not your file"
                } else {
                    ""
                };
                println!("rolled back: {}{broker}; the configuration before it runs again", why(*reason));
            }
            Pushed::OnTrial { reason } => {
                println!(
                    "still on trial: {}; there is nothing to go back to, the board goes on trying",
                    why(*reason)
                );
            }
        }
        for SensorFault { sensor, health, words } in &remarks.faults {
            println!("{sensor}: {health}: {words}");
        }
    }

    /// Says that this process carried the node's network.
    pub(super) fn carried(&self) {
        if !self.is_json {
            println!("{CARRIED}");
        }
    }

    pub(super) fn interrupted(&mut self, is_stored: bool) {
        if self.is_json {
            return self.json("interrupted", &json!({ "stored": is_stored }));
        }
        if is_stored {
            println!("no verdict yet: the board goes on alone; `dunlin info` tells how the trial ended");
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

    /// A line that the next takes the place of, in a terminal.
    fn change(&mut self, text: &str) {
        if self.is_terminal {
            eprint!("\r\x1b[2K{text}");
            self.is_open = true;
        } else {
            println!("{text}");
        }
    }

    pub(super) fn end_line(&mut self) {
        if std::mem::take(&mut self.is_open) {
            eprint!("\r\x1b[2K");
        }
    }
}

/// Whether a trial has something new, or has gone on for long enough to be told again; notes that it is told.
fn is_due(told: &mut Option<(String, Duration)>, trial: &Trial) -> bool {
    let (what, elapsed) = (on_trial(trial), trial.elapsed);
    // The time of an attempt begins anew.
    let is_told =
        told.as_ref().is_some_and(|(last, at)| *last == what && (*at..*at + SPARSE).contains(&elapsed));
    if !is_told {
        *told = Some((what, elapsed));
    }
    !is_told
}

/// What a trial waits for, and which attempt this is.
fn on_trial(trial: &Trial) -> String {
    let attempt = match trial.limit {
        Some(_) => format!(" (attempt {} of {ATTEMPTS})", trial.attempts + 1),
        None if trial.attempts > 0 => format!(" (attempt {})", trial.attempts + 1),
        None => String::new(),
    };
    match trial.reason.and_then(Reason::from_code) {
        None => format!("on trial: starting{attempt}"),
        Some(reason) => format!("on trial: waiting for {}{attempt}", waits_for(reason)),
    }
}

/// How long an attempt lasts already, and how long it may.
fn time(trial: &Trial) -> String {
    let elapsed = trial.elapsed.as_secs();
    match trial.limit {
        Some(limit) => format!("{elapsed} s of {} s", limit.as_secs()),
        None => format!("{elapsed} s, without limit"),
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
        Reason::Watchdog | Reason::Panic | Reason::Requested | Reason::Unreadable | Reason::Vouched => {
            "another attempt"
        }
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
        Reason::Vouched => "somebody had confirmed it without a broker",
    }
    .to_owned()
}

fn as_json(progress: &Progress) -> (&'static str, Value) {
    match progress {
        Progress::Hello(hello) => {
            ("board", json!({ "chip": hello.chip(), "firmware": hello.firmware, "device": hello.device }))
        }
        Progress::Preparing => ("preparing", json!({})),
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

    fn trial(elapsed_ms: u64, limit_s: Option<u64>, attempts: u8) -> Trial {
        Trial {
            reason: Some(Reason::BrokerUnreachable.code()),
            elapsed: Duration::from_millis(elapsed_ms),
            limit: limit_s.map(Duration::from_secs),
            attempts,
        }
    }

    /// The lines of a trial that is asked for every 200 ms, where each line stays.
    fn told(attempts: impl IntoIterator<Item = (u8, Option<u64>, u64)>) -> Vec<String> {
        let mut last = None;
        let mut lines = Vec::new();
        for (attempt, limit, seconds) in attempts {
            let asked = (0..seconds * 5).map(|index| trial(index * 200, limit, attempt));
            let due = asked.filter(|trial| is_due(&mut last, trial));
            lines.extend(due.map(|trial| format!("{}, {}", on_trial(&trial), time(&trial))));
        }
        lines
    }

    #[test]
    fn each_attempt_of_a_trial_is_told_and_then_every_ten_seconds() {
        let waiting = "on trial: waiting for broker";
        let expected = [
            format!("{waiting} (attempt 1 of 3), 0 s of 15 s"),
            format!("{waiting} (attempt 1 of 3), 10 s of 15 s"),
            format!("{waiting} (attempt 2 of 3), 0 s of 15 s"),
            format!("{waiting} (attempt 2 of 3), 10 s of 15 s"),
            format!("{waiting} (attempt 3 of 3), 0 s of 15 s"),
            format!("{waiting} (attempt 3 of 3), 10 s of 15 s"),
        ];
        assert_eq!(told((0..3).map(|attempt| (attempt, Some(15), 15))), expected);
    }

    #[test]
    fn a_trial_without_limit_is_told_every_ten_seconds() {
        let lines = told([(0, None, 90)]);
        assert_eq!(lines.len(), 9, "{lines:#?}");
        assert_eq!(lines[1], "on trial: waiting for broker, 10 s, without limit");
        assert_eq!(on_trial(&trial(0, None, 1)), "on trial: waiting for broker (attempt 2)");
    }

    #[test]
    fn every_reason_has_words() {
        for reason in Reason::ALL {
            assert!(!why(Some(reason.code())).is_empty() && !waits_for(reason).is_empty());
        }
        assert_eq!(why(Some(999)), "reason 999");
    }
}
