//! A node on this computer: what `dunlin simulate` drives.
//!
//! [`Run`] owns the simulated board and moves it on; it knows neither terminal nor files. [`real`] waits on
//! sockets and the wall clock, [`virtually`] jumps from event to event.

mod ear;
pub mod real;
mod reason_code;
mod record;
pub mod watched;

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_config_format::flash_map::SLOTS;
use dunlin_config_format::image::{Header, Image};
use dunlin_twin::devices::nor_flash::{Change, NorFlash, SECTOR_SIZE, Timing};
use dunlin_twin::native::stored::{holds_images, put_secret, stored};
use dunlin_twin::simulation::{Incident, Simulation};
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::upstream::ConnectionNumber;
use dunlin_twin::world::scenario::{FaultKind, Scenario};
use dunlin_twin::world::trace::{FlashOperation, Happening, Trace};
use embassy_time::{Duration, Instant};

use crate::line::SharedLine;
use ear::Ear;
use record::reset_name;
pub use record::{Event, Line};

/// Size of the simulated flash chip.
pub const FLASH_SIZE: usize = 1 << 20;

/// Why a flash file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedError {
    /// It runs another configuration.
    Other,
    /// It holds configurations, and none that can be run.
    NoneRuns,
}

/// Puts an image and its secrets into an empty flash, as its first configuration; the one that the node would run stays.
///
/// # Errors
/// [`SeedError`] where the flash holds other configurations.
pub fn seed(flash: &NorFlash, image: &Image<'_>, secrets: &[(String, Vec<u8>)]) -> Result<(), SeedError> {
    match stored(flash) {
        Some(stored) if stored.hash == image.header.hash => return Ok(()),
        Some(_) => return Err(SeedError::Other),
        None => {}
    }
    if holds_images(flash) {
        return Err(SeedError::NoneRuns);
    }
    for (name, value) in secrets {
        put_secret(flash, name, value);
    }
    let slot = &SLOTS[0];
    let header = Header { generation: 1, ..image.header }.encode();
    flash.poke(slot.address, &vec![0xff; slot.size as usize]);
    flash.poke(slot.address, &[&header[..], image.body, image.assets].concat());
    Ok(())
}

/// What happened since the last look, for people, and the record for CSV and plot.
#[derive(Default)]
pub struct Story {
    /// What has not been shown, in the order of its times; always empty where nothing is shown.
    pub lines: Vec<Line>,
    is_silent: bool,
    /// The record.
    pub trace: Trace,
    /// Messages of the node that reached the broker.
    pub messages: u64,
    /// Messages that the broker sent to subscribers.
    pub deliveries: u64,
    /// Whether an emulated chip stands still, and nothing but a reset would help.
    pub has_stopped: bool,
    /// The fault that has cut the power.
    cut: Option<String>,
}

/// What a run is wanted for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// What happened, as lines to be shown: of a simulated day there are 43,200.
    pub lines: bool,
    /// Lines of CSV.
    pub csv: bool,
    /// Readings, health, and the light that the sensors saw: the node is asked to tell them over its serial line.
    pub readings: bool,
    /// An emulated chip that boots what is in flash, in place of the agent compiled natively.
    pub chip: bool,
}

/// A simulated board.
pub struct Run {
    /// The world's clock.
    pub clock: Clock,
    /// The board.
    pub simulation: Simulation,
    /// What happened.
    pub story: Rc<RefCell<Story>>,
    wants_readings: bool,
}

impl Run {
    /// Returns a board in the world of `scenario`.
    pub fn new(clock: Clock, scenario: &Scenario, flash: NorFlash, timing: Timing, wants: Wants) -> Self {
        let story: Rc<RefCell<Story>> = Rc::default();
        story.borrow_mut().is_silent = !wants.lines;
        if wants.csv {
            story.borrow_mut().trace = Trace::with_csv();
        }
        let told = Rc::clone(&story);
        flash.watch(move |at, change| {
            told.borrow_mut().trace.add(at, flash_operation(change));
            true
        });
        let mut simulation = if wants.chip {
            Simulation::with_chip(&clock, scenario, flash, timing)
        } else {
            Simulation::new(&clock, scenario, flash, timing)
        };
        let told = Rc::clone(&story);
        simulation.observe(move |at, incident| told.borrow_mut().befall(at, incident, wants.readings));
        Run { clock, simulation, story, wants_readings: wants.readings }
    }

    /// Lets `broker` tell the story of what reaches it.
    pub fn observe(&self, broker: &mut Broker) {
        let story = Rc::clone(&self.story);
        broker.observe(move |at, activity| story.borrow_mut().take(at, activity));
    }

    /// Listens to what the board says over its serial line, and shares the line with other commands where there is a way to.
    pub fn listen(&mut self, mut shared: Option<SharedLine>) {
        let story = Rc::clone(&self.story);
        let mut ear = Ear::new(self.wants_readings);
        let client = shared.as_mut().map(SharedLine::join);
        self.simulation.connect_host(move |now, line| {
            let mut from_board = Vec::new();
            line.host_read(now, &mut from_board);
            let mut story = story.borrow_mut();
            let to_board = match shared.as_mut().zip(client) {
                None => ear.hear(now, &from_board, &mut story),
                Some((shared, client)) => {
                    let mut to_board = shared.exchange(&from_board);
                    let asked = ear.hear(now, &shared.take(client), &mut story);
                    shared.receive(client, &asked);
                    to_board.extend(shared.exchange(&[]));
                    if let Some(baud) = shared.take_rate() {
                        line.set_rate(baud);
                    }
                    to_board
                }
            };
            if !to_board.is_empty() {
                line.host_write(now, &to_board);
            }
        });
    }
}

fn flash_operation(change: Change<'_>) -> Happening<'static> {
    let (operation, address, len) = match change {
        Change::Erased { address } => (FlashOperation::Erase, address, SECTOR_SIZE as u32),
        Change::Programmed { address, bytes } => (FlashOperation::Program, address, bytes.len() as u32),
    };
    Happening::Flash { operation, address, len }
}

impl Story {
    /// Adds something that happened now.
    pub fn push(&mut self, at: Instant, event: Event) {
        if let Some(happening) = record::happening(&event) {
            self.trace.add(at, happening);
        }
        self.show(at, || event);
    }

    fn show(&mut self, at: Instant, event: impl FnOnce() -> Event) {
        if !self.is_silent {
            self.lines.push(Line { at, event: event() });
        }
    }

    fn befall(&mut self, at: Instant, incident: Incident<'_>, wants_light: bool) {
        match incident {
            Incident::Started(cause) => {
                self.has_stopped = false;
                // Power is back: the scenario tells only when it went.
                if let Some(name) = self.cut.take() {
                    self.trace.add(at, Happening::FaultEnds { name: &name, kind: "power-cut" });
                }
                self.push(at, Event::Started(reset_name(cause)));
            }
            Incident::Stopped(text) => {
                self.has_stopped = true;
                self.push(at, Event::Note(format!("the chip stands still: {text}")));
            }
            Incident::Fault(fault, begins) => {
                let (name, kind) = (fault.name.clone(), fault.kind.name());
                let cuts_power = matches!(fault.kind, FaultKind::PowerCut { .. });
                if cuts_power {
                    self.cut = Some(name.clone());
                }
                let lasts = fault.duration.is_some();
                self.push(at, Event::Fault { name, kind, begins, lasts, cuts_power });
            }
            Incident::Armed(fault) => {
                if let FaultKind::PowerCut { operation: Some(operation) } = fault.kind {
                    self.push(at, Event::Armed { name: fault.name.clone(), operation });
                }
            }
            Incident::Light(value) if wants_light => {
                self.trace.add(at, Happening::Truth { quantity: "illuminance", unit: "lx", value });
            }
            Incident::Light(_) => {}
        }
    }

    fn take(&mut self, at: Instant, activity: &Activity<'_>) {
        match activity {
            Activity::Connected { client, .. } if *client != SUBSCRIBER => {
                self.push(at, Event::Connected { client: (*client).to_owned() });
            }
            Activity::Disconnected { client, reason } => {
                let (client, reason) = ((*client).to_owned(), reason_code::ended(*reason));
                self.push(at, Event::Disconnected { client, reason });
            }
            Activity::Published { client: Some(_), topic, payload, qos, retain } => {
                self.messages += 1;
                let (qos, retained) = (qos.number(), *retain);
                self.trace.add(at, Happening::Message { topic, payload, qos, retained });
                self.show(at, || Event::Message {
                    topic: (*topic).to_owned(),
                    payload: payload.to_vec(),
                    qos,
                    retained,
                });
            }
            Activity::Delivered { topic, .. } if !topic.contains("/request/") => self.deliveries += 1,
            Activity::Refused { reason, .. } => self.push(at, Event::SessionRefused(*reason)),
            Activity::PublishRefused { topic, .. } => {
                self.push(at, Event::MessageRefused((*topic).to_owned()));
            }
            _ => {}
        }
    }
}

/// Client identifier of the subscriber in a virtual world.
const SUBSCRIBER: &str = "s";
/// CONNECT of MQTT 3.1.1 with this identifier, clean session, no keep alive (sections 3.1.2 and 3.1.3).
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s";
/// SUBSCRIBE to everything at QoS 0 (section 3.8).
const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01#\x00";

/// Subscribes to everything, so that a message counts when it arrives at somebody.
fn subscribe(broker: &mut Broker, now: Instant) -> ConnectionNumber {
    let Some(connection) = broker.open(now) else { return ConnectionNumber::MAX };
    broker.receive(now, connection, CONNECT);
    broker.receive(now, connection, SUBSCRIBE);
    connection
}

/// Runs on the virtual clock for `duration`, with the world's broker.
///
/// # Errors
/// What a person should know where the node does not come to rest, or what `show` says.
pub fn virtually(
    run: &mut Run,
    broker: &mut Broker,
    duration: Duration,
    mut show: impl FnMut(&mut Run) -> Result<(), String>,
) -> Result<(), String> {
    let end = run.clock.now() + duration;
    let subscriber = subscribe(broker, run.clock.now());
    loop {
        let next = run.simulation.step(broker).map_err(|error| error.to_string())?;
        let len = broker.output(subscriber).len();
        broker.consume_output(subscriber, len);
        show(run)?;
        let next = [next, broker.next_event()].into_iter().flatten().min();
        let Some(at) = next.filter(|&at| at < end) else { break };
        run.clock.wait_until(at);
        broker.step(at);
    }
    run.clock.wait_until(end);
    run.story.borrow_mut().trace.finish(end);
    Ok(())
}
