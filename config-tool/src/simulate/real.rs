//! A simulated board in real time: ordinary MQTT clients and the tool's other commands talk to it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use dunlin_twin::host::broker_server::BrokerServer;
use dunlin_twin::host::gdb_server::GdbServer;
use dunlin_twin::host::streams::HostStreams;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::network::upstream::Upstream;
use embassy_time::{Duration, Instant};

use super::Run;
use super::watched::Watched;
use crate::line::{SharedLine, Target};

/// The usual port of MQTT.
pub const MQTT_PORT: u16 = 1883;
/// The longest wait, so that a signal is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Where the node's messages go.
pub enum BrokerEnd {
    /// The simulator's own broker, on a loopback port.
    Own(Box<Broker>, BrokerServer),
    /// A broker of the user's.
    Users(Box<Watched>),
}

impl BrokerEnd {
    /// Returns the simulator's own broker, on the usual port or else on any free one.
    ///
    /// # Errors
    /// Where the system has no port left.
    pub fn own(run: &Run) -> io::Result<Self> {
        let mut broker = Box::new(Broker::new());
        run.observe(&mut broker);
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = BrokerServer::bind(loopback(MQTT_PORT)).or_else(|_| BrokerServer::bind(loopback(0)))?;
        Ok(BrokerEnd::Own(broker, server))
    }

    /// Returns a way to the user's broker, wherever the configuration says it is.
    ///
    /// # Errors
    /// Where the system has no descriptors left.
    pub fn users(run: &Run, address: SocketAddr) -> io::Result<Self> {
        let streams = HostStreams::new(Box::new(move |_| Some(address)))?;
        Ok(BrokerEnd::Users(Box::new(Watched::new(streams, Rc::clone(&run.story)))))
    }

    /// Returns where clients reach the broker.
    pub fn port(&self) -> Option<u16> {
        match self {
            BrokerEnd::Own(_, server) => Some(server.address().port()),
            BrokerEnd::Users(_) => None,
        }
    }

    fn step(&mut self, run: &mut Run) -> Result<(), String> {
        let now = run.clock.now();
        match self {
            BrokerEnd::Own(broker, server) => loop {
                server.step(now, broker);
                broker.step(now);
                run.simulation.step(&mut **broker).map_err(|error| error.to_string())?;
                if !server.step(run.clock.now(), broker) {
                    return Ok(());
                }
            },
            BrokerEnd::Users(streams) => {
                streams.step(now);
                run.simulation.step(&mut **streams).map_err(|error| error.to_string())?;
                Ok(())
            }
        }
    }

    fn next_event(&self) -> Option<Instant> {
        match self {
            BrokerEnd::Own(broker, server) => {
                broker.next_event().into_iter().chain(server.next_event()).min()
            }
            BrokerEnd::Users(streams) => streams.next_event(),
        }
    }

    fn register<'a>(&'a self, set: &mut WaitSet<'a>) {
        match self {
            BrokerEnd::Own(broker, server) => server.register(broker, set),
            BrokerEnd::Users(streams) => streams.register(set),
        }
    }
}

/// Serves the board's serial line to the tool's other commands under the name `sim`; returns what to wait for, or why other
/// commands cannot reach this board.
///
/// # Errors
/// Another simulation is running, or what the system refuses.
pub fn share_line(run: &mut Run) -> io::Result<UnixStream> {
    let (bell, rings) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    rings.set_nonblocking(true)?;
    let shared = SharedLine::start(&Target::Simulation, move || {
        // A full pipe rings already.
        let _ = (&bell).write(&[0]);
    })?;
    run.listen(Some(shared));
    Ok(rings)
}

/// Runs until `end`, or until `is_over`.
///
/// # Errors
/// What a person should know where the node does not come to rest or the system refuses to wait, or what `show` says.
pub fn until(
    run: &mut Run,
    broker: &mut BrokerEnd,
    rings: Option<&UnixStream>,
    mut gdb: Option<&mut GdbServer>,
    end: Option<Instant>,
    is_over: impl Fn() -> bool,
    mut show: impl FnMut(&mut Run) -> Result<(), String>,
) -> Result<(), String> {
    while !is_over() && end.is_none_or(|end| run.clock.now() < end) {
        let mut debug = |run: &mut Run| {
            gdb.as_mut().zip(run.simulation.chip()).is_some_and(|(server, chip)| server.step(chip))
        };
        debug(run);
        broker.step(run)?;
        show(run)?;
        // What has halted the chip is told before anyone waits.
        let is_resumed = debug(run);
        let now = run.clock.now();
        let next = [run.simulation.next_event(), broker.next_event(), end].into_iter().flatten().min();
        let timeout = match next {
            _ if is_resumed => Duration::from_ticks(0),
            next => next.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now)).min(LONGEST_WAIT),
        };
        let mut set = WaitSet::new();
        broker.register(&mut set);
        if let Some(server) = gdb.as_deref() {
            server.register(&mut set);
        }
        if let Some(rings) = rings {
            set.add_readable(rings.as_fd());
        }
        set.wait(Some(timeout)).map_err(|error| format!("waiting failed: {error}"))?;
        if let Some(mut rings) = rings {
            while matches!(rings.read(&mut [0; 64]), Ok(count) if count > 0) {}
        }
    }
    let now = run.clock.now();
    run.story.borrow_mut().trace.finish(now);
    Ok(())
}
