//! The broker packet by packet, in hand-driven time, against the statements of MQTT 5.0 and 3.1.1.

mod support;

use dunlin_twin::world::broker::{Broker, ConnectionNumber, Qos};
use embassy_time::{Duration, Instant};
use support::packets::{
    CONNACK, DISCONNECT, GOODBYE, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, Received, SUBACK,
    UNSUBACK, acknowledge, connect, connect_v3, connect_with_will, open, packet, properties, publish, string,
    subscribe, take,
};

const START: Instant = Instant::from_secs(1_000);
const MALFORMED_PACKET: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;

fn at(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

/// Connects a client of version 5 with a clean start, without keep-alive.
fn client(broker: &mut Broker, name: &str) -> ConnectionNumber {
    let (connection, answer) = open(broker, START, &connect(name, true, 0, &[]));
    assert_eq!((answer[0].first, &answer[0].body[..2]), (CONNACK, [0, 0].as_slice()));
    connection
}

/// Sends a packet and returns the answer.
fn exchange(broker: &mut Broker, connection: ConnectionNumber, sent: &[u8]) -> Vec<Received> {
    broker.receive(START, connection, sent);
    take(broker, connection)
}

fn is_disconnected(broker: &Broker, connection: ConnectionNumber, answer: &[Received], reason: u8) -> bool {
    broker.is_closed(connection) && answer == [Received { first: DISCONNECT, body: vec![reason] }]
}

#[test]
fn what_is_malformed_ends_the_connection_with_its_reason() {
    for (reason, sent) in [
        // SUBSCRIBE with the flags of a repeat, as clients without MQTT-3.8.1-1 send it.
        (MALFORMED_PACKET, packet(0x8a, &[&[0, 1, 0], &string("t"), &[0]])),
        // PUBREL with the wrong flags, QoS 3, a repeat at QoS 0, packet identifier 0.
        (MALFORMED_PACKET, acknowledge(0x60, 1)),
        (MALFORMED_PACKET, publish(0x36, "t", 1, &[], b"")),
        (MALFORMED_PACKET, publish(0x38, "t", 1, &[], b"")),
        (MALFORMED_PACKET, publish(0x32, "t", 0, &[], b"")),
        // Bytes after the end, a remaining length of five bytes, text that is not UTF-8.
        (MALFORMED_PACKET, packet(0xc0, &[&[0]])),
        (MALFORMED_PACKET, vec![0x30, 0xff, 0xff, 0xff, 0xff, 0x01]),
        (MALFORMED_PACKET, packet(0x30, &[&[0, 1, 0xff, 0]])),
        // A second CONNECT, SUBSCRIBE without a filter, AUTH, a packet for clients.
        (PROTOCOL_ERROR, connect("again", true, 0, &[])),
        (PROTOCOL_ERROR, packet(0x82, &[&[0, 1, 0]])),
        (PROTOCOL_ERROR, packet(0xf0, &[])),
        (PROTOCOL_ERROR, packet(0xd0, &[])),
        // Topic names with wildcards or without a character, a topic alias that was never offered.
        (0x90, publish(0x30, "a/+", 0, &[], b"")),
        (0x90, publish(0x30, "", 0, &[], b"")),
        (0x94, publish(0x30, "t", 0, &[&[0x23, 0, 1]], b"")),
        // More than the broker announced to take.
        (0x95, vec![0x30, 0xff, 0xff, 0x7f]),
    ] {
        let mut broker = Broker::new();
        let connection = client(&mut broker, "c");
        let answer = exchange(&mut broker, connection, &sent);
        assert!(
            is_disconnected(&broker, connection, &answer, reason),
            "{sent:02x?}: {answer:02x?}, expected {reason:#04x}"
        );
        assert!(exchange(&mut broker, connection, &PINGREQ).is_empty());
    }
}

#[test]
fn nothing_is_said_before_connect() {
    let browser =
        b"GET / HTTP/1.1\r\nHost: localhost:1883\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n";
    for sent in [&PINGREQ[..], browser, &[0x10, 2, 0, 4], &[0x00, 0x00]] {
        let mut broker = Broker::new();
        let (connection, answer) = open(&mut broker, START, sent);
        assert!(answer.is_empty() && broker.is_closed(connection), "{sent:02x?}: {answer:02x?}");
    }
    let mut broker = Broker::new();
    let (connection, _) = open(&mut broker, START, &[]);
    assert_eq!(broker.next_event(), Some(at(30)));
    broker.step(at(30));
    assert!(broker.is_closed(connection));
}

#[test]
fn connects_that_cannot_be_accepted_are_told_why() {
    let method = [&[0x15][..], &string("SCRAM")].concat();
    let unknown = packet(0x10, &[&[0, 4, b'M', b'Q', b'T', b'T', 6, 2, 0, 0, 0], &string("c")]);
    let old = packet(0x10, &[&string("MQIsdp"), &[3, 2, 0, 0], &string("c")]);
    for (body, sent) in [
        (vec![0, 0x84, 0], unknown),
        (vec![0, 1], old),
        (vec![0, 2], connect_v3("", false)),
        (vec![0, 0x8c, 0], connect("c", true, 0, &[&method])),
    ] {
        let mut broker = Broker::new();
        let (connection, answer) = open(&mut broker, START, &sent);
        assert_eq!(answer, [Received { first: CONNACK, body }]);
        assert!(broker.is_closed(connection));
    }
}

#[test]
fn a_client_without_a_name_gets_one() {
    let mut broker = Broker::new();
    let (_, answer) = open(&mut broker, START, &connect("", true, 0, &[]));
    let assigned = [&[0x12][..], &string("auto-1")].concat();
    assert!(answer[0].body.windows(assigned.len()).any(|window| window == assigned), "{answer:02x?}");
    let (_, answer) = open(&mut broker, START, &connect_v3("", true));
    assert_eq!(answer, [Received { first: CONNACK, body: vec![0, 0] }]);
}

#[test]
fn keep_alive_is_met_by_any_packet_and_missed_after_one_and_a_half() {
    let mut broker = Broker::new();
    let (connection, _) = open(&mut broker, START, &connect("c", true, 10, &[]));
    broker.receive(at(14), connection, &PINGREQ);
    assert_eq!(take(&mut broker, connection), [Received { first: PINGRESP, body: vec![] }]);
    broker.receive(at(28), connection, &publish(0x30, "t", 0, &[], b""));
    broker.step(at(42));
    assert!(!broker.is_closed(connection));
    assert_eq!(broker.next_event(), Some(at(43)));
    broker.step(at(43));
    let answer = take(&mut broker, connection);
    assert!(is_disconnected(&broker, connection, &answer, 0x8d), "{answer:02x?}");
    assert_eq!(broker.next_event(), None);
}

#[test]
fn a_will_waits_for_its_delay_or_for_the_end_of_its_session() {
    // Session expiry, will delay, when the client is back, when the will comes.
    for (expiry_s, delay_s, back_at_s, will_at_s) in [
        (60, 0, None, Some(0)),
        (60, 20, None, Some(20)),
        (10, 20, None, Some(10)),
        (0, 20, None, Some(0)),
        (60, 20, Some(19), None),
    ] {
        let mut broker = Broker::new();
        let watcher = client(&mut broker, "watcher");
        exchange(&mut broker, watcher, &subscribe(1, "will", 0, None));
        let (connection, _) = open(&mut broker, START, &connect_with_will("c", expiry_s, delay_s));
        broker.close(START, connection);
        let mut came_at_s = None;
        for second in 0..=70 {
            broker.step(at(second));
            if back_at_s == Some(second) {
                open(&mut broker, at(second), &connect("c", false, 0, &[&[0x11, 0, 0, 1, 0]]));
            }
            if !take(&mut broker, watcher).is_empty() {
                assert_eq!(came_at_s.replace(second), None);
            }
        }
        assert_eq!(came_at_s, will_at_s, "expiry {expiry_s} s, delay {delay_s} s");
    }
}

#[test]
fn a_polite_end_has_no_will_unless_it_asks() {
    for (goodbye, expected) in [(GOODBYE.to_vec(), 0), (packet(0xe0, &[&[4]]), 1)] {
        let mut broker = Broker::new();
        let watcher = client(&mut broker, "watcher");
        exchange(&mut broker, watcher, &subscribe(1, "will", 0, None));
        let (connection, _) = open(&mut broker, START, &connect_with_will("c", 0, 0));
        assert!(exchange(&mut broker, connection, &goodbye).is_empty());
        assert!(broker.is_closed(connection));
        broker.close(START, connection);
        assert_eq!(take(&mut broker, watcher).len(), expected);
    }
}

#[test]
fn a_session_lasts_as_long_as_it_asked() {
    for (away_s, present) in [(59, 1), (60, 0)] {
        let mut broker = Broker::new();
        let expiry: &[&[u8]] = &[&[0x11, 0, 0, 0, 60]];
        let (connection, _) = open(&mut broker, START, &connect("c", true, 0, expiry));
        broker.close(START, connection);
        broker.step(at(away_s));
        let (_, answer) = open(&mut broker, at(away_s), &connect("c", false, 0, expiry));
        assert_eq!(answer[0].body[0], present, "after {away_s} s");
    }
    // A session that was to end with its connection cannot be kept at the end.
    let mut broker = Broker::new();
    let connection = client(&mut broker, "c");
    let answer = exchange(&mut broker, connection, &packet(0xe0, &[&[0, 5, 0x11, 0, 0, 0, 60]]));
    assert!(is_disconnected(&broker, connection, &answer, PROTOCOL_ERROR));
}

#[test]
fn the_clients_receive_maximum_holds() {
    let mut broker = Broker::new();
    let (connection, _) = open(&mut broker, START, &connect("c", true, 0, &[&[0x21, 0, 2]]));
    exchange(&mut broker, connection, &subscribe(1, "#", 2, None));
    for payload in [b"1", b"2", b"3", b"4"] {
        broker.publish(START, "t", payload, Qos::ExactlyOnce, false);
    }
    broker.publish(START, "t", b"5", Qos::AtLeastOnce, false);
    let payloads = |packets: &[Received]| -> Vec<_> { packets.iter().map(|p| p.message().payload).collect() };
    let sent = take(&mut broker, connection);
    assert_eq!(payloads(&sent), [b"1", b"2"]);
    let first_id = sent[0].message().packet_id;
    // PUBREC returns no quota ([MQTT-4.9.0-2]), PUBCOMP does.
    let answer = exchange(&mut broker, connection, &acknowledge(PUBREC, first_id));
    assert_eq!(answer, [Received { first: PUBREL, body: first_id.to_be_bytes().to_vec() }]);
    assert_eq!(payloads(&exchange(&mut broker, connection, &acknowledge(PUBCOMP, first_id))), [b"3"]);
    // A refusal is the end of its message, too.
    let second_id = sent[1].message().packet_id;
    let refusal = packet(PUBREC, &[&second_id.to_be_bytes(), &[0x97]]);
    assert_eq!(payloads(&exchange(&mut broker, connection, &refusal)), [b"4"]);
}

#[test]
fn the_brokers_receive_maximum_holds() {
    let mut broker = Broker::new();
    let connection = client(&mut broker, "c");
    for packet_id in 1..=20 {
        let answer = exchange(&mut broker, connection, &publish(0x34, "t", packet_id, &[], b""));
        assert_eq!(answer[0].first, PUBREC);
    }
    let answer = exchange(&mut broker, connection, &publish(0x34, "t", 21, &[], b""));
    assert!(is_disconnected(&broker, connection, &answer, 0x93));
}

#[test]
fn what_is_too_large_for_a_client_is_not_sent() {
    let mut broker = Broker::new();
    let (connection, _) = open(&mut broker, START, &connect("c", true, 0, &[&[0x27, 0, 0, 0, 20]]));
    exchange(&mut broker, connection, &subscribe(1, "t", 0, None));
    // 1 type, 1 length, 3 topic, 1 properties, 14 payload.
    broker.publish(START, "t", &[b'a'; 14], Qos::AtMostOnce, false);
    broker.publish(START, "t", &[b'b'; 15], Qos::AtMostOnce, false);
    let sent = take(&mut broker, connection);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].message().payload, [b'a'; 14]);
}

#[test]
fn what_was_not_acknowledged_is_sent_again() {
    let mut broker = Broker::new();
    let expiry: &[&[u8]] = &[&[0x11, 0xff, 0xff, 0xff, 0xff]];
    let (connection, _) = open(&mut broker, START, &connect("c", true, 0, expiry));
    exchange(&mut broker, connection, &subscribe(1, "#", 2, None));
    broker.publish(START, "one", b"1", Qos::AtLeastOnce, false);
    broker.publish(START, "two", b"2", Qos::ExactlyOnce, false);
    broker.publish(START, "two", b"3", Qos::ExactlyOnce, false);
    let ids: Vec<_> = take(&mut broker, connection).iter().map(|sent| sent.message().packet_id).collect();
    exchange(&mut broker, connection, &acknowledge(PUBREC, ids[1]));
    broker.close(START, connection);
    broker.publish(START, "one", b"4", Qos::AtLeastOnce, false);

    let (connection, answer) = open(&mut broker, START, &connect("c", false, 0, expiry));
    assert_eq!((answer.len(), answer[0].body[0]), (5, 1));
    let repeat = answer[1].message();
    assert_eq!((repeat.first, repeat.packet_id, &repeat.payload[..]), (0x3a, ids[0], &b"1"[..]));
    assert_eq!(answer[2], Received { first: PUBREL, body: ids[1].to_be_bytes().to_vec() });
    assert_eq!((answer[3].message().first, answer[3].message().packet_id), (0x3c, ids[2]));
    let new = answer[4].message();
    assert_eq!((new.first, &new.payload[..]), (0x32, &b"4"[..]));
    assert!(!ids.contains(&new.packet_id));
    assert!(exchange(&mut broker, connection, &acknowledge(PUBACK, ids[0])).is_empty());
}

#[test]
fn a_repeated_qos_2_message_is_delivered_once() {
    let mut broker = Broker::new();
    let subscriber = client(&mut broker, "subscriber");
    exchange(&mut broker, subscriber, &subscribe(1, "t", 0, None));
    let publisher = client(&mut broker, "publisher");
    for first in [0x34, 0x3c] {
        let answer = exchange(&mut broker, publisher, &publish(first, "t", 7, &[], b"x"));
        assert_eq!(answer, [Received { first: PUBREC, body: vec![0, 7] }]);
    }
    assert_eq!(take(&mut broker, subscriber).len(), 1);
    let answer = exchange(&mut broker, publisher, &acknowledge(PUBREL, 7));
    assert_eq!(answer, [Received { first: PUBCOMP, body: vec![0, 7] }]);
    let unknown = exchange(&mut broker, publisher, &acknowledge(PUBREL, 7));
    assert_eq!(unknown, [Received { first: PUBCOMP, body: vec![0, 7, 0x92] }]);
    exchange(&mut broker, publisher, &publish(0x34, "t", 7, &[], b"y"));
    assert_eq!(take(&mut broker, subscriber).len(), 1);
}

#[test]
fn overlapping_subscriptions_make_one_delivery() {
    let mut broker = Broker::new();
    let connection = client(&mut broker, "c");
    for (packet_id, filter, options, identifier) in [(1, "a/b", 0, 3), (2, "a/+", 2, 4), (3, "#", 1, 5)] {
        exchange(&mut broker, connection, &subscribe(packet_id, filter, options, Some(identifier)));
    }
    broker.publish(START, "a/b", b"x", Qos::AtLeastOnce, false);
    let sent = take(&mut broker, connection);
    assert_eq!(sent.len(), 1);
    let message = sent[0].message();
    assert_eq!(message.first, 0x32);
    let mut identifiers: Vec<_> = message.properties.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    identifiers.sort_unstable();
    assert_eq!(identifiers, [(0x0b, 3), (0x0b, 4), (0x0b, 5)]);
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    for (options, expected) in [(0, 1), (4, 0)] {
        let mut broker = Broker::new();
        let connection = client(&mut broker, "c");
        exchange(&mut broker, connection, &subscribe(1, "t", options, None));
        let answer = exchange(&mut broker, connection, &publish(0x30, "t", 0, &[], b""));
        assert_eq!(answer.len(), expected);
    }
}

#[test]
fn retain_handling_decides_what_a_subscription_is_sent() {
    let mut broker = Broker::new();
    broker.publish(START, "t", b"kept", Qos::AtLeastOnce, true);
    let connection = client(&mut broker, "c");
    // Never; if new, which it isn't any more; always; with retain as published.
    for (packet_id, options, expected) in [(1, 0x20, 0), (2, 0x10, 0), (3, 0x00, 1), (4, 0x08, 1)] {
        let answer = exchange(&mut broker, connection, &subscribe(packet_id, "t", options, None));
        assert_eq!(answer.len(), 1 + expected, "options {options:#04x}");
        assert_eq!(answer[0].first, SUBACK);
        if let Some(retained) = answer.get(1) {
            assert_eq!((retained.first, &retained.message().payload[..]), (0x31, &b"kept"[..]));
        }
    }
    let other = client(&mut broker, "other");
    assert_eq!(exchange(&mut broker, other, &subscribe(1, "t", 0x10, None)).len(), 2);
}

#[test]
fn messages_expire() {
    let mut broker = Broker::new();
    let expiry: &[&[u8]] = &[&[0x11, 0, 0, 1, 0]];
    let (connection, _) = open(&mut broker, START, &connect("c", true, 0, expiry));
    exchange(&mut broker, connection, &subscribe(1, "t", 1, None));
    broker.close(START, connection);
    let publisher = client(&mut broker, "publisher");
    for lifetime_s in [9, 30] {
        exchange(&mut broker, publisher, &publish(0x32, "t", 1, &[&[2, 0, 0, 0, lifetime_s]], &[lifetime_s]));
    }
    let (_, answer) = open(&mut broker, at(10), &connect("c", false, 0, expiry));
    assert_eq!(answer.len(), 2);
    let message = answer[1].message();
    assert_eq!((&message.payload[..], &message.properties[..]), (&[30][..], &[2, 0, 0, 0, 20][..]));
}

#[test]
fn filters_are_granted_or_refused_one_by_one() {
    let mut broker = Broker::new();
    let connection = client(&mut broker, "c");
    let filters: Vec<u8> = [("a", 1), ("a/#/b", 0), ("$share/g/a", 0), ("b", 2)]
        .into_iter()
        .flat_map(|(filter, options)| [string(filter), vec![options]].concat())
        .collect();
    let answer = exchange(&mut broker, connection, &packet(0x82, &[&[0, 9], &properties(&[]), &filters]));
    assert_eq!(answer, [Received { first: SUBACK, body: vec![0, 9, 0, 1, 0x8f, 0x9e, 2] }]);
    let filters = [string("a"), string("never")].concat();
    let answer = exchange(&mut broker, connection, &packet(0xa2, &[&[0, 10], &properties(&[]), &filters]));
    assert_eq!(answer, [Received { first: UNSUBACK, body: vec![0, 10, 0, 0, 0x11] }]);

    let (old, _) = open(&mut broker, START, &connect_v3("old", true));
    let filters = [string("a#"), vec![0], string("a"), vec![1]].concat();
    let answer = exchange(&mut broker, old, &packet(0x82, &[&[0, 1], &filters]));
    assert_eq!(answer, [Received { first: SUBACK, body: vec![0, 1, 0x80, 1] }]);
    let answer = exchange(&mut broker, old, &packet(0xa2, &[&[0, 2], &string("a")]));
    assert_eq!(answer, [Received { first: UNSUBACK, body: vec![0, 2] }]);
}

#[test]
fn a_message_that_nobody_wants_is_told_apart() {
    let mut broker = Broker::new();
    let connection = client(&mut broker, "c");
    let answer = exchange(&mut broker, connection, &publish(0x32, "t", 1, &[], b""));
    assert_eq!(answer, [Received { first: PUBACK, body: vec![0, 1, 0x10] }]);
    exchange(&mut broker, connection, &subscribe(2, "t", 0, None));
    let answer = exchange(&mut broker, connection, &publish(0x32, "t", 3, &[], b""));
    assert!(answer.contains(&Received { first: PUBACK, body: vec![0, 3] }), "{answer:02x?}");
}
