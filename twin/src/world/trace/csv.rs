//! A happening as a line of CSV (RFC 4180, lines ended by LF).
//!
//! Columns: `seconds` since the start of the world, with microseconds; `kind`; `name`; `value`; `detail`.
//!
//! | kind | name | value | detail |
//! | --- | --- | --- | --- |
//! | `truth` | quantity, when a sensor took it in | value | unit |
//! | `reading` | `sensor.reading`, when the node had told it | value | unit |
//! | `failure` | sensor that gives no readings from now on | | reason |
//! | `message` | topic | payload, or `hex:…` if it is not text | `qos=N`, ` retained` |
//! | `session` | | `begins`, `ends` | |
//! | `fault` | name | `begins`, `ends` | kind |
//! | `flash` | `erase`, `program` | first address, hexadecimal | bytes |
//! | `start` | | | cause |

use super::{FlashOperation, Happening};
use embassy_time::Instant;
use std::fmt::Write as _;

/// The first line.
pub(super) const HEADER: &str = "seconds,kind,name,value,detail\n";

/// Appends the line of `happening`.
pub(super) fn write_line(out: &mut Vec<u8>, at: Instant, happening: &Happening<'_>) {
    let (kind, name, value, detail) = fields(happening);
    let seconds = format!("{}.{:06}", at.as_secs(), at.as_micros() % 1_000_000);
    for (index, field) in [seconds.as_str(), kind, &name, &value, &detail].into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_field(out, field);
    }
    out.push(b'\n');
}

fn write_field(out: &mut Vec<u8>, field: &str) {
    if !field.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

fn fields(happening: &Happening<'_>) -> (&'static str, String, String, String) {
    let edge = |begins| if begins { "begins" } else { "ends" }.to_owned();
    match *happening {
        Happening::Truth { quantity, unit, value } => {
            ("truth", quantity.to_owned(), value.to_string(), unit.to_owned())
        }
        Happening::Reading { sensor, reading, unit, value } => {
            ("reading", format!("{sensor}.{reading}"), value.to_string(), unit.to_owned())
        }
        Happening::SampleFailed { sensor, reason } => {
            ("failure", sensor.to_owned(), String::new(), reason.to_owned())
        }
        Happening::Message { topic, payload, qos, retained } => {
            let detail = format!("qos={qos}{}", if retained { " retained" } else { "" });
            ("message", topic.to_owned(), text_or_hex(payload), detail)
        }
        Happening::Session { begins } => ("session", String::new(), edge(begins), String::new()),
        Happening::FaultBegins { name, kind, .. } => ("fault", name.to_owned(), edge(true), kind.to_owned()),
        Happening::FaultEnds { name, kind } => ("fault", name.to_owned(), edge(false), kind.to_owned()),
        Happening::Flash { operation, address, len } => {
            let operation = match operation {
                FlashOperation::Erase => "erase",
                FlashOperation::Program => "program",
            };
            ("flash", operation.to_owned(), format!("{address:#07x}"), len.to_string())
        }
        Happening::Started { cause } => ("start", String::new(), String::new(), cause.to_owned()),
    }
}

fn text_or_hex(payload: &[u8]) -> String {
    match core::str::from_utf8(payload) {
        Ok(text) if !text.contains(|each: char| each.is_control() && each != '\n' && each != '\t') => {
            text.to_owned()
        }
        _ => payload.iter().fold("hex:".to_owned(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}
