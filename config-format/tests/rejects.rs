//! Every malformed input that the documents name, as a vector with its exact error.
//!
//! The vectors are text files under `vectors/rejects`. The errors in the source, those that `flash-layout.md` lists and those
//! that the vectors show must be the same: a new error needs a line in the document and a vector.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod document;

use std::collections::BTreeSet;
use std::fmt::Debug;

use document::{cells, read};
use dunlin_config_format::Config;
use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::{Encoded, Frame, Received, Receiver};
use dunlin_config_format::identity::{self, EntryHead};
use dunlin_config_format::image::{Header, Image};
use dunlin_config_format::message::{self as m, Message};
use dunlin_config_format::slot::{State, Words};

/// An input, and what is made of it.
struct Vector {
    name: String,
    expected: String,
    bytes: Vec<u8>,
}

/// Reads a file of vectors.
fn vectors(file: &str) -> Vec<Vector> {
    let text = read(&format!("config-format/tests/vectors/rejects/{file}.txt"));
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(hex) = line.strip_prefix("  ") {
            let (bytes, count) = hex.split_once(" * ").unwrap_or((hex, "1"));
            let bytes: Vec<u8> = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            vectors.last_mut().unwrap().bytes.extend(bytes.repeat(count.parse().unwrap()));
        } else {
            let (name, expected) = line.split_once(':').unwrap_or_else(|| panic!("{file}: `{line}`"));
            let expected = expected.trim().to_owned();
            vectors.push(Vector { name: name.to_owned(), expected, bytes: Vec::new() });
        }
    }
    let names: BTreeSet<_> = vectors.iter().map(|vector| vector.name.clone()).collect();
    assert_eq!(names.len(), vectors.len(), "a name of {file} is there twice");
    vectors
}

/// Compares what `read` makes of each vector of a file with what the file says, and tells all that differ.
fn check(file: &str, read: impl Fn(&Vector) -> String) {
    let differ = |vector: &Vector| {
        let found = read(vector);
        (found != vector.expected).then(|| format!("{}: {found}\n    not {}", vector.name, vector.expected))
    };
    let wrong: Vec<_> = vectors(file).iter().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{file}.txt:\n{}", wrong.join("\n"));
}

fn error<T: Debug, E: Debug>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("accepted as {value:?}"),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn headers() {
    check("headers", |vector| error(Header::decode(&vector.bytes)));
}

#[test]
fn images() {
    check("images", |vector| error(Image::parse(&vector.bytes)));
}

#[test]
fn bodies() {
    check("bodies", |vector| error(Config::decode(&vector.bytes)));
}

#[test]
fn identities() {
    check("identities", |vector| match vector.bytes.len() {
        identity::HEADER_SIZE => identity::Header::decode(vector.bytes.as_slice().try_into().unwrap())
            .map_or_else(|| "header".to_owned(), |header| format!("{header:?}")),
        _ => EntryHead::decode(vector.bytes.as_slice().try_into().unwrap())
            .map_or_else(|| "entry".to_owned(), |head| format!("{head:?}")),
    });
}

#[test]
fn states() {
    check("states", |vector| {
        let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
        let arrays: Vec<Words> = vector
            .bytes
            .chunks(32)
            .map(|array| array.chunks(4).map(word).collect::<Vec<_>>().try_into().unwrap())
            .collect();
        let [attempts, reasons, rejected, confirmed] = arrays.as_slice() else { panic!("{}", vector.name) };
        format!("{:?}", State::decode(attempts, reasons, rejected, confirmed))
    });
}

#[test]
fn frames() {
    check("frames", |vector| {
        let mut receiver = Receiver::new();
        let (mut seen, mut text) = (Vec::new(), 0);
        for byte in &vector.bytes {
            match receiver.push(*byte) {
                Received::Nothing => {}
                Received::Text(bytes) => text += bytes.len(),
                Received::Frame(frame) => seen.push(format!("Frame({}, {})", frame.channel, frame.kind)),
                Received::Damaged(count) => seen.push(format!("Damaged({count})")),
            }
        }
        if text > 0 {
            seen.push(format!("Text({text})"));
        }
        seen.join(", ")
    });
}

#[test]
fn frames_that_are_not_sent() {
    check("sent", |vector| {
        let [channel, kind, number, payload @ ..] = vector.bytes.as_slice() else {
            panic!("{}", vector.name)
        };
        error(Encoded::new(&Frame { channel: *channel, kind: *kind, number: *number, payload }))
    });
}

fn decode<'b, M: Message + Item<'b>>(payload: &'b [u8]) -> String {
    match m::decode::<M>(payload) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Decodes a payload as the message of this name; none where there is none.
macro_rules! decode_as {
    ($name:expr, $payload:expr, $($message:ident)*) => {
        match $name {
            $(stringify!($message) => Some(decode::<m::$message>($payload)),)*
            _ => None,
        }
    };
}

/// Decodes a payload as the message `name`.
fn message(name: &str, payload: &[u8]) -> String {
    let session = decode_as!(name, payload, HelloRequest HelloBoard HelloConfiguration RateRequest RateReply RestartRequest
        RestartReply RollbackRequest RollbackReply EraseRequest EraseReply);
    let transfer = decode_as!(name, payload, BeginRequest BeginReply DataRequest DataReply EndRequest EndReply VerdictRequest
        VerdictReply SecretRequest SecretReply);
    let query = decode_as!(name, payload, PullRequest PullReply InfoRequest InfoItem ReadRequest ReadItem ProbeRequest ProbeReply
        MonitorRequest MonitorReply ErrorReply ReadingEvent HealthEvent LogEvent SentEvent);
    session.or(transfer).or(query).unwrap_or_else(|| panic!("no message `{name}`"))
}

#[test]
fn messages() {
    check("messages", |vector| message(vector.name.split(' ').next().unwrap(), &vector.bytes));
    let shown: BTreeSet<_> =
        vectors("messages").iter().map(|vector| vector.name.split(' ').next().unwrap().to_owned()).collect();
    let document = read("usb-protocol.md");
    let named = document.split("\n**`").skip(1).map(|part| part.split('`').next().unwrap().to_owned());
    assert_eq!(shown, named.collect(), "messages of usb-protocol.md without a vector");
}

/// The variants of an enumeration in the source.
fn variants(path: &str, name: &str) -> BTreeSet<String> {
    let source = read(&format!("config-format/src/{path}.rs"));
    let inner = source.split(&format!("pub enum {name} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
    let lines = inner.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(char::is_uppercase));
    names.map(|line| format!("{name}::{}", line.split([' ', '(', ',']).next().unwrap())).collect()
}

/// The errors that a vector's text shows, in the words of the document.
fn shown(kind: &str, text: &str) -> Vec<String> {
    let outer = text.split([' ', '(']).next().unwrap();
    let mut errors = vec![format!("{kind}::{outer}")];
    if let Some(inner) = text.strip_prefix("Header(") {
        errors.push(format!("HeaderError::{}", inner.split([' ', ')']).next().unwrap()));
    }
    for (field, kind) in [("part: ", "Part"), ("fault: ", "Fault")] {
        if let Some((_, rest)) = text.split_once(field) {
            errors.push(format!("{kind}::{}", rest.split([' ', '(', ',']).next().unwrap()));
        }
    }
    errors
}

#[test]
fn every_error_is_in_the_document_and_has_a_vector() {
    let mut source = BTreeSet::new();
    for (path, name) in [
        ("image", "HeaderError"),
        ("image", "ImageError"),
        ("config/mod", "DecodeError"),
        ("config/validate", "Part"),
        ("config/validate", "Fault"),
    ] {
        source.extend(variants(path, name));
    }
    assert!(source.len() > 30, "the source is read wrongly: {source:?}");
    let document = read("flash-layout.md");
    let section = document.split("\n## Malformed inputs\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(cells).map(|cells| cells[0].clone());
    let listed: BTreeSet<_> = rows.filter(|cell| cell.contains("::")).collect();
    assert_eq!(listed, source, "flash-layout.md, section \"Malformed inputs\"");
    let mut seen = BTreeSet::new();
    for (file, kind) in [("headers", "HeaderError"), ("images", "ImageError"), ("bodies", "DecodeError")] {
        seen.extend(vectors(file).iter().flat_map(|vector| shown(kind, &vector.expected)));
    }
    assert_eq!(seen, source, "errors without a vector");
    let sent = vectors("sent").iter().flat_map(|vector| shown("FrameError", &vector.expected)).collect();
    assert_eq!(variants("frame", "FrameError"), sent);
}
