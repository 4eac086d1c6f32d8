//! `flash-layout.md` against the code: the map, the header, the state, and the tutorial's image.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use dunlin::compile::{Source, compile};
use dunlin_config_format::flash_map::REGIONS;
use dunlin_config_format::image::{HASH_SIZE, HEADER_SIZE, Header};
use dunlin_config_format::slot;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn document() -> String {
    fs::read_to_string(repository("flash-layout.md")).unwrap()
}

/// Returns the cells of the table below a heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = document();
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.trim_end_matches(" KiB").parse().unwrap(),
    }
}

#[test]
fn the_map_is_the_codes() {
    let rows = table("Flash map");
    assert_eq!(rows.len(), REGIONS.len());
    for (row, region) in rows.iter().zip(REGIONS) {
        assert_eq!((number(&row[0]), number(&row[1]) * 1024), (region.address, region.size), "{row:?}");
    }
}

#[test]
fn the_header_is_the_codes() {
    let rows = table("Image");
    let mut at = 0;
    for row in &rows {
        assert_eq!(number(&row[0]), at, "{row:?}");
        at += number(&row[1]);
    }
    assert_eq!(at as usize, HEADER_SIZE);
    // Each field, found again at the place that the document gives.
    let header = Header { generation: 0x1122_3344, ..Header::new(b"body", b"assets") };
    let bytes = header.encode();
    let field = |name: &str| {
        let row = rows.iter().find(|row| row[2] == name).unwrap();
        let start = number(&row[0]) as usize;
        &bytes[start..start + number(&row[1]) as usize]
    };
    assert_eq!(field("magic"), b"DNLN");
    assert_eq!(field("format version"), [1, 0]);
    assert_eq!(field("lowest reader"), [1, 0]);
    assert_eq!(field("generation"), [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(field("body length"), [4, 0, 0, 0]);
    assert_eq!(field("assets length"), [6, 0, 0, 0]);
    assert_eq!(field("body checksum"), header.body_crc.to_le_bytes());
    assert_eq!(field("assets checksum"), header.assets_crc.to_le_bytes());
    assert_eq!(field("hash"), header.hash);
    assert_eq!(field("hash").len(), HASH_SIZE);
}

#[test]
fn the_state_is_the_codes() {
    let offsets: Vec<u32> = table("State of a slot").iter().map(|row| number(&row[0])).collect();
    let code = [slot::ATTEMPTS_OFFSET, slot::REASONS_OFFSET, slot::REJECTED_OFFSET, slot::CONFIRMED_OFFSET];
    assert_eq!(offsets, code);
    assert!(document().contains(&format!("fewer than {} failed attempts", slot::ATTEMPTS)));
    // The rules of the words below the table.
    let ones = (0..=32).find(|ones| !slot::is_set(((1u64 << ones) - 1) as u32)).unwrap();
    assert!(document().contains(&format!("A word counts if it has fewer than {ones} ones.")));
    let torn = [0x00ff_ffff; slot::WORDS];
    assert!(slot::is_flagged(&torn));
    assert!(document().contains(&format!("as attempts it counts {}:", slot::attempts(&torn))));
    let vouched = dunlin_config_format::Reason::Vouched;
    assert!(document().contains(&format!("reason {}\n(`{vouched:?}`)", vouched.code())));
}

#[test]
fn the_tutorials_image_is_the_compilers() {
    let vector = fs::read(repository("config-format/tests/vectors/tutorial.dunlin")).unwrap();
    let path = repository("examples/configs/tutorial.toml");
    let source = Source { name: "tutorial.toml".to_owned(), text: fs::read_to_string(path).unwrap() };
    assert_eq!(compile(&source).image.as_ref(), Some(&vector));
    let text = document();
    let block = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let line = |line: &str| {
        let digits = line.split_once(": ").unwrap().1.to_owned();
        digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<u8>>()
    };
    assert_eq!(block.lines().flat_map(line).collect::<Vec<u8>>(), vector);
}
