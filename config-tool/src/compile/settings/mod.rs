//! The tables `device`, `mqtt`, `usb`, `i2c` and `vars`.

mod i2c;
mod mqtt;
mod usb;

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::{Device, is_identifier, is_text};
use dunlin_config_format::limits::{IDENTIFIER_LEN, LABEL_LEN, TOPIC_LEN};
use toml::de::DeValue;

use super::diagnostic::{Code, Lack};
use super::keys;
use super::nearest::nearest;
use super::placeholder::{Local, Names, resolve};
use super::problems::Problems;
use super::reader::Table;
use super::value::wrong_type;

pub(super) use i2c::i2c;
pub(super) use mqtt::mqtt;
pub(super) use usb::usb;

/// Boards whose pins have names.
pub(super) const BOARDS: &[&str] = &["d1-mini", "nodemcu"];

/// Returns a table at the top of the file.
pub(super) fn table<'t>(problems: &mut Problems, root: &Table<'t>, key: &str) -> Option<Table<'t>> {
    let value = root.get(key)?;
    match value.get_ref() {
        DeValue::Table(table) => Some(Table::new(table, value.span(), format!("[{key}]"))),
        DeValue::Array(_) => None,
        other => {
            wrong_type(problems, key, value.span(), other, &format!("a table: `[{key}]`"));
            None
        }
    }
}

/// Returns the tables with identifiers below `key`, in the order of the text; `help` is for what is none of them.
pub(super) fn named<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    key: &str,
    help: &str,
) -> Vec<(&'t str, Table<'t>)> {
    let entries = table(problems, root, key).map(|table| table.entries()).unwrap_or_default();
    let mut tables = Vec::new();
    for (id, span, value) in entries {
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            // `[[sensor.lux]]`, as lists are written elsewhere.
            DeValue::Array(list) if list.iter().all(|each| each.get_ref().is_table()) && !list.is_empty() => {
                let message = format!("[[{key}.{id}]] is a list of tables");
                problems.error(Code::Shape, span, message, format!("write single brackets: `[{key}.{id}]`"));
                continue;
            }
            _ => {
                problems.error(Code::Shape, span, format!("`{id}` stands directly in [{key}]"), help);
                continue;
            }
        };
        identifier(problems, span.clone(), id);
        tables.push((id, Table::new(table, span, format!("[{key}.{id}]"))));
    }
    tables
}

/// Checks an identifier.
pub(super) fn identifier(problems: &mut Problems, span: Range<usize>, id: &str) -> bool {
    if !is_identifier(id) {
        let help = identifier_help(id, str::to_owned);
        let message = match id.chars().count() {
            0 => "the name is empty".to_owned(),
            count if count > IDENTIFIER_LEN => format!("`{id}` has {count} characters"),
            _ => format!("`{id}` is no identifier"),
        };
        problems.error(Code::Identifier, span, message, help);
    }
    is_identifier(id)
}

/// Says what to write in the place of what is no identifier: `written` puts a better one where this one stood.
pub(super) fn identifier_help(id: &str, written: impl Fn(&str) -> String) -> String {
    let better = id.to_lowercase().replace([' ', '_'], "-");
    if is_identifier(&better) {
        format!("write `{}`", written(&better))
    } else {
        format!("use 1 to {IDENTIFIER_LEN} of the characters a-z, 0-9 and -")
    }
}

/// Reads a text of limited length.
pub(super) fn short_text<'t>(
    problems: &mut Problems,
    table: &Table<'t>,
    key: &str,
    most: usize,
) -> Option<&'t str> {
    let (text, span) = table.text(problems, key)?;
    is_short(problems, key, text, span, most).then_some(text)
}

/// Checks the length of a text.
pub(super) fn is_short(
    problems: &mut Problems,
    key: &str,
    text: &str,
    span: Range<usize>,
    most: usize,
) -> bool {
    let is_short = is_text(text, most);
    if !is_short {
        let message = match text.len() {
            0 => format!("`{key}` is empty"),
            len => format!("`{key}` has {len} bytes"),
        };
        let help = format!("1 to {most} bytes without control characters are possible");
        problems.error(Code::Text, span, message, help);
    }
    is_short
}

pub(super) fn device<'t>(problems: &mut Problems, root: &Table<'t>) -> Option<Device<'t>> {
    let Some(device) = table(problems, root, "device") else {
        if root.get("device").is_none() {
            problems.missing(
                Code::MissingKey,
                0..0,
                Lack::Table("device"),
                "the file has no [device]",
                "add `[device]` with `name = \"node-1\"`",
            );
        }
        return None;
    };
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
    let board = device.get("board")?.get_ref().as_str()?;
    BOARDS.contains(&board).then_some(board)
}

/// Returns what placeholders stand for.
pub(super) fn names(problems: &mut Problems, root: &Table<'_>) -> Names {
    let device = root.get("device").and_then(|device| device.get_ref().as_table()?.get("name"));
    let device = device.and_then(|name| name.get_ref().as_str()).filter(|name| is_identifier(name));
    // Without a name something else is told.
    let mut names = Names { device: device.unwrap_or("x").to_owned(), vars: BTreeMap::new() };
    names.vars = vars(problems, root, &names);
    names
}

/// Reads `[vars]`, whose texts have `{device}` and no other placeholder.
fn vars(problems: &mut Problems, root: &Table<'_>, names: &Names) -> BTreeMap<String, String> {
    let entries = table(problems, root, "vars").map(|table| table.entries()).unwrap_or_default();
    let others: Vec<String> = entries.iter().map(|(key, ..)| format!("vars.{key}")).collect();
    let no_other = |name: &str| {
        (format!("`{{{name}}}` stands for nothing in [vars]"), "write the text that it stands for".to_owned())
    };
    let local: Vec<Local<'_>> = others.iter().map(|name| (name.as_str(), Err(no_other(name)))).collect();
    let mut vars = BTreeMap::new();
    for (key, _, value) in entries {
        let text = match value.get_ref() {
            DeValue::String(text) => {
                let text = resolve(problems, text, &value.span(), names, &local);
                let is_right = text.as_ref().is_none_or(|text| is_text(text, TOPIC_LEN));
                if !is_right {
                    let help = format!("1 to {TOPIC_LEN} bytes without control characters are possible");
                    problems.error(Code::Text, value.span(), format!("`{key}` can stand for nothing"), help);
                }
                text.filter(|_| is_right)
            }
            other => {
                wrong_type(problems, key, value.span(), other, "a text in quotation marks");
                None
            }
        };
        // What is told is told once, and not wherever the text is used.
        vars.insert(key.to_owned(), text.unwrap_or_else(|| "x".to_owned()));
    }
    vars
}
