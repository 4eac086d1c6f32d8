//! What the board says over its serial line: lines of its log, and, where they are wanted, readings and health.

use std::time::Duration;

use dunlin_config_format::frame::Frame;
use dunlin_config_format::message::monitor;
use embassy_time::Instant;

use super::Story;
use super::record::Event;
use crate::device::{Failure, MonitorTask, NodeEvent, Outbox, Station, Task, Time};

/// Longest line of an agent; of a longer one, which a boot ROM begins, the end is kept.
const LINE_MAX: usize = 256;

/// How the first line of an agent begins.
const GREETING: &str = "dunlin ";

/// Hears frames and answers none. Those of an emulated chip's network are among them.
struct Silence;

impl Task for Silence {
    type Output = ();

    fn step(&mut self, _: Time, _: Option<&Frame<'_>>, _: &mut Outbox) -> Option<Result<(), Failure>> {
        None
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// A listener on the line, as `dunlin monitor` is one.
pub(super) struct Ear {
    station: Station,
    /// Asks the board for events, from its first line on.
    task: Option<MonitorTask>,
    wants_events: bool,
    line: Vec<u8>,
}

impl Ear {
    /// Returns an ear for lines, and for readings and health where `wants_events`; the board is asked for those.
    pub(super) fn new(wants_events: bool) -> Self {
        Ear { station: Station::default(), task: None, wants_events, line: Vec::new() }
    }

    /// Takes bytes from the board and tells the story of them; returns the bytes for the board.
    pub(super) fn hear(&mut self, now: Instant, bytes: &[u8], story: &mut Story) -> Vec<u8> {
        if bytes.is_empty() && self.task.is_none() {
            return Vec::new();
        }
        let time = Duration::from_micros(now.as_micros());
        let ended = match &mut self.task {
            Some(task) => {
                let ended = self.station.receive(time, bytes, task).or_else(|| self.station.tick(time, task));
                while let Some(event) = task.take_event() {
                    story.hear(now, event);
                }
                ended.is_some()
            }
            None => {
                let _ = self.station.receive(time, bytes, &mut Silence);
                false
            }
        };
        if ended {
            // The board does not answer, or has gone: it is asked anew when it is heard again.
            self.task = None;
        }
        for byte in self.station.take_text() {
            self.add(now, time, byte, story);
        }
        self.station.take_bytes()
    }

    fn add(&mut self, now: Instant, time: Duration, byte: u8, story: &mut Story) {
        if byte != b'\n' {
            if self.line.len() == LINE_MAX {
                self.line.clear();
            }
            self.line.push(byte);
            return;
        }
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let Some(text) = said(text.trim_end()) else { return };
        story.push(now, Event::Log(text.to_owned()));
        // A board that has just started has forgotten what it was asked for.
        if self.wants_events && (self.task.is_none() || text.starts_with(GREETING)) {
            let task = self.task.insert(MonitorTask::new(monitor::READINGS | monitor::HEALTH));
            let _ = self.station.tick(time, task);
        }
    }
}

/// Returns what the agent said in a line. What the boot ROM says before comes at another rate, and is noise at this one.
fn said(line: &str) -> Option<&str> {
    let is_noise = |each: char| each.is_control() || each == '\u{fffd}';
    match line.rsplit_once(is_noise) {
        None => Some(line).filter(|line| !line.is_empty()),
        Some((_, end)) => end.find(GREETING).and_then(|at| end.get(at..)),
    }
}

impl Story {
    fn hear(&mut self, at: Instant, event: NodeEvent) {
        match event {
            NodeEvent::Reading { sensor, name, value, unit, .. } => {
                self.push(at, Event::Reading { sensor, name, value, unit: unit.unwrap_or_default() });
            }
            NodeEvent::Health { sensor, health, .. } => self.push(at, Event::Health { sensor, health }),
            NodeEvent::Log { text, .. } => self.push(at, Event::Log(text)),
            NodeEvent::Lost(count) => {
                self.push(at, Event::Note(format!("{count} events were lost on the serial line")));
            }
            NodeEvent::Sent { .. } | NodeEvent::Answers(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_config_format::packet;

    use super::*;

    #[test]
    fn an_ear_that_wants_no_events_says_nothing_whatever_it_hears() {
        let mut story = Story::default();
        let (frame, _) = packet::fragment(&[0x45; 40], 0, 0).unwrap();
        let mut ear = Ear::new(false);
        for bytes in [&b"dunlin 0.1.0\r\n"[..], frame.as_bytes(), b"\0rubbish\0", frame.as_bytes()] {
            assert_eq!(ear.hear(Instant::from_secs(3), bytes, &mut story), [0; 0]);
        }
        assert_eq!(story.lines.len(), 1);
    }

    #[test]
    fn noise_before_the_first_line_is_not_the_agents() {
        assert_eq!(said("rl\u{fffd}l`\u{3}pdunlin 0.1.0"), Some("dunlin 0.1.0"));
        assert_eq!(said("rl\u{fffd}l`"), None);
        assert_eq!(said("generation 1 started"), Some("generation 1 started"));
        assert_eq!(said(""), None);
    }
}
