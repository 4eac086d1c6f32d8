//! A node whose network goes over its serial line, at the line's real speed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_config_format::config::QoS;
use dunlin_config_format::frame::{Received, Receiver, channel};
use dunlin_config_format::message::{self, HelloRequest, kind};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::network::tether::Tether;
use dunlin_twin::world::scenario::{Fault, FaultKind, Scenario};
use embassy_time::{Duration, Instant};

#[expect(dead_code, reason = "of the shared support, this file uses the configurations")]
mod node_world;
use node_world::{board, fault, flash_with, tutorial};

/// The computer at the other end of the cable.
struct Host {
    tether: Tether,
    broker: Broker,
    receiver: Receiver,
    is_carrying: bool,
    /// Frames of the packets channel, and when control replies came.
    packets: u32,
    replies: Vec<Instant>,
    text: Vec<u8>,
}

struct Bench {
    clock: Clock,
    simulation: Simulation,
    host: Rc<RefCell<Host>>,
    messages: Rc<RefCell<Vec<(Instant, String)>>>,
}

impl Bench {
    fn new(qos: QoS, faults: Vec<Fault>) -> Self {
        let clock = Clock::virtual_time();
        let scenario = Scenario { faults, ..Scenario::quiet(Environment::constant(284.0)) };
        let mut simulation = board(&clock, &scenario, flash_with(&tutorial(2_000, qos)));
        simulation.tether();
        let mut broker = Broker::new();
        let messages: Rc<RefCell<Vec<_>>> = Rc::default();
        let seen = Rc::clone(&messages);
        broker.observe(move |at, activity| {
            if let Activity::Published { topic: "test-topic", payload, .. } = activity {
                seen.borrow_mut().push((at, String::from_utf8_lossy(payload).into_owned()));
            }
        });
        let host = Rc::new(RefCell::new(Host {
            tether: Tether::new(7),
            broker,
            receiver: Receiver::new(),
            is_carrying: true,
            packets: 0,
            replies: Vec::new(),
            text: Vec::new(),
        }));
        let end = Rc::clone(&host);
        simulation.connect_host(move |now, line| {
            let mut bytes = Vec::new();
            line.host_read(now, &mut bytes);
            for frame in end.borrow_mut().step(now, &bytes) {
                line.host_write(now, &frame);
            }
        });
        Bench { clock, simulation, host, messages }
    }

    fn run_s(&mut self, seconds: u64) {
        let end = self.clock.now() + Duration::from_secs(seconds);
        loop {
            self.simulation.step(&mut Broker::new()).unwrap();
            let host = self.host.borrow();
            let tether = host.tether.next_event().filter(|_| host.is_carrying);
            let next = [self.simulation.next_event(), tether, host.broker.next_event()];
            drop(host);
            match next.into_iter().flatten().min().filter(|at| *at < end) {
                Some(at) => self.clock.wait_until(at.max(self.clock.now() + Duration::from_micros(10))),
                None => break,
            };
        }
        self.clock.wait_until(end);
    }

    /// Returns the numbers of the ThingFlow events' seconds.
    fn seconds(&self) -> Vec<u32> {
        let second = |text: &String| text.split(", ").nth(1).unwrap().parse().unwrap();
        self.messages.borrow().iter().map(|(_, text)| second(text)).collect()
    }
}

impl Host {
    /// Takes bytes from the board; returns frames for it.
    fn step(&mut self, now: Instant, bytes: &[u8]) -> Vec<Vec<u8>> {
        for byte in bytes {
            match self.receiver.push(*byte) {
                Received::Frame(frame) if frame.channel == channel::PACKETS => {
                    self.packets += 1;
                    if self.is_carrying {
                        self.tether.receive(&frame);
                    }
                }
                Received::Frame(frame) if frame.channel == channel::CONTROL => {
                    assert_eq!(frame.kind, kind::HELLO | kind::REPLY);
                    self.replies.push(now);
                }
                Received::Text(text) => self.text.extend_from_slice(text),
                _ => {}
            }
        }
        self.broker.step(now);
        if !self.is_carrying {
            return Vec::new();
        }
        self.tether.step(now, &mut self.broker);
        std::iter::from_fn(|| self.tether.take_frame()).map(|frame| frame.as_bytes().to_vec()).collect()
    }
}

#[test]
fn the_tutorial_reaches_its_broker_over_the_cable() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut bench = Bench::new(qos, Vec::new());
        bench.run_s(60);
        let messages = bench.messages.borrow();
        assert!(messages[0].0 < Instant::from_secs(5), "{:?}", messages[0]);
        assert!(messages[0].1.starts_with("[\"lux-1\", "), "{}", messages[0].1);
        drop(messages);
        let seconds = bench.seconds();
        assert!(seconds.len() >= 27, "{seconds:?}");
        assert!(seconds.is_sorted() && seconds.windows(2).all(|pair| pair[1] - pair[0] == 2), "{seconds:?}");
    }
}

#[test]
fn a_request_is_answered_at_once_while_packets_flow() {
    let mut bench = Bench::new(QoS::ExactlyOnce, Vec::new());
    bench.run_s(10);
    let mut asked = Vec::new();
    for round in 0..200u64 {
        let request = message::encode(&HelloRequest { major: 1, minor: 1 }, 0).unwrap();
        let now = bench.clock.now();
        bench.simulation.hardware().line.host_write(now, request.as_bytes());
        asked.push(now);
        // Whatever the phase of the messages.
        bench.simulation.step(&mut Broker::new()).unwrap();
        let wait = Duration::from_micros(100_000 + round * 1_733);
        let end = now + wait;
        while bench.clock.now() < end {
            bench.clock.wait_until(bench.clock.now() + Duration::from_millis(1));
            bench.simulation.step(&mut Broker::new()).unwrap();
        }
    }
    let replies = bench.host.borrow().replies.clone();
    assert_eq!(replies.len(), 2 * asked.len());
    let longest = asked.iter().zip(replies.chunks(2)).map(|(asked, parts)| parts[1] - *asked).max().unwrap();
    // The request, two parts of the reply and one fragment before them: 600 bytes are 52 ms.
    assert!(longest < Duration::from_millis(80), "{longest:?}");
}

#[test]
fn without_a_host_that_carries_packets_the_line_shows_text_alone() {
    let mut bench = Bench::new(QoS::AtLeastOnce, Vec::new());
    bench.host.borrow_mut().is_carrying = false;
    bench.run_s(30);
    let host = bench.host.borrow();
    assert_eq!(host.packets, 0);
    assert!(
        String::from_utf8_lossy(&host.text).contains("no-address"),
        "{}",
        String::from_utf8_lossy(&host.text)
    );
    drop(host);
    // It comes, goes, and comes back.
    bench.host.borrow_mut().is_carrying = true;
    bench.run_s(60);
    let before = bench.seconds();
    bench.host.borrow_mut().is_carrying = false;
    bench.run_s(5);
    let packets = bench.host.borrow().packets;
    bench.run_s(25);
    assert_eq!(bench.host.borrow().packets, packets, "the node knows within 3.5 s");
    bench.host.borrow_mut().is_carrying = true;
    bench.run_s(90);
    let seconds = bench.seconds();
    assert!(before.len() > 10 && seconds.len() > before.len() + 40, "{} {}", before.len(), seconds.len());
    // At QoS 1 nothing is missing: the outbox kept what was sampled meanwhile.
    assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{seconds:?}");
}

#[test]
fn noise_on_the_line_costs_time_and_nothing_else() {
    let noise = FaultKind::SerialNoise { flip_ppm: 300, drop_ppm: 100, double_ppm: 100 };
    let mut bench = Bench::new(QoS::AtLeastOnce, vec![fault("noise", 5, Some(100), noise)]);
    bench.run_s(180);
    let seconds = bench.seconds();
    assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{seconds:?}");
    assert!(seconds.len() >= 85, "{seconds:?}");
}
