//! Messages: golden frames both ways, numbers that cross the link, older and newer peers, hostile payloads.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;

use dunlin_config_format::cbor::Item;
use dunlin_config_format::frame::{Received, Receiver};
use dunlin_config_format::message::{self as m, Malformed, Message, Refusal, Value};
use proptest::prelude::*;

const VECTORS: &str = include_str!("vectors/usb-frames.txt");

fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, hex) = line.split_once(" = ").unwrap();
            (name, hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect())
        })
        .collect()
}

/// Compares a message with its golden frame in both directions and takes the frame off the list.
fn golden<M>(vectors: &mut BTreeMap<&'static str, Vec<u8>>, name: &str, number: u8, message: M)
where
    M: Message + for<'b> Item<'b> + PartialEq + std::fmt::Debug,
{
    golden_with(vectors, name, number, &message, |payload| {
        assert_eq!(m::decode::<M>(payload).as_ref(), Ok(&message))
    });
}

fn golden_with<'b, M: Message + Item<'b>>(
    vectors: &mut BTreeMap<&'static str, Vec<u8>>,
    name: &str,
    number: u8,
    message: &M,
    check: impl Fn(&[u8]),
) {
    let bytes = vectors.remove(name).unwrap_or_else(|| panic!("no vector {name}"));
    assert_eq!(m::encode(message, number).unwrap().as_bytes(), bytes, "{name}");
    let mut receiver = Receiver::new();
    let (last, before) = bytes.split_last().unwrap();
    for byte in before {
        assert_eq!(receiver.push(*byte), Received::Nothing, "{name}");
    }
    let Received::Frame(frame) = receiver.push(*last) else { panic!("{name} is no frame") };
    assert_eq!((frame.channel, frame.kind, frame.number), (M::CHANNEL, M::KIND, number), "{name}");
    check(frame.payload);
}

/// As [`golden`], for messages that borrow from their payload.
macro_rules! borrowed {
    ($vectors:expr, $name:literal, $number:literal, $message:expr) => {{
        let message = $message;
        golden_with($vectors, $name, $number, &message, |payload| {
            assert_eq!(m::decode(payload).as_ref(), Ok(&message))
        });
    }};
}

const fn hash() -> [u8; 32] {
    let mut hash = [0; 32];
    let mut index = 0;
    while index < 32 {
        hash[index] = index as u8;
        index += 1;
    }
    hash
}
const HASH: [u8; 32] = hash();

#[test]
fn golden_frames_both_ways() {
    let v = &mut vectors();
    session(v);
    transfer(v);
    query(v);
    errors_and_events(v);
    assert!(v.is_empty(), "vectors without a test: {:?}", v.keys());
}

fn session(v: &mut BTreeMap<&'static str, Vec<u8>>) {
    golden(v, "hello-request", 1, m::HelloRequest { major: 1, minor: 0 });
    borrowed!(
        v,
        "hello-board",
        1,
        m::HelloBoard {
            part: 0,
            boot_id: 0x1234_abcd,
            major: 1,
            minor: 0,
            firmware: "0.1.0",
            chip_id: 0x00c0_ffee,
            schema_low: 1,
            schema_high: 1,
            drivers: &[1, 2],
            image_limit: 12_288,
            sensor_limit: 32,
            report_limit: 64,
        }
    );
    let empty = m::HelloConfiguration {
        part: 1,
        boot_id: 0x1234_abcd,
        state: m::state::EMPTY,
        generation: None,
        active_hash: None,
        stored_hash: None,
        device: None,
        rollback_reason: None,
        rollback_generation: None,
    };
    borrowed!(v, "hello-configuration-empty", 1, empty);
    borrowed!(
        v,
        "hello-configuration",
        1,
        m::HelloConfiguration {
            state: m::state::CONFIRMED,
            generation: Some(7),
            active_hash: Some(HASH),
            device: Some("esp8266"),
            rollback_reason: Some(5),
            rollback_generation: Some(6),
            ..empty
        }
    );
    golden(v, "rollback-request", 15, m::RollbackRequest { generation: 8 });
    golden(v, "rollback-reply", 15, m::RollbackReply { generation: Some(7) });
    golden(v, "erase-request", 16, m::EraseRequest { what: m::what::CONFIGURATIONS | m::what::SECRETS });
    golden(v, "erase-reply", 16, m::EraseReply {});
    golden(v, "restart-request", 17, m::RestartRequest { boot_id: 0x1234_abcd });
    golden(v, "restart-reply", 17, m::RestartReply {});
    golden(v, "rate-request", 18, m::RateRequest { baud: 460_800 });
    golden(v, "rate-reply", 18, m::RateReply { baud: 460_800 });
}

fn transfer(v: &mut BTreeMap<&'static str, Vec<u8>>) {
    let flags = m::flag::CONFIRM | m::flag::REPLACE;
    borrowed!(v, "begin-request", 2, m::BeginRequest { length: 300, hash: HASH, flags, device: "esp8266" });
    golden(v, "begin-ready", 2, m::BeginReply { outcome: m::outcome::READY, next: 0, window: 2 });
    golden(v, "begin-unchanged", 2, m::BeginReply { outcome: m::outcome::UNCHANGED, next: 0, window: 1 });
    borrowed!(v, "data-request", 3, m::DataRequest { offset: 232, bytes: &[0, 1, 2, 0] });
    golden(v, "data-reply", 3, m::DataReply { next: 236 });
    golden(v, "end-request", 4, m::EndRequest { length: 300, hash: HASH });
    golden(v, "end-reply", 4, m::EndReply { generation: 8 });
    golden(v, "verdict-request", 5, m::VerdictRequest { hash: HASH, generation: Some(8) });
    let verdict =
        |outcome| m::VerdictReply { outcome, reason: None, elapsed_ms: None, limit_ms: None, attempts: None };
    golden(v, "verdict-confirmed", 6, verdict(m::outcome::CONFIRMED));
    golden(
        v,
        "verdict-rejected",
        7,
        m::VerdictReply { reason: Some(1), attempts: Some(3), ..verdict(m::outcome::REJECTED) },
    );
    golden(
        v,
        "verdict-trial",
        5,
        m::VerdictReply {
            reason: Some(3),
            elapsed_ms: Some(12_000),
            limit_ms: Some(60_000),
            attempts: Some(0),
            ..verdict(m::outcome::TRIAL)
        },
    );
    borrowed!(v, "secret-request", 8, m::SecretRequest { name: "mqtt.password", value: b"not a real one" });
    golden(v, "secret-reply", 8, m::SecretReply { in_use: false });
}

fn query(v: &mut BTreeMap<&'static str, Vec<u8>>) {
    golden(v, "pull-request", 9, m::PullRequest { offset: 212 });
    let hash_prefix = m::PullReply::prefix(&HASH);
    borrowed!(v, "pull-reply", 9, m::PullReply { offset: 212, bytes: &[0xa1, 0], length: 214, hash_prefix });
    golden(v, "info-request", 10, m::InfoRequest {});
    borrowed!(v, "info-text", 10, m::InfoItem { index: 0, count: 3, name: "link", value: Value::Text("up") });
    borrowed!(
        v,
        "info-unsigned",
        10,
        m::InfoItem { index: 1, count: 3, name: "uptime", value: Value::Unsigned(624) }
    );
    borrowed!(
        v,
        "info-null",
        10,
        m::InfoItem { index: 2, count: 3, name: "last-rollback", value: Value::Null }
    );
    let named = m::ReadRequest { sensor: Some("lux-1"), driver: None, sda: None, scl: None, address: None };
    borrowed!(v, "read-request", 11, named);
    borrowed!(
        v,
        "read-request-bare",
        12,
        m::ReadRequest { sensor: None, driver: Some(1), sda: Some(4), scl: Some(5), address: Some(0x29) }
    );
    let item = m::ReadItem {
        index: 0,
        count: 1,
        health: "ok",
        name: Some("illuminance"),
        raw: Some(284.5),
        filtered: Some(284.5),
        unit: Some("lx"),
    };
    borrowed!(v, "read-item", 11, item);
    borrowed!(
        v,
        "read-item-fault",
        12,
        m::ReadItem { health: "nack", name: None, raw: None, filtered: None, unit: None, ..item }
    );
    golden(v, "probe-request", 13, m::ProbeRequest { sda: 4, scl: 5 });
    borrowed!(v, "probe-reply", 13, m::ProbeReply { bus: m::bus::FREE, addresses: &[0x29, 0x76] });
    golden(v, "monitor-request", 14, m::MonitorRequest { what: 15 });
    golden(v, "monitor-reply", 14, m::MonitorReply { what: 15 });
}

fn errors_and_events(v: &mut BTreeMap<&'static str, Vec<u8>>) {
    let error = m::ErrorReply {
        refusal: Refusal::NoSuchSensor.number(),
        request: 9,
        detail: None,
        name: Some("lux-2"),
    };
    borrowed!(v, "error-reply", 19, error);
    let refusal = Refusal::FlashFault.number();
    borrowed!(v, "error-flash", 20, m::ErrorReply { refusal, request: 3, detail: Some(0xac100), name: None });
    borrowed!(
        v,
        "event-reading",
        0,
        m::ReadingEvent {
            uptime_ms: 2000,
            sensor: "lux-1",
            name: "illuminance",
            value: 284.5,
            unit: Some("lx"),
        }
    );
    borrowed!(v, "event-health", 1, m::HealthEvent { uptime_ms: 2100, sensor: "lux-1", health: "stuck-bus" });
    borrowed!(v, "event-log", 2, m::LogEvent { uptime_ms: 2200, text: "broker connected" });
    borrowed!(
        v,
        "event-sent",
        3,
        m::SentEvent { uptime_ms: 2300, topic: "test-topic", payload: b"[\"lux-1\", 2, 284.5]", qos: 0 }
    );
}

#[test]
fn refusals_keep_their_numbers() {
    let numbers: Vec<u16> = Refusal::ALL.iter().map(|refusal| refusal.number()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 21, 22, 32, 33, 34, 35, 48, 49]);
    for refusal in Refusal::ALL {
        assert_eq!(Refusal::from_number(refusal.number()), Some(*refusal));
    }
    assert_eq!(Refusal::from_number(0), None);
    assert_eq!(Refusal::from_number(0x8001), None);
}

#[test]
fn an_unknown_key_is_skipped_whatever_its_type() {
    // {0: 236, 99: {"a": [1, h'00']}, -1: 1.5}: keys that a newer peer may add.
    let newer = [
        0xa3, 0x00, 0x18, 0xec, 0x18, 0x63, 0xa1, 0x61, 0x61, 0x82, 0x01, 0x41, 0x00, 0x18, 0x64, 0xfa, 0x3f,
        0xc0, 0, 0,
    ];
    assert_eq!(m::decode(&newer), Ok(m::DataReply { next: 236 }));
}

#[test]
fn what_is_not_the_message_is_malformed() {
    let cases: &[(&str, &[u8])] = &[
        ("nothing", &[]),
        ("no map", &[0x18, 0xec]),
        ("missing key", &[0xa0]),
        ("wrong type", &[0xa1, 0x00, 0x61, 0x61]),
        ("too large a number", &[0xa1, 0x00, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("cut short", &[0xa1, 0x00, 0x18]),
        ("bytes left over", &[0xa1, 0x00, 0x01, 0x00]),
        ("a map longer than its bytes", &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (name, payload) in cases {
        assert_eq!(m::decode::<m::DataReply>(payload), Err(Malformed), "{name}");
    }
}

#[test]
fn the_most_data_fits_at_any_offset_of_a_slot_and_no_more() {
    let bytes = [0xff; m::MAX_DATA + 1];
    assert!(m::encode(&m::DataRequest { offset: 0xffff, bytes: &bytes[..m::MAX_DATA] }, 0).is_ok());
    assert!(m::encode(&m::DataRequest { offset: 0xffff, bytes: &bytes }, 0).is_err());
    let most = &bytes[..m::PullReply::MAX_BYTES];
    let reply = m::PullReply { offset: u32::MAX, bytes: most, length: u32::MAX, hash_prefix: [0; 8] };
    assert!(m::encode(&reply, 0).is_ok());
}

#[test]
fn a_secret_is_in_no_output() {
    let request = m::SecretRequest { name: "mqtt.password", value: b"hunter2" };
    let shown = format!("{request:?}");
    assert!(
        shown.contains("mqtt.password") && !shown.contains("hunter2") && !shown.contains("104"),
        "{shown}"
    );
}

fn decode_as_everything(payload: &[u8]) {
    let _ = m::decode::<m::HelloRequest>(payload);
    let _ = m::decode::<m::HelloBoard<'_>>(payload);
    let _ = m::decode::<m::HelloConfiguration<'_>>(payload);
    let _ = m::decode::<m::BeginRequest<'_>>(payload);
    let _ = m::decode::<m::BeginReply>(payload);
    let _ = m::decode::<m::DataRequest<'_>>(payload);
    let _ = m::decode::<m::EndRequest>(payload);
    let _ = m::decode::<m::VerdictRequest>(payload);
    let _ = m::decode::<m::VerdictReply>(payload);
    let _ = m::decode::<m::SecretRequest<'_>>(payload);
    let _ = m::decode::<m::PullReply<'_>>(payload);
    let _ = m::decode::<m::InfoItem<'_>>(payload);
    let _ = m::decode::<m::ReadRequest<'_>>(payload);
    let _ = m::decode::<m::ReadItem<'_>>(payload);
    let _ = m::decode::<m::ProbeReply<'_>>(payload);
    let _ = m::decode::<m::ErrorReply<'_>>(payload);
    let _ = m::decode::<m::ReadingEvent<'_>>(payload);
    let _ = m::decode::<m::SentEvent<'_>>(payload);
}

proptest! {
    #[test]
    fn any_payload_is_survived(payload in proptest::collection::vec(any::<u8>(), 0..240)) {
        decode_as_everything(&payload);
    }

    #[test]
    fn any_damaged_message_is_survived(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let frames: Vec<Vec<u8>> = vectors().into_values().collect();
        let mut receiver = Receiver::new();
        for sent in &frames[pick.index(frames.len())] {
            if let Received::Frame(frame) = receiver.push(*sent) {
                let mut payload = frame.payload.to_vec();
                let at = at.index(payload.len());
                payload[at] = byte;
                decode_as_everything(&payload);
                decode_as_everything(&payload[..at]);
            }
        }
    }
}
