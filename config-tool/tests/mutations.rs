//! A mechanical user who gets one thing wrong in an example: it is refused there, or it does not matter.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::ops::Range;
use std::path::Path;

use dunlin::compile::{Compiled, Source, compile};
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
    examples
}

/// A line `key = value` of a file: where it is, and both parts.
struct Setting<'t> {
    line: Range<usize>,
    key: &'t str,
    value: &'t str,
}

fn settings(text: &str) -> Vec<Setting<'_>> {
    let mut at = 0;
    let mut settings = Vec::new();
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let content = line.split(" #").next().unwrap_or_default();
        if let Some((key, value)) = content.split_once('=').filter(|(key, _)| !key.contains(['#', '[', '{']))
        {
            settings.push(Setting { line: range, key: key.trim(), value: value.trim() });
        }
    }
    settings
}

/// The line that begins with `[` before `at`: the table that a setting belongs to.
fn header(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind("\n[").map_or(0, |newline| newline + 1);
    start..start + text[start..].find('\n').unwrap_or(text.len() - start)
}

/// Checks a mutant: refused with a problem that begins in one of `places`, or compiled to the same image.
fn judge(name: &str, what: &str, original: &[u8], mutant: &str, places: &[Range<usize>]) {
    let compiled = compiled(mutant);
    match &compiled.image {
        Some(image) if what.starts_with("drop") => assert!(!image.is_empty()),
        Some(image) => {
            assert!(image == original, "{name}: {what}: accepted, and the image differs\n{mutant}")
        }
        None => {
            let is_there =
                |start: usize| places.iter().any(|place| (place.start..=place.end).contains(&start));
            assert!(
                compiled.diagnostics.iter().any(|problem| is_there(problem.span.start)),
                "{name}: {what}: not told at {places:?}: {:#?}\n{mutant}",
                compiled.diagnostics
            );
        }
    }
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
    for (name, text) in examples() {
        let original = compiled(&text).image.unwrap();
        for Setting { line, key, value } in settings(&text) {
            let replaced = |new: &str| [&text[..line.start], new, &text[line.end..]].concat();
            let here = |len: usize| line.start..line.start + len;
            let table = header(&text, line.start);
            // Dropped: a key that is needed is missed in its table, or wherever its table is used.
            let mutant = replaced("");
            let everywhere = 0..mutant.len();
            let dropped = compiled(&mutant);
            if dropped.image.is_none() {
                assert!(!dropped.diagnostics.is_empty(), "{name}: drop {key}");
            }
            judge(&name, &format!("drop {key}"), &original, &mutant, std::slice::from_ref(&everywhere));
            // Misspelt: told at the key.
            let misspelt = format!("{key}x = {value}\n");
            let mutant = replaced(&misspelt);
            // The names in [vars] are the user's: a wrong one is told where it is used. So are those of buses and sensors.
            let is_named = text[table.clone()].starts_with("[vars]");
            let place = if is_named { 0..mutant.len() } else { here(misspelt.len()) };
            judge(&name, &format!("misspell {key}"), &original, &mutant, &[place]);
            // Retyped: told at the value.
            for wrong in ["{ a = 1 }", "[[1]]", "1979-05-27", "nan"] {
                let retyped = format!("{key} = {wrong}\n");
                judge(
                    &name,
                    &format!("{key} = {wrong}"),
                    &original,
                    &replaced(&retyped),
                    &[here(retyped.len())],
                );
            }
            // Out of every range.
            for wrong in ["-99999999999", "\"\\u0000\"", "\"\""] {
                let retyped = format!("{key} = {wrong}\n");
                judge(
                    &name,
                    &format!("{key} = {wrong}"),
                    &original,
                    &replaced(&retyped),
                    &[here(retyped.len())],
                );
            }
            // Duplicated: told at the second.
            let twice = format!("{key} = {value}\n{key} = {value}\n");
            judge(
                &name,
                &format!("duplicate {key}"),
                &original,
                &replaced(&twice),
                &[here(twice.len()), table],
            );
        }
    }
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
