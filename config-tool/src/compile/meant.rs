//! What was meant where a text is not TOML: a value without its quotation marks, or a file of another kind. And which of
//! Dunlin's two kinds of files a text is.

use std::ops::Range;

use toml::de::DeTable;

use super::problems::line_at;
use super::settings::identifier_help;
use super::{keys, scenario};

/// What is told instead of the parser's words: place, message and help.
pub(super) type Told = (Range<usize>, String, String);

/// Words that are yes and no elsewhere.
const YES_AND_NO: &[(&str, bool)] =
    &[("true", true), ("yes", true), ("on", true), ("false", false), ("no", false), ("off", false)];

/// Tells what was meant by the line that has a syntax error at `at`; none where that isn't clear. What `hidden` has, or a
/// key that no table has, is not repeated.
pub(super) fn line(text: &str, at: usize, hidden: &[Range<usize>]) -> Option<Told> {
    let range = line_at(text, at);
    let (start, line) = (range.start, text.get(range)?);
    let is_hidden = |at: usize| hidden.iter().any(|range| range.contains(&at));
    if let Some(told) = header(line, start).filter(|(span, ..)| !is_hidden(span.start)) {
        return Some(told);
    }
    let Some((key, rest)) = line.split_once('=') else {
        let (before, _) = line.split_once(':')?;
        let (key, colon) = (known(before.trim())?, start + before.len());
        let span = colon..colon + 1;
        return Some((span, format!("a colon stands behind `{key}`"), format!("write `{key} = …`")));
    };
    let key = key.trim();
    let value_start = start + line.len() - rest.trim_start().len();
    if rest.starts_with('=') {
        let span = value_start..value_start + 1;
        return Some((span, "there are two `=`".to_owned(), format!("write one: `{} = …`", known(key)?)));
    }
    let value = rest.split('#').next().unwrap_or_default().trim();
    let span = value_start..value_start + value.len();
    if at < value_start || value.is_empty() {
        return None;
    }
    if value.starts_with(['“', '”', '„', '‘', '’', '«']) {
        let help = "use straight quotation marks: \"…\"".to_owned();
        return Some((span, "quotation marks that TOML does not know".to_owned(), help));
    }
    let key = known(key).filter(|_| is_bare(value))?;
    if is_hidden(value_start) {
        let message = format!("the value of `{key}` has no quotation marks");
        return Some((span, message, format!("write `{key} = \"…\"`")));
    }
    let word = value.to_lowercase();
    if let Some((_, meant)) = YES_AND_NO.iter().find(|(name, _)| *name == word) {
        return Some((span, format!("`{value}` is no value"), format!("write `{key} = {meant}`")));
    }
    let message = format!("`{value}` is no value: texts stand in quotation marks");
    Some((span, message, format!("write `{key} = \"{value}\"`")))
}

/// Tells how the line of a table is written whose identifier has a space in it, and no quotation marks.
fn header(line: &str, start: usize) -> Option<Told> {
    let inner = line.split('#').next()?.trim().strip_prefix('[')?.strip_suffix(']')?;
    let parts: Vec<&str> = inner.split('.').map(str::trim).collect();
    let table = keys::TABLES.iter().find(|table| Some(&table.name) == parts.first())?;
    let is_plain = |part: &&&str| part.chars().all(|each| each.is_alphanumeric() || "_- ".contains(each));
    let spaced = parts.get(1).filter(|part| table.is_named && part.contains(' ')).filter(is_plain)?;
    let at = start + line.find(spaced)?;
    let help = identifier_help(spaced, |better| format!("[{}]", inner.replacen(spaced, better, 1)));
    Some((at..at + spaced.len(), format!("`{spaced}` is no identifier: it has a space"), help))
}

/// Returns the name of a key that a configuration may have.
fn known(key: &str) -> Option<&'static str> {
    let names = keys::TABLES.iter().flat_map(keys::TableKeys::names).chain(keys::options());
    names.into_iter().find(|name| *name == key)
}

/// Returns whether a text is one without quotation marks, and not a number with a mistake in it.
fn is_bare(value: &str) -> bool {
    let is_word = |each: char| each.is_ascii_alphanumeric() || "._-:/%{}".contains(each);
    let is_number = value.starts_with(['+', '-', '{'])
        || ["0x", "0o", "0b"].iter().any(|radix| value.starts_with(radix))
        || value.matches('.').count() < 2 && !value.contains(|each: char| each.is_ascii_alphabetic());
    value.chars().all(is_word) && !is_number
}

/// Returns what a text is that is written as files of other programs are.
pub(super) fn other_kind(text: &str) -> Option<&'static str> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines().next()?;
    if first.starts_with('{') {
        return Some("JSON");
    }
    let is_pair = |line: &str| {
        let key = line.split_once(':').filter(|(_, value)| value.is_empty() || value.starts_with(' '));
        let is_name = |each: char| each.is_ascii_alphanumeric() || "_- ".contains(each);
        key.is_some_and(|(key, _)| !key.is_empty() && key.chars().all(is_name))
    };
    let pairs = lines().filter(|line| is_pair(line)).count();
    let others = lines().filter(|line| line.contains('=') || line.starts_with('[')).count();
    ((first == "---" || is_pair(first)) && pairs > others).then_some("YAML")
}

/// Returns where a text that was given as a configuration is a scenario: the place of its first key, message and help.
pub(super) fn scenario(root: &DeTable<'_>, name: &str) -> Option<Told> {
    let span = only(root, scenario::KEYS, &tables())?;
    let help = format!(
        "`dunlin simulate FILE --scenario {}` takes it, beside the configuration FILE",
        argument(name, "SCENARIO")
    );
    Some((span, "this is a scenario, and no configuration".to_owned(), help))
}

/// Returns where a text that was given as a scenario is a configuration: place, message and help.
pub(super) fn configuration(root: &DeTable<'_>, name: &str) -> Option<Told> {
    let span = only(root, &tables(), scenario::KEYS)?;
    let help = format!(
        "`dunlin simulate {}` takes it; a scenario has `seed`, [light] and [fault.NAME]",
        argument(name, "FILE")
    );
    Some((span, "this is a configuration, and no scenario".to_owned(), help))
}

fn tables() -> Vec<&'static str> {
    keys::TABLES.iter().map(|table| table.name).collect()
}

/// Returns where a file has the first of some keys, unless it has one of the others.
fn only(root: &DeTable<'_>, keys: &[&str], others: &[&str]) -> Option<Range<usize>> {
    let is_other = root.keys().any(|key| others.contains(&key.get_ref().as_ref()));
    let own = root.keys().filter(|key| keys.contains(&key.get_ref().as_ref()));
    own.map(|key| key.span()).min_by_key(|span| span.start).filter(|_| !is_other)
}

/// Returns how a file is named on a command line; the standard input is none.
fn argument<'n>(name: &'n str, of_input: &'n str) -> &'n str {
    if name.starts_with('<') { of_input } else { name }
}
