//! A native board in virtual time that can be told anything.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin::simulate::seed;
use dunlin_config_format::config::Config;
use dunlin_config_format::frame::{Encoded, Frame, Received, Receiver, channel};
use dunlin_config_format::image::{HEADER_SIZE, Image};
use dunlin_config_format::message::kind;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::{Broker, Qos};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};
use dunlin_twin::world::scenario::Scenario;
use embassy_time::{Duration, Instant};
use std::net::SocketAddrV4;

/// The line, as the computer sees it.
#[derive(Default)]
struct Line {
    to_board: Vec<u8>,
    receiver: Receiver,
    answers: u32,
}

/// A broker between whose lines somebody writes.
struct Spoilt {
    broker: Broker,
    rubbish: Vec<u8>,
}

/// A board and its world.
pub(crate) struct Board {
    clock: Clock,
    simulation: Simulation,
    line: Rc<RefCell<Line>>,
    upstream: Spoilt,
    name: String,
}

impl Board {
    pub(crate) fn new(image: &[u8]) -> Self {
        let clock = Clock::virtual_time();
        let flash = NorFlash::new(1 << 20);
        seed(&flash, &Image::parse(image).unwrap(), &[]).unwrap();
        let scenario = Scenario::quiet(Environment::constant(284.0));
        let mut simulation = Simulation::new(&clock, &scenario, flash, Timing::default());
        let line: Rc<RefCell<Line>> = Rc::default();
        let end = Rc::clone(&line);
        simulation.connect_host(move |now, host| {
            let mut line = end.borrow_mut();
            let mut heard = Vec::new();
            host.host_read(now, &mut heard);
            for byte in heard {
                let Line { receiver, answers, .. } = &mut *line;
                if matches!(receiver.push(byte), Received::Frame(frame) if frame.kind & kind::REPLY != 0) {
                    *answers += 1;
                }
            }
            let bytes = std::mem::take(&mut line.to_board);
            host.host_write(now, &bytes);
        });
        let upstream = Spoilt { broker: Broker::new(), rubbish: Vec::new() };
        let body = image.get(HEADER_SIZE..).unwrap_or_default();
        let name = Config::decode(body).unwrap().device.name.to_owned();
        Board { clock, simulation, line, upstream, name }
    }

    /// Writes bytes to the line.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.line.borrow_mut().to_board.extend(bytes);
    }

    /// Publishes a request to the node.
    pub(crate) fn ask(&mut self, request: &str, payload: &[u8]) {
        let topic = format!("dunlin/{}/request/{request}", self.name);
        self.upstream.broker.publish(self.clock.now(), &topic, payload, Qos::AtMostOnce, false);
    }

    /// Puts bytes between those that the broker sends.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.upstream.rubbish.extend(bytes);
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        let end = self.clock.now() + Duration::from_millis(ms);
        loop {
            self.simulation.step(&mut self.upstream).unwrap();
            let next = [self.simulation.next_event(), self.upstream.next_event()].into_iter().flatten().min();
            let at = next.unwrap_or(end).min(end);
            self.clock.wait_until(at);
            self.upstream.broker.step(at);
            if at >= end {
                return;
            }
        }
    }

    /// Asks until the board answers, also behind a restart or an erasure.
    pub(crate) fn is_alive(&mut self) -> bool {
        let info = Frame { channel: channel::CONTROL, kind: kind::INFO, number: 1, payload: b"\xa0" };
        let frame = Encoded::new(&info).unwrap();
        let before = self.line.borrow().answers;
        for _ in 0..20 {
            self.write(frame.as_bytes());
            self.run_ms(100);
            if self.line.borrow().answers > before {
                return true;
            }
        }
        false
    }

    /// Returns whether the node is in a session after some time.
    pub(crate) fn is_connected_after_ms(&mut self, ms: u64) -> bool {
        self.run_ms(ms);
        self.upstream.broker.retained(&format!("dunlin/{}/status", self.name)) == Some(b"online")
    }
}

impl Upstream for Spoilt {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        self.broker.connect(now, destination)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        self.broker.state(connection)
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        self.broker.write(now, connection, bytes)
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        if self.rubbish.is_empty() {
            return self.broker.read(connection, room, take);
        }
        let len = room.min(self.rubbish.len());
        let taken = take(&self.rubbish[..len]);
        self.rubbish.drain(..taken);
        taken
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        Upstream::finish(&mut self.broker, now, connection);
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool) {
        self.broker.drop_connection(now, connection, reset);
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.broker.resolve(name)
    }

    fn step(&mut self, now: Instant) {
        Upstream::step(&mut self.broker, now);
    }

    fn next_event(&self) -> Option<Instant> {
        Upstream::next_event(&self.broker)
    }
}
