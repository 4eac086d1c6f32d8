//! What of a file no output may show: values that are secrets, or may be.
//!
//! The tree tells where values are. Where the text is not TOML the tree may have lost some, so that lines are judged as
//! well: then too much is hidden rather than too little.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use super::{foreign, keys};

/// Returns the byte ranges that are hidden; each begins at a value and ends with a line.
pub(super) fn hidden(text: &str, root: &DeTable<'_>, is_misread: bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    in_table(&mut ranges, root, false);
    if is_misread {
        in_lines(&mut ranges, text);
    }
    for range in &mut ranges {
        // What stands behind a secret, such as a comment, may tell it as well.
        let rest = text.get(range.end..).unwrap_or_default();
        range.end += rest.find('\n').unwrap_or(rest.len());
    }
    ranges.sort_by_key(|range| (range.start, range.end));
    ranges
}

/// Returns whether a key is called like a password.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    ["pass", "pwd", "secret", "token"].iter().any(|part| name.contains(part))
        || name.ends_with("key")
        || nearest(&name, &["password"]).is_some()
}

/// Returns whether a table is called like that of the session.
pub(super) fn is_session(name: &str) -> bool {
    nearest(name, &["mqtt"]).is_some()
}

/// Returns whether a text has `user:password@` in it.
pub(super) fn has_credentials(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'))
}

/// Returns whether a key of that table holds nothing secret.
pub(super) fn is_harmless(key: &str) -> bool {
    key != "password" && keys::MQTT.names().contains(&key)
}

/// Returns whether a key is that of something harmless, in other words or misspelt.
fn is_like_harmless(key: &str) -> bool {
    let names: Vec<&str> =
        keys::MQTT.names().into_iter().filter(|name| !matches!(*name, "username" | "password")).collect();
    !is_secret_name(key) && (nearest(key, &names).is_some() || foreign::called(key, &names).is_some())
}

fn in_table(ranges: &mut Vec<Range<usize>>, table: &DeTable<'_>, is_session_table: bool) {
    for (key, value) in table.iter() {
        let name = key.get_ref().as_ref();
        let names_source = value.get_ref().as_table().is_some_and(|table| {
            table.len() == 1 && ["env", "file"].iter().any(|source| table.contains_key(*source))
        });
        let is_plain =
            matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_));
        let may_be = !is_plain && !is_like_harmless(name);
        let is_secret = is_secret_name(name) && !names_source
            || is_session_table && !is_harmless(name) && name != "password" && may_be;
        if is_secret {
            ranges.push(value.span());
        } else {
            in_value(ranges, value.get_ref(), value.span(), is_session(name));
        }
    }
}

fn in_value(ranges: &mut Vec<Range<usize>>, value: &DeValue<'_>, span: Range<usize>, is_session_table: bool) {
    match value {
        DeValue::String(text) if has_credentials(text) => ranges.push(span),
        DeValue::Table(table) => in_table(ranges, table, is_session_table),
        DeValue::Array(values) => {
            for value in values.iter() {
                in_value(ranges, value.get_ref(), value.span(), is_session_table);
            }
        }
        _ => {}
    }
}

fn in_lines(ranges: &mut Vec<Range<usize>>, text: &str) {
    let mut is_in_session = false;
    // The quotation marks of a secret of several lines.
    let mut open: Option<&str> = None;
    // Somebody has broken a secret's line: the next one has the rest.
    let mut is_broken = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.strip_suffix('\n').unwrap_or(line);
        let end = start + line.len();
        if let Some(marks) = open {
            ranges.push(start..end);
            if line.contains(marks) {
                open = None;
            }
            continue;
        }
        if std::mem::take(&mut is_broken) {
            ranges.push(start..end);
        }
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') && !is_in_session || trimmed.starts_with("[[") || is_header(trimmed) {
            is_in_session = trimmed.split(|c: char| !c.is_alphanumeric()).any(is_session);
        }
        let Some(from) = secret_in_line(line, is_in_session) else { continue };
        let rest = line.get(from..).unwrap_or_default().trim_start_matches([' ', '\t']);
        ranges.push(end - rest.len()..end);
        open = ["\"\"\"", "'''"].into_iter().find(|marks| rest.matches(marks).count() % 2 == 1);
        is_broken = open.is_none() && ['"', '\''].iter().any(|mark| rest.matches(*mark).count() % 2 == 1);
    }
}

/// Returns whether a line is the header of one of a file's tables.
fn is_header(line: &str) -> bool {
    let name = line.strip_prefix('[').map(|rest| rest.split(['.', ']']).next().unwrap_or_default().trim());
    name.is_some_and(|name| keys::TABLES.iter().any(|table| table.name == name))
}

/// Returns where in a line a secret may begin.
fn secret_in_line(line: &str, is_in_session: bool) -> Option<usize> {
    let key = line.split('=').next().unwrap_or_default();
    let plain = unescaped(key.trim());
    let behind_key = line.find('=').map_or(0, |at| at + 1);
    let words = || plain.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
    let first_is_session = words().find(|word| !word.is_empty()).is_some_and(is_session);
    let is_table = line.trim_start().starts_with('[') && !line.contains('=');
    let is_blank = line.trim().is_empty() || line.trim_start().starts_with('#') && !is_in_session;
    if has_credentials(line) || words().any(is_secret_name) {
        return Some(behind_key);
    }
    if is_in_session || first_is_session {
        let last = words().rfind(|word| !word.is_empty()).unwrap_or_default();
        let is_open = line.matches('"').count() % 2 == 1;
        if line.contains('=') && !is_open && plain == last {
            let value = line.get(behind_key..).unwrap_or_default().trim();
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            if is_number || matches!(value, "true" | "false") || is_like_harmless(last) {
                return None;
            }
        }
        return (is_open || !is_harmless(last) && !is_table && !is_blank).then_some(behind_key);
    }
    // In the middle of a line, or of a comment.
    let mut from = 0;
    line.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').find_map(|word| {
        let end = from + word.len();
        from = end + line.get(end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        is_secret_name(word).then_some(end)
    })
}

/// Returns a key as TOML means it: in quotation marks, it may be written with escapes.
fn unescaped(key: &str) -> String {
    let text = format!("{key} = 0");
    let parsed = DeTable::parse(&text).ok();
    let name = parsed
        .as_ref()
        .and_then(|table| table.get_ref().iter().next().map(|(key, _)| key.get_ref().to_string()));
    name.filter(|_| key.starts_with(['"', '\''])).unwrap_or_else(|| key.to_owned())
}
