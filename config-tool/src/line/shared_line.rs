//! A line that lives in this process, such as a simulated board's, served to other commands as a held port is.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use super::Target;
use super::reader::{Event, Queue};
use super::share::Listener;
use super::share::socket_path;
use crate::device::{ClientId, Hub};

/// The socket of a line in this process, and the multiplexer behind it. Dropping it ends the sharing.
pub struct SharedLine {
    hub: Hub,
    listener: Listener,
    events: Receiver<Event>,
    last_local: ClientId,
    started: Instant,
}

/// The lowest number of a client in this process; those of the socket count from 1.
const FIRST_LOCAL: ClientId = 0x8000_0000;

impl SharedLine {
    /// Shares the line under the name of `target`: for a simulation [`Target::Simulation`]. `notify` is called from another
    /// thread whenever [`exchange`](SharedLine::exchange) has something to do.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] where another process shares a line of this name, and whatever the system refuses; in words
    /// with the cure.
    pub fn start(target: &Target, notify: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let path = socket_path(target)?;
        let (sender, events) = mpsc::channel();
        let listener = Listener::bind(path, Queue::new(sender, Some(Arc::new(notify)))).map_err(|error| {
            if error.kind() != io::ErrorKind::AddrInUse {
                return error;
            }
            let text = format!(
                "another one is `{target}` already: end it, or start this one with XDG_RUNTIME_DIR set to another folder"
            );
            io::Error::new(error.kind(), text)
        })?;
        Ok(SharedLine { hub: Hub::new(), listener, events, last_local: FIRST_LOCAL, started: Instant::now() })
    }

    /// Adds a client in this process, such as a pseudo-terminal.
    pub fn join(&mut self) -> ClientId {
        self.last_local += 1;
        self.hub.join(self.last_local);
        self.last_local
    }

    /// Takes bytes from a client in this process.
    pub fn receive(&mut self, id: ClientId, bytes: &[u8]) {
        self.hub.receive_client(id, bytes);
    }

    /// Takes the bytes for a client in this process.
    pub fn take(&mut self, id: ClientId) -> Vec<u8> {
        self.hub.take_client(id)
    }

    /// Takes the speed to set the host's end of the line to, before the bytes that were returned last are sent.
    pub fn take_rate(&mut self) -> Option<u32> {
        self.hub.take_rate()
    }

    /// Moves what is there, without waiting: takes the bytes that the board has sent, returns the bytes for the board.
    pub fn exchange(&mut self, from_board: &[u8]) -> Vec<u8> {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Joined(stream) => self.hub.join(self.listener.admit(stream)),
                Event::Client(id, bytes) => self.hub.receive_client(id, &bytes),
                Event::Left(id) => {
                    self.hub.leave(id);
                    self.listener.dismiss(id);
                }
                Event::Line(_) | Event::LineEnded(_) | Event::Packet(_) => {}
            }
        }
        self.hub.receive_port(from_board);
        self.hub.tick(self.started.elapsed());
        for id in self.hub.waiting() {
            if id < FIRST_LOCAL {
                let bytes = self.hub.take_client(id);
                self.listener.write(id, &bytes);
            }
        }
        self.hub.take_port()
    }
}
