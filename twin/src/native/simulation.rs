//! A native board in a world: the agent, what it is connected to, and what befalls it, on one clock.
//!
//! A simulation is stepped: it lets everything run until nothing moves, and tells when something will move again. Whoever
//! owns it waits until then, on the real clock or by moving the virtual one, and offers it an upstream for the node's
//! connections: the world's broker, or sockets of the host.

use std::cell::Cell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use dunlin_agent::platform::ResetCause;
use dunlin_agent::tether::Tether;
use dunlin_agent::{Exit, Memory, network, run};
use dunlin_config_format::packet::NODE_ADDRESS;
use embassy_net_driver::Driver;
use embassy_time::{Duration, Instant};
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

use super::board::{Hardware, NativeBoard};
use super::executor::{Executor, Spinning};
use super::pair::first_of;
use crate::devices::i2c::Wiring;
use crate::devices::nor_flash::{Cut, NorFlash, Tear, Timing};
use crate::devices::tsl2591::{Part, Tsl2591};
use crate::world::clock::Clock;
use crate::world::network::gateway::GatewaySettings;
use crate::world::network::lan::Lan;
use crate::world::network::link::{LinkSettings, NodePort};
use crate::world::network::upstream::{ConnectionNumber, ConnectionState, Resolution, Upstream};
use crate::world::scenario::{Edge, Fault, FaultKind, Scenario, Schedule, carry_out_on_wires};
use crate::world::serial_line::{Noise, SerialLine};

/// How long a board that was reset takes until the agent runs.
const RESET_TIME: Duration = Duration::from_millis(50);

/// Rounds without any movement after which time is let pass.
const IDLE_ROUNDS: u32 = 16;
/// How much time they take.
const ROUND_TIME: Duration = Duration::from_micros(100);

/// Something that a simulation did and its owner may want to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Incident {
    /// A fault began (`true`) or ended.
    Fault(Fault, bool),
    /// The board started.
    Started(ResetCause),
}

/// A native board in a world.
pub struct Simulation {
    hardware: Hardware,
    lan: Lan,
    port: NodePort,
    executor: Executor<'static>,
    exit: Rc<Cell<Option<Exit>>>,
    faults: Schedule,
    /// When the board starts; none while it runs.
    starts_at: Option<(Instant, ResetCause)>,
    /// How long power is off after a cut inside a flash operation.
    off_time: Duration,
    incidents: Vec<Incident>,
    broker: BrokerFault,
    /// Where the broker is; none for everywhere.
    broker_address: Option<SocketAddrV4>,
    host: Host,
    is_tethered: bool,
}

/// What is at the other end of the serial line: takes the bytes that have arrived, and puts bytes on the line.
type Host = Box<dyn FnMut(Instant, &SerialLine)>;

/// Runs the agent on a board whose network goes over `device`.
async fn live(board: Hardware, device: impl Driver, tether: Option<&Tether>) -> Exit {
    let mut resources = Box::new(network::Resources::new());
    let mut memory = Box::new(Memory::new());
    let (network, mut runner) = network::new(device, &mut resources, board.entropy());
    first_of(run(NativeBoard(board), network, tether, &mut memory), runner.run()).await
}

/// What a scenario does to the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BrokerFault {
    away: bool,
    mute: bool,
}

impl Simulation {
    /// Returns a board that starts with power-on, in the world of `scenario`, with this flash chip.
    pub fn new(clock: &Clock, scenario: &Scenario, flash: NorFlash, timing: Timing) -> Self {
        flash.set_clock(clock, timing);
        let environment = scenario.environment.clone();
        let started = clock.now();
        let wiring = Wiring::furnished(move |bus| {
            let environment = environment.clone();
            let sensor = Tsl2591::new(Part::default(), move |at| environment.irradiance(at));
            bus.attach(Box::new(sensor), started);
        });
        let random = Pcg32::seed_from_u64(scenario.seed);
        let chip_id = 0x00d0_0000 | (scenario.seed as u32 & 0xffff);
        let hardware = Hardware::new(clock.clone(), flash, wiring, SerialLine::new(), chip_id, random);
        let (port, lan) = Lan::new(clock, GatewaySettings::default(), NODE_ADDRESS, scenario.seed);
        Simulation {
            hardware,
            lan,
            port,
            executor: Executor::new(),
            exit: Rc::default(),
            faults: Schedule::new(scenario),
            starts_at: Some((started, ResetCause::PowerOn)),
            off_time: Duration::from_ticks(0),
            incidents: Vec::new(),
            broker: BrokerFault::default(),
            broker_address: None,
            host: Box::new(|now, line| line.host_read(now, &mut Vec::new())),
            is_tethered: false,
        }
    }

    /// Puts the upstream at one address: at every other one there is nobody.
    pub fn serve_only(&mut self, address: SocketAddrV4) {
        self.broker_address = Some(address);
    }

    /// Puts the board's network on its serial line, for a host that carries it, from the next start on. The simulation's own
    /// network has no node then.
    pub fn tether(&mut self) {
        self.is_tethered = true;
    }

    /// Connects a host to the serial line. Until then what the board says is lost.
    pub fn connect_host(&mut self, host: impl FnMut(Instant, &SerialLine) + 'static) {
        self.host = Box::new(host);
    }

    /// Returns the board's hardware: flash, wires, and the line to the host.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// Returns the board's network, for its packet capture.
    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    /// Returns what has happened since the last call.
    pub fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.incidents)
    }

    /// Lets everything run until nothing moves any more.
    ///
    /// # Errors
    /// [`Spinning`] where the node does not come to rest, which would be a fault of the agent.
    pub fn step(&mut self, upstream: &mut impl Upstream) -> Result<(), Spinning> {
        let clock = self.hardware.clock.clone();
        let _entered = clock.enter();
        let mut idle_rounds = 0;
        loop {
            clock.wake_due();
            let now = clock.now();
            let mut upstream = Faulty { upstream, fault: self.broker, address: self.broker_address };
            self.carry_out_faults(now, &mut upstream);
            self.start_if_due(now);
            self.hardware.line.advance(now);
            if self.starts_at.is_none() {
                self.executor.run()?;
                self.end_if_over();
            }
            let now = clock.now();
            (self.host)(now, &self.hardware.line);
            self.hardware.line.advance(now);
            let moved = self.lan.step(now, &mut upstream);
            let is_due = self.next_event().is_some_and(|at| at <= clock.now());
            if !moved && !self.executor.is_woken() && !is_due {
                return Ok(());
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

    /// Returns when something will move again.
    pub fn next_event(&self) -> Option<Instant> {
        let board = match self.starts_at {
            Some((at, _)) => Some(at),
            None => Some(self.hardware.watchdog_bites_at()),
        };
        let clock = &self.hardware.clock;
        [
            clock.next_alarm(),
            self.lan.next_event(),
            self.hardware.line.next_event(),
            self.faults.next_at(),
            board,
        ]
        .into_iter()
        .flatten()
        .min()
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
        // Dropping the agent is what a power cut does to it.
        self.executor = Executor::new();
        self.exit.set(None);
        self.hardware.line.stop_board(self.hardware.clock.now());
        self.lan.lose_node();
    }

    fn start_if_due(&mut self, now: Instant) {
        let Some((_, cause)) = self.starts_at.filter(|&(at, _)| at <= now) else { return };
        self.starts_at = None;
        self.hardware.reset(cause);
        self.hardware.flash.set_power(true);
        self.hardware.line.restart_board(now);
        self.incidents.push(Incident::Started(cause));
        let (board, port, exit) = (self.hardware.clone(), self.port.clone(), Rc::clone(&self.exit));
        let is_tethered = self.is_tethered;
        self.executor.spawn(async move {
            exit.set(Some(if is_tethered {
                let tether = Box::new(Tether::new());
                live(board, tether.driver(), Some(&tether)).await
            } else {
                live(board, port, None).await
            }));
        });
    }

    /// Ends a run that is over: the agent asked for a restart, the watchdog bit, or a planned cut happened.
    fn end_if_over(&mut self) {
        if !self.hardware.flash.is_powered() {
            self.cut_power(self.off_time);
        } else if self.exit.take() == Some(Exit::Restart) {
            self.reset(ResetCause::Software);
        } else if self.hardware.clock.now() >= self.hardware.watchdog_bites_at() {
            self.reset(ResetCause::Watchdog);
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
                    self.off_time = fault.duration.unwrap_or(RESET_TIME);
                    // Somewhere inside the operation: its words are counted, and 16 is inside the shortest long one.
                    let after_words = u64::from(operation.saturating_sub(1)) * 1024 + 16;
                    let seed = u64::from(operation);
                    self.hardware.flash.plan_cut(Cut { after_words, tear: Tear::RandomWord, seed });
                }
                (FaultKind::Reset, true) => self.reset(ResetCause::External),
                (FaultKind::SerialNoise { flip_ppm, drop_ppm, double_ppm }, true) => {
                    let noise = Noise::new(u64::from(now.as_millis() as u32), flip_ppm, drop_ppm, double_ppm);
                    self.hardware.line.set_noise(noise);
                }
                (FaultKind::SerialNoise { .. }, false) => self.hardware.line.set_noise(Noise::none()),
                _ => {}
            }
            self.incidents.push(Incident::Fault(fault, begins));
        }
    }

    /// Sets link and broker to what the faults that are active make of them together.
    fn follow_network_faults(&mut self) {
        self.lan.link().set(LinkSettings {
            up: !self.faults.has(FaultKind::LinkDown),
            black_hole: self.faults.has(FaultKind::BlackHole),
            delay: self.faults.delay(),
            loss: self.faults.loss(),
        });
        self.broker = BrokerFault {
            away: self.faults.has(FaultKind::BrokerAway),
            mute: self.faults.has(FaultKind::BrokerMute),
        };
    }
}

/// An upstream with the scenario's faults.
struct Faulty<'u, U> {
    upstream: &'u mut U,
    fault: BrokerFault,
    address: Option<SocketAddrV4>,
}

/// The number of connections to where there is nobody; an upstream counts from the other end.
const NOBODY: ConnectionNumber = ConnectionNumber::MAX;

impl<U: Upstream> Upstream for Faulty<'_, U> {
    fn connect(&mut self, now: Instant, destination: SocketAddrV4) -> Option<ConnectionNumber> {
        if self.address.is_some_and(|address| address != destination) {
            return Some(NOBODY);
        }
        self.upstream.connect(now, destination)
    }

    fn state(&mut self, connection: ConnectionNumber) -> ConnectionState {
        if connection == NOBODY {
            return ConnectionState::Refused;
        }
        match self.upstream.state(connection) {
            ConnectionState::Connecting | ConnectionState::Open if self.fault.away => {
                ConnectionState::Refused
            }
            state => state,
        }
    }

    fn write(&mut self, now: Instant, connection: ConnectionNumber, bytes: &[u8]) -> usize {
        // A broker that is stuck takes bytes and does nothing with them.
        if self.fault.mute || connection == NOBODY {
            bytes.len()
        } else {
            self.upstream.write(now, connection, bytes)
        }
    }

    fn read(
        &mut self,
        connection: ConnectionNumber,
        room: usize,
        take: &mut dyn FnMut(&[u8]) -> usize,
    ) -> usize {
        if self.fault.mute || connection == NOBODY { 0 } else { self.upstream.read(connection, room, take) }
    }

    fn finish(&mut self, now: Instant, connection: ConnectionNumber) {
        if connection != NOBODY {
            self.upstream.finish(now, connection);
        }
    }

    fn drop_connection(&mut self, now: Instant, connection: ConnectionNumber, reset: bool) {
        if connection != NOBODY {
            self.upstream.drop_connection(now, connection, reset);
        }
    }

    fn resolve(&mut self, name: &str) -> Resolution {
        self.upstream.resolve(name)
    }

    fn step(&mut self, now: Instant) {
        self.upstream.step(now);
    }

    fn next_event(&self) -> Option<Instant> {
        self.upstream.next_event()
    }
}
