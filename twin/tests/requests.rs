//! What a node answers to requests that `usb-protocol.md` tells it to refuse: the vectors of
//! `config-format/tests/vectors/rejects/requests.txt`, on the native board, or on the image that `DUNLIN_FIRMWARE` names.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use dunlin_config_format::config::QoS;
use dunlin_config_format::frame::{Received, Receiver, channel};
use dunlin_config_format::message::{self, ErrorReply, Refusal, kind};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;
use embassy_time::Duration;

#[expect(dead_code, reason = "only the board and its flash are used")]
mod node_world;
use node_world::{board, flash_with, tutorial};

/// How long a request may take at most: the erasures of BEGIN, and some.
const PATIENCE: Duration = Duration::from_millis(600);

/// A board, and what it has answered.
struct Bench {
    clock: Clock,
    simulation: Simulation,
    broker: Broker,
    to_send: Rc<RefCell<Vec<u8>>>,
    answers: Rc<RefCell<Vec<String>>>,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::virtual_time();
        let scenario = Scenario::quiet(Environment::constant(284.0));
        let mut simulation = board(&clock, &scenario, flash_with(&tutorial(2000, QoS::AtMostOnce)));
        let to_send: Rc<RefCell<Vec<u8>>> = Rc::default();
        let answers: Rc<RefCell<Vec<String>>> = Rc::default();
        let (sending, told) = (Rc::clone(&to_send), Rc::clone(&answers));
        let mut receiver = Receiver::new();
        simulation.connect_host(move |now, line| {
            line.host_write(now, &sending.take());
            let mut bytes = Vec::new();
            line.host_read(now, &mut bytes);
            for byte in bytes {
                if let Received::Frame(frame) = receiver.push(byte)
                    && frame.channel == channel::CONTROL
                {
                    told.borrow_mut().push(answer(frame.kind, frame.payload));
                }
            }
        });
        let mut bench = Bench { clock, simulation, broker: Broker::new(), to_send, answers };
        bench.run(Duration::from_millis(300));
        bench
    }

    /// Lets the time pass.
    fn run(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.simulation.step(&mut self.broker).unwrap();
            let next = [self.simulation.next_event(), self.broker.next_event()].into_iter().flatten().min();
            let at = next.unwrap_or(end).min(end);
            self.clock.wait_until(at);
            self.broker.step(at);
        }
        self.simulation.step(&mut self.broker).unwrap();
    }

    /// Sends a frame and waits for what the board answers.
    fn send(&mut self, frame: &[u8]) {
        self.to_send.borrow_mut().extend_from_slice(frame);
        self.run(PATIENCE);
    }
}

/// An answer in the words of the vectors.
fn answer(kind: u8, payload: &[u8]) -> String {
    if kind != kind::ERROR {
        return format!("{kind:02x}");
    }
    let error: ErrorReply<'_> = message::decode(payload).unwrap();
    let refusal = Refusal::from_number(error.refusal).unwrap();
    error.detail.map_or_else(|| format!("{refusal:?}"), |detail| format!("{refusal:?} {detail}"))
}

/// The vectors: name, answers, frames.
fn vectors() -> Vec<(String, String, Vec<Vec<u8>>)> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../config-format/tests/vectors/rejects/requests.txt");
    let mut vectors: Vec<(String, String, Vec<Vec<u8>>)> = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')) {
        if let Some(hex) = line.strip_prefix("  ") {
            let frame = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            vectors.last_mut().unwrap().2.push(frame);
        } else if let Some((name, answers)) = line.split_once(':') {
            vectors.push((name.to_owned(), answers.trim().to_owned(), Vec::new()));
        }
    }
    vectors
}

#[test]
fn every_request_is_answered_as_its_vector_says() {
    let mut wrong = Vec::new();
    for (name, expected, frames) in vectors() {
        let mut bench = Bench::new();
        for frame in frames {
            bench.send(&frame);
        }
        let answers = bench.answers.borrow().join(", ");
        if answers != expected {
            wrong.push(format!("{name}: {answers}\n    not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_refusal_of_an_input_has_a_vector() {
    // What the board, not the request, is the cause of.
    let conditions = [Refusal::Busy, Refusal::FlashFault, Refusal::SensorFault];
    let inputs = Refusal::ALL.iter().filter(|refusal| !conditions.contains(refusal));
    let expected: BTreeSet<_> = inputs.map(|refusal| format!("{refusal:?}")).collect();
    let seen = vectors().into_iter().flat_map(|(_, answers, _)| {
        let names = answers.split(", ").map(|answer| answer.split(' ').next().unwrap().to_owned());
        names.filter(|name| name.starts_with(char::is_uppercase)).collect::<Vec<_>>()
    });
    assert_eq!(seen.collect::<BTreeSet<_>>(), expected);
}
