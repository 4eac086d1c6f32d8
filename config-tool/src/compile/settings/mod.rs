//! The tables `device`, `mqtt`, `usb`, `i2c` and `vars`.

mod i2c;
mod mqtt;
mod usb;

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::{Device, is_identifier, is_text};
use dunlin_config_format::limits::{LABEL_LEN, TOPIC_LEN};
use toml::de::DeValue;

use super::diagnostic::Code;
use super::keys;
use super::nearest::nearest;
use super::problems::Problems;
use super::reader::Table;
use super::value::{Value, wrong_type};

pub(super) use i2c::i2c;
pub(super) use mqtt::mqtt;
pub(super) use usb::usb;

/// Boards whose pins have names.
pub(super) const BOARDS: &[&str] = &["d1-mini", "nodemcu"];

/// Returns a table at the top of the file.
pub(super) fn table<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    key: &'t str,
) -> Option<(Table<'t>, Range<usize>)> {
    let value = root.get(key)?;
    match value.get_ref() {
        DeValue::Table(_) => Some((as_table(value, key)?, value.span())),
        DeValue::Array(_) => None,
        other => {
            wrong_type(problems, key, value.span(), other, &format!("a table: `[{key}]`"));
            None
        }
    }
}

fn as_table<'t>(value: Value<'t>, name: &'t str) -> Option<Table<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(Table { table, span: value.span(), name: format!("[{name}]") }),
        _ => None,
    }
}

/// Checks an identifier.
pub(super) fn identifier(problems: &mut Problems, span: Range<usize>, id: &str) -> bool {
    if !is_identifier(id) {
        let better: String =
            id.to_lowercase().chars().map(|c| if c == '_' || c == ' ' { '-' } else { c }).collect();
        let help = if is_identifier(&better) {
            format!("write `{better}`")
        } else {
            "use 1 to 32 of the characters a-z, 0-9 and -".to_owned()
        };
        problems.error(Code::Identifier, span, format!("`{id}` is no identifier"), help);
    }
    is_identifier(id)
}

/// Reads a text of limited length.
pub(super) fn short_text<'t>(
    problems: &mut Problems,
    table: &Table<'t>,
    key: &str,
    most: usize,
) -> Option<&'t str> {
    let (text, span) = table.text(problems, key)?;
    if !is_text(text, most) {
        let message = if text.is_empty() {
            format!("`{key}` is empty")
        } else {
            format!("`{key}` has {} bytes", text.len())
        };
        problems.error(
            Code::Text,
            span,
            message,
            format!("1 to {most} bytes without control characters are possible"),
        );
        return None;
    }
    Some(text)
}

pub(super) fn device<'t>(problems: &mut Problems, root: &Table<'t>) -> Option<Device<'t>> {
    let Some((device, span)) = table(problems, root, "device") else {
        if root.get("device").is_none() {
            problems.error(
                Code::MissingKey,
                0..0,
                "the file has no [device]",
                "add `[device]` with `name = \"node-1\"`",
            );
        }
        return None;
    };
    let device = Table { span: span.clone(), name: "[device]".to_owned(), ..device };
    device.refuse_others(problems, &keys::DEVICE.names(), keys::DEVICE.later);
    if let Some((board, span)) = device.text(problems, "board")
        && !BOARDS.contains(&board)
    {
        let help = nearest(board, BOARDS).map_or_else(
            || format!("known boards: {}", BOARDS.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::UnknownName, span, format!("unknown board `{board}`"), help);
    }
    let label = short_text(problems, &device, "label", LABEL_LEN);
    if device.get("name").is_none() {
        device.missing(problems, "name", "\"node-1\"");
    }
    let (name, span) = device.text(problems, "name")?;
    identifier(problems, span, name).then_some(Device { name, label })
}

/// Returns the board's name, where it is one whose pins have names.
pub(super) fn board<'t>(root: &Table<'t>) -> Option<&'t str> {
    let DeValue::Table(device) = root.get("device")?.get_ref() else { return None };
    let board = device.iter().find(|(key, _)| key.get_ref() == "board")?.1.get_ref().as_str()?;
    BOARDS.contains(&board).then_some(board)
}

pub(super) fn vars<'t>(problems: &mut Problems, root: &Table<'t>) -> BTreeMap<&'t str, &'t str> {
    let mut vars = BTreeMap::new();
    let Some((table, _)) = table(problems, root, "vars") else { return vars };
    for (key, _, value) in table.entries() {
        match value.get_ref() {
            DeValue::String(text) if is_text(text, TOPIC_LEN) => {
                vars.insert(key, text.as_ref());
            }
            DeValue::String(_) => {
                let help = format!("1 to {TOPIC_LEN} bytes without control characters are possible");
                problems.error(Code::Text, value.span(), format!("`{key}` can stand for nothing"), help);
                vars.insert(key, "x");
            }
            other => wrong_type(problems, key, value.span(), other, "a text in quotation marks"),
        }
    }
    vars
}
