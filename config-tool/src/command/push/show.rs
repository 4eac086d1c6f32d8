//! How a push is told: to people, and to scripts.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use dunlin_config_format::reason::Reason;
use serde_json::{Value, json};

use super::super::{CARRIED, short};
use super::remarks::{Remarks, SensorFault};
use crate::device::{Package, Progress, Pushed, Trial};

/// Tells how a push goes: one line that changes in a terminal, plain lines elsewhere, or JSON Lines.
pub(super) struct Show {
    is_json: bool,
    is_terminal: bool,
    /// Whether the terminal's last line is one that changes.
    is_open: bool,
    last: String,
}

impl Show {
    pub(super) fn new(is_json: bool) -> Self {
        Show { is_json, is_terminal: std::io::stderr().is_terminal(), is_open: false, last: String::new() }
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

    pub(super) fn end_line(&mut self) {
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
