//! From what happened to lines for people and values for plots.

use dunlin_twin::native::board::ResetCause;
use dunlin_twin::world::trace::{Happening, Trace};
use embassy_time::Instant;

/// A line of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it happened.
    pub at: Instant,
    /// The topic of a message; none for a note.
    pub topic: Option<String>,
    /// The payload, or the note.
    pub text: String,
}

impl Line {
    pub(super) fn note(at: Instant, text: String) -> Self {
        Line { at, topic: None, text }
    }

    pub(super) fn message(at: Instant, topic: &str, payload: &[u8]) -> Self {
        let text = String::from_utf8_lossy(payload).into_owned();
        Line { at, topic: Some(topic.to_owned()), text }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.at.as_millis();
        write!(f, "{:>7}.{:03} s  ", ms / 1000, ms % 1000)?;
        match &self.topic {
            Some(topic) => write!(f, "{topic}  {}", self.text),
            None => write!(f, "-- {}", self.text),
        }
    }
}

/// Adds the values of a message to the trace: of a flat JSON object, of ThingFlow's array, or a bare number.
pub(super) fn readings(trace: &mut Trace, at: Instant, topic: &str, payload: &[u8]) {
    let Ok(text) = core::str::from_utf8(payload) else { return };
    // What a node says of itself is not measured.
    let own = ["/stats", "/info", "/status", "/reply"];
    if own.iter().any(|end| topic.ends_with(end)) {
        return;
    }
    let mut add = |reading: &str, value: &str| {
        if let Ok(value) = value.trim().parse() {
            trace.add(at, Happening::Reading { sensor: topic, reading, unit: "", value });
        }
    };
    if let Some(members) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        for member in members.split(',') {
            if let Some((key, value)) = member.split_once(':') {
                let key = key.trim().trim_matches('"');
                if !matches!(key, "seq" | "uptime") {
                    add(key, value);
                }
            }
        }
    } else if let Some(elements) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        add("value", elements.rsplit(',').next().unwrap_or_default());
    } else {
        add("value", text);
    }
}

pub(super) fn reset_name(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power-on",
        ResetCause::External => "external",
        ResetCause::Software => "software",
        ResetCause::Watchdog => "watchdog",
        ResetCause::Panic => "panic",
    }
}
