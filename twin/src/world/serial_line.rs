//! The serial line between host and board, paced like the wire.
//!
//! A byte takes ten bit times (8N1) either way. The board's receiver has a FIFO of 128 bytes that overruns while the
//! processor is stalled, for example by a flash erase; a seeded [`Noise`] flips, drops and doubles bytes. The line takes
//! bytes and time and gives bytes and time: it knows neither frames nor who is at either end. FIFO size and interrupt
//! conditions: ESP8266 Technical Reference, chapter 11 (UART).
//!
//! The host's end is called with the time; the board's end is a pair of [`embedded_io_async`] halves that ask the world's
//! clock through `embassy_time`. Whoever drives the world wakes the board with [`SerialLine::advance`] at
//! [`SerialLine::next_event`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use embassy_time::{Duration, Instant};
use embedded_io_async::{ErrorType, Read, Write};

mod noise;
mod sampling;

pub use noise::Noise;
pub use sampling::resample;

/// Bytes that the board's receive FIFO and transmit FIFO hold each.
pub const FIFO_SIZE: usize = 128;

/// Bytes in the receive FIFO that wake the board at once; fewer wake it when the line falls silent.
const RECEIVE_THRESHOLD: usize = 32;

/// A USB frame, in nanoseconds: the host's adapter hands over what it has once in this time.
const USB_FRAME: u64 = 1_000_000;

/// Silence, in byte times, after which fewer bytes wake the board.
const RECEIVE_SILENCE: u64 = 2;

/// Bytes in the transmit FIFO below which a waiting writer is woken.
const TRANSMIT_THRESHOLD: usize = 96;

/// The line's speed at every start of a board, in bits per second.
pub const USUAL_RATE: u32 = 115_200;

/// The speed at which the boot ROM prints, in bits per second: 115,200 for a 40 MHz crystal, on the usual 26 MHz crystal.
pub const ROM_RATE: u32 = 74_880;

/// What the boot ROM prints at a start (ESP8266 boot log; the first line names the cause and the boot mode).
const ROM_MESSAGE: &[u8] =
    b"\r\n ets Jan  8 2013,rst cause:2, boot mode:(3,6)\r\n\r\nload 0x40100000, len 1856, room 16 \r\n";

/// How many bytes went which way, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that the host has sent.
    pub to_board: u64,
    /// Bytes that the board has sent.
    pub to_host: u64,
    /// Bytes that arrived at a full receive FIFO and are lost.
    pub overruns: u64,
    /// Bytes that noise flipped, dropped or doubled.
    pub damaged: u64,
}

/// A line. Clones are handles of the same line.
#[derive(Clone, Debug)]
pub struct SerialLine(Rc<RefCell<Line>>);

impl SerialLine {
    /// Creates a silent line at [`USUAL_RATE`] without noise.
    pub fn new() -> Self {
        SerialLine(Rc::new(RefCell::new(Line::new())))
    }

    /// Sets the noise from now on.
    pub fn set_noise(&self, noise: Noise) {
        self.0.borrow_mut().noise = noise;
    }

    /// Sets how long the host's adapter keeps a byte before the host sees it; zero unless set.
    pub fn set_adapter_latency(&self, latency: Duration) {
        self.0.borrow_mut().adapter_latency = nanoseconds(Instant::from_ticks(latency.as_ticks()));
    }

    /// Returns the board's halves of the line.
    pub fn board(&self) -> (SerialReader, SerialWriter) {
        (SerialReader(self.clone()), SerialWriter(self.clone()))
    }

    /// Puts bytes on the line towards the board, after those that are on their way.
    pub fn host_write(&self, now: Instant, bytes: &[u8]) {
        self.0.borrow_mut().host_write(nanoseconds(now), bytes);
    }

    /// Takes the bytes that have reached the host.
    pub fn host_read(&self, now: Instant, bytes: &mut Vec<u8>) {
        let mut line = self.0.borrow_mut();
        let now = nanoseconds(now);
        while let Some((_, byte)) = pop_due(&mut line.to_host, |(arrival, _)| *arrival <= now) {
            bytes.push(byte);
        }
    }

    /// Returns when the bytes that the host has put on the line have all left it; the past if they have.
    pub fn host_idle_at(&self) -> Instant {
        instant(self.0.borrow().to_board_free_at)
    }

    /// Sets the speed of the host's end. Ends of different speed receive rubbish.
    pub fn set_host_rate(&self, baud: u32) {
        self.0.borrow_mut().host_rate = baud;
    }

    /// Returns the speed of the host's end.
    pub fn host_rate(&self) -> u32 {
        self.0.borrow().host_rate
    }

    /// Sets the speed of the board's end.
    pub fn set_board_rate(&self, baud: u32) {
        self.0.borrow_mut().board_rate = baud;
    }

    /// Stops the board's end, as a reset or a power cut does: what is in its FIFOs is lost.
    pub fn stop_board(&self, now: Instant) {
        self.0.borrow_mut().stop_board(nanoseconds(now));
    }

    /// Restarts the board's end: FIFOs empty, the usual speed, and the boot ROM's message at [`ROM_RATE`].
    pub fn restart_board(&self, now: Instant) {
        self.0.borrow_mut().restart_board(nanoseconds(now));
    }

    /// Returns when the line next has something to do: wake the board, or show the host a byte.
    pub fn next_event(&self) -> Option<Instant> {
        let line = self.0.borrow();
        let host = line.host_hears_at();
        let reader = line.reader.as_ref().and_then(|_| line.reader_wakes_at());
        let writer = line.writer.as_ref().and_then(|_| line.writer_wakes_at(line.writer_limit));
        [host, reader, writer].into_iter().flatten().min().map(instant)
    }

    /// Wakes the board's halves if they have something to do.
    pub fn advance(&self, now: Instant) {
        let mut line = self.0.borrow_mut();
        let now = nanoseconds(now);
        if line.reader_wakes_at().is_some_and(|at| at <= now) {
            line.reader.take().into_iter().for_each(Waker::wake);
        }
        let limit = line.writer_limit;
        if line.writer_wakes_at(limit).is_none_or(|at| at <= now) {
            line.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// A board with a UART of its own has put a byte on the wire, whose stop bit ends `at_ns` nanoseconds after the clock's
    /// start, at `rate` bits per second.
    pub(crate) fn put_byte(&self, at_ns: u64, byte: u8, rate: u32) {
        let mut line = self.0.borrow_mut();
        line.counts.to_host += 1;
        let (latency, host_rate) = (line.adapter_latency, line.host_rate);
        for byte in resample(&[byte], rate, host_rate) {
            let (byte, copies) = {
                let line = &mut *line;
                line.noise.pass(byte, &mut line.counts.damaged)
            };
            for _ in 0..copies {
                line.to_host.push_back((at_ns + latency, byte));
            }
        }
    }

    /// A board with a UART of its own has lost bytes that found its FIFO full.
    pub(crate) fn count_overruns(&self, bytes: u64) {
        self.0.borrow_mut().counts.overruns += bytes;
    }

    /// Hands the bytes on their way to a board with a UART of its own over, with the nanosecond at which each is complete.
    pub(crate) fn take_arrivals(&self, mut take: impl FnMut(u64, u8)) {
        for (at_ns, byte) in self.0.borrow_mut().to_board.drain(..) {
            take(at_ns, byte);
        }
    }

    /// Returns what went over the line so far.
    pub fn counts(&self) -> Counts {
        self.0.borrow().counts
    }
}

/// The host's end of a line.
pub struct HostEnd<'l> {
    line: &'l SerialLine,
    /// Bytes that were read already, where somebody else listens as well.
    heard: Option<Vec<u8>>,
}

impl<'l> HostEnd<'l> {
    /// Returns the end of `line`.
    pub fn of(line: &'l SerialLine) -> Self {
        HostEnd { line, heard: None }
    }

    /// Returns the end of `line`, from which somebody has read `heard` already.
    pub(crate) fn with(line: &'l SerialLine, heard: Option<Vec<u8>>) -> Self {
        HostEnd { line, heard }
    }

    /// Takes the bytes that have arrived.
    pub fn host_read(&mut self, now: Instant, bytes: &mut Vec<u8>) {
        match &mut self.heard {
            None => self.line.host_read(now, bytes),
            Some(heard) => bytes.append(heard),
        }
    }

    /// Sets the speed of this end, in bits per second.
    pub fn set_rate(&mut self, baud: u32) {
        self.line.set_host_rate(baud);
    }

    /// Puts bytes on the line.
    pub fn host_write(&mut self, now: Instant, bytes: &[u8]) {
        self.line.host_write(now, bytes);
    }
}

impl Default for SerialLine {
    fn default() -> Self {
        Self::new()
    }
}

/// The line's state. Times are nanoseconds: a byte time at 115,200 baud is no whole number of microseconds.
#[derive(Debug)]
struct Line {
    host_rate: u32,
    board_rate: u32,
    adapter_latency: u64,
    noise: Noise,
    counts: Counts,
    /// Bytes towards the board with the time at which each is complete.
    to_board: VecDeque<(u64, u8)>,
    to_board_free_at: u64,
    receive_fifo: VecDeque<u8>,
    /// When the last byte entered the receive FIFO.
    received_at: u64,
    /// When each byte that the board has written leaves the transmit FIFO for the wire.
    transmit_fifo: VecDeque<u64>,
    /// Bytes towards the host with the time at which each reaches it.
    to_host: VecDeque<(u64, u8)>,
    to_host_free_at: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The transmit FIFO's fill level at which the writer is woken.
    writer_limit: usize,
}

impl Line {
    fn new() -> Self {
        Line {
            host_rate: USUAL_RATE,
            board_rate: USUAL_RATE,
            adapter_latency: 0,
            noise: Noise::none(),
            counts: Counts::default(),
            to_board: VecDeque::new(),
            to_board_free_at: 0,
            receive_fifo: VecDeque::new(),
            received_at: 0,
            transmit_fifo: VecDeque::new(),
            to_host: VecDeque::new(),
            to_host_free_at: 0,
            reader: None,
            writer: None,
            writer_limit: 0,
        }
    }

    fn host_write(&mut self, now: u64, bytes: &[u8]) {
        self.counts.to_board += bytes.len() as u64;
        let heard = resample(bytes, self.host_rate, self.board_rate);
        for byte in heard {
            let (byte, copies) = self.noise.pass(byte, &mut self.counts.damaged);
            for _ in 0..copies {
                self.to_board_free_at = self.to_board_free_at.max(now) + byte_time(self.host_rate);
                self.to_board.push_back((self.to_board_free_at, byte));
            }
        }
    }

    /// Moves what has arrived into the receive FIFO; what finds it full is lost.
    fn receive(&mut self, now: u64) {
        while let Some((arrival, byte)) = pop_due(&mut self.to_board, |(arrival, _)| *arrival <= now) {
            self.received_at = arrival;
            if self.receive_fifo.len() < FIFO_SIZE {
                self.receive_fifo.push_back(byte);
            } else {
                self.counts.overruns += 1;
            }
        }
    }

    /// When the receiver raises its interrupt: at the threshold, or after a silence with fewer bytes.
    fn reader_wakes_at(&self) -> Option<u64> {
        if self.receive_fifo.is_empty() && self.to_board.is_empty() {
            return None;
        }
        let missing = RECEIVE_THRESHOLD.saturating_sub(self.receive_fifo.len());
        if missing == 0 {
            return Some(self.received_at);
        }
        let silence = RECEIVE_SILENCE * byte_time(self.board_rate);
        let mut last = (!self.receive_fifo.is_empty()).then_some(self.received_at);
        for (arrival, _) in self.to_board.iter().take(missing) {
            match last {
                Some(at) if at + silence < *arrival => return Some(at + silence),
                _ => last = Some(*arrival),
            }
        }
        let full = self.to_board.len() >= missing;
        last.map(|at| if full { at } else { at + silence })
    }

    /// When the host is told of bytes: a USB frame after the first, or with the last.
    fn host_hears_at(&self) -> Option<u64> {
        let ((first, _), (last, _)) = (self.to_host.front()?, self.to_host.back()?);
        Some((*last).min(first + USB_FRAME))
    }

    /// Puts what fits into the transmit FIFO and on the wire; returns how much that was.
    fn board_write(&mut self, now: u64, bytes: &[u8]) -> usize {
        self.transmit(now);
        let taken = bytes.len().min(FIFO_SIZE - self.transmit_fifo.len().min(FIFO_SIZE));
        let taken_bytes: Vec<u8> = bytes.iter().take(taken).copied().collect();
        self.put_on_wire(now, &taken_bytes, self.board_rate);
        taken
    }

    fn put_on_wire(&mut self, now: u64, bytes: &[u8], rate: u32) {
        self.counts.to_host += bytes.len() as u64;
        let start = self.to_host_free_at.max(now);
        let time = byte_time(rate);
        for index in 0..bytes.len() as u64 {
            self.transmit_fifo.push_back(start + index * time);
        }
        let heard = resample(bytes, rate, self.host_rate);
        for (index, byte) in heard.iter().enumerate() {
            let (byte, copies) = self.noise.pass(*byte, &mut self.counts.damaged);
            // Resampled bytes are spread over the time that the bytes sent take.
            let share = (index as u64 + 1) * time * bytes.len() as u64 / heard.len() as u64;
            for _ in 0..copies {
                self.to_host.push_back((start + share + self.adapter_latency, byte));
            }
        }
        self.to_host_free_at = start + bytes.len() as u64 * time;
    }

    fn transmit(&mut self, now: u64) {
        while pop_due(&mut self.transmit_fifo, |leaves| *leaves <= now).is_some() {}
    }

    /// When the transmit FIFO has fallen to `limit` bytes; none where it has.
    fn writer_wakes_at(&self, limit: usize) -> Option<u64> {
        let above = self.transmit_fifo.len().checked_sub(limit + 1)?;
        self.transmit_fifo.get(above).copied()
    }

    fn stop_board(&mut self, now: u64) {
        self.receive(now);
        self.receive_fifo.clear();
        self.transmit_fifo.clear();
        // What was in the transmit FIFO never leaves it.
        self.to_host.retain(|(arrival, _)| *arrival <= now + self.adapter_latency);
        self.to_host_free_at = now;
    }

    fn restart_board(&mut self, now: u64) {
        self.stop_board(now);
        self.board_rate = USUAL_RATE;
        self.put_on_wire(now, ROM_MESSAGE, ROM_RATE);
        self.transmit_fifo.clear();
    }
}

/// The board's receiving half.
///
/// # Cancellation Safety
/// A dropped read has taken nothing.
#[derive(Debug)]
pub struct SerialReader(SerialLine);

impl ErrorType for SerialReader {
    type Error = Infallible;
}

impl Read for SerialReader {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            let mut line = self.0.0.borrow_mut();
            line.receive(nanoseconds(Instant::now()));
            if line.receive_fifo.is_empty() {
                line.reader = Some(context.waker().clone());
                return Poll::Pending;
            }
            let count = line.receive_fifo.len().min(buffer.len());
            for (place, byte) in buffer.iter_mut().zip(line.receive_fifo.drain(..count)) {
                *place = byte;
            }
            Poll::Ready(Ok(count))
        })
        .await
    }
}

/// The board's sending half.
///
/// # Cancellation Safety
/// A dropped write may have sent a part.
#[derive(Debug)]
pub struct SerialWriter(SerialLine);

impl ErrorType for SerialWriter {
    type Error = Infallible;
}

impl Write for SerialWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            let mut line = self.0.0.borrow_mut();
            let taken = line.board_write(nanoseconds(Instant::now()), bytes);
            if taken == 0 && !bytes.is_empty() {
                line.writer = Some(context.waker().clone());
                line.writer_limit = TRANSMIT_THRESHOLD;
                return Poll::Pending;
            }
            Poll::Ready(Ok(taken))
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|context| {
            let mut line = self.0.0.borrow_mut();
            line.transmit(nanoseconds(Instant::now()));
            if line.transmit_fifo.is_empty() {
                return Poll::Ready(Ok(()));
            }
            line.writer = Some(context.waker().clone());
            line.writer_limit = 0;
            Poll::Pending
        })
        .await
    }
}

/// Ten bit times: start, eight data bits, stop.
fn byte_time(baud: u32) -> u64 {
    10 * 1_000_000_000 / u64::from(baud)
}

fn nanoseconds(at: Instant) -> u64 {
    at.as_micros() * 1000
}

/// The first instant that is not before `nanoseconds`.
fn instant(nanoseconds: u64) -> Instant {
    Instant::from_micros(nanoseconds.div_ceil(1000))
}

/// Takes the first item if it is due.
fn pop_due<T>(queue: &mut VecDeque<T>, is_due: impl Fn(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(is_due) { queue.pop_front() } else { None }
}
