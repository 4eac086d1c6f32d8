//! One board in a world: its processor, what it is connected to, and what befalls it, on one clock.
//!
//! The processor is the host's, running the agent natively, or an emulated chip that runs the shipping image; everything
//! around it is the same. A simulation is stepped: it lets everything run until nothing moves, and tells when something will
//! move again. Whoever owns it waits until then, on the real clock or by moving the virtual one, and offers it an upstream
//! for the node's connections: the world's broker, or sockets of the host.

mod broker_fault;
mod chip;
mod deployed;
mod native;

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_agent::platform::ResetCause;
use embassy_time::{Duration, Instant};
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

use crate::chip::Chip;
use crate::devices::i2c::Wiring;
use crate::devices::nor_flash::{NorFlash, Tear, Timing};
use crate::native::board::Hardware;
use crate::native::executor::Spinning;
use crate::world::clock::Clock;
use crate::world::environment::irradiance;
use crate::world::network::lan::Lan;
use crate::world::network::link::LinkSettings;
use crate::world::network::upstream::Upstream;
use crate::world::scenario::{Edge, Fault, FaultKind, Scenario, Schedule, carry_out_on_wires};
use crate::world::serial_line::{HostEnd, Noise, SerialLine};
use broker_fault::{BrokerFault, BrokerPlace, Faulty};
use chip::{ChipNode, Outcome};
use deployed::{Deployed, Light};
use native::NativeNode;

/// How long a board that was reset takes until the agent runs.
const RESET_TIME: Duration = Duration::from_millis(50);

/// Rounds without any movement after which time is let pass.
const IDLE_ROUNDS: u32 = 16;
/// How much time they take.
const ROUND_TIME: Duration = Duration::from_micros(100);

/// Something that a simulation did and its owner may want to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Incident<'i> {
    /// A fault began (`true`) or ended.
    Fault(&'i Fault, bool),
    /// A power cut waits for a flash operation from now on; it begins with that.
    Armed(&'i Fault),
    /// The board started.
    Started(ResetCause),
    /// The chip stands still: what a person should know.
    Stopped(&'i str),
    /// A sensor took in the world's light, of so many lux. Its time is that of the light, before the sensor was read.
    Light(f64),
}

/// What is told of incidents. It must not use the simulation.
type Observer = Box<dyn FnMut(Instant, Incident<'_>)>;

/// A board in a world.
pub struct Simulation {
    hardware: Hardware,
    deployed: Deployed,
    node: Node,
    faults: Schedule,
    seed: u64,
    /// When the board starts; none while it runs.
    starts_at: Option<(Instant, ResetCause)>,
    /// The power cut that waits for a flash operation.
    armed: Option<Fault>,
    observer: Rc<RefCell<Option<Observer>>>,
    broker: BrokerFault,
    /// None for everywhere.
    broker_place: Option<Rc<BrokerPlace>>,
    host: Host,
}

/// The processor of the board, with its network.
enum Node {
    Native(Box<NativeNode>),
    Chip(Box<ChipNode>),
}

/// What is at the other end of the serial line: takes the bytes that have arrived, and puts bytes on the line.
type Host = Box<dyn FnMut(Instant, &mut HostEnd<'_>)>;

impl Simulation {
    /// Returns a board that runs the agent natively and starts with power-on, in the world of `scenario`, with this flash
    /// chip.
    pub fn new(clock: &Clock, scenario: &Scenario, flash: NorFlash, timing: Timing) -> Self {
        flash.set_clock(clock, timing);
        Self::with(clock, scenario, flash, |_, _| {
            Node::Native(Box::new(NativeNode::new(clock, scenario.seed)))
        })
    }

    /// Returns a board with an emulated chip, which boots what is in flash. Its network goes over the serial line, which the
    /// simulation carries.
    pub fn with_chip(clock: &Clock, scenario: &Scenario, flash: NorFlash, timing: Timing) -> Self {
        Self::with(clock, scenario, flash, |hardware, random| {
            Node::Chip(Box::new(ChipNode::new(hardware, timing, scenario.seed, random)))
        })
    }

    fn with(
        clock: &Clock,
        scenario: &Scenario,
        flash: NorFlash,
        node: impl FnOnce(&Hardware, Pcg32) -> Node,
    ) -> Self {
        let environment = scenario.environment.clone();
        let started = clock.now();
        let observer: Rc<RefCell<Option<Observer>>> = Rc::default();
        let light_observer = Rc::clone(&observer);
        let deployed = Deployed::new(move || -> Light {
            let (environment, observer) = (environment.clone(), Rc::clone(&light_observer));
            Box::new(move |at| {
                let illuminance_lx = environment.illuminance_lx(at);
                tell(&observer, at, Incident::Light(illuminance_lx));
                irradiance(illuminance_lx, environment.infrared_share)
            })
        });
        let random = Pcg32::seed_from_u64(scenario.seed);
        let chip_id = 0x00d0_0000 | (scenario.seed as u32 & 0xffff);
        let hardware =
            Hardware::new(clock.clone(), flash, Wiring::new(), SerialLine::new(), chip_id, random.clone());
        Simulation {
            node: node(&hardware, random),
            deployed,
            hardware,
            faults: Schedule::new(scenario),
            seed: scenario.seed,
            starts_at: Some((started, ResetCause::PowerOn)),
            armed: None,
            observer,
            broker: BrokerFault::default(),
            broker_place: None,
            host: Box::new(|now, line| line.host_read(now, &mut Vec::new())),
        }
    }

    /// Puts the upstream where a configuration with this broker means it to be, at an address, a host's name or the other end of
    /// the cable: at every other place there is nobody.
    pub fn serve_only(&mut self, host: &str, port: u16) {
        self.broker_place = Some(Rc::new(BrokerPlace::new(host, port)));
    }

    /// Leaves the board's network to a host that carries it over the serial line, from the next start on. The simulation's
    /// own network has no node then.
    pub fn tether(&mut self) {
        match &mut self.node {
            Node::Native(node) => node.is_tethered = true,
            Node::Chip(node) => node.is_left_to_host = true,
        }
    }

    /// Straps a chip for a download (GPIO0 low) from its next start on: the boot ROM waits for esptool. A native board has no
    /// straps.
    pub fn strap_for_download(&mut self, is_download: bool) {
        if let Node::Chip(node) = &mut self.node {
            node.is_download = is_download;
        }
    }

    /// Connects a host to the serial line. Until then what the board says is lost.
    pub fn connect_host(&mut self, host: impl FnMut(Instant, &mut HostEnd<'_>) + 'static) {
        self.host = Box::new(host);
    }

    /// Returns the board's hardware: flash, wires, and the line to the host.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// Returns the emulated chip, for a debugger; none on a native board.
    pub fn chip(&mut self) -> Option<&mut Chip> {
        match &mut self.node {
            Node::Native(_) => None,
            Node::Chip(node) => Some(node.chip()),
        }
    }

    /// Starts a capture of the node's packets, or starts it anew.
    pub fn start_capture(&mut self) {
        match &mut self.node {
            Node::Native(node) => node.lan.link().start_capture(),
            Node::Chip(node) => node.tether.start_capture(),
        }
    }

    /// Returns what was captured since the last call, in pcap format.
    pub fn take_capture(&mut self) -> Vec<u8> {
        match &mut self.node {
            Node::Native(node) => node.lan.link().take_capture(),
            Node::Chip(node) => node.tether.take_capture(),
        }
    }

    /// Returns a native board's network; none where the network goes over the chip's serial line.
    pub fn lan(&self) -> Option<&Lan> {
        match &self.node {
            Node::Native(node) => Some(&node.lan),
            Node::Chip(_) => None,
        }
    }

    /// Returns which share of its time a chip's core has slept, 0.0 to 1.0; none for a native board.
    pub fn asleep(&self) -> Option<f64> {
        match &self.node {
            Node::Native(_) => None,
            Node::Chip(node) => node.asleep(),
        }
    }

    /// Lets `observer` see what happens from now on, when it happens.
    pub fn observe(&mut self, observer: impl FnMut(Instant, Incident<'_>) + 'static) {
        *self.observer.borrow_mut() = Some(Box::new(observer));
    }

    fn tell(&self, incident: Incident<'_>) {
        tell(&self.observer, self.hardware.clock.now(), incident);
    }

    /// Lets everything run until nothing moves any more; returns when something will move again.
    ///
    /// # Errors
    /// [`Spinning`] where the node does not come to rest, which would be a fault of the agent.
    pub fn step(&mut self, upstream: &mut impl Upstream) -> Result<Option<Instant>, Spinning> {
        let clock = self.hardware.clock.clone();
        let _entered = clock.enter();
        clock.hold_at(match (&self.node, self.starts_at) {
            (Node::Chip(node), None) => node.world_limit(),
            _ => Instant::MAX,
        });
        let mut idle_rounds = 0;
        loop {
            clock.wake_due();
            let now = clock.now();
            let mut upstream = Faulty { upstream, fault: self.broker, place: self.broker_place.clone() };
            self.carry_out_faults(now, &mut upstream);
            self.start_if_due(now);
            self.hardware.line.advance(now);
            if self.starts_at.is_none() {
                self.run()?;
            }
            let now = clock.now();
            self.let_host_work(now);
            let moved = match &mut self.node {
                Node::Native(node) => node.lan.step(now, &mut upstream),
                Node::Chip(node) => node.step(now, &self.hardware.line, &mut upstream),
            };
            let is_woken = matches!(&self.node, Node::Native(node) if node.is_woken());
            if !moved && !is_woken {
                let next = self.next_event();
                if next.is_none_or(|at| at > clock.now()) {
                    return Ok(next);
                }
            }
            // smoltcp may ask to be polled again at once until time has passed. On a processor a poll takes time; on a
            // virtual clock somebody must let it.
            idle_rounds = if moved { 0 } else { idle_rounds + 1 };
            if idle_rounds >= IDLE_ROUNDS {
                idle_rounds = 0;
                clock.block_for(ROUND_TIME);
            }
        }
    }

    /// Lets the processor run, and ends a run that is over: a restart was asked for, the watchdog bit, or a planned cut
    /// happened.
    fn run(&mut self) -> Result<(), Spinning> {
        let now = self.hardware.clock.now();
        self.deployed.follow(&self.hardware.flash, &self.hardware.wiring, now);
        let outcome = match &mut self.node {
            Node::Native(node) => {
                node.run()?;
                if !self.hardware.flash.is_powered() {
                    self.lose_power();
                } else if node.take_exit() {
                    self.reset(ResetCause::Software);
                } else if self.hardware.clock.now() >= self.hardware.watchdog_bites_at() {
                    self.reset(ResetCause::Watchdog);
                }
                return Ok(());
            }
            Node::Chip(node) => node.run(now, &self.hardware.line, &self.hardware.flash),
        };
        match outcome {
            Outcome::Running => {}
            Outcome::PowerLost => self.lose_power(),
            // The chip starts by itself.
            Outcome::Reset(cause) => self.tell(Incident::Started(cause)),
            Outcome::Stopped(text) => self.tell(Incident::Stopped(&text)),
        }
        Ok(())
    }

    fn let_host_work(&mut self, now: Instant) {
        let heard = match &mut self.node {
            Node::Native(_) => None,
            Node::Chip(node) => {
                let mut bytes = Vec::new();
                node.host_read(&mut bytes);
                Some(bytes)
            }
        };
        (self.host)(now, &mut HostEnd::with(&self.hardware.line, heard));
    }

    /// Returns when something will move again.
    pub fn next_event(&self) -> Option<Instant> {
        let hardware = &self.hardware;
        let (network, board) = match &self.node {
            Node::Native(node) => (node.lan.next_event(), Some(hardware.watchdog_bites_at())),
            Node::Chip(node) => (None, node.next_event(&hardware.line)),
        };
        let board = self.starts_at.map(|(at, _)| at).or(board);
        let next = earlier(hardware.clock.next_alarm(), network);
        earlier(earlier(next, hardware.line.next_event()), earlier(self.faults.next_at(), board))
    }

    /// The flash operation that a power cut has waited for has come.
    fn lose_power(&mut self) {
        let fault = self.armed.take();
        self.cut_power(fault.as_ref().and_then(|fault| fault.duration).unwrap_or(Duration::from_ticks(0)));
        if let Some(fault) = fault {
            self.tell(Incident::Fault(&fault, true));
        }
    }

    /// Cuts the power, for as long as told.
    pub fn cut_power(&mut self, off_time: Duration) {
        self.stop();
        let now = self.hardware.clock.now();
        self.hardware.wiring.for_each_bus(|_, bus| bus.power_cycle(now + off_time));
        self.starts_at = Some((now + off_time, ResetCause::PowerOn));
    }

    /// Resets the board.
    pub fn reset(&mut self, cause: ResetCause) {
        self.stop();
        self.starts_at = Some((self.hardware.clock.now() + RESET_TIME, cause));
    }

    fn stop(&mut self) {
        if let Node::Native(node) = &mut self.node {
            node.stop();
        }
        self.hardware.line.stop_board(self.hardware.clock.now());
    }

    fn start_if_due(&mut self, now: Instant) {
        if let Some((_, cause)) = self.starts_at.take_if(|(at, _)| *at <= now) {
            self.start(now, cause);
        }
    }

    /// Apart from the question whether it is due, which is asked all the time: the agent is made on the stack.
    #[cold]
    #[inline(never)]
    fn start(&mut self, now: Instant, cause: ResetCause) {
        self.hardware.reset(cause);
        self.hardware.flash.set_power(true);
        self.tell(Incident::Started(cause));
        let outcome = match &mut self.node {
            Node::Native(node) => {
                node.start(&self.hardware, now);
                Outcome::Running
            }
            Node::Chip(node) => node.start(now, cause),
        };
        if let Outcome::Stopped(text) = outcome {
            self.tell(Incident::Stopped(&text));
        }
    }

    fn carry_out_faults(&mut self, now: Instant, upstream: &mut Faulty<'_, impl Upstream>) {
        let mut due = Vec::new();
        while let Some(event) = self.faults.due(now) {
            carry_out_on_wires(&event, &self.hardware.wiring, now);
            due.push((event.fault.clone(), event.edge == Edge::Begin));
        }
        if due.is_empty() {
            return;
        }
        self.follow_network_faults();
        upstream.fault = self.broker;
        for (fault, begins) in due {
            match (fault.kind, begins) {
                (FaultKind::PowerCut { operation: None }, true) => {
                    self.cut_power(fault.duration.unwrap_or(RESET_TIME));
                }
                (FaultKind::PowerCut { operation: Some(operation) }, true) => {
                    let seed = self.damage_seed(now);
                    self.hardware.flash.plan_cut_within(operation, Tear::RandomWord, seed);
                    self.tell(Incident::Armed(&fault));
                    self.armed = Some(Fault { duration: fault.duration.or(Some(RESET_TIME)), ..fault });
                    continue;
                }
                (FaultKind::Reset, true) => self.reset(ResetCause::External),
                (FaultKind::SerialNoise { flip_ppm, drop_ppm, double_ppm }, true) => {
                    let noise = Noise::new(self.damage_seed(now), flip_ppm, drop_ppm, double_ppm);
                    self.hardware.line.set_noise(noise);
                }
                (FaultKind::SerialNoise { .. }, false) => self.hardware.line.set_noise(Noise::none()),
                _ => {}
            }
            self.tell(Incident::Fault(&fault, begins));
        }
    }

    /// Returns what decides the damage of a fault that begins now: different for every seed of a scenario and every moment.
    fn damage_seed(&self, now: Instant) -> u64 {
        self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ now.as_micros()
    }

    /// Sets link and broker to what the faults that are active make of them together.
    fn follow_network_faults(&mut self) {
        let settings = LinkSettings {
            up: !self.faults.has(FaultKind::LinkDown),
            black_hole: self.faults.has(FaultKind::BlackHole),
            delay: self.faults.delay(),
            loss: self.faults.loss(),
        };
        match &mut self.node {
            Node::Native(node) => node.lan.link().set(settings),
            Node::Chip(node) => node.link = settings,
        }
        self.broker = BrokerFault {
            away: self.faults.has(FaultKind::BrokerAway),
            mute: self.faults.has(FaultKind::BrokerMute),
        };
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn tell(observer: &RefCell<Option<Observer>>, at: Instant, incident: Incident<'_>) {
    if let Some(observer) = &mut *observer.borrow_mut() {
        observer(at, incident);
    }
}
