//! A mechanical user who gets one thing wrong in an example: it is refused at the place where it stands, or it does not matter.
//!
//! The place comes from the mutator, which knows what it has changed and nothing of what the compiler does. Line, column and
//! caret are those that a person sees.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod parts;

use std::fs;
use std::ops::Range;
use std::path::Path;

use dunlin::compile::{Compiled, Diagnostic, Severity, Source, compile};
use parts::{Header, Parts, Setting};
use proptest::prelude::*;

fn compiled(text: &str) -> Compiled {
    compile(&Source { name: "mutant.toml".to_owned(), text: text.to_owned() })
}

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/configs");
    let mut examples = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".toml") && !name.ends_with(".scenario.toml") {
            examples.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    assert!(!examples.is_empty());
    examples.sort();
    examples
}

/// A mistake: what was done, the file with it, and where it must be told.
struct Mutant {
    what: String,
    text: String,
    /// Byte offsets of the mutant, one of which a caret must show.
    places: Vec<usize>,
    /// Whether the mutant may be another configuration: something that need not be there has gone.
    may_differ: bool,
}

/// A file and its parts.
struct Original<'t> {
    text: &'t str,
    parts: Parts,
}

impl Original<'_> {
    /// The file with `range` replaced.
    fn with(&self, range: &Range<usize>, new: &str) -> String {
        [&self.text[..range.start], new, &self.text[range.end..]].concat()
    }

    fn word(&self, range: &Range<usize>) -> &str {
        &self.text[range.clone()]
    }

    /// The header that a place is under.
    fn header_of(&self, at: usize) -> &Header {
        self.parts.headers.iter().find(|header| header.block.contains(&at)).unwrap()
    }

    /// What a setting that has gone is missed by: the table that it was in, and every table and value that used it.
    fn missed_at(&self, setting: &Setting, mutant: &str) -> Vec<usize> {
        let shift = |at: usize| if at > setting.whole.start { at - setting.whole.len() } else { at };
        let header = self.header_of(setting.key.start);
        let kind = self.word(&header.names[0]);
        let name = self.word(&setting.key);
        if setting.is_inline {
            return vec![setting.table.start];
        }
        let values = |of: &str| mutant.match_indices(of).map(|(at, _)| at).collect::<Vec<_>>();
        let users: Vec<usize> = match (kind, name) {
            // Each sensor that takes it from there.
            ("defaults", _) => {
                let sensors =
                    self.parts.headers.iter().filter(|header| self.word(&header.names[0]) == "sensor");
                sensors.map(|header| shift(header.names[1].start)).collect()
            }
            ("vars", _) => uses(mutant, name),
            // A password without a user name, pins of a board that is not known.
            ("mqtt", "username") => values("{ env"),
            ("device", "board") => values("\"D"),
            _ => vec![],
        };
        [vec![shift(setting.table.start)], users].concat()
    }
}

/// Where the variable `name` is used: the placeholder, and the text that it stands in.
fn uses(text: &str, name: &str) -> Vec<usize> {
    let at = text.find(&format!("{{vars.{name}}}"));
    at.map(|at| vec![at, text[..at].rfind('"').unwrap()]).unwrap_or_default()
}

/// Every mistake in a setting.
fn settings(original: &Original<'_>) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for setting in &original.parts.settings {
        let Setting { key, value, whole, .. } = setting;
        let (name, written) = (original.word(key), original.word(value));
        let kind = if setting.is_inline { "inline " } else { "" };
        let is_own = original.word(&original.header_of(key.start).names[0]) == "vars";
        let mut add = |what: String, text: String, places: Vec<usize>, may_differ: bool| {
            mutants.push(Mutant {
                what: format!("{what} {kind}`{name} = {written}`"),
                text,
                places,
                may_differ,
            });
        };
        // A secret is told as a whole.
        let source_of_a_secret = (setting.is_inline && name == "env").then_some(setting.table.start);
        let dropped = original.with(whole, "");
        let mut places = original.missed_at(setting, &dropped);
        // In an inline table a comma is left over where it was.
        places.extend(setting.is_inline.then_some(whole.start));
        add("drop".to_owned(), dropped, places, true);
        let misspelt = original.with(key, &format!("{name}x"));
        // The names in [vars] are the user's: a wrong one is told where it is used.
        let mut places = if is_own { uses(&misspelt, name) } else { vec![key.start] };
        places.extend(source_of_a_secret);
        add("misspell".to_owned(), misspelt, places, false);
        for wrong in ["{ a = 1 }", "[[1]]", "1979-05-27", "nan", "-99999999999", "\"\\u0000\"", "\"\""] {
            // In a list, the element is wrong; in a table, the key.
            let at = match wrong {
                "[[1]]" if written.starts_with('[') => value.start + 1,
                "{ a = 1 }" if written.starts_with('{') && name != "password" => value.start + 2,
                _ => value.start,
            };
            let mut places = vec![at];
            places.extend(source_of_a_secret);
            // Both ends of a range are right, and what lies between them is wrong; one end may be anything.
            let is_end = setting.is_inline && ["min", "max"].contains(&name) && wrong.starts_with("-9");
            places.extend(is_end.then_some(setting.table.start));
            add(format!("write {wrong} in"), original.with(value, wrong), places, is_end);
        }
        let (twice, second) = if setting.is_inline {
            (original.with(&(value.end..value.end), &format!(", {name} = {written}")), value.end + 2)
        } else {
            (original.with(&(whole.end..whole.end), &format!("{name} = {written}\n")), whole.end)
        };
        add("double".to_owned(), twice, vec![second], false);
    }
    mutants
}

/// Every mistake in a header.
fn headers(original: &Original<'_>) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (index, header) in original.parts.headers.iter().enumerate() {
        let shown = original.word(&header.line).trim().to_owned();
        let mut add = |what: &str, text: String, places: Vec<usize>, may_differ: bool| {
            mutants.push(Mutant { what: format!("{what} `{shown}`"), text, places, may_differ });
        };
        let own: Vec<&Setting> = original
            .parts
            .settings
            .iter()
            .filter(|setting| !setting.is_inline && header.block.contains(&setting.key.start))
            .collect();
        // Without the header its settings are in the table before: told at each of them that is not known there, or is
        // there twice; or something is told of what the file has no more.
        let gone = original.with(&header.line, "");
        let len = header.line.len();
        let mut places: Vec<usize> = own.iter().map(|setting| setting.key.start - len).collect();
        if let Some(before) = index.checked_sub(1).map(|before| &original.parts.headers[before]) {
            places.push(before.place().start);
            // Any name is one of [vars], but not any value.
            if original.word(&before.names[0]) == "vars" {
                places.extend(own.iter().map(|setting| setting.value.start - len));
            }
        }
        add("drop", gone, places, false);
        // The first name is Dunlin's.
        let kind = &header.names[0];
        let misspelt = original.with(kind, &format!("{}x", original.word(kind)));
        add("misspell", misspelt, vec![kind.start], false);
        // A list of tables.
        let names = kind.start..header.names.last().unwrap().end;
        let brackets = names.start - 1..names.end + 1;
        let list = original.with(&brackets, &format!("[[{}]]", original.word(&names)));
        add("write as a list", list, vec![header.place().start.max(names.start) + 1], false);
        if let Some(id) = header.names.get(1) {
            let short = original.with(&(kind.end..id.end), "");
            add("write without its name", short, vec![kind.start, kind.end + 2], false);
            for wrong in ["\"Not an identifier\"", &"x".repeat(33), "\"\""] {
                add(&format!("name {wrong}"), original.with(id, wrong), vec![id.start], false);
            }
        }
        let end = header.block.end;
        let twice = original.with(&(end..end), original.word(&header.block));
        let second = end + (names.start - header.block.start);
        let last = end + (header.names.last().unwrap().start - header.block.start);
        add("double", twice, vec![second, last], false);
    }
    mutants
}

/// Line and column of a byte offset, both from 1, counted here.
fn position(text: &str, at: usize) -> (usize, usize) {
    let line = text[..at].split('\n').count();
    (line, text[..at].split('\n').next_back().unwrap().chars().count() + 1)
}

/// Line and column that a person sees in the long form of a problem: in its second line, and by the caret. Where what is shown
/// is not the line, because it may hold a secret, the caret is under something else.
fn seen(problem: &Diagnostic, source: &Source) -> [(usize, usize); 2] {
    let text = problem.human(source, false);
    let mut lines = text.lines();
    let place = lines.nth(1).unwrap().rsplit_once(".toml:").unwrap().1;
    let (line, column) = place.split_once(':').unwrap();
    let place: (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
    let (excerpt, caret) = (lines.nth(1).unwrap(), lines.next().unwrap());
    let margin = excerpt.find('|').unwrap() + 2;
    if excerpt.get(margin..).unwrap_or_default() != source.text.split('\n').nth(place.0 - 1).unwrap() {
        assert!(excerpt.contains('…'), "{text}");
        return [place, place];
    }
    let shown = excerpt[..margin - 2].trim().parse().unwrap();
    [place, (shown, caret.find('^').unwrap() - margin + 1)]
}

/// Says what is wrong with how a mutant is treated; none where it is refused in its place, or does not matter.
fn judge(mutant: &Mutant, original: &[u8]) -> Option<String> {
    let source = Source { name: "mutant.toml".to_owned(), text: mutant.text.clone() };
    let compiled = compile(&source);
    if let Some(image) = &compiled.image {
        let is_same = mutant.may_differ || image == original;
        return (!is_same).then(|| "accepted, and the image differs".to_owned());
    }
    let expected: Vec<_> = mutant.places.iter().map(|&at| position(&mutant.text, at)).collect();
    let errors = compiled.diagnostics.iter().filter(|problem| problem.severity == Severity::Error);
    let told: Vec<_> = errors.map(|problem| (seen(problem, &source), problem)).collect();
    if told.iter().any(|([place, caret], _)| expected.contains(place) && place == caret) {
        return None;
    }
    let told: Vec<_> = told.iter().map(|(_, problem)| problem.short(&source)).collect();
    Some(format!("expected at {expected:?}, and told\n    {}", told.join("\n    ")))
}

#[test]
fn every_example_compiles_alone() {
    for (name, text) in examples() {
        let compiled = compiled(&text);
        assert!(compiled.image.is_some(), "{name}: {:#?}", compiled.diagnostics);
    }
}

#[test]
fn one_mistake_is_told_where_it_is() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, text) in examples() {
        let image = compiled(&text).image.unwrap();
        let original = Original { text: &text, parts: Parts::of(&text) };
        for mutant in settings(&original).iter().chain(&headers(&original)) {
            count += 1;
            wrong.extend(judge(mutant, &image).map(|why| format!("{name}: {}: {why}", mutant.what)));
        }
    }
    assert!(count > 1000, "{count} mutants");
    assert!(wrong.is_empty(), "{} of {count} mutants:\n{}", wrong.len(), wrong.join("\n"));
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,400}") {
        compiled(&text);
    }

    #[test]
    fn shuffled_lines_never_panic(seed in any::<u64>(), count in 0usize..60) {
        let (_, text) = examples().remove(0);
        let lines: Vec<&str> = text.lines().collect();
        let mut state = seed | 1;
        let mut out = String::new();
        for _ in 0..count {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            out.push_str(lines[(state % lines.len() as u64) as usize]);
            out.push('\n');
        }
        compiled(&out);
    }

    #[test]
    fn a_changed_byte_never_panics(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        for (_, text) in examples() {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                compiled(&text);
            }
        }
    }
}
