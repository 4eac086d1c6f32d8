//! The live view of a terminal: a row for each topic that is renewed in place, and everything else scrolling by above.

use std::io::{self, Write};

use rustix::termios::tcgetwinsize;

use crate::simulate::Line;

/// Values of the small curve.
const CURVE: usize = 24;
/// Levels of the small curve.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A topic and what came.
struct Row {
    topic: String,
    count: u64,
    text: String,
    values: Vec<f64>,
}

/// What the terminal shows.
pub(super) struct View {
    rows: Vec<Row>,
    /// Lines of the block that stands at the bottom of the terminal.
    shown: usize,
    is_colored: bool,
}

impl View {
    /// Returns a view of nothing yet.
    pub(super) fn new(is_colored: bool) -> Self {
        View { rows: Vec::new(), shown: 0, is_colored }
    }

    /// Takes lines in and renews what the terminal shows.
    pub(super) fn show(&mut self, lines: impl Iterator<Item = Line>) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (columns, rows) = size.map_or((100, 24), |size| (size.ws_col.into(), size.ws_row.into()));
        let notes: Vec<String> = lines.filter_map(|line| self.take(line)).collect();
        let mut out = io::stdout().lock();
        if self.shown > 0 {
            write!(out, "\x1b[{}F\x1b[J", self.shown)?;
        }
        for note in notes {
            let (dim, plain) = if self.is_colored { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
            writeln!(out, "{dim}{note}{plain}")?;
        }
        let block = self.block(columns, rows);
        self.shown = block.len();
        for line in block {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    /// Takes a message into its row; a note comes back.
    fn take(&mut self, line: Line) -> Option<String> {
        let Some((topic, text)) = line.message() else { return Some(line.to_string()) };
        let is_own = ["/info", "/stats", "/reply"].iter().any(|end| topic.ends_with(end));
        let value = value(&text).filter(|_| !is_own);
        let index = self.rows.iter().position(|row| row.topic == topic).unwrap_or_else(|| {
            self.rows.push(Row {
                topic: topic.to_owned(),
                count: 0,
                text: String::new(),
                values: Vec::new(),
            });
            self.rows.len() - 1
        });
        if let Some(row) = self.rows.get_mut(index) {
            row.count += 1;
            row.text = text;
            row.values.extend(value);
            let excess = row.values.len().saturating_sub(CURVE);
            row.values.drain(..excess);
        }
        None
    }

    /// Returns the rows, no wider than the terminal and no more than fit into it.
    fn block(&self, columns: usize, rows: usize) -> Vec<String> {
        let widest = self.rows.iter().map(|row| row.topic.chars().count()).max().unwrap_or(0).min(40);
        let most = rows.saturating_sub(2).max(1);
        let hidden = self.rows.len().saturating_sub(most);
        let mut block: Vec<String> = self
            .rows
            .iter()
            .take(most)
            .map(|row| {
                let curve = if row.values.len() > 2 { curve(&row.values) } else { String::new() };
                let line = format!(
                    "{:<widest$} {:>6}  {curve:<width$} {}",
                    row.topic,
                    row.count,
                    row.text,
                    width = CURVE.min(columns / 5)
                );
                line.chars().take(columns.saturating_sub(1)).collect()
            })
            .collect();
        if hidden > 0 {
            block.push(format!("… and {hidden} topics more"));
        }
        block
    }
}

/// The value of a message, where it has one: a number, the last of ThingFlow's array, or the first member of an object.
fn value(text: &str) -> Option<f64> {
    let number = if let Some(inner) = text.strip_prefix('[') {
        inner.strip_suffix(']')?.rsplit(',').next()?
    } else if let Some(inner) = text.strip_prefix('{') {
        inner.split([',', '}']).next()?.split_once(':')?.1
    } else {
        text
    };
    number.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// Draws values as a line of small blocks, from the least to the largest of them.
fn curve(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = (largest - least).max(f64::MIN_POSITIVE);
    let level = |value: &f64| {
        let level = ((value - least) / span * (LEVELS.len() - 1) as f64).round() as usize;
        LEVELS.get(level).copied().unwrap_or('█')
    };
    values.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Event;
    use embassy_time::Instant;

    fn message(topic: &str, text: &str) -> Line {
        let payload = text.as_bytes().to_vec();
        let event = Event::Message { topic: topic.into(), payload, qos: 0, retained: false };
        Line { at: Instant::from_ticks(0), event }
    }

    #[test]
    fn a_topic_has_one_row_and_the_newest_message() {
        let mut view = View::new(false);
        for (value, text) in
            [(1.0, "1"), (2.0, "[\"lux\", 2, 2.0]"), (3.0, "{\"illuminance\":3.0,\"seq\":1}")]
        {
            assert_eq!(super::value(text), Some(value));
            assert_eq!(view.take(message("light", text)), None);
        }
        view.take(message("state", "online"));
        let note = Line { at: Instant::from_ticks(0), event: Event::Note("started".into()) };
        assert!(view.take(note).is_some_and(|note| note.contains("started")));
        let block = view.block(60, 24);
        assert_eq!(block.len(), 2);
        assert!(block[0].starts_with("light      3  ▁▅█ ") && block[0].contains("3.0"), "{block:?}");
        assert!(view.block(20, 24).iter().all(|line| line.chars().count() < 20));
        assert_eq!(view.block(60, 3), [block[0].clone(), "… and 1 topics more".to_owned()]);
    }

    #[test]
    fn equal_values_are_a_flat_line() {
        assert_eq!(curve(&[5.0, 5.0, 5.0]), "▁▁▁");
        assert_eq!(value("offline"), None);
    }
}
