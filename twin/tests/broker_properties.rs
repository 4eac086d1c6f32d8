//! Whatever arrives at a broker, in whatever pieces: no panic, and the pieces make no difference.

#![expect(clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use dunlin_twin::world::broker::Broker;
use embassy_time::{Duration, Instant};
use proptest::prelude::*;
use support::packets::{
    GOODBYE, PINGREQ, PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledge, connect, connect_v3, connect_with_will,
    packet, publish, string, subscribe,
};

/// Packets that make sense, for any of the clients.
fn sound_packet() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![Just("a"), Just("b"), Just("")];
    let topic = prop_oneof![Just("t"), Just("t/u"), Just("will"), Just("$x")];
    let filter = prop_oneof![Just("t"), Just("#"), Just("t/+"), Just("$x"), Just("a#")];
    let id = 0..4u16;
    prop_oneof![
        (name.clone(), any::<bool>(), 0..3u16).prop_map(|(name, clean, keep_alive_s)| {
            connect(name, clean, keep_alive_s, &[&[0x11, 0, 0, 0, 5], &[0x21, 0, 2]])
        }),
        (name.clone(), 0..4u32, 0..4u32)
            .prop_map(|(name, expiry, delay)| { connect_with_will(name, expiry, delay) }),
        (name, any::<bool>()).prop_map(|(name, clean)| connect_v3(name, clean)),
        (0x30..0x3fu8, topic, id.clone(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(first, topic, id, payload)| publish(first, topic, id, &[], &payload)),
        (id.clone(), filter, 0..0x30u8, prop::option::of(0..5u8))
            .prop_map(|(id, filter, options, identifier)| subscribe(id, filter, options, identifier)),
        (prop_oneof![Just(PUBACK), Just(PUBREC), Just(PUBREL), Just(PUBCOMP)], id.clone())
            .prop_map(|(first, id)| acknowledge(first, id)),
        id.prop_map(|id| packet(0xa2, &[&id.to_be_bytes(), &[0], &string("t")])),
        Just(PINGREQ.to_vec()),
        Just(GOODBYE.to_vec()),
    ]
}

/// What one connection sends: mostly sound packets, now and then altered, now and then noise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let altered =
        (sound_packet(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let piece = prop_oneof![
        16 => sound_packet(),
        2 => altered,
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A stream that gets past CONNECT.
fn client_stream() -> impl Strategy<Value = Vec<u8>> {
    let greeting = prop_oneof![
        Just(connect("a", false, 2, &[&[0x11, 0, 0, 0, 5], &[0x21, 0, 2]])),
        Just(connect("b", true, 0, &[])),
        Just(connect_v3("c", false)),
    ];
    (greeting, stream()).prop_map(|(greeting, rest)| [greeting, rest].concat())
}

/// Returns everything the broker sends when each stream arrives at once, or in pieces of the given lengths.
fn answers(streams: &[Vec<u8>], piece_lens: &[usize]) -> Vec<(Vec<u8>, bool)> {
    let mut broker = Broker::new();
    let mut lens = piece_lens.iter().cycle();
    let mut answers = Vec::new();
    let mut now = Instant::from_secs(1);
    for bytes in streams {
        let connection = broker.open(now).expect("the broker is there");
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let len = lens.next().map_or(rest.len(), |&len| len.clamp(1, rest.len()));
            broker.receive(now, connection, &rest[..len]);
            rest = &rest[len..];
        }
        answers.push((broker.output(connection).to_vec(), broker.is_closed(connection)));
        now += Duration::from_secs(1);
        broker.step(now);
    }
    now += Duration::from_secs(100);
    broker.step(now);
    // Every timer is done with, or is later.
    assert!(broker.next_event().is_none_or(|at| at > now));
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(
        streams in prop::collection::vec(prop_oneof![3 => client_stream(), 1 => stream()], 1..5),
        piece_lens in prop::collection::vec(1..50usize, 1..20),
    ) {
        prop_assert_eq!(answers(&streams, &[]), answers(&streams, &piece_lens));
    }

    #[test]
    fn noise_is_survived(streams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4)) {
        for greeting in [connect("a", true, 0, &[]), connect_v3("a", true)] {
            let streams: Vec<_> = streams.iter().map(|noise| [&greeting[..], noise].concat()).collect();
            answers(&streams, &[]);
        }
    }
}
