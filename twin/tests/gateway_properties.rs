//! Whatever arrives at a gateway, and whatever its owner does, it doesn't panic and comes to rest.

mod support;

use std::net::Ipv4Addr;

use dunlin_twin::world::network::FRAME_SIZE;
use dunlin_twin::world::network::gateway::{FrameLine, Gateway, GatewayEvent, GatewaySettings, StreamId};
use embassy_time::{Duration, Instant};
use proptest::prelude::*;

/// A line whose frames come from the test.
#[derive(Default)]
struct Script {
    arriving: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl FrameLine for Script {
    fn receive(&mut self, _: Instant, frame: &mut Vec<u8>) -> bool {
        self.arriving.pop().map(|arrived| *frame = arrived).is_some()
    }

    fn send(&mut self, _: Instant, frame: &[u8]) {
        assert!(frame.len() <= FRAME_SIZE, "{}", frame.len());
        self.sent.push(frame.to_vec());
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// Any bytes.
    Noise(Vec<u8>),
    /// A frame of the corpus with bytes replaced, cut to a length, with right checksums or not.
    Frame { index: usize, changes: Vec<(usize, u8)>, len: usize, repair: bool },
    /// The owner's turn.
    Use { choice: u8, len: usize },
    /// Time passes.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let changes = prop::collection::vec((0..FRAME_SIZE, any::<u8>()), 0..4);
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..FRAME_SIZE).prop_map(Act::Noise),
        6 => (any::<usize>(), changes, prop_oneof![4 => Just(FRAME_SIZE), 1 => 0..FRAME_SIZE], any::<bool>())
            .prop_map(|(index, changes, len, repair)| Act::Frame { index, changes, len, repair }),
        4 => (any::<u8>(), 0..6_000usize).prop_map(|(choice, len)| Act::Use { choice, len }),
        1 => (0..200_000_000u64).prop_map(Act::Wait),
    ]
}

fn use_stream(gateway: &mut Gateway, stream: StreamId, choice: u8, len: usize) {
    match choice % 8 {
        0 | 1 => gateway.accept(stream),
        2 => gateway.refuse(stream),
        3 => drop(gateway.read(stream, |bytes| bytes.len().min(len))),
        4 => {
            let room = gateway.room(stream);
            assert_eq!(gateway.write(stream, &vec![0xa5; len]), room.min(len));
        }
        5 => gateway.close(stream),
        6 => gateway.reset(stream),
        _ => gateway.ignore(stream),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_panics_and_comes_to_rest(acts in prop::collection::vec(act(), 1..60)) {
        let corpus = support::session::frames_of_an_exchange();
        let mut gateway = Gateway::new(GatewaySettings::default(), 5);
        let (mut line, mut streams, mut now) = (Script::default(), Vec::new(), Instant::from_ticks(0));
        for act in acts {
            match act {
                Act::Noise(bytes) => line.arriving.push(bytes),
                Act::Frame { index, changes, len, repair } => {
                    let mut frame = corpus[index % corpus.len()].clone();
                    for (at, byte) in changes {
                        let at = at % frame.len();
                        frame[at] = byte;
                    }
                    frame.truncate(len);
                    if repair {
                        support::pcap::repair_checksums(&mut frame);
                    }
                    line.arriving.push(frame);
                }
                Act::Use { choice, len } => {
                    if let Some(&stream) = streams.get(usize::from(choice >> 3) % streams.len().max(1)) {
                        use_stream(&mut gateway, stream, choice, len);
                    }
                }
                Act::Wait(micros) => now += Duration::from_micros(micros),
            }
            for turn in 0.. {
                prop_assert!(turn < 100, "no rest: {:?}", gateway.next_event());
                if !gateway.step(now, &mut line) {
                    break;
                }
                while let Some(event) = gateway.take_event() {
                    match event {
                        GatewayEvent::Opened { stream, .. } => streams.push(stream),
                        GatewayEvent::Resolve { query, .. } => {
                            gateway.answer(&query, Some(Ipv4Addr::LOCALHOST));
                        }
                        GatewayEvent::Gone { stream, .. } => streams.retain(|&known| known != stream),
                    }
                }
            }
        }
    }
}
