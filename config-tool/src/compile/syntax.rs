//! What of a text is not TOML, and where it is told.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Code;
use super::hidden::{hidden, is_harmless, is_session};
use super::keys::{self, TableKeys};
use super::meant;
use super::problems::{Problems, line_at};

/// Nested brackets that a file may have; more is no configuration.
const DEPTH: usize = 64;
/// Syntax errors that are told; a file with more is another kind of file.
const ERRORS: usize = 100;
/// Most bytes of a file: many times what fits on a device, with comments.
pub(crate) const FILE_SIZE: usize = 256 << 10;

/// Reads a text as a tree and notes what is not TOML; returns what no output may show as well. Without a tree, the text is
/// no configuration at all.
pub(super) fn parse<'t>(
    problems: &mut Problems,
    text: &'t str,
) -> (Option<Spanned<DeTable<'t>>>, Vec<Range<usize>>) {
    if let Some((at, message, help)) = no_configuration(text) {
        problems.error(Code::Syntax, at..at, message, help);
        // It is no line of a configuration, and may be anything.
        return (None, std::iter::once(0..text.len()).collect());
    }
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let hidden = hidden(text, root.get_ref(), !errors.is_empty());
    let headers = if errors.is_empty() { BTreeMap::new() } else { headers(text) };
    let mut lists = Vec::new();
    for error in errors.into_iter().take(ERRORS) {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().next().unwrap_or("not TOML");
        if let Some(table) = list_header(text, span.start).filter(|_| message == "duplicate key") {
            lists.push((span, table));
            continue;
        }
        let twice = Twice { text, root: root.get_ref(), headers: &headers, hidden: &hidden };
        if let Some((message, help)) = twice.told(&span).filter(|_| message == "duplicate key") {
            problems.error(Code::Syntax, span, message, help);
        } else if let Some((span, message, help)) = meant::line(text, span.start, &hidden) {
            problems.error(Code::Syntax, span, message, help);
        } else {
            problems.error(Code::Syntax, span, message, "correct the line, then check again");
        }
    }
    // What is not TOML stands before all else: from the first problem it is told whether the text is misread.
    lists.into_iter().for_each(|(span, table)| super::list(problems, span, table));
    place_lost(root.get_mut());
    (Some(root), hidden)
}

/// Tells why a text is no configuration at all, before anything reads it: place, message and help.
fn no_configuration(text: &str) -> Option<(usize, String, &'static str)> {
    if text.len() > FILE_SIZE {
        let help = "a configuration has a few thousand: is it the right file?";
        return Some((0, format!("the file has more than {FILE_SIZE} bytes"), help));
    }
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            0 => {
                let help = "is it the right file? Images are pushed as they are";
                return Some((at, "the file is not text".to_owned(), help));
            }
            b'\n' if depth <= 2 => depth = 0,
            _ => {}
        }
        if depth > DEPTH {
            let message = format!("brackets are nested more than {DEPTH} deep");
            return Some((at, message, "is it the right file?"));
        }
    }
    let kind = meant::other_kind(text)?;
    let help = "a configuration is TOML: [device] and name = \"node-1\"; `dunlin new` writes one";
    Some((0, format!("this looks like {kind}"), help))
}

/// Gives values that the parser has lost the places of their keys.
fn place_lost(table: &mut DeTable<'_>) {
    for (key, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut() {
            place_lost(inner);
        } else if value.span().is_empty() {
            *value = Spanned::new(key.span(), value.get_ref().clone());
        }
    }
}

/// Returns the path that a line `[sensor.lux-1]` names, as it is written without spaces and quotation marks.
fn header(line: &str) -> Option<String> {
    let inner = line.trim_start().strip_prefix('[')?.split(']').next()?;
    Some(inner.chars().filter(|each| !each.is_whitespace() && !matches!(each, '"' | '\'')).collect())
}

/// Returns the table that the line at `at` makes a list of: `[[sensor]]`.
fn list_header(text: &str, at: usize) -> Option<&'static TableKeys> {
    let name = text.get(line_at(text, at))?.trim_start().strip_prefix("[[")?.split(']').next()?;
    keys::TABLES.iter().find(|table| table.name == name.trim())
}

/// Returns where each table has its first line.
fn headers(text: &str) -> BTreeMap<String, usize> {
    let mut headers = BTreeMap::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(path) = header(line) {
            headers.entry(path).or_insert(at);
        }
        at += line.len();
    }
    headers
}

/// What tells of a key or a table that is there twice.
struct Twice<'t> {
    text: &'t str,
    root: &'t DeTable<'t>,
    headers: &'t BTreeMap<String, usize>,
    hidden: &'t [Range<usize>],
}

impl Twice<'_> {
    /// Names the key at `span` and the line where it is first; none where that can't be told, or must not be shown.
    fn told(&self, span: &Range<usize>) -> Option<(String, &'static str)> {
        let (before, _) = self.text.split_at_checked(span.start)?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_of = |at: usize| self.text.get(..at).map(|before| before.matches('\n').count() + 1);
        if let Some(path) = self.text.get(start..)?.lines().next().and_then(header) {
            let first = self.headers.get(&path).copied().filter(|&at| at < start)?;
            let message = format!("the table [{path}] is there already, in line {}", line_of(first)?);
            return Some((message, "put the keys of both into one"));
        }
        let path = before.get(..start)?.lines().rev().find_map(header).unwrap_or_default();
        let name = self.text.get(span.clone())?.trim_matches(['"', '\'']);
        let is_hidden = self.hidden.iter().any(|range| range.contains(&span.start));
        let may_be_secret = path.split('.').next().is_some_and(is_session) && !is_harmless(name);
        let first = self.first(&path, name, span.start).filter(|_| !is_hidden && !may_be_secret)?;
        Some((format!("`{name}` is there already, in line {}", line_of(first)?), "keep one of them"))
    }

    /// Returns where the key that is at `at` again is first, in the table with this path or in one of its inline tables.
    fn first(&self, path: &str, name: &str, at: usize) -> Option<usize> {
        let mut table = self.root;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            table = table.get(part)?.get_ref().as_table()?;
        }
        while let Some(inner) = table.values().find_map(|value| inline(value, at)) {
            table = inner;
        }
        table.get_key_value(name).map(|(key, _)| key.span().start).filter(|&first| first < at)
    }
}

/// Returns the inline table of a value that `at` is in.
fn inline<'d>(value: &'d Spanned<DeValue<'_>>, at: usize) -> Option<&'d DeTable<'d>> {
    if !value.span().contains(&at) {
        return None;
    }
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        DeValue::Array(values) => values.iter().find_map(|value| inline(value, at)),
        _ => None,
    }
}
