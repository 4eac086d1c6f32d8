//! The threads that read a line and its clients, and the one queue that they fill.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::port::{Halves, SetRate};
use super::share::ClientStream;

/// What happened.
pub(super) enum Event {
    /// Bytes came over the line.
    Line(Vec<u8>),
    /// The line has ended, with the error or because the other end closed it.
    LineEnded(Option<io::Error>),
    /// Somebody wants to share the line.
    Joined(ClientStream),
    /// Bytes came from a client.
    Client(u32, Vec<u8>),
    /// A client has gone.
    Left(u32),
    /// A frame for the node, from its network.
    Packet(Vec<u8>),
}

/// The sending end of a queue, which may tell somebody that there is something in it.
#[derive(Clone)]
pub(super) struct Queue {
    sender: Sender<Event>,
    notify: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Queue {
    pub(super) fn new(sender: Sender<Event>, notify: Option<Arc<dyn Fn() + Send + Sync>>) -> Self {
        Queue { sender, notify }
    }

    /// Queues an event; returns whether anybody will take it.
    pub(super) fn put(&self, event: Event) -> bool {
        let taken = self.sender.send(event).is_ok();
        if let Some(notify) = &self.notify {
            notify();
        }
        taken
    }
}

/// The queue, and the writing half of the line. Dropping it closes the line.
pub(super) struct Events {
    queue: Queue,
    receiver: Receiver<Event>,
    writer: Box<dyn Write + Send>,
    set_rate: Option<SetRate>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Events {
    /// Reads `halves` in a thread of its own until the line ends or this is dropped.
    pub(super) fn read(halves: Halves) -> Self {
        let (sender, receiver) = mpsc::channel();
        let queue = Queue::new(sender, None);
        let stop = Arc::new(AtomicBool::new(false));
        let (events, stopped, mut reader) = (queue.clone(), stop.clone(), halves.reader);
        let thread = thread::spawn(move || {
            let error = read_all(reader.as_mut(), &stopped, |bytes| events.put(Event::Line(bytes)));
            events.put(Event::LineEnded(error));
        });
        let (writer, set_rate) = (halves.writer, halves.set_rate);
        Events { queue, receiver, writer, set_rate, stop, reader: Some(thread) }
    }

    /// Returns whether the line has a speed that can be changed.
    pub(super) fn has_rate(&self) -> bool {
        self.set_rate.is_some()
    }

    /// Sets the line's speed; returns whether it has been.
    pub(super) fn set_rate(&mut self, baud: u32) -> bool {
        self.set_rate.as_mut().is_some_and(|set| set(baud).is_ok())
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }

    pub(super) fn write_line(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_patiently(self.writer.as_mut(), bytes)
    }

    pub(super) fn wait(&self, limit: Duration) -> Result<Event, RecvTimeoutError> {
        self.receiver.recv_timeout(limit)
    }

    pub(super) fn poll(&self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The reader holds the port too: it is free only when the thread has ended, one read timeout from now.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads until the end, an error, a stop, or nobody wanting more. A timeout is none of them.
pub(super) fn read_all(
    reader: &mut dyn Read,
    stop: &AtomicBool,
    mut take: impl FnMut(Vec<u8>) -> bool,
) -> Option<io::Error> {
    let mut buffer = [0; 1024];
    while !stop.load(Ordering::Relaxed) {
        match reader.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => {
                if !take(buffer.get(..count).unwrap_or_default().to_vec()) {
                    return None;
                }
            }
            Err(error) if is_pause(&error) => {}
            Err(error) => return Some(error),
        }
    }
    None
}

fn write_patiently(writer: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    // A line takes 240 bytes in 21 ms; one that takes nothing for two seconds is dead.
    let mut pauses = 0;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                pauses = 0;
            }
            Err(error) if is_pause(&error) && pauses < 40 => pauses += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
