//! The problems of a file: noted one by one, told in the order of their places.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;

use super::diagnostic::{Code, Diagnostic, Lack, Severity, printable};
use super::foreign::Later;

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems {
    pub(super) noted: Vec<Diagnostic>,
    /// How many there are that stand behind [`TOLD`] others, and need no words.
    pub(super) further: usize,
}

impl Problems {
    pub(super) fn error(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, code, span, &message.into(), &help.into());
    }

    /// Returns whether an error was noted.
    pub(super) fn has_errors(&self) -> bool {
        self.noted.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Notes an error that is there because something is missing.
    pub(super) fn missing(
        &mut self,
        code: Code,
        span: Range<usize>,
        lack: Lack,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.error(code, span, message, help);
        if let Some(problem) = self.noted.last_mut() {
            problem.lack = Some(lack);
        }
    }

    /// Notes an error with message and help, unless one is noted for this very place.
    pub(super) fn unless_told(&mut self, code: Code, span: Range<usize>, told: &(String, String)) {
        if !self.noted.iter().any(|problem| problem.span == span) {
            self.error(code, span, told.0.clone(), told.1.clone());
        }
    }

    /// Notes what is known and does not work yet.
    pub(super) fn later(&mut self, span: Range<usize>, &(name, instead): &Later) {
        let help = format!("remove it until a later version; for now, {instead}");
        self.error(Code::Later, span, format!("`{name}` does not work yet"), help);
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, code, span, &message.into(), &help.into());
    }

    fn push(&mut self, severity: Severity, code: Code, span: Range<usize>, message: &str, help: &str) {
        let (message, help) = (printable(&short(message)), printable(&short(help)));
        self.noted.push(Diagnostic { code, severity, span, message, help, hidden: Vec::new(), lack: None });
    }

    /// Returns the problems in the order of their places, and how many there are beyond [`TOLD`]; errors are told first.
    pub(super) fn finish(self, text: &str, hidden: &[Range<usize>]) -> (Vec<Diagnostic>, usize) {
        let mut told = self.noted;
        let place = |problem: &Diagnostic| (problem.span.start, problem.span.end);
        told.sort_by_key(place);
        // What is wrong with a default is found wherever it is used.
        let mut seen = BTreeSet::new();
        told.retain(|each| seen.insert((place(each), each.message.clone(), each.help.clone())));
        first_of_misread_lines(&mut told, text);
        told.sort_by_key(|problem| problem.severity == Severity::Warning);
        let untold = told.len().saturating_sub(TOLD) + self.further;
        told.truncate(TOLD);
        told.sort_by_key(place);
        for problem in &mut told {
            problem.hidden = hidden_in_line(text, hidden, problem.span.start);
        }
        (told, untold)
    }
}

/// Leaves of each line that is not TOML the first syntax error: all else of it follows from that.
fn first_of_misread_lines(told: &mut Vec<Diagnostic>, text: &str) {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let is_in = |lines: &[Range<usize>], each: &Diagnostic| {
        lines.iter().any(|line| each.span.start <= line.end && each.span.end >= line.start)
    };
    told.retain(|each| {
        let is_first = each.code != Code::Syntax || !is_in(&lines, each);
        if each.code == Code::Syntax && is_first {
            lines.push(line_at(text, each.span.start));
        }
        is_first
    });
    // A key that is lost with its line is not missing, and neither is a table that is lost with one of its lines.
    let word = |line: &str| {
        let mut words = line.split([' ', '\t', ':', '=', '[', ']', '.', '"', '\'']);
        words.find(|word| !word.is_empty()).map(str::to_owned)
    };
    let keys: Vec<String> = lines.iter().filter_map(|line| word(text.get(line.clone())?)).collect();
    let tables: Vec<String> =
        if lines.is_empty() { Vec::new() } else { text.lines().filter_map(word).collect() };
    let is_lost = |each: &Diagnostic| match &each.lack {
        Some(Lack::Key(name)) => keys.contains(name),
        Some(Lack::Table(name)) => tables.iter().any(|table| table == name),
        None => false,
    };
    // Keys below a header that is misread are those of no table.
    for line in &mut lines {
        if text.get(line.clone()).is_some_and(is_misread_header) {
            line.end = next_header(text, line.end);
        }
    }
    told.retain(|each| each.code == Code::Syntax || !is_in(&lines, each) && !is_lost(each));
}

/// Returns whether a line is that of a table, and no TOML.
fn is_misread_header(line: &str) -> bool {
    line.trim_start().starts_with('[') && DeTable::parse(line).is_err()
}

/// Returns where the lines before the next header end.
fn next_header(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find("\n[").map_or(text.len(), |at| from + at)
}

/// Returns what is hidden of the line that a place is in.
pub(super) fn hidden_in_line(text: &str, hidden: &[Range<usize>], at: usize) -> Vec<Range<usize>> {
    let line = line_at(text, at);
    hidden.iter().filter(|range| range.start <= line.end && range.end >= line.start).cloned().collect()
}

/// Returns where the line is that a place is in.
pub(super) fn line_at(text: &str, at: usize) -> Range<usize> {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    start..before.len() + after.find('\n').unwrap_or(after.len())
}

/// Most problems of a file that are told; one with more is another kind of file.
pub(super) const TOLD: usize = 100;

/// Returns a text without its middle where it is too long to be read: a value may be as long as the file.
fn short(text: &str) -> std::borrow::Cow<'_, str> {
    let (head, tail) = (text.char_indices().nth(300), text.char_indices().nth_back(99));
    match (head, tail) {
        (Some((head, _)), Some((tail, _))) if head < tail => {
            [text.get(..head).unwrap_or_default(), "…", text.get(tail..).unwrap_or_default()].concat().into()
        }
        _ => text.into(),
    }
}
