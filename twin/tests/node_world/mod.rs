//! A node, its flash and the world's broker, for tests.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use dunlin_config_format::config::{
    Config, Device, I2cBus, Link, List, Member, Mqtt, Or, Payload, QoS, Report, Sensor,
};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::flash_map::SLOTS;
use dunlin_config_format::frame::{Received, Receiver};
use dunlin_config_format::image::Header;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{Fault, FaultKind, Scenario};
use embassy_time::{Duration, Instant};

/// Returns the body of the tutorial's configuration with this period and QoS.
pub(crate) fn tutorial(period_ms: u32, qos: QoS) -> Vec<u8> {
    let bus = [I2cBus { id: "main", sda: 4, scl: 5, frequency_hz: Or(100_000) }];
    let sensor = [Sensor {
        id: "lux-1",
        label: None,
        driver: Driver::Tsl2591,
        bus: Some(0),
        address: None,
        period_ms,
        options: List::default(),
        readings: List::default(),
    }];
    let members = [Member { sensor: 0, reading: 0 }];
    let report = [Report {
        id: None,
        topic: Some("test-topic"),
        qos,
        retain: false,
        payload: Payload::ThingFlow,
        members: List::new(&members),
        every_ms: None,
        filters: List::default(),
    }];
    let config = Config {
        device: Device { name: "esp8266", label: None },
        mqtt: Mqtt::at("192.168.1.10"),
        link: Link::default(),
        i2c: List::new(&bus),
        sensors: List::new(&sensor),
        reports: List::new(&report),
    };
    let mut body = vec![0; 4096];
    let len = config.encode(&mut body).unwrap();
    body.truncate(len);
    body
}

/// Returns a fault that begins after `at` seconds and lasts `duration`.
pub(crate) fn fault(name: &str, at: u64, duration: Option<u64>, kind: FaultKind) -> Fault {
    Fault {
        name: name.to_owned(),
        at: Instant::from_secs(at),
        duration: duration.map(Duration::from_secs),
        kind,
    }
}

/// Returns the board under test: the native one, or an emulated chip with the image that `DUNLIN_FIRMWARE` names. One suite for
/// both; `cargo xtask test` runs it on the chip too.
pub(crate) fn board(clock: &Clock, scenario: &Scenario, mut flash: Vec<u8>) -> Simulation {
    let Some(path) = std::env::var_os("DUNLIN_FIRMWARE") else {
        return Simulation::new(clock, scenario, NorFlash::with_contents(flash), Timing::default());
    };
    let image = std::fs::read(path).unwrap();
    flash[..image.len()].copy_from_slice(&image);
    Simulation::with_chip(clock, scenario, NorFlash::with_contents(flash), Timing::default())
}

/// Returns the contents of a flash chip whose first slot holds `body`, not confirmed yet.
pub(crate) fn flash_with(body: &[u8]) -> Vec<u8> {
    let header = Header { generation: 1, ..Header::new(body, &[]) };
    let mut flash = vec![0xff; 1 << 20];
    let at = SLOTS[0].address as usize;
    flash[at..at + 64].copy_from_slice(&header.encode());
    flash[at + 64..at + 64 + body.len()].copy_from_slice(body);
    flash
}

/// Bytes of the serial line, and when they reached the host.
type Heard = Vec<(Instant, Vec<u8>)>;

/// A node and its world.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) simulation: Simulation,
    pub(crate) broker: Broker,
    messages: Rc<RefCell<BTreeMap<String, Vec<String>>>>,
    console: Rc<RefCell<(Receiver, Vec<u8>)>>,
    heard: Rc<RefCell<Heard>>,
}

impl World {
    /// Returns a node whose first slot holds `body`, not confirmed yet, at constant daylight of 284 lx.
    pub(crate) fn new(body: &[u8]) -> Self {
        Self::with(body, &Scenario::quiet(Environment::constant(284.0)))
    }

    /// Returns a node in the world of `scenario`.
    pub(crate) fn with(body: &[u8], scenario: &Scenario) -> Self {
        let flash = flash_with(body);
        let clock = Clock::virtual_time();
        let mut simulation = board(&clock, scenario, flash);
        let mut broker = Broker::new();
        let messages: Rc<RefCell<BTreeMap<String, Vec<String>>>> = Rc::default();
        let seen = Rc::clone(&messages);
        broker.observe(move |_, activity| {
            if let Activity::Published { topic, payload, .. } = activity {
                let text = String::from_utf8_lossy(payload).into_owned();
                seen.borrow_mut().entry((*topic).to_owned()).or_default().push(text);
            }
        });
        let console: Rc<RefCell<(Receiver, Vec<u8>)>> = Rc::default();
        let (text_of, heard) = (Rc::clone(&console), Rc::<RefCell<Heard>>::default());
        let recorded = Rc::clone(&heard);
        simulation.connect_host(move |now, line| {
            let mut bytes = Vec::new();
            line.host_read(now, &mut bytes);
            let (receiver, text) = &mut *text_of.borrow_mut();
            if !bytes.is_empty() {
                recorded.borrow_mut().push((now, bytes.clone()));
            }
            for byte in bytes {
                if let Received::Text(more) = receiver.push(byte) {
                    text.extend_from_slice(more);
                }
            }
        });
        World { clock, simulation, broker, messages, console, heard }
    }

    /// Lets `seconds` pass.
    pub(crate) fn run_s(&mut self, seconds: u64) {
        let end = self.clock.now() + Duration::from_secs(seconds);
        loop {
            self.simulation.step(&mut self.broker).unwrap();
            let next = [self.simulation.next_event(), self.broker.next_event()].into_iter().flatten().min();
            match next.filter(|&at| at < end) {
                Some(at) => self.move_to(at),
                None => break,
            }
        }
        self.move_to(end);
        assert_eq!(self.simulation.hardware().flash.counts().misuses, 0);
    }

    fn move_to(&mut self, at: Instant) {
        self.clock.wait_until(at);
        self.broker.step(at);
    }

    /// Returns the payloads that reached a topic.
    pub(crate) fn messages(&self, topic: &str) -> Vec<String> {
        self.messages.borrow().get(topic).cloned().unwrap_or_default()
    }

    /// Returns the seconds of the ThingFlow events that reached a topic.
    pub(crate) fn seconds(&self, topic: &str) -> Vec<usize> {
        let second = |message: &String| message.split(", ").nth(1).unwrap().parse().unwrap();
        self.messages(topic).iter().map(second).collect()
    }

    /// Returns all bytes of the serial line, and when they reached the host.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Returns what the board has printed.
    pub(crate) fn console(&self) -> String {
        String::from_utf8_lossy(&self.console.borrow().1).into_owned()
    }

    /// Returns the first line of the console that has `text` in it.
    pub(crate) fn line(&self, text: &str) -> Option<String> {
        self.console().lines().find(|line| line.contains(text)).map(str::to_owned)
    }

    /// Returns how many messages reached a topic.
    pub(crate) fn count(&self, topic: &str) -> usize {
        self.messages.borrow().get(topic).map_or(0, Vec::len)
    }
}
