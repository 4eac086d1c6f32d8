//! Frames: against published vectors, and the receiver against whatever a line can do.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dunlin_config_format::frame::{Encoded, Frame, FrameError, MAX_FRAME, MAX_PAYLOAD, Received, Receiver};
use proptest::prelude::*;

/// What a receiver made of some bytes: whole frames, text, and how many bytes were dropped.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    frames: Vec<(u8, u8, u8, Vec<u8>)>,
    text: Vec<u8>,
    damaged: usize,
}

fn receive(bytes: &[u8]) -> Seen {
    let mut receiver = Receiver::new();
    let mut seen = Seen::default();
    for byte in bytes {
        match receiver.push(*byte) {
            Received::Nothing => {}
            Received::Text(text) => seen.text.extend_from_slice(text),
            Received::Frame(f) => seen.frames.push((f.channel, f.kind, f.number, f.payload.to_vec())),
            Received::Damaged(count) => seen.damaged += count,
        }
    }
    seen
}

fn encoded(number: u8, payload: &[u8]) -> Vec<u8> {
    Encoded::new(&Frame { channel: 0, kind: 3, number, payload }).unwrap().as_bytes().to_vec()
}

#[test]
fn the_longest_frame_fits_and_a_longer_one_is_refused() {
    for fill in [0x00, 0x01, 0xff] {
        let bytes = encoded(1, &[fill; MAX_PAYLOAD]);
        assert_eq!(bytes.len(), MAX_FRAME);
        assert_eq!(receive(&bytes).frames, [(0, 3, 1, vec![fill; MAX_PAYLOAD])]);
    }
    let long = [0; MAX_PAYLOAD + 1];
    let refused = Encoded::new(&Frame { channel: 0, kind: 3, number: 1, payload: &long });
    assert_eq!(refused.unwrap_err(), FrameError::PayloadTooLong);
    let refused = Encoded::new(&Frame { channel: 8, kind: 3, number: 1, payload: &[] });
    assert_eq!(refused.unwrap_err(), FrameError::NoSuchChannel);
}

#[test]
fn text_between_frames_is_shown_without_waiting_for_the_next_frame() {
    let mut line = encoded(1, b"abc");
    line.extend_from_slice(b"broker connected\r\n");
    let seen = receive(&line);
    assert_eq!(seen.frames.len(), 1);
    assert_eq!(seen.text, b"broker connected\r\n");
    line.extend(encoded(2, b""));
    line.extend_from_slice("µ".as_bytes());
    let seen = receive(&line);
    assert_eq!(seen.frames.len(), 2);
    assert_eq!(seen.text, "broker connected\r\nµ".as_bytes());
}

#[test]
fn frames_may_share_a_delimiter() {
    let first = encoded(1, b"abc");
    let second = encoded(2, b"def");
    let mut line = first.clone();
    line.extend_from_slice(&second[1..]);
    assert_eq!(receive(&line).frames.len(), 2);
}

#[test]
fn a_lost_delimiter_never_costs_the_frame_after_the_next() {
    let frames: Vec<Vec<u8>> = (0..4).map(|number| encoded(number, &[number; 20])).collect();
    let line: Vec<u8> = frames.concat();
    for lost in 0..line.len() {
        let mut damaged = line.clone();
        damaged.remove(lost);
        let seen = receive(&damaged);
        assert!(seen.frames.len() >= 3, "byte {lost} lost: {seen:?}");
    }
}

proptest! {
    /// Any bytes at all are survived, and every byte is accounted for: a frame's own bytes, text, or damage.
    #[test]
    fn noise_never_hides_a_whole_frame_for_long(noise in proptest::collection::vec(any::<u8>(), 0..600), payload in proptest::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD)) {
        let mut line = noise;
        line.extend(encoded(9, &payload));
        let seen = receive(&line);
        prop_assert_eq!(seen.frames.last(), Some(&(0, 3, 9, payload)));
    }

    #[test]
    fn noise_is_no_frame(noise in proptest::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..2000)) {
        // One in 2^32 candidates would pass by chance; a thousand cases of at most a thousand candidates do not.
        prop_assert_eq!(receive(&noise).frames.len(), 0);
    }

    /// One flipped, lost or doubled byte in a row of frames: whatever is received is what was sent.
    #[test]
    fn damage_is_noticed(seed in proptest::collection::vec(any::<u8>(), 1..=MAX_PAYLOAD), at in any::<prop::sample::Index>(), how in 0..3, bits in 1..=255u8) {
        let sent: Vec<Vec<u8>> = (0..3u8).map(|number| seed.iter().map(|byte| byte.wrapping_add(number)).collect()).collect();
        let mut line: Vec<u8> = sent.iter().zip(0u8..).flat_map(|(payload, number)| encoded(number, payload)).collect();
        let at = at.index(line.len());
        match how {
            0 => line[at] ^= bits,
            1 => { line.remove(at); }
            _ => line.insert(at, line[at]),
        }
        let seen = receive(&line);
        prop_assert!(seen.frames.len() >= 2);
        for (_, _, number, payload) in seen.frames {
            prop_assert_eq!(&payload, &sent[usize::from(number)]);
        }
    }

    #[test]
    fn every_frame_comes_back(channel in 0..8u8, kind: u8, number: u8, payload in proptest::collection::vec(any::<u8>(), 0..=MAX_PAYLOAD)) {
        let frame = Encoded::new(&Frame { channel, kind, number, payload: &payload }).unwrap();
        let bytes = frame.as_bytes();
        prop_assert!(!bytes[1..bytes.len() - 1].contains(&0));
        prop_assert_eq!(bytes.len(), payload.len() + 10);
        prop_assert_eq!(receive(bytes).frames, vec![(channel, kind, number, payload)]);
    }
}
