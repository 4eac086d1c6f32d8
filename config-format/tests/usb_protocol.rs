//! `usb-protocol.md` against the code: every table, every number, every annotated frame.
//!
//! The tables are compared with the source text of the messages, which is where their keys and types are written.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod document;
#[path = "document/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use document::cells;
use dunlin_config_format::frame::{MAX_CHANNEL, MAX_FRAME, MAX_PAYLOAD};
use dunlin_config_format::message::{MAX_DATA, PROTOCOL_MAJOR, PROTOCOL_MINOR};
use dunlin_config_format::packet::{CARRIER_HOLDS_MS, HOST_ADDRESS, MAX_FRAGMENT, MTU, NODE_ADDRESS};
use source::{Field, structures};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::read("usb-protocol.md"));
const VECTORS: &str = include_str!("vectors/usb-frames.txt");
const FRAME: &str = include_str!("../src/frame.rs");
const KINDS: &str = include_str!("../src/message/kind.rs");
const REFUSALS: &str = include_str!("../src/message/refusal.rs");
const REASONS: &str = include_str!("../src/reason.rs");
const MESSAGES: [&str; 5] = [
    include_str!("../src/message/session.rs"),
    include_str!("../src/message/transfer.rs"),
    include_str!("../src/message/query.rs"),
    include_str!("../src/message/event.rs"),
    REFUSALS,
];

/// A key of a message: number, field, type in the document's words.
type Key = (u32, String, String);

/// The messages of the source: those with a `Message` implementation, by name.
fn messages() -> BTreeMap<String, Vec<Key>> {
    let mut messages = BTreeMap::new();
    for source in MESSAGES {
        for structure in structures(source) {
            let name = structure.name;
            if source.contains(&format!("impl Message for {name} "))
                || source.contains(&format!("impl Message for {name}<"))
            {
                let key = |field: &Field| {
                    assert_eq!(field.is_optional, field.kind.starts_with("Option<"), "{name}.{}", field.name);
                    (field.number, field.name.clone(), words(&field.kind))
                };
                messages.insert(name.clone(), structure.fields.iter().map(key).collect());
            }
        }
    }
    messages
}

/// A Rust type in the document's words.
fn words(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return words(inner) + ", optional";
    }
    match kind {
        "&'b str" => "text",
        "&'b [u8]" => "bytes",
        "[u8; HASH_SIZE]" => "32 bytes",
        "[u8; 8]" => "8 bytes",
        "f32" => "float32",
        "Value<'b>" => "value",
        other => other,
    }
    .to_owned()
}

#[test]
fn every_message_has_its_table() {
    let mut found = BTreeMap::new();
    for part in DOCUMENT.split("\n**`").skip(1) {
        let name = part.split('`').next().unwrap().to_owned();
        let table = part.lines().skip(2).take_while(|line| line.starts_with('|'));
        let keys = table.skip(2).map(|line| {
            let cells = cells(line).unwrap();
            (cells[0].parse().unwrap(), cells[1].clone(), cells[2].clone())
        });
        found.insert(name, keys.collect::<Vec<Key>>());
    }
    let messages = messages();
    assert!(messages.len() > 30, "the source is read wrongly");
    assert_eq!(found, messages);
}

/// The rows `number, name` of the tables with three columns and without keys, in the document's order.
fn numbered_rows() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut is_numbered = false;
    for line in DOCUMENT.lines() {
        match cells(line) {
            None => is_numbered = false,
            Some(cells) if ["number", "kind"].contains(&&*cells[0]) => {
                is_numbered = cells[1].starts_with("name")
            }
            Some(cells) if is_numbered && !cells[0].starts_with('-') => {
                rows.push((cells[1].clone(), cells[0].clone()))
            }
            Some(_) => {}
        }
    }
    rows
}

/// The constants of type `u8` in a piece of source, and the variants with a number.
fn numbers(source: &str) -> Vec<(String, String)> {
    let mut numbers = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, value)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": u8 = "))
        {
            numbers.push((name.to_owned(), value.trim_end_matches(';').to_owned()));
        } else if let Some((name, value)) = line.strip_suffix(',').and_then(|rest| rest.split_once(" = "))
            && value.parse::<u16>().is_ok()
            && name.chars().all(char::is_alphanumeric)
        {
            numbers.push((name.to_owned(), value.to_owned()));
        }
    }
    numbers
}

#[test]
fn every_number_is_in_its_table() {
    let channels = FRAME.split_once("pub mod channel {").unwrap().1.split("\n}").next().unwrap();
    let events = KINDS.split_once("On the log channel").unwrap().1;
    let mut expected: Vec<(String, String)> =
        [channels, events, REFUSALS, REASONS].into_iter().flat_map(numbers).collect();
    expected.extend(MESSAGES.iter().take(3).flat_map(|source| numbers(source)));
    let mut found = numbered_rows();
    expected.sort_unstable();
    found.sort_unstable();
    assert!(expected.len() > 50, "the source is read wrongly");
    assert_eq!(found, expected);
}

#[test]
fn every_kind_is_in_its_table() {
    let requests = KINDS.split_once("On the log channel").unwrap().0;
    let expected: Vec<(String, String)> =
        numbers(requests).into_iter().filter(|(name, _)| name != "REPLY" && name != "ERROR").collect();
    let rows =
        DOCUMENT.lines().filter_map(cells).filter(|cells| cells.len() == 4 && cells[0].starts_with("0x"));
    let mut found = Vec::new();
    for cells in rows {
        let number = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        assert_eq!(number(&cells[1]), number(&cells[0]) | 0x80, "{}", cells[2]);
        found.push((cells[2].clone(), cells[0].clone()));
    }
    assert_eq!(found, expected);
    assert!(DOCUMENT.contains("| | 0xff | `ERROR` |") && KINDS.contains("pub const ERROR: u8 = 0xff;"));
}

#[test]
fn every_frame_is_a_vector_and_every_vector_is_shown() {
    let frames = |text: &'static str| -> BTreeMap<&'static str, &'static str> {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(" = 00 "))
            .collect()
    };
    assert_eq!(frames(&DOCUMENT), frames(VECTORS));
}

fn hardware(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

#[test]
fn limits_and_version_are_the_code_s() {
    for words in [
        format!("protocol version {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}."),
        format!("| payload | 0 to {MAX_PAYLOAD} |"),
        format!("| channel | 1 | 0 to {MAX_CHANNEL}; see below |"),
        format!("is at most {MAX_FRAME} bytes on the line"),
        format!("1 to {MAX_DATA} bytes."),
        format!("at most {MTU}\nbytes long"),
        format!("then 1 to {MAX_FRAGMENT} bytes of the packet"),
        format!("until {}.{} s after", CARRIER_HOLDS_MS / 1000, CARRIER_HOLDS_MS % 1000 / 100),
        format!("the node's address is {} and the host's {}", hardware(NODE_ADDRESS), hardware(HOST_ADDRESS)),
    ] {
        assert!(DOCUMENT.contains(&words), "`{words}` is not in usb-protocol.md");
    }
}
