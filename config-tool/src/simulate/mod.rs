//! A node on this computer: what `dunlin simulate` drives.
//!
//! [`Run`] owns the simulated board and moves it on; it knows neither terminal nor files. [`real`] waits on
//! sockets and the wall clock, [`virtually`] jumps from event to event.

pub mod real;
mod record;
pub mod watched;

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_config_format::flash_map::SLOTS;
use dunlin_config_format::image::{Header, Image};
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::{Incident, Simulation};
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::upstream::ConnectionNumber;
use dunlin_twin::world::scenario::Scenario;
use dunlin_twin::world::trace::{Happening, Trace};
use embassy_time::{Duration, Instant};

pub use record::Line;
use record::reset_name;

/// Size of the simulated flash chip.
pub const FLASH_SIZE: usize = 1 << 20;

/// Why a flash file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedError {
    /// It holds another configuration.
    Other,
}

/// Puts an image into an empty flash, as its first configuration; one that is there already stays.
///
/// # Errors
/// [`SeedError::Other`] where the flash holds other configurations only.
pub fn seed(flash: &NorFlash, image: &Image<'_>) -> Result<(), SeedError> {
    let mut contents = flash.contents();
    let held: Vec<Header> =
        SLOTS.iter().filter_map(|slot| Header::decode(contents.get(slot.address as usize..)?).ok()).collect();
    if held.iter().any(|header| header.hash == image.header.hash) {
        return Ok(());
    }
    if !held.is_empty() {
        return Err(SeedError::Other);
    }
    let header = Header { generation: 1, ..image.header }.encode();
    let bytes = header.iter().chain(image.body).chain(image.assets);
    for (target, byte) in contents.iter_mut().skip(SLOTS[0].address as usize).zip(bytes) {
        *target = *byte;
    }
    flash.set_contents(&contents);
    Ok(())
}

/// What happened since the last look, as lines for people, and the record for CSV and plot.
#[derive(Default)]
pub struct Story {
    /// Lines that have not been shown.
    pub lines: Vec<Line>,
    /// The record.
    pub trace: Trace,
    /// Messages of the node that reached the broker, and bytes of their payloads.
    pub messages: u64,
    /// Messages that the broker sent to subscribers.
    pub deliveries: u64,
}

/// A simulated board.
pub struct Run {
    /// The world's clock.
    pub clock: Clock,
    /// The board.
    pub simulation: Simulation,
    /// What happened.
    pub story: Rc<RefCell<Story>>,
    /// The fault that has cut the power.
    cut: Option<String>,
}

impl Run {
    /// Returns a board in the world of `scenario`: with an emulated chip that boots what is in flash, or else with the agent
    /// compiled natively.
    pub fn new(
        clock: Clock,
        scenario: &Scenario,
        flash: NorFlash,
        timing: Timing,
        csv: bool,
        has_chip: bool,
    ) -> Self {
        let story: Rc<RefCell<Story>> = Rc::default();
        if csv {
            story.borrow_mut().trace = Trace::with_csv();
        }
        let simulation = if has_chip {
            Simulation::with_chip(&clock, scenario, flash, timing)
        } else {
            Simulation::new(&clock, scenario, flash, timing)
        };
        Run { clock, simulation, story, cut: None }
    }

    /// Lets `broker` tell the story of what reaches it.
    pub fn observe(&self, broker: &mut Broker) {
        let story = Rc::clone(&self.story);
        broker.observe(move |at, activity| story.borrow_mut().take(at, activity));
    }

    /// Adds to the story what befell the board.
    pub fn collect(&mut self) {
        let now = self.clock.now();
        let mut story = self.story.borrow_mut();
        for incident in self.simulation.take_incidents() {
            match incident {
                Incident::Started(cause) => {
                    let cause = reset_name(cause);
                    // Power is back: the scenario tells only when it went.
                    if let Some(name) = self.cut.take() {
                        story.trace.add(now, Happening::FaultEnds { name: &name, kind: "power-cut" });
                    }
                    story.trace.add(now, Happening::Started { cause });
                    story.lines.push(Line::note(now, format!("board started: {cause}")));
                }
                Incident::Stopped(text) => {
                    story.lines.push(Line::note(now, format!("the chip stands still: {text}")));
                }
                Incident::Fault(fault, begins) => {
                    let (name, kind) = (fault.name.as_str(), fault.kind.name());
                    if kind == "power-cut" {
                        self.cut = Some(name.to_owned());
                    }
                    let lasts = fault.duration.is_some();
                    story.trace.add(
                        now,
                        if begins {
                            Happening::FaultBegins { name, kind, lasts }
                        } else {
                            Happening::FaultEnds { name, kind }
                        },
                    );
                    let edge = if begins { "begins" } else { "ends" };
                    story.lines.push(Line::note(now, format!("fault `{name}` ({kind}) {edge}")));
                }
            }
        }
    }
}

impl Story {
    fn take(&mut self, at: Instant, activity: &Activity<'_>) {
        match activity {
            Activity::Connected { client, .. } if *client != SUBSCRIBER => {
                self.trace.add(at, Happening::Session { begins: true });
                self.lines.push(Line::note(at, format!("`{client}` connected to the broker")));
            }
            Activity::Disconnected { client, reason } => {
                self.trace.add(at, Happening::Session { begins: false });
                self.lines.push(Line::note(at, format!("`{client}` disconnected: {reason:?}")));
            }
            Activity::Published { client: Some(_), topic, payload, qos, retain } => {
                self.messages += 1;
                let qos = qos.number();
                self.trace.add(at, Happening::Message { topic, payload, qos, retained: *retain });
                record::readings(&mut self.trace, at, topic, payload);
                self.lines.push(Line::message(at, topic, payload));
            }
            Activity::Delivered { topic, .. } if !topic.contains("/request/") => self.deliveries += 1,
            Activity::Refused { reason, .. } => {
                self.lines.push(Line::note(at, format!("the broker refused the session: 0x{reason:02x}")));
            }
            Activity::PublishRefused { topic, .. } => {
                self.lines.push(Line::note(at, format!("the broker refused a message to `{topic}`")));
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
/// What a person should know where the node does not come to rest.
pub fn virtually(
    run: &mut Run,
    broker: &mut Broker,
    duration: Duration,
    mut show: impl FnMut(&mut Story),
) -> Result<(), String> {
    let end = run.clock.now() + duration;
    let subscriber = subscribe(broker, run.clock.now());
    loop {
        run.simulation.step(broker).map_err(|error| error.to_string())?;
        let len = broker.output(subscriber).len();
        broker.consume_output(subscriber, len);
        run.collect();
        show(&mut run.story.borrow_mut());
        let next = [run.simulation.next_event(), broker.next_event()].into_iter().flatten().min();
        let Some(at) = next.filter(|&at| at < end) else { break };
        run.clock.wait_until(at);
        broker.step(at);
    }
    run.clock.wait_until(end);
    run.story.borrow_mut().trace.finish(end);
    Ok(())
}
