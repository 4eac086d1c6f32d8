//! What is wrong with a file: where, what was found, what is allowed, what to do.

use std::fmt::Write;
use std::ops::Range;

use crate::terminal::wrapped;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, and somebody may be surprised.
    Warning,
}

/// A problem of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code, which `dunlin explain` knows.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where, as byte offsets into the text.
    pub span: Range<usize>,
    /// What was found.
    pub message: String,
    /// What is allowed, and the next step.
    pub help: String,
    /// Byte ranges of its line that are not shown.
    pub(super) hidden: Vec<Range<usize>>,
    /// What is missing, where something is.
    pub(super) lack: Option<Lack>,
}

/// What is missing in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// A key of a table.
    Key(String),
    /// A table, or all of those whose names begin so.
    Table(&'static str),
}

macro_rules! codes {
    ($($name:ident = $number:literal, $explanation:literal;)*) => {
        /// Kinds of problems. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "`explanation` documents each")]
        pub enum Code { $($name = $number,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// Returns what `dunlin explain` says.
            pub const fn explanation(self) -> &'static str {
                match self { $(Code::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    Syntax = 1, "The text is not TOML. Everything behind the place may be misread, so fix this first.";
    UnknownKey = 2, "The table has no such key. Keys are lower case with hyphens; tables are singular (`[sensor.ID]`), lists plural (`filters`).";
    MissingKey = 3, "A key without a default is missing.";
    WrongType = 4, "The value has another type than the key needs.";
    Duration = 5, "A duration is an integer and a unit in quotation marks: \"250ms\", \"2s\", \"1h30m\".";
    OutOfRange = 6, "The value is outside the range that the key allows.";
    Identifier = 7, "An identifier is 1 to 32 of the characters a-z, 0-9 and -.";
    Broker = 8, "A broker is host or host:port. There is no TLS on the device yet, and no URL is needed.";
    Pin = 9, "A pin is a GPIO number. 1 and 3 carry the serial line, 6 to 11 the flash chip.";
    UnknownName = 10, "The name is not one of those that exist.";
    Reference = 11, "The name does not belong to anything in the file.";
    Later = 12, "Dunlin knows the key, and it does not work yet.";
    Topic = 13, "A topic is a whole topic name: not empty, without + and #, not starting with $, and none that the node itself uses.";
    Duplicate = 14, "Two things share what only one can have: a topic, a pin, an address, a name at a broker.";
    Payload = 15, "plain and thingflow carry one value; a report of several readings needs json, or {reading} in its topic.";
    Placeholder = 16, "A placeholder is {device}, {sensor}, {reading} or {vars.NAME}; topics, labels and the texts of [mqtt] have them. {{ is a brace, and }} one that closes.";
    Period = 17, "The sensor's conversion takes longer than the period between two samples.";
    Filter = 18, "A filter is a table with one key, its name: { median = 5 }.";
    Budget = 19, "The configuration does not fit on the device.";
    Secret = 20, "A secret is { env = \"NAME\" } or { file = \"PATH\" }; plain text works and ends up where the file does.";
    Shape = 21, "Everything that is named is a table with its identifier: [sensor.lux-1], not [[sensor]].";
    Silence = 22, "Filters can silence the report for ever; a heartbeat tells that it is alive.";
    BootPin = 23, "The pin decides how the chip starts; what is connected to it must not pull it the wrong way at power-on.";
    Text = 24, "A text is too long, empty, or has control characters.";
    Address = 25, "The fixed address of the link is incomplete or no unicast address.";
    NoSensor = 26, "A node without sensors connects and tells its state, and measures nothing.";
    Unheard = 27, "A reading is named or has filters, and nobody is told it; or a sensor has `qos`, `retain` or `payload`, and no report of its own that they could shape. A sensor's own report ends where a [report] names one of its readings, unless the sensor has a `topic`.";
    Idle = 28, "What is written changes nothing: a throttle that is no longer than the period of its sensor lets every value pass, and a report of one reading that is sent more often than the sensor is read has the same value several times.";
}

impl Code {
    /// Returns the code as people see it, such as `D012`.
    pub fn name(self) -> String {
        format!("D{:03}", self as u16)
    }
}

/// A text and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, usually a path.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// Returns line and column of a byte offset, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before.get(start..).unwrap_or_default().chars().count() + 1)
    }
}

/// Most characters of a line that are shown, about.
const SHOWN: usize = 160;
/// So many are shown even where the terminal has fewer columns.
const SHOWN_MIN: usize = 20;
/// Columns beside the number and the text of a line, with those for `…` at both ends.
const MARGIN: usize = 5;

/// A line as it may be shown, and what stands below it.
struct Excerpt {
    text: String,
    indent: String,
    caret: String,
}

impl Diagnostic {
    fn severity_name(&self) -> &'static str {
        match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }

    /// Returns one line: `file:line:column: error[D012]: message; help`.
    pub fn short(&self, source: &Source) -> String {
        let (line, column) = source.position(self.span.start);
        let (severity, code) = (self.severity_name(), self.code.name());
        format!(
            "{}:{line}:{column}: {severity}[{code}]: {}; {}",
            printable(&source.name),
            self.message,
            self.help
        )
    }

    /// Returns the problem with the line it is in and a caret below it.
    pub fn human(&self, source: &Source, color: bool) -> String {
        self.human_in(source, color, None)
    }

    /// Returns the problem with the line it is in and a caret below it, for a terminal with so many columns.
    pub(crate) fn human_in(&self, source: &Source, color: bool, columns: Option<usize>) -> String {
        let (line, column) = source.position(self.span.start);
        let margin = line.to_string().len() + MARGIN;
        let shown = columns.map_or(SHOWN, |columns| columns.saturating_sub(margin).clamp(SHOWN_MIN, SHOWN));
        let Excerpt { text, indent, caret } = self.excerpt(source, shown);
        let paint = |code: &str, text: &str| {
            if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
        };
        let accent = if self.severity == Severity::Error { "1;31" } else { "1;33" };
        let gutter = " ".repeat(line.to_string().len());
        let mut out = String::new();
        let head = format!("{}[{}]", self.severity_name(), self.code.name());
        let told = wrapped(&format!("{head}: {}", self.message), 2, columns);
        let _ = writeln!(out, "{}", told.replacen(&head, &paint(accent, &head), 1));
        let _ = writeln!(out, "{gutter}--> {}:{line}:{column}", printable(&source.name));
        let _ = writeln!(out, "{gutter} |");
        let _ = writeln!(out, "{line} | {text}");
        let _ = writeln!(out, "{gutter} | {indent}{}", paint(accent, &caret));
        let help = format!("{gutter} = help: {}", self.help);
        let _ = writeln!(out, "{}", wrapped(&help, gutter.len() + " = help: ".len(), columns));
        out
    }

    /// Cuts the problem's line to what fits around the caret, hides secrets, and writes control characters out.
    fn excerpt(&self, source: &Source, shown: usize) -> Excerpt {
        let at = self.span.start.min(source.text.len());
        let (before, after) = source.text.split_at_checked(at).unwrap_or((&source.text, ""));
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = at + after.find('\n').unwrap_or(after.len());
        let line = source.text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let column = before.get(start..).unwrap_or_default().chars().count();
        // The caret is in the middle of what is shown of a long line.
        let first = column.saturating_sub(shown / 2);
        let mut excerpt = Excerpt { text: String::new(), indent: String::new(), caret: String::new() };
        if first > 0 {
            excerpt.text.push('…');
            excerpt.indent.push(' ');
        }
        let mut told = None;
        for (offset, each) in line.char_indices().skip(first).take(shown) {
            let place = start + offset;
            let range = self.hidden.iter().position(|range| range.contains(&place));
            let piece = match range {
                Some(_) if range == told => String::new(),
                Some(_) => "\"…\"".to_owned(),
                None if each == '\t' => "\t".to_owned(),
                None => printable(each.encode_utf8(&mut [0; 4])),
            };
            told = range;
            if place < at {
                // A tab stays a tab, so that the caret stands below its character.
                excerpt.indent.extend(piece.chars().map(|each| if each == '\t' { '\t' } else { ' ' }));
            } else if place < self.span.end {
                excerpt.caret.extend(piece.chars().map(|_| '^'));
            }
            excerpt.text.push_str(&piece);
        }
        if line.chars().nth(first + shown).is_some() {
            excerpt.text.push('…');
        }
        if excerpt.caret.is_empty() {
            excerpt.caret.push('^');
        }
        excerpt
    }

    /// Returns a JSON object on one line.
    pub fn json(&self, source: &Source) -> String {
        let (line, column) = source.position(self.span.start);
        serde_json::json!({
            "version": 1,
            "file": source.name,
            "line": line,
            "column": column,
            "severity": self.severity_name(),
            "code": self.code.name(),
            "message": self.message,
            "help": self.help,
        })
        .to_string()
    }
}

/// Returns each problem with its line and a caret, and then how many more there are.
pub fn told(source: &Source, problems: &[Diagnostic], untold: usize) -> Vec<String> {
    problems.iter().map(|problem| problem.human(source, false)).chain(more(source, untold)).collect()
}

/// Says how many problems there are beyond those that are told; nothing where there are none.
pub fn more(source: &Source, untold: usize) -> Option<String> {
    (untold > 0).then(|| format!("{}: and {untold} more problems", printable(&source.name)))
}

/// Returns a text whose control characters are written out, and those that turn the direction of writing: a file must
/// not steer the terminal. Those that nobody sees are written out as well: they may be what is wrong.
pub(super) fn printable(text: &str) -> String {
    let steers = |each: char| {
        each.is_control() || matches!(each, '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let is_unseen = |each: char| matches!(each, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    let mut out = String::with_capacity(text.len());
    for each in text.chars() {
        if steers(each) || is_unseen(each) { out.extend(each.escape_default()) } else { out.push(each) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_fits_into_a_narrow_terminal_and_keeps_its_caret() {
        let text = "[sensor.lux]\ndriver = \"tsl2951\" # a comment that goes on for long\n".to_owned();
        let source = Source { name: "n.toml".to_owned(), text };
        let span = 22..31;
        let (message, help) = ("unknown driver `tsl2951` of a sensor", "did you mean `tsl2591`, or another?");
        let problem = Diagnostic {
            code: Code::UnknownName,
            severity: Severity::Error,
            span,
            message: message.to_owned(),
            help: help.to_owned(),
            hidden: Vec::new(),
            lack: None,
        };
        let told = problem.human_in(&source, false, Some(36));
        let expected = "error[D010]: unknown driver\n  `tsl2951` of a sensor\n --> n.toml:2:10\n  |\n\
                        2 | driver = \"tsl2951\" # a comment…\n  |          ^^^^^^^^^\n\
                        \u{20} = help: did you mean `tsl2591`, or\n          another?\n";
        assert_eq!(told, expected);
        assert!(
            problem.human_in(&source, true, Some(36)).starts_with("\x1b[1;31merror[D010]\x1b[0m: unknown")
        );
    }
}
