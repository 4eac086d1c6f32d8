//! A computer at the end of the board's serial line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::rc::Rc;

use dunlin::device::{Failure, Package, PushOptions, PushTask, Pushed, Station, Task};
use dunlin::package;
use dunlin_agent::platform::ResetCause;
use dunlin_config_format::config::{
    Config, Device, I2cBus, Link, List, Member, Mqtt, Or, Payload, QoS, Report, Sensor,
};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::frame::{Received, Receiver};
use dunlin_config_format::image::Header;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{Fault, Scenario};
use embassy_time::{Duration, Instant};

/// What a configuration for these tests says.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) topic: &'static str,
    pub(crate) period_ms: u32,
    pub(crate) confirm_within_s: u32,
    pub(crate) has_password: bool,
    pub(crate) host: &'static str,
    pub(crate) port: u32,
    /// Of the sensor's bus: data and clock.
    pub(crate) pins: (u8, u8),
}

impl Default for Wish {
    fn default() -> Self {
        Wish {
            topic: "test-topic",
            period_ms: 2000,
            confirm_within_s: 60,
            has_password: false,
            host: "192.168.1.10",
            port: 1883,
            pins: (4, 5),
        }
    }
}

/// Makes a package of a wish: the tutorial's configuration.
pub(crate) fn package(wish: Wish) -> Package {
    package_with(wish, &[])
}

/// Makes a package of a wish with assets, which make it longer.
pub(crate) fn package_with(wish: Wish, assets: &[u8]) -> Package {
    let (sda, scl) = wish.pins;
    let bus = [I2cBus { id: "main", sda, scl, frequency_hz: Or(100_000) }];
    let sensor = [Sensor {
        id: "lux-1",
        label: None,
        driver: Driver::Tsl2591,
        bus: Some(0),
        address: None,
        period_ms: wish.period_ms,
        options: List::default(),
        readings: List::default(),
    }];
    let members = [Member { sensor: 0, reading: 0 }];
    let report = [Report {
        id: None,
        topic: Some(wish.topic),
        qos: QoS::AtMostOnce,
        retain: false,
        payload: Payload::ThingFlow,
        members: List::new(&members),
        every_ms: None,
        filters: List::default(),
    }];
    let config = Config {
        device: Device { name: "esp8266", label: None },
        mqtt: Mqtt {
            port: Or(wish.port),
            username: wish.has_password.then_some("user"),
            has_password: wish.has_password,
            confirm_within_s: Or(wish.confirm_within_s),
            ..Mqtt::at(wish.host)
        },
        link: Link::default(),
        i2c: List::new(&bus),
        sensors: List::new(&sensor),
        reports: List::new(&report),
    };
    let mut body = vec![0; 4096];
    let len = config.encode(&mut body).unwrap();
    body.truncate(len);
    let image = [&Header::new(&body, assets).encode(), &body[..], assets].concat();
    package::from_image(image, Vec::new()).unwrap()
}

/// Returns the image that is tested, where it is not the native board.
pub(crate) fn firmware() -> Option<OsString> {
    std::env::var_os("DUNLIN_FIRMWARE")
}

/// Returns a flash chip without configurations, for the board under test.
fn empty_flash() -> Vec<u8> {
    let mut flash = vec![0xff; 1 << 20];
    if let Some(path) = firmware() {
        let image = std::fs::read(path).unwrap();
        flash[..image.len()].copy_from_slice(&image);
    }
    flash
}

/// Returns the board under test: the native one, or, where `DUNLIN_FIRMWARE` names an image, an emulated chip, which runs what
/// is in flash. One suite for both; `cargo xtask test` runs it on the chip too.
fn board(clock: &Clock, scenario: &Scenario, flash: Vec<u8>, timing: Timing) -> Simulation {
    let flash = NorFlash::with_contents(flash);
    match firmware() {
        None => Simulation::new(clock, scenario, flash, timing),
        Some(_) => Simulation::with_chip(clock, scenario, flash, timing),
    }
}

/// Bytes between the line and the computer.
#[derive(Default)]
struct Ends {
    heard: Vec<u8>,
    to_send: Vec<u8>,
    rate: Option<u32>,
    /// What the computer has sent and heard, in frames.
    frames: u64,
    receivers: [Receiver; 2],
}

impl Ends {
    fn count(&mut self, direction: usize, bytes: &[u8]) {
        for byte in bytes {
            self.frames += u64::from(matches!(self.receivers[direction].push(*byte), Received::Frame(_)));
        }
    }
}

/// A board, its world, and a computer.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) simulation: Simulation,
    pub(crate) broker: Broker,
    pub(crate) station: Station,
    /// When the board is reset, once.
    pub(crate) reset_at: Option<Instant>,
    ends: Rc<RefCell<Ends>>,
    /// What reached the broker: when, topic, payload.
    pub(crate) messages: Rc<RefCell<VecDeque<(Instant, String, String)>>>,
}

impl World {
    /// A board with empty flash, at constant daylight of 284 lx.
    pub(crate) fn new() -> Self {
        Self::with_faults(Vec::new())
    }

    pub(crate) fn with_faults(faults: Vec<Fault>) -> Self {
        Self::with(faults, empty_flash(), Timing::default())
    }

    /// A board whose flash chip holds this already.
    pub(crate) fn with_flash(contents: Vec<u8>) -> Self {
        Self::with(Vec::new(), contents, Timing::default())
    }

    /// A board whose flash chip takes 400 ms to erase a sector, the most that data sheets allow.
    pub(crate) fn with_slow_flash() -> Self {
        let timing = Timing { erase: Duration::from_millis(400), ..Timing::default() };
        Self::with(Vec::new(), empty_flash(), timing)
    }

    /// The native board in another light, whatever is tested.
    pub(crate) fn native(environment: Environment) -> Self {
        let (clock, scenario) = (Clock::virtual_time(), Scenario::quiet(environment));
        let flash = NorFlash::new(1 << 20);
        let simulation = Simulation::new(&clock, &scenario, flash, Timing::default());
        Self::around(clock, simulation)
    }

    /// The board under test in another light, with a flash chip whose erases take so long.
    pub(crate) fn in_light(environment: Environment, erase: Duration) -> Self {
        let (clock, scenario) = (Clock::virtual_time(), Scenario::quiet(environment));
        let simulation = board(&clock, &scenario, empty_flash(), Timing { erase, ..Timing::default() });
        Self::around(clock, simulation)
    }

    fn with(faults: Vec<Fault>, flash: Vec<u8>, timing: Timing) -> Self {
        let scenario = Scenario { faults, ..Scenario::quiet(Environment::constant(284.0)) };
        let clock = Clock::virtual_time();
        let simulation = board(&clock, &scenario, flash, timing);
        Self::around(clock, simulation)
    }

    fn around(clock: Clock, mut simulation: Simulation) -> Self {
        let ends: Rc<RefCell<Ends>> = Rc::default();
        let line_ends = ends.clone();
        simulation.connect_host(move |now, line| {
            let mut ends = line_ends.borrow_mut();
            if let Some(baud) = ends.rate.take() {
                line.set_rate(baud);
            }
            let mut heard = Vec::new();
            line.host_read(now, &mut heard);
            let bytes = std::mem::take(&mut ends.to_send);
            line.host_write(now, &bytes);
            ends.count(0, &heard);
            ends.count(1, &bytes);
            ends.heard.extend(heard);
        });
        let mut broker = Broker::new();
        let messages: Rc<RefCell<VecDeque<_>>> = Rc::default();
        let seen = messages.clone();
        broker.observe(move |at, activity| {
            if let Activity::Published { topic, payload, .. } = activity {
                let text = String::from_utf8_lossy(payload).into_owned();
                seen.borrow_mut().push_back((at, (*topic).to_owned(), text));
            }
        });
        World { clock, simulation, broker, station: Station::default(), reset_at: None, ends, messages }
    }

    /// Lets the world run until `end`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        loop {
            self.simulation.step(&mut self.broker).unwrap();
            if self.clock.now() >= end {
                return assert_eq!(self.simulation.hardware().flash.counts().misuses, 0);
            }
            self.wait(Some(end));
        }
    }

    /// Lets `seconds` pass.
    pub(crate) fn run_s(&mut self, seconds: u64) {
        self.run_until(self.clock.now() + Duration::from_secs(seconds));
    }

    /// Returns how many frames the computer has sent, and how many it has heard whole, in all.
    pub(crate) fn frames(&self) -> u64 {
        self.ends.borrow().frames
    }

    /// Moves to the next event, at most to `end`.
    fn wait(&mut self, end: Option<Instant>) {
        let next = [self.simulation.next_event(), self.broker.next_event(), end, self.reset_at];
        let next = next.into_iter().flatten().min();
        let next = next.unwrap_or_else(|| panic!("nothing will ever happen"));
        self.clock.wait_until(next.max(self.clock.now() + Duration::from_ticks(1)));
        self.broker.step(self.clock.now());
    }

    /// Runs a task of the computer to its end.
    pub(crate) fn run<T: Task>(&mut self, task: &mut T) -> Result<T::Output, Failure> {
        self.run_watching(task, |_| true).unwrap_or_else(|| panic!("nobody ended it"))
    }

    /// Runs a task until it ends or `watch` says no.
    pub(crate) fn run_watching<T: Task>(
        &mut self,
        task: &mut T,
        mut watch: impl FnMut(&mut T) -> bool,
    ) -> Option<Result<T::Output, Failure>> {
        loop {
            if self.reset_at.take_if(|at| *at <= self.clock.now()).is_some() {
                self.simulation.reset(ResetCause::External);
            }
            self.simulation.step(&mut self.broker).unwrap();
            let now = std::time::Duration::from_micros(self.clock.now().as_micros());
            let heard = std::mem::take(&mut self.ends.borrow_mut().heard);
            let end = self.station.receive(now, &heard, task).or_else(|| self.station.tick(now, task));
            let bytes = self.station.take_bytes();
            let is_quiet = bytes.is_empty();
            self.ends.borrow_mut().to_send.extend(bytes);
            let goes_on = watch(task);
            if end.is_some() || !goes_on {
                return end;
            }
            if is_quiet {
                let deadline = task.deadline().map(|at| Instant::from_micros(at.as_micros() as u64));
                self.wait(deadline);
            }
        }
    }

    /// Sets the speed of the computer's end of the line before it sends next.
    pub(crate) fn set_rate(&mut self, baud: u32) {
        self.ends.borrow_mut().rate = Some(baud);
    }

    pub(crate) fn push(&mut self, package: Package) -> Result<Pushed, Failure> {
        self.run(&mut PushTask::new(package, PushOptions::default()).unwrap())
    }

    /// Returns when the first message came on `topic` since `since`, and its payload.
    pub(crate) fn first_message(&self, topic: &str, since: Instant) -> Option<(Instant, String)> {
        let messages = self.messages.borrow();
        let found = messages.iter().find(|(at, its, _)| *at >= since && its == topic);
        found.map(|(at, _, payload)| (*at, payload.clone()))
    }

    /// Returns the payloads that reached a topic, in order.
    pub(crate) fn payloads(&self, topic: &str) -> Vec<String> {
        let messages = self.messages.borrow();
        messages.iter().filter(|(_, its, _)| its == topic).map(|(_, _, payload)| payload.clone()).collect()
    }
}
