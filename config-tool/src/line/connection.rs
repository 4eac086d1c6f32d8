//! An open line with its threads: reads it, runs tasks over it, and serves it to other commands meanwhile.
//!
//! Whoever opens a port holds it alone and shares it through a Unix socket in the runtime folder; whoever finds such a socket
//! uses it instead of the port. Both sides of the socket speak the protocol of the line itself ([`Hub`]).

use std::fmt;
use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::Target;
use super::error::{Heard, LineError};
use super::network::Network;
use super::port::{self, OpenError};
use super::reader::{Event, Events};
use super::share::{self, Listener, socket_path};
use crate::device::{Ask, Failure, Hub, Patience, Station, Task, Time, USUAL_RATE};
use dunlin_config_format::message::RateRequest;

/// This process's own number among the clients of its hub.
const OWN: u32 = 0;

/// How often a busy port is tried again, and after what time: half a second in all.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// For the last words at another than the usual speed.
const FAREWELL: Patience = Patience { timeout: Duration::from_millis(100), tries: 3 };

/// An open line.
pub struct Connection {
    target: Target,
    events: Events,
    station: Station,
    started: Instant,
    heard: Heard,
    /// With the port itself: the hub and the socket that shares it. As a guest of another command: none.
    shared: Option<(Hub, Option<Listener>)>,
    /// The node's network, while this process holds the port and the device has spoken.
    network: Option<Network>,
    has_carried: bool,
}

impl Connection {
    /// Opens `target`, or joins the command that holds it.
    ///
    /// # Errors
    /// [`LineError::Open`].
    pub fn open(target: Target) -> Result<Self, LineError> {
        let (events, shared) = join_or_open(&target)?;
        let (station, started, heard) = (Station::default(), Instant::now(), Heard::default());
        Ok(Connection { target, events, station, started, heard, shared, network: None, has_carried: false })
    }

    /// Returns what was opened.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns whether another command holds the port and shares it.
    pub fn is_guest(&self) -> bool {
        self.shared.is_none()
    }

    /// Returns whether the node's network went over this line, carried by this process.
    pub fn has_carried(&self) -> bool {
        self.has_carried
    }

    /// Runs `task` to its end. `watch` is called after each step with the task and the text that was heard; it returns
    /// whether to go on.
    ///
    /// # Errors
    /// [`LineError`]. `None` where `watch` ended it.
    pub fn run_watching<T: Task>(
        &mut self,
        task: &mut T,
        mut watch: impl FnMut(&mut T, &[u8]) -> bool,
    ) -> Result<Option<T::Output>, LineError> {
        let (before, (frames, _)) = (self.heard, self.station.heard());
        loop {
            let mut end = self.station.tick(self.now(), task);
            self.write()?;
            if end.is_none() {
                let limit = Duration::from_millis(100);
                let wait = task.deadline().map_or(limit, |at| at.saturating_sub(self.now()).min(limit));
                let bytes = self.wait(wait)?;
                self.count(&bytes);
                end = self.station.receive(self.now(), &bytes, task);
                self.write()?;
            }
            let text = self.station.take_text();
            let goes_on = watch(task, &text);
            match end {
                Some(Ok(output)) => return Ok(Some(output)),
                Some(Err(failure)) => {
                    let heard = Heard {
                        bytes: self.heard.bytes - before.bytes,
                        binary: self.heard.binary - before.binary,
                        frames: self.station.heard().0 - frames,
                    };
                    return Err(LineError::Device(failure, heard));
                }
                None if !goes_on => return Ok(None),
                None => {}
            }
        }
    }

    /// Runs `task` to its end.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn run<T: Task>(&mut self, task: &mut T) -> Result<T::Output, LineError> {
        match self.run_watching(task, |_, _| true)? {
            Some(output) => Ok(output),
            None => Err(LineError::Device(Failure::Silent, self.heard)),
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn count(&mut self, bytes: &[u8]) {
        let is_text = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
        self.heard.bytes += bytes.len() as u64;
        self.heard.binary += bytes.iter().filter(|byte| !is_text(byte)).count() as u64;
    }

    /// Writes what the station has to send.
    fn write(&mut self) -> Result<(), LineError> {
        let bytes = self.station.take_bytes();
        match &mut self.shared {
            None => {
                // A holder that has ended is told by the reader, and its place may be taken.
                let _ = self.events.write_line(&bytes);
                Ok(())
            }
            Some((hub, _)) => {
                hub.receive_client(OWN, &bytes);
                self.write_port()
            }
        }
    }

    /// Writes what the hub has for the port, at the speed that it has agreed on.
    fn write_port(&mut self) -> Result<(), LineError> {
        let now = self.now();
        let Some((hub, _)) = &mut self.shared else { return Ok(()) };
        hub.tick(now);
        if let Some(baud) = hub.take_rate()
            && !self.events.set_rate(baud)
        {
            hub.keep_rate();
        }
        self.events.write_line(&hub.take_port()).map_err(broken)
    }

    /// Waits for something to happen, at most `limit`; returns the bytes for this process's own station.
    fn wait(&mut self, limit: Duration) -> Result<Vec<u8>, LineError> {
        let mut event = match self.events.wait(limit) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(LineError::Broken("its reader has ended".to_owned()));
            }
        };
        let mut own = Vec::new();
        while let Some(happened) = event {
            match happened {
                Event::Line(bytes) => match &mut self.shared {
                    None => own.extend_from_slice(&bytes),
                    Some((hub, _)) => hub.receive_port(&bytes),
                },
                Event::LineEnded(error) => {
                    self.reopen(error)?;
                    return Ok(own);
                }
                Event::Joined(stream) => {
                    if let Some((hub, Some(listener))) = &mut self.shared {
                        hub.join(listener.admit(stream));
                    }
                }
                Event::Client(id, bytes) => {
                    if let Some((hub, _)) = &mut self.shared {
                        hub.receive_client(id, &bytes);
                    }
                }
                Event::Packet(frame) => {
                    if let Some((hub, _)) = &mut self.shared {
                        hub.send_packet(&frame);
                    }
                }
                Event::Left(id) => {
                    if let Some((hub, Some(listener))) = &mut self.shared {
                        hub.leave(id);
                        listener.dismiss(id);
                    }
                }
            }
            event = self.events.poll();
        }
        self.carry_packets();
        self.write_port()?;
        if let Some((hub, listener)) = &mut self.shared {
            for id in hub.waiting() {
                let bytes = hub.take_client(id);
                if id == OWN {
                    own.extend_from_slice(&bytes);
                } else if let Some(listener) = listener {
                    listener.write(id, &bytes);
                }
            }
        }
        Ok(own)
    }

    /// Hands the node's packets to its network, which begins with the first frame that the device sends. A computer that
    /// can't carry packets still serves the line.
    fn carry_packets(&mut self) {
        let Some((hub, _)) = &mut self.shared else { return };
        if self.network.is_none() && hub.has_spoken() {
            self.network = Network::start(self.events.queue()).ok();
        }
        while let Some(packet) = hub.take_packet() {
            if let Some(network) = &mut self.network {
                self.has_carried = true;
                network.receive(packet);
            }
        }
    }

    /// A guest whose holder has ended takes the port over; what was on its way is asked for again by the tasks. A port of
    /// our own that ends is broken.
    fn reopen(&mut self, error: Option<io::Error>) -> Result<(), LineError> {
        if !self.is_guest() {
            return Err(LineError::Broken(match error {
                Some(error) => format!("{error}; is the board still plugged in?"),
                None => "the other end has closed it".to_owned(),
            }));
        }
        // Frames of its network would go into a queue that nobody reads.
        self.network = None;
        let opened = join_or_open(&self.target);
        // A simulation that is being killed may take one guest more: only whether it can be joined counts.
        if opened.is_err() && self.target == Target::Simulation {
            let words = "the simulation has ended; what its board stores outlives it with `--flash FILE` alone: start it \
                         again, with the same file if it had one";
            return Err(LineError::Broken(words.to_owned()));
        }
        (self.events, self.shared) = opened?;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A line that is broken needs no farewell.
        if self.network.take().is_some() {
            let _ = self.events.write_line(&Network::farewell());
        }
        // Whoever opens the port next does so at the usual speed. A device that does not hear this finds out by itself.
        if self.shared.as_ref().is_some_and(|(hub, _)| hub.is_at_other_rate())
            && let Ok(mut ask) = Ask::new(&RateRequest { baud: USUAL_RATE }, FAREWELL)
        {
            let _ = self.run(&mut ask);
        }
    }
}

/// The threads of an open line, and what shares it if it is ours.
type Opened = (Events, Option<(Hub, Option<Listener>)>);

/// Joins the holder of a line, or becomes it. Between two commands a port may be busy and its socket not there yet, or gone
/// already: that is waited out.
fn join_or_open(target: &Target) -> Result<Opened, LineError> {
    let mut tries = 0;
    loop {
        let path = socket_path(target).ok();
        if let Some(halves) = path.as_ref().and_then(|path| share::join(path)) {
            return Ok((Events::read(halves), None));
        }
        if *target == Target::Simulation {
            return Err(LineError::Open(OpenError::no_simulation()));
        }
        let halves = match port::open(target) {
            Ok(halves) => halves,
            Err(error) if error.is_busy() && tries < BUSY_TRIES => {
                tries += 1;
                std::thread::sleep(BUSY_PAUSE);
                continue;
            }
            Err(error) => return Err(LineError::Open(error)),
        };
        let events = Events::read(halves);
        let mut hub = Hub::new();
        hub.join(OWN);
        if !events.has_rate() {
            hub.keep_rate();
        }
        // A socket that can't be made only means that nobody can join.
        let listener = path.and_then(|path| Listener::bind(path, events.queue()).ok());
        return Ok((events, Some((hub, listener))));
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("target", &self.target).finish_non_exhaustive()
    }
}

fn broken(error: io::Error) -> LineError {
    LineError::Broken(error.to_string())
}
