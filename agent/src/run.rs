//! The agent: one future that runs a node from start to restart.

use core::cell::{Cell, RefCell};
use core::pin::pin;

use dunlin_config_format::Reason;
use dunlin_config_format::config::{Config, Mqtt};
use embassy_futures::select::{Either, select, select3};
use embassy_time::{Duration, Instant, Timer, with_timeout};

use crate::event::{Event, Log};
use crate::host::HostDoor;
use crate::network::Network;
use crate::node::{Asker, Boot, Change, HealthTable, Node, Running, SampleCounts, Shared};
use crate::platform::{Crash, FlashChip, Part, Parts, Platform, ResetCause, System};
use crate::sampler::{Output, Sampler};
use crate::sensor::Facts;
use crate::store::{Loaded, Store};
use crate::supervisor::{self, Board};
use crate::tether::Tether;
use crate::uplink::{self, Leaving, Uplink};
use crate::usb;
use dunlin_config_format::topic::Topics;

/// How long a configuration that is replaced may take to send what is left.
const DRAIN: Duration = Duration::from_millis(200);
/// How long it may take to change retained messages as well, each with an answer of the broker.
const CLEARANCE: Duration = Duration::from_secs(2);
/// Marks the words that outlive a reset as the agent's. Behind it: the generation that runs, and the number of the part that is
/// late, or 0.
const RETAINED_MAGIC: u32 = u32::from_le_bytes(*b"DNLR");

/// Why the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The board is to be restarted.
    Restart,
}

/// Memory of the agent that does not live in its future.
#[derive(Default)]
pub struct Memory {
    uplink: uplink::Memory,
}

impl Memory {
    /// Returns unused memory.
    pub const fn new() -> Self {
        Memory { uplink: uplink::Memory::new() }
    }
}

/// Runs a node: serves the host, runs the stored configuration, watches over it.
///
/// `tether` is where the network goes over the host's serial line, and none where it does not.
///
/// The board polls the future beside the [`Runner`](crate::network::Runner) of `network`, each with a waker of its own.
///
/// # Cancellation Safety
/// Dropping the future is a power cut: what is stored stays, what is in memory is lost.
pub async fn run<P: Platform>(
    board: P,
    network: Network<'_>,
    tether: Option<&Tether>,
    memory: &mut Memory,
) -> Exit {
    let Parts { flash, serial_reader, serial_writer, i2c, system } = board.split();
    let (boot, system) = boot(system);
    let node: Node<P> = Node {
        shared: Shared::new(boot),
        store: RefCell::new(Store::new(flash)),
        i2c: RefCell::new(i2c),
        system: RefCell::new(system),
    };
    tell_start(&node);
    let mut door = HostDoor::new(&node);
    let host = usb::serve(serial_reader, serial_writer, &mut door, tether, &node.shared.promises.server);
    match select(host, configurations(&node, network, memory)).await {
        Either::First(never) => never,
        Either::Second(exit) => exit,
    }
}

/// Returns what this start is. The system is handed through: the agent's future has no room for one that it has lent and then
/// given away.
fn boot<S: System>(mut system: S) -> (Boot, S) {
    let boot = Boot {
        id: system.entropy() as u32,
        chip_id: system.chip_id(),
        cause: system.reset_cause(),
        crash: late_part(&system).map(Crash::Late).or(system.crash()),
        at: Instant::now(),
    };
    (boot, system)
}

fn tell_start<P: Platform>(node: &Node<P>) {
    let events = &node.shared.events;
    events.log(Log::Booted);
    if let Some(crash) = node.shared.boot.crash {
        events.log(Log::Crashed(crash));
    }
    let flash_chip = node.system.borrow().condition().flash;
    if flash_chip != FlashChip::Usable {
        events.log(Log::FlashChip(flash_chip));
    }
}

/// Runs one configuration after the other.
#[expect(
    clippy::await_holding_refcell_ref,
    reason = "everyone else borrows the body to read, and it is replaced only here, when nothing runs"
)]
async fn configurations<P: Platform>(node: &Node<P>, network: Network<'_>, memory: &mut Memory) -> Exit {
    let shared = &node.shared;
    let mut link = None;
    let mut evidence = evidence(node);
    loop {
        let loaded = {
            let mut body = shared.body.borrow_mut();
            let loaded = node.store.borrow_mut().load(&mut body.bytes);
            body.len = loaded.map_or(0, |loaded| loaded.body_len);
            loaded
        };
        if let (Some(loaded), Some((generation, reason))) = (loaded, evidence.take())
            && loaded.generation == generation
            && !loaded.confirmed
        {
            // The start before ended in a crash of this very configuration: an attempt has failed.
            node.attempt_failed(generation, reason);
            continue;
        }
        shared.running.set(start(node, loaded));
        shared.is_leaving.set(false);
        let body = shared.body.borrow();
        let config = body.bytes.get(..body.len).and_then(|bytes| Config::decode(bytes).ok());
        let change = match &config {
            Some(config) => {
                if link != Some(config.link) {
                    network.configure(config.link);
                    link = Some(config.link);
                }
                run_configuration(node, network, config, memory).await
            }
            None => safe_mode(node, network).await,
        };
        if change == Change::Restart {
            return Exit::Restart;
        }
    }
}

/// Returns the part of the agent that was late when the watchdog ended the run before.
fn late_part(system: &impl System) -> Option<Part> {
    let [magic, _, late, ..] = system.retained();
    let is_known = magic == RETAINED_MAGIC && system.reset_cause() == ResetCause::Watchdog;
    Part::ALL.into_iter().find(|part| is_known && *part as u32 == late)
}

/// Returns the generation that ran when the board crashed, and how it crashed.
fn evidence<P: Platform>(node: &Node<P>) -> Option<(u32, Reason)> {
    let [magic, generation, ..] = node.system.borrow().retained();
    let reason = match (node.shared.boot.cause, node.shared.boot.crash) {
        (ResetCause::Watchdog, Some(Crash::Late(_))) => Reason::PartSilent,
        (ResetCause::Watchdog, _) => Reason::Watchdog,
        (ResetCause::Panic, _) => Reason::Panic,
        (ResetCause::PowerOn | ResetCause::External | ResetCause::Software, _) => return None,
    };
    (magic == RETAINED_MAGIC).then_some((generation, reason))
}

/// Prepares what the parts share for the configuration that was loaded.
fn start<P: Platform>(node: &Node<P>, loaded: Option<Loaded>) -> Running {
    let shared = &node.shared;
    shared.obstacle.set(None);
    shared.born.set(false);
    shared.sampled.set(false);
    shared.outbox.borrow_mut().clear();
    *shared.health.borrow_mut() = HealthTable::default();
    // Sensors of the configuration before are not measured any more. A host that waits for one is told at once.
    for asker in [Asker::Usb, Asker::Mqtt] {
        shared.measurement.cancel(asker);
    }
    shared.measured.signal(());
    let mut words = node.system.borrow().retained();
    let [magic, generation, late, ..] = &mut words;
    (*magic, *generation, *late) = (RETAINED_MAGIC, loaded.map_or(0, |loaded| loaded.generation), 0);
    node.system.borrow_mut().retain(words);
    let Some(loaded) = loaded else {
        shared.events.log(Log::SafeMode);
        return Running::default();
    };
    let (mut confirmed, mut vouched) = (loaded.confirmed, loaded.vouched);
    if !confirmed && shared.confirm_next.take() == Some(loaded.generation) {
        // A person at the bench vouches for it.
        vouched = node.store.borrow_mut().vouch().unwrap_or(false);
        confirmed = vouched;
    }
    shared.events.log(Log::Started { generation: loaded.generation, confirmed });
    let now = Instant::now();
    Running {
        generation: loaded.generation,
        hash: loaded.hash,
        confirmed,
        vouched,
        attempts: loaded.attempts,
        started: Some(now),
        has_fallback: loaded.has_fallback,
        rolled_back: node.store.borrow_mut().given_up(),
    }
}

/// Runs a configuration until it is replaced or the board is to be restarted.
async fn run_configuration<P: Platform>(
    node: &Node<P>,
    network: Network<'_>,
    config: &Config<'_>,
    memory: &mut Memory,
) -> Change {
    let shared = &node.shared;
    let topics = Topics::new(config);
    let secret =
        config.mqtt.has_password.then(|| node.store.borrow_mut().secret(Mqtt::PASSWORD_SECRET)).flatten();
    let secret = secret.unwrap_or_default();
    let uplink = Uplink {
        config,
        topics: &topics,
        shared,
        network,
        password: secret.expose(),
        leaving: Cell::new(Leaving::No),
    };
    let seed = node.system.borrow_mut().entropy();
    let mut session = pin!(uplink.run(&mut memory.uplink, seed));
    let confirm_within = Duration::from_secs(config.mqtt.confirm_within_s.0.into());
    shared.promises.expect_parts(Instant::now());
    let supervisor = supervisor::run(shared, network.presence(), node, confirm_within);
    let others = select3(sample(node, config), supervisor, shared.change.wait());
    let change = {
        let mut others = pin!(others);
        // The session comes last: it finds what the others leave for it in the same poll.
        let first = match select(others.as_mut(), session.as_mut()).await {
            Either::First(first) => first,
            Either::Second(()) => others.await,
        };
        match first {
            embassy_futures::select::Either3::Third(change) => change,
            // Neither the sampler nor the supervisor ends but for a change.
            _ => shared.change.wait().await,
        }
    };
    shared.is_leaving.set(true);
    shared.promises.sampler.set(Instant::MAX);
    let leaving = match change {
        Change::Apply => leaving(node, config),
        Change::Restart => Leaving::Soon,
    };
    let time = if leaving == Leaving::Soon { DRAIN } else { CLEARANCE };
    uplink.leaving.set(leaving);
    shared.uplink.leave();
    let _ = with_timeout(time, session).await;
    shared.promises.uplink.set(Instant::MAX);
    change
}

/// Returns how to leave for the configuration that comes next: it has other names, or another broker, or neither.
fn leaving<P: Platform>(node: &Node<P>, config: &Config<'_>) -> Leaving {
    let mut start = [0; Config::NAMES_SIZE];
    let len = node.store.borrow_mut().peek(&mut start).unwrap_or(0);
    match start.get(..len).and_then(Config::names) {
        Some(next) if (next.device, next.prefix) != (config.device.name, config.mqtt.prefix()) => {
            Leaving::ForGood
        }
        Some(next) if (next.host, next.port) != (config.mqtt.host, config.mqtt.port.0) => Leaving::Elsewhere,
        Some(_) => Leaving::Soon,
        None => Leaving::ForGood,
    }
}

/// Waits for a configuration: nothing that is stored can be run.
async fn safe_mode<P: Platform>(node: &Node<P>, network: Network<'_>) -> Change {
    loop {
        supervisor::look_after(&node.shared.promises, network.presence(), node, Instant::now());
        if let Ok(change) = with_timeout(supervisor::ROUND, node.shared.change.wait()).await {
            return change;
        }
    }
}

/// Steps the sampler for ever.
async fn sample<P: Platform>(node: &Node<P>, config: &Config<'_>) {
    let shared = &node.shared;
    let mut sampler = Sampler::new(config, Instant::now());
    // Without a sensor there is nothing to wait for.
    shared.sampled.set(sampler.has_sampled_all());
    loop {
        let next = sampler.next().unwrap_or(Instant::MAX);
        shared.promises.sampler.set(next);
        if next > Instant::now() {
            select(Timer::at(next), shared.sampler.wait()).await;
        }
        let now = Instant::now();
        if let Some((_, sensor)) = shared.measurement.asked() {
            sampler.measure(sensor, now);
        }
        let (faults, lateness_ms) = (sampler.faults, sampler.lateness.longest_ms);
        let facts = || Facts { faults, lateness_ms, ..facts(node, now) };
        sampler.step(config, &mut *node.i2c.borrow_mut(), &facts, now, &mut |output| take(shared, output));
        shared.samples.set(SampleCounts { faults: sampler.faults, lateness: sampler.lateness });
        if !shared.sampled.get() && sampler.has_sampled_all() {
            shared.sampled.set(true);
            shared.supervisor.signal(());
        }
    }
}

/// Passes on what comes out of the sampler.
fn take(shared: &Shared, output: Output<'_>) {
    match output {
        Output::Sample { sensor, passed, .. } => {
            for (reading, value) in passed.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let reading = u8::try_from(reading).unwrap_or(u8::MAX);
                shared.events.add(Event::Reading { sensor, reading, value: *value });
            }
        }
        Output::Health { sensor, health } => {
            shared.health.borrow_mut().set(sensor.into(), health);
            shared.events.add(Event::Health { sensor, health });
            shared.uplink.leave();
        }
        Output::Message { report, qos, seq, at, values } => {
            let record = shared.snapshots.borrow_mut().record(report, seq, shared.boot.uptime_ms(at), values);
            shared.outbox.borrow_mut().push(record, qos);
            shared.uplink.leave();
        }
        Output::Measured(measured) => {
            if let Some((asker, sensor)) = shared.measurement.asked()
                && sensor == measured.sensor
            {
                shared.measurement.answer(asker, measured);
                shared.measured.signal(());
                shared.uplink.leave();
            }
        }
    }
}

/// What the node knows of itself, for its internal readings of `now`; its sampler knows the rest.
fn facts<P: Platform>(node: &Node<P>, now: Instant) -> Facts {
    let counters = &node.shared.counters;
    let stack = node.system.borrow().stack();
    Facts {
        uptime_ms: node.shared.boot.uptime_ms(now),
        published: counters.published.get(),
        dropped: node.shared.outbox.borrow().dropped(),
        connections: counters.connections.get(),
        stack_free: stack.map(|(used, size)| size.saturating_sub(used)),
        ..Facts::default()
    }
}

impl<P: Platform> Board for Node<P> {
    fn feed_watchdog(&self) {
        self.system.borrow_mut().feed_watchdog();
    }

    fn note_late(&self, part: Option<Part>) {
        let mut words = self.system.borrow().retained();
        let number = part.map_or(0, |part| part as u32);
        if let [_, _, late, ..] = &mut words
            && *late != number
        {
            *late = number;
            self.system.borrow_mut().retain(words);
        }
    }

    fn confirm(&self) {
        let mut running = self.shared.running.get();
        match self.store.borrow_mut().confirm() {
            Ok(true) => {}
            // An update is under way in its slot: there is nothing left to confirm.
            Ok(false) => return,
            Err(_) => return self.shared.events.log(Log::FlashFault),
        }
        running.confirmed = true;
        self.shared.running.set(running);
        self.shared.birth_due.set(true);
        self.shared.events.log(Log::Confirmed { generation: running.generation });
    }

    fn record_attempt(&self, reason: Reason) {
        self.attempt_failed(self.shared.running.get().generation, reason);
    }
}

impl<P: Platform> Node<P> {
    fn attempt_failed(&self, generation: u32, reason: Reason) {
        if self.store.borrow_mut().record_attempt(reason).is_err() {
            self.shared.events.log(Log::FlashFault);
        }
        self.shared.events.log(Log::AttemptFailed { generation, reason });
    }
}
