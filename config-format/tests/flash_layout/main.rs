//! `flash-layout.md` against the code: every table, every ruler, every annotated image.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod annotated;
mod body;
#[path = "../document/mod.rs"]
mod document;
mod ranges;
#[path = "../document/source.rs"]
mod source;

use document::cells;
use dunlin_config_format::Reason;
use dunlin_config_format::flash_map::{IMAGE_SIZE, PAGE_SIZE, REGIONS, SECTOR_SIZE};
use dunlin_config_format::identity;
use dunlin_config_format::image::{HEADER_SIZE, Header, checksum};
use dunlin_config_format::limits::{ASSETS_SIZE, BODY_SIZE};
use dunlin_config_format::slot::{self, Slot, State};

/// Returns the document from the line that begins with `mark` on.
fn from(mark: &str) -> String {
    let document = document::read("flash-layout.md");
    let at = document.find(&format!("\n{mark}")).unwrap_or_else(|| panic!("no `{mark}`"));
    document[at..].to_owned()
}

/// Returns the rows of the `index`th table behind the line that begins with `mark`.
fn table(mark: &str, index: usize) -> Vec<Vec<String>> {
    let text = from(mark);
    let mut tables = text.split("\n\n").filter(|part| part.starts_with("| "));
    tables.nth(index).unwrap().lines().skip(2).map(|line| cells(line).unwrap()).collect()
}

/// Returns the block of the kind `language` that is the first behind the line that begins with `mark`.
fn block(mark: &str, language: &str) -> String {
    let text = from(mark);
    text.split(&format!("\n```{language}\n")).nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// Fails where a block is not what the code makes of it, and shows what it should be.
#[track_caller]
fn assert_block(found: &str, expected: &str) {
    assert!(found == expected, "the block should be\n{expected}\nand is\n{found}");
}

/// Reads `0xA8000`, `4,096` or `16 KiB`.
fn number(text: &str) -> u32 {
    parse(text).unwrap_or_else(|| panic!("`{text}` is no number"))
}

fn parse(text: &str) -> Option<u32> {
    let text = text.replace(',', "");
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.trim_end_matches(" KiB").parse().ok(),
    }
}

/// A ruler: the offsets of the fields of a table above their names.
fn ruler(rows: &[Vec<String>]) -> String {
    let (mut offsets, mut names, mut lines) = (String::new(), String::new(), String::new());
    for (at, row) in rows.iter().enumerate() {
        let width = row[2].len() + 3;
        offsets += &format!("{:<width$}", row[0]);
        names += &format!("| {} ", row[2]);
        let is_last = at + 1 == rows.len();
        if is_last || offsets.len() + rows[at + 1][2].len() > 96 {
            let end_of = |row: &[String]| match (parse(&row[0])?, parse(&row[1])?, row[0].starts_with("0x")) {
                (offset, size, true) => Some(format!("{:#05x}", offset + size)),
                (offset, size, false) => Some((offset + size).to_string()),
            };
            let end =
                rows.get(at + 1).map(|next| next[0].clone()).or_else(|| end_of(row)).unwrap_or_default();
            lines += &format!("{}\n{names}|\n", (offsets + &end).trim_end());
            (offsets, names) = (String::new(), String::new());
        }
    }
    lines
}

/// Fields without gaps, up to `size`.
fn assert_continuous(rows: &[Vec<String>], size: u32) {
    let mut at = 0;
    for row in rows {
        assert_eq!(number(&row[0]), at, "{row:?}");
        at += number(&row[1]);
    }
    assert_eq!(at, size);
}

/// Returns the bytes of a field at the place that its row tells.
fn field<'b>(rows: &[Vec<String>], bytes: &'b [u8], name: &str) -> &'b [u8] {
    let row = rows.iter().find(|row| row[2] == name).unwrap_or_else(|| panic!("no field `{name}`"));
    let start = number(&row[0]) as usize;
    &bytes[start..start + number(&row[1]) as usize]
}

#[test]
fn the_map_is_the_codes() {
    let rows = table("## Flash map", 0);
    assert_eq!(rows.len(), REGIONS.len());
    let owners = rows.iter().map(|row| row[2].as_str()).collect::<Vec<_>>();
    let slots = ["configuration slot A", "configuration slot B"];
    let identities = ["identity, first copy", "identity, second copy"];
    let others = ["reserved", "outbox ring", "the vendor's radio code"];
    assert_eq!(owners, [&["firmware"], &slots[..], &identities, &others].concat());
    for (row, region) in rows.iter().zip(REGIONS) {
        assert_eq!((number(&row[0]), number(&row[1]) * 1024), (region.address, region.size), "{row:?}");
    }
}

#[test]
fn the_header_is_the_codes() {
    let rows = table("## Image", 0);
    assert_continuous(&rows, HEADER_SIZE as u32);
    assert_block(&block("## Image", "ruler"), &ruler(&rows));
    let header = Header { generation: 0x1122_3344, ..Header::new(b"body", b"assets") };
    let bytes = header.encode();
    let field = |name: &str| field(&rows, &bytes, name);
    assert_eq!(field("magic"), b"DNLN");
    assert_eq!(field("format version"), [1, 0]);
    assert_eq!(field("lowest reader"), [1, 0]);
    assert_eq!(field("generation"), [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(field("body length"), [4, 0, 0, 0]);
    assert_eq!(field("assets length"), [6, 0, 0, 0]);
    assert_eq!(field("body checksum"), checksum(b"body").to_le_bytes());
    assert_eq!(field("assets checksum"), checksum(b"assets").to_le_bytes());
    assert_eq!(field("hash"), header.hash);
    assert_eq!(field("header checksum"), checksum(&bytes[..60]).to_le_bytes());
    // What the last column says of values.
    let value = |name: &str| rows.iter().find(|row| row[2] == name).unwrap()[3].replace(',', "");
    assert_eq!(value("magic").as_bytes(), b"DNLN");
    assert_eq!(value("format version"), "1");
    assert!(value("lowest reader").ends_with(": 1"));
    assert_eq!(value("body length"), format!("1 to {BODY_SIZE}"));
    assert_eq!(value("assets length"), format!("0 to {ASSETS_SIZE}"));
    assert_eq!(value("header checksum"), format!("CRC-32 of bytes 0 to {}", HEADER_SIZE - 5));
    let hashed = [&bytes[..8], &bytes[12..20], b"bodyassets"].concat();
    assert_eq!(value("hash"), "SHA-256 (FIPS 180-4) of bytes 0 to 7 bytes 12 to 19 body assets");
    assert_eq!(<[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest(&hashed)), header.hash);
}

#[test]
fn the_state_is_the_codes() {
    let rows = table("## State of a slot", 0);
    assert_continuous(&rows, SECTOR_SIZE);
    assert_block(&block("## State of a slot", "ruler"), &ruler(&rows));
    let arrays = [
        ("attempts", slot::ATTEMPTS_OFFSET),
        ("reasons", slot::REASONS_OFFSET),
        ("rejected", slot::REJECTED_OFFSET),
        ("confirmed", slot::CONFIRMED_OFFSET),
    ];
    let used: Vec<_> = rows.iter().filter(|row| row[2] != "unused").collect();
    assert_eq!(used.len(), arrays.len());
    for (row, (name, offset)) in used.iter().zip(arrays) {
        assert_eq!((row[2].as_str(), number(&row[0])), (name, offset));
        assert_eq!(number(&row[1]) as usize, 4 * slot::WORDS);
        assert!(offset.is_multiple_of(PAGE_SIZE));
        assert!(name == "reasons" || row[3].starts_with(&format!("{}: ", slot::SET)), "{row:?}");
    }
    let reason = slot::reason_word(Reason::Watchdog);
    assert_eq!((reason & 0xffff, reason >> 16), (9, 0xffff - 9));
    let text = from("## State of a slot");
    let says = |words: &str| assert!(text.contains(words), "`{words}` is not there");
    says(&format!("at offset {IMAGE_SIZE:#x} of the slot"));
    let ones = (0..=32).find(|ones| !slot::is_set(((1u64 << ones) - 1) as u32)).unwrap();
    says(&format!("A word counts if it has fewer than {ones} ones."));
    let torn = [0x00ff_ffff; slot::WORDS];
    assert!(slot::is_flagged(&torn));
    says(&format!("as attempts it counts {}:", slot::attempts(&torn)));
    says(&format!("reason {}\n(`{:?}`)", Reason::Vouched.code(), Reason::Vouched));
}

#[test]
fn the_reasons_are_the_codes() {
    let found: Vec<_> = table("### Reasons", 0).iter().map(|row| (number(&row[0]), row[1].clone())).collect();
    let expected = Reason::ALL.map(|reason| (u32::from(reason.code()), format!("{reason:?}")));
    assert_eq!(found, expected);
}

/// Reads a slot of the table of slots: `6 on trial, 2 attempts`.
fn slot(text: &str) -> Option<Slot> {
    if text == "empty" {
        return None;
    }
    let (generation, state) = text.split_once(' ').unwrap();
    let mut parts = state.split(", ");
    let confirmed = match parts.next() {
        Some("confirmed") => true,
        Some("on trial") => false,
        other => panic!("a slot that is {other:?}"),
    };
    let mut state = State { confirmed, ..State::default() };
    for part in parts {
        match part.strip_suffix(" attempts") {
            Some(count) => state.attempts = count.parse().unwrap(),
            None if part == "rejected" => state.rejected = true,
            None => panic!("a slot with `{part}`"),
        }
    }
    Some(Slot { generation: number(generation), state })
}

#[test]
fn slots_are_chosen_as_the_table_says() {
    let rows = table("## Which slot is run", 0);
    assert!(rows.len() > 10);
    for row in rows {
        let slots = [slot(&row[0]), slot(&row[1])];
        let name = |index: usize| ["A", "B"][index];
        assert_eq!(slot::choose(&slots).map_or("none", name), row[2], "{row:?}");
        assert_eq!(name(slot::target(&slots)), row[3], "{row:?}");
    }
    let text = from("## Which slot is run");
    assert!(text.contains(&format!("fewer than {} failed attempts", slot::ATTEMPTS)));
    assert!(text.contains(&format!("After {}\nattempts", slot::ATTEMPTS)));
}

#[test]
fn the_identity_is_the_codes() {
    let rows = table("## Identity", 0);
    assert_continuous(&rows, identity::HEADER_SIZE as u32);
    assert_block(&block("## Identity", "ruler"), &ruler(&rows));
    let header =
        identity::Header { sequence: 7, entries_len: 25, entries_crc: 0x1122_3344, highest_revision: 9 };
    let bytes = header.encode();
    let field = |name: &str| field(&rows, &bytes, name);
    assert_eq!(field("magic"), b"DNID");
    assert_eq!(field("format version"), identity::FORMAT_VERSION.to_le_bytes());
    assert_eq!(field("sequence"), [7, 0, 0, 0]);
    assert_eq!(field("entries length"), [25, 0, 0, 0]);
    assert_eq!(field("entries checksum"), [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(field("highest revision"), [9, 0, 0, 0]);
    assert_eq!(field("reserved"), [0xff; 36]);
    assert_eq!(field("header checksum"), checksum(&bytes[..60]).to_le_bytes());
    let value = |name: &str| rows.iter().find(|row| row[2] == name).unwrap()[3].replace(',', "");
    assert_eq!(value("magic").as_bytes(), identity::MAGIC.to_le_bytes());
    assert_eq!(value("format version"), identity::FORMAT_VERSION.to_string());
    assert_eq!(value("entries length"), format!("0 to {}", identity::ENTRIES_SIZE));
    assert!(from("## Identity").contains(&format!("Entries follow at offset {}", identity::HEADER_SIZE)));

    let rows = table("Entries follow at offset", 0);
    assert_block(&block("Entries follow at offset", "ruler"), &ruler(&rows));
    let head = identity::EntryHead { name_len: 13, value_len: 6, generation: 0x1122_3344 };
    let bytes = head.encode();
    let field = |name: &str| self::field(&rows, &bytes, name);
    assert_eq!(field("name length"), [13]);
    assert_eq!(field("value length"), [6]);
    assert_eq!(field("generation"), [0x44, 0x33, 0x22, 0x11]);
    let size = identity::ENTRY_HEAD_SIZE;
    assert_eq!(rows[3][..3], [size.to_string(), "name length".to_owned(), "name".to_owned()]);
    let behind = format!("{size} + name length");
    assert_eq!(rows[4][..3], [behind, "value length".to_owned(), "value".to_owned()]);
    assert_eq!(head.entry_len(), 6 + 13 + 6);
    let length = |name: &str| rows.iter().find(|row| row[2] == name).unwrap()[3].clone();
    assert_eq!(length("name length"), format!("1 to {}", identity::NAME_LEN));
    assert_eq!(length("value length"), format!("0 to {}", identity::VALUE_LEN));
}
