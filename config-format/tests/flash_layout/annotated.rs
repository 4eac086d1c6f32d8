//! The annotated images: made from the vectors with the words of the document's own tables.

use dunlin_config_format::config::{Config, Device, Link, List, Mqtt};
use dunlin_config_format::identity;
use dunlin_config_format::image::{HEADER_SIZE, Header, Image, checksum};
use minicbor::Decoder;

use crate::{assert_block, block, field, from, number, table};

const SMALLEST: &[u8] = include_bytes!("../vectors/smallest.dunlin");
const TUTORIAL: &[u8] = include_bytes!("../vectors/tutorial.dunlin");
const IDENTITY: &[u8] = include_bytes!("../vectors/identity.bin");

/// Adds lines of at most 16 bytes, the first with `words`.
fn line(text: &mut String, at: usize, bytes: &[u8], words: &str) {
    for (index, chunk) in bytes.chunks(16).enumerate() {
        let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let words = if index == 0 { words } else { "" };
        *text += format!("{:04x}: {:<48}{words}", at + 16 * index, hex.join(" ")).trim_end();
        *text += "\n";
    }
}

/// Adds the fields of a header by its table.
fn header(text: &mut String, rows: &[Vec<String>], bytes: &[u8]) {
    for row in rows {
        line(text, number(&row[0]) as usize, field(rows, bytes, &row[2]), &row[2]);
    }
}

/// Walks over a body and adds what each byte is.
struct Walk<'b> {
    text: String,
    body: &'b [u8],
    decoder: Decoder<'b>,
}

impl Walk<'_> {
    fn line(&mut self, start: usize, depth: usize, words: &str) {
        let bytes = &self.body[start..self.decoder.position()];
        let words = format!("{}{words}", "  ".repeat(depth));
        line(&mut self.text, HEADER_SIZE + start, bytes, &words);
    }

    /// A value of the type that a table tells, behind bytes from `start` on.
    fn value(&mut self, kind: &str, start: usize, depth: usize, words: &str) {
        if let Some(element) = kind.strip_prefix("list of ") {
            let count = self.decoder.array().unwrap().unwrap();
            self.line(start, depth, &format!("{words}: {count} × {element}"));
            for _ in 0..count {
                let at = self.decoder.position();
                self.value(element, at, depth + 1, element);
            }
            return;
        }
        match kind {
            "text" => {
                let text = self.decoder.str().unwrap();
                self.line(start, depth, &format!("{words}: \"{text}\""));
            }
            "u8" | "u32" => {
                let number = self.decoder.u32().unwrap();
                self.line(start, depth, &format!("{words}: {number}"));
            }
            name => self.structure(name, start, depth, words),
        }
    }

    fn structure(&mut self, name: &str, start: usize, depth: usize, words: &str) {
        let mark = format!("**`{name}`**");
        let rows = table(&mark, 0);
        let form = from(&mark)[1..].strip_prefix(&mark).unwrap().split(':').next().unwrap().to_owned();
        match form.as_str() {
            " A map" => {
                let count = self.decoder.map().unwrap().unwrap();
                let keys = if count == 1 { "key" } else { "keys" };
                self.line(start, depth, &format!("{words}: {count} {keys}"));
                for _ in 0..count {
                    let at = self.decoder.position();
                    let key = self.decoder.u32().unwrap().to_string();
                    let row = rows.iter().find(|row| row[0] == key).unwrap();
                    self.value(&row[2], at, depth + 1, &format!("{key} {}", row[1]));
                }
            }
            " An array" => {
                let count = self.decoder.array().unwrap().unwrap();
                let elements = rows.iter().take(count as usize);
                let values: Vec<_> =
                    elements.map(|row| format!("{} {}", row[1], self.decoder.u32().unwrap())).collect();
                self.line(start, depth, &format!("{words}: {}", values.join(", ")));
            }
            " A number" => {
                let number = self.decoder.u32().unwrap().to_string();
                let row = rows.iter().find(|row| row[0] == number).unwrap();
                self.line(start, depth, &format!("{words}: {number}, {}", row[1]));
            }
            other => panic!("{name} is `{other}`"),
        }
    }
}

fn image(bytes: &[u8]) -> String {
    let mut text = String::new();
    header(&mut text, &table("## Image", 0), bytes);
    let body = Image::parse(bytes).unwrap().body;
    let mut walk = Walk { text, body, decoder: Decoder::new(body) };
    walk.structure("Config", 0, 0, "Config");
    assert_eq!(walk.decoder.position(), body.len());
    walk.text
}

#[test]
fn the_smallest_image_is_the_vector() {
    let mqtt = Mqtt::at("b");
    let device = Device { name: "a", label: None };
    let lists = (List::default(), List::default(), List::default());
    let config =
        Config { device, mqtt, link: Link::default(), i2c: lists.0, sensors: lists.1, reports: lists.2 };
    let mut body = [0xa5; 64];
    let len = config.encode(&mut body).unwrap();
    let body = &body[..len];
    assert_eq!([&Header::new(body, &[]).encode(), body].concat(), SMALLEST);
    assert_eq!(Config::decode(Image::parse(SMALLEST).unwrap().body), Ok(config));
    // Nothing shorter is a configuration.
    for cut in 0..len {
        assert!(Config::decode(&body[..cut]).is_err());
    }
    assert_block(&block("### The smallest image", "annotated"), &image(SMALLEST));
}

#[test]
fn the_tutorials_image_is_the_vector() {
    assert_block(&block("### The tutorial's image", "annotated"), &image(TUTORIAL));
}

#[test]
fn the_identity_is_the_vector() {
    let (name, value) = (b"mqtt.password", b"secret");
    let head = identity::EntryHead { name_len: 13, value_len: 6, generation: 2 };
    let entry = [&head.encode()[..], name, value].concat();
    let header = identity::Header {
        sequence: 1,
        entries_len: entry.len() as u32,
        entries_crc: checksum(&entry),
        highest_revision: 0,
    };
    assert_eq!([&header.encode()[..], &entry].concat(), IDENTITY);
    let mut text = String::new();
    self::header(&mut text, &table("## Identity", 0), IDENTITY);
    let rows = table("Entries follow at offset", 0);
    let mut at = identity::HEADER_SIZE;
    for (row, len) in rows.iter().zip([1, 1, 4, name.len(), value.len()]) {
        line(&mut text, at, &IDENTITY[at..at + len], &row[2]);
        at += len;
    }
    assert_eq!(at, IDENTITY.len());
    assert_block(&block("Entries follow at offset", "annotated"), &text);
}
