//! The parts of a file that a mechanical user gets wrong: found in the text alone, without a TOML reader.

use std::ops::Range;

/// A `key = value` of a table or of an inline table, as byte ranges of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The key.
    pub(crate) key: Range<usize>,
    /// The value, without what is behind it.
    pub(crate) value: Range<usize>,
    /// What goes when the setting goes: its line, or what stands between the commas of an inline table.
    pub(crate) whole: Range<usize>,
    /// Its table: the braces of an inline table, or the header's place.
    pub(crate) table: Range<usize>,
    /// Whether it stands in an inline table.
    pub(crate) is_inline: bool,
}

/// A `[name.name]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its line.
    pub(crate) line: Range<usize>,
    /// Its names.
    pub(crate) names: Vec<Range<usize>>,
    /// The lines of its table, its own included.
    pub(crate) block: Range<usize>,
}

/// A file in parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) headers: Vec<Header>,
    pub(crate) settings: Vec<Setting>,
}

/// Where a table is told to be: at its own name, or, where it has but one, at its header.
fn place(names: &[Range<usize>]) -> Range<usize> {
    match names {
        [name] => name.start - 1..name.end + 1,
        _ => names.last().cloned().unwrap_or_default(),
    }
}

impl Header {
    /// Where the table is told to be.
    pub(crate) fn place(&self) -> Range<usize> {
        place(&self.names)
    }
}

impl Parts {
    /// Takes a file apart. Every value stands on one line.
    pub(crate) fn of(text: &str) -> Self {
        let mut parts = Parts::default();
        let mut at = 0;
        let mut table = 0..0;
        for line in text.split_inclusive('\n') {
            let range = at..at + line.len();
            at = range.end;
            if line.starts_with('[') {
                let end = range.start + line.find(']').unwrap_or(line.len());
                let names = pieces(text, range.start + 1..end, '.');
                table = place(&names);
                if let Some(before) = parts.headers.last_mut() {
                    before.block.end = range.start;
                }
                parts.headers.push(Header { line: range.clone(), names, block: range.start..text.len() });
            } else if let Some(mut setting) = setting(text, range.start..end_of(text, range.start, &['\n'])) {
                (setting.whole, setting.table) = (range, table.clone());
                let value = setting.value.clone();
                parts.settings.push(setting);
                parts.inline(text, value);
            }
        }
        parts
    }

    /// Adds the settings of the inline tables in a value.
    fn inline(&mut self, text: &str, value: Range<usize>) {
        let mut at = value.start;
        while let Some(open) = (at..value.end).find(|&at| text[at..].starts_with(['{', '"'])) {
            let is_text = text[open..].starts_with('"');
            let close = if is_text {
                open + 1 + text[open + 1..].find('"').unwrap_or(0)
            } else {
                end_of(text, open + 1, &['}'])
            };
            at = close + 1;
            if is_text {
                continue;
            }
            for piece in pieces(text, open + 1..close, ',') {
                if let Some(mut setting) = setting(text, piece.clone()) {
                    setting.whole = piece;
                    (setting.table, setting.is_inline) = (open..close + 1, true);
                    let inner = setting.value.clone();
                    self.settings.push(setting);
                    self.inline(text, inner);
                }
            }
        }
    }
}

/// Returns where the first of `ends` stands that is in no text and in no bracket behind `start`.
fn end_of(text: &str, start: usize, ends: &[char]) -> usize {
    let (mut depth, mut in_text) = (0, false);
    for (offset, c) in text[start..].char_indices() {
        match c {
            '"' => in_text = !in_text,
            _ if in_text => {}
            '#' if ends.contains(&'\n') => return start + offset,
            c if depth == 0 && ends.contains(&c) => return start + offset,
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The pieces of a range between separators.
fn pieces(text: &str, range: Range<usize>, separator: char) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let end = end_of(text, at, &[separator]).min(range.end);
        pieces.push(at..end);
        at = end + 1;
    }
    pieces
}

fn setting(text: &str, range: Range<usize>) -> Option<Setting> {
    let (key, value) = text[range.clone()].split_once('=')?;
    let trimmed = |part: &str, start: usize| {
        let from = start + part.len() - part.trim_start().len();
        from..from + part.trim().len()
    };
    let key_range = trimmed(key, range.start);
    let value = trimmed(value, range.start + key.len() + 1);
    let is_key = !key_range.is_empty() && !text[key_range.clone()].contains(['#', '[', '{', '"']);
    is_key.then_some(Setting { key: key_range, value, whole: range, table: 0..0, is_inline: false })
}

#[test]
fn a_file_comes_apart() {
    let text = "# a = 1\n[a.b]\nc = \"x = 1\" # d = 2\ne = [{ f = { g = 1, h = \"}\" } }, { i = 2 }]\n[j]\n";
    let parts = Parts::of(text);
    let names: Vec<_> = parts.headers.iter().map(|header| &text[header.block.clone()]).collect();
    assert_eq!(names.concat(), text["# a = 1\n".len()..]);
    let settings: Vec<_> = parts
        .settings
        .iter()
        .map(|setting| {
            (&text[setting.key.clone()], &text[setting.value.clone()], &text[setting.table.clone()])
        })
        .collect();
    let inner = "{ g = 1, h = \"}\" }";
    assert_eq!(
        settings,
        [
            ("c", "\"x = 1\"", "b"),
            ("e", &text[text.find("[{").unwrap()..text.find("\n[j]").unwrap()], "b"),
            ("f", inner, "{ f = { g = 1, h = \"}\" } }"),
            ("g", "1", inner),
            ("h", "\"}\"", inner),
            ("i", "2", "{ i = 2 }"),
        ]
    );
}
