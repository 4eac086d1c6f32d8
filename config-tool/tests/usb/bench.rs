//! Host, line and board in one virtual time, and a board in real time behind a pseudo-terminal.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;

use dunlin::device::{Failure, Hub, Package, PushOptions, PushTask, Pushed, Station, Task};
use dunlin::line::Target;
use dunlin::package;
use dunlin_agent::supervisor::Presence;
use dunlin_agent::usb::serve;
use dunlin_config_format::config::{Config, Device, Link, List, Mqtt};
use dunlin_config_format::image::Header;
use dunlin_twin::world::clock::{Clock, TimeSource};
use dunlin_twin::world::serial_line::{HostEnd, Noise, SerialLine, USUAL_RATE};
use embassy_time::{Duration, Instant};

use crate::board::{Board, Chip};

/// From reset to the first instruction of the agent.
const BOOT: Duration = Duration::from_millis(120);

/// A hub between the station and the line, and what its port makes of a speed.
pub(crate) struct Holder {
    pub(crate) hub: Hub,
    /// Returns the speed that the port has after it was told one; none where it refuses.
    pub(crate) set: fn(u32) -> Option<u32>,
}

impl Holder {
    pub(crate) fn new(set: fn(u32) -> Option<u32>) -> Self {
        let mut hub = Hub::new();
        hub.join(0);
        Holder { hub, set }
    }

    fn hear(&mut self, now: std::time::Duration, heard: &[u8]) -> Vec<u8> {
        self.hub.receive_port(heard);
        self.hub.tick(now);
        self.hub.take_client(0)
    }

    fn say(&mut self, bytes: &[u8], line: &SerialLine) -> Vec<u8> {
        self.hub.receive_client(0, bytes);
        if let Some(baud) = self.hub.take_rate() {
            match (self.set)(baud) {
                Some(baud) => line.set_host_rate(baud),
                None => self.hub.keep_rate(),
            }
        }
        self.hub.take_port()
    }
}

/// Host, line and board.
pub(crate) struct Bench {
    /// The world's clock.
    pub(crate) clock: Clock,
    /// The line between them.
    pub(crate) line: SerialLine,
    /// What survives a restart of the board.
    pub(crate) chip: Chip,
    /// The host's end.
    pub(crate) station: Station,
    /// When the board restarts by itself, the latest first.
    pub(crate) resets: Vec<Instant>,
    /// Who holds the port, where somebody does.
    pub(crate) holder: Option<Holder>,
    server: Option<Pin<Box<dyn Future<Output = ()>>>>,
    boots: u32,
    boot_at: Instant,
}

impl Bench {
    pub(crate) fn new(erase_ms: u64, noise: Noise) -> Self {
        Self::with_clock(Clock::virtual_time(), erase_ms, noise)
    }

    fn with_clock(clock: Clock, erase_ms: u64, noise: Noise) -> Self {
        let line = SerialLine::new();
        line.set_noise(noise);
        let chip = Chip::new(clock.clone(), Duration::from_millis(erase_ms));
        let mut bench = Bench {
            clock,
            line,
            chip,
            server: None,
            boots: 0,
            boot_at: Instant::from_ticks(0),
            station: Station::default(),
            resets: Vec::new(),
            holder: None,
        };
        bench.start();
        bench
    }

    fn start(&mut self) {
        self.boots += 1;
        let mut board = Board::start(self.chip.clone(), 1000 + self.boots, self.line.clone());
        let (reader, writer) = self.line.board();
        self.server =
            Some(Box::pin(async move { serve(reader, writer, &mut board, None, &Presence::new()).await }));
    }

    /// Resets the board: what was under way is gone, and the boot ROM prints.
    pub(crate) fn reset(&mut self) {
        self.server = None;
        self.line.restart_board(self.clock.now());
        self.boot_at = self.clock.now() + BOOT;
    }

    fn poll_server(&mut self) {
        if let Some(server) = &mut self.server {
            assert!(server.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }

    /// Runs until `task` ends.
    pub(crate) fn run<T: Task>(&mut self, task: &mut T) -> Result<T::Output, Failure> {
        self.run_watching(task, |_| {})
    }

    /// Runs until `task` ends and shows it after every step.
    pub(crate) fn run_watching<T: Task>(
        &mut self,
        task: &mut T,
        mut watch: impl FnMut(&mut T),
    ) -> Result<T::Output, Failure> {
        let clock = self.clock.clone();
        let _entered = clock.enter();
        let mut heard = Vec::new();
        loop {
            if self.resets.pop_if(|at| *at <= clock.now()).is_some() {
                self.reset();
            }
            if self.server.is_none() && clock.now() >= self.boot_at {
                self.start();
            }
            let before = clock.now();
            self.poll_server();
            let now = std::time::Duration::from_micros(clock.now().as_micros());
            heard.clear();
            self.line.host_read(clock.now(), &mut heard);
            if let Some(holder) = &mut self.holder {
                heard = holder.hear(now, &heard);
            }
            let end = self.station.receive(now, &heard, task).or_else(|| self.station.tick(now, task));
            watch(task);
            let mut bytes = self.station.take_bytes();
            if let Some(holder) = &mut self.holder {
                bytes = holder.say(&bytes, &self.line);
            }
            self.line.host_write(clock.now(), &bytes);
            if let Some(end) = end {
                return end;
            }
            if clock.now() > before {
                // The board was busy; what has arrived meanwhile is there now.
                continue;
            }
            let deadline = task.deadline().map(|at| Instant::from_micros(at.as_micros() as u64));
            let boot = self.server.is_none().then_some(self.boot_at);
            let tick = self.holder.as_ref().map(|_| clock.now() + Duration::from_millis(100));
            let reset = self.resets.last().copied();
            let next = [self.line.next_event(), clock.next_alarm(), deadline, reset, boot, tick];
            let next = next.into_iter().flatten().min().unwrap_or_else(|| panic!("nothing will ever happen"));
            clock.wait_until(next.max(clock.now() + Duration::from_ticks(1)));
            self.line.advance(clock.now());
        }
    }
}

/// A valid image of about `length` bytes for `esp8266`: the smallest body, and assets.
pub(crate) fn image(length: usize, seed: u8) -> Vec<u8> {
    let mqtt = Mqtt::at("192.168.1.10");
    let config = Config {
        device: Device { name: "esp8266", label: None },
        mqtt,
        link: Link::default(),
        i2c: List::new(&[]),
        sensors: List::new(&[]),
        reports: List::new(&[]),
    };
    let mut buffer = [0; 256];
    let len = config.encode(&mut buffer).unwrap();
    let assets = length.saturating_sub(64 + len);
    let assets: Vec<u8> = (0..assets).map(|index| (index as u8).wrapping_mul(31) ^ seed).collect();
    [&Header::new(&buffer[..len], &assets).encode(), &buffer[..len], &assets].concat()
}

/// A package with such an image and no secrets.
pub(crate) fn package(length: usize, seed: u8) -> Package {
    package::from_image(image(length, seed), Vec::new()).unwrap()
}

/// Pushes a package and waits for the verdict.
pub(crate) fn push(bench: &mut Bench, package: Package) -> Result<Pushed, Failure> {
    bench.run(&mut PushTask::new(package, PushOptions::default()).unwrap())
}

/// The wall clock since its making.
struct WallClock(std::time::Instant);

impl TimeSource for WallClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(std::time::Duration::from_micros(duration.as_micros()));
    }
}

/// A board in real time behind a pseudo-terminal.
#[cfg(unix)]
pub(crate) struct RealBoard {
    bench: Bench,
    pty: dunlin_twin::host::pty::Pty,
}

#[cfg(unix)]
impl RealBoard {
    pub(crate) fn start() -> Self {
        let clock = Clock::following(WallClock(std::time::Instant::now()));
        RealBoard {
            bench: Bench::with_clock(clock, 45, Noise::none()),
            pty: dunlin_twin::host::pty::Pty::open().unwrap(),
        }
    }

    /// The path of its port.
    pub(crate) fn path(&self) -> String {
        self.pty.path().to_str().unwrap().to_owned()
    }

    /// Lets half a millisecond pass.
    pub(crate) fn step(&mut self) {
        let clock = self.bench.clock.clone();
        let _entered = clock.enter();
        self.pty.exchange(clock.now(), &mut HostEnd::of(&self.bench.line)).unwrap();
        self.bench.poll_server();
        clock.block_for(Duration::from_micros(500));
        self.bench.line.advance(clock.now());
    }

    /// The speed of the line's end at the host.
    pub(crate) fn rate(&self) -> u32 {
        self.bench.line.host_rate()
    }

    /// As `step`, over a line shared in this process.
    pub(crate) fn step_shared(&mut self, shared: &mut dunlin::line::SharedLine) {
        let clock = self.bench.clock.clone();
        let _entered = clock.enter();
        let mut sent = Vec::new();
        self.bench.line.host_read(clock.now(), &mut sent);
        let bytes = shared.exchange(&sent);
        if let Some(baud) = shared.take_rate() {
            self.bench.line.set_host_rate(baud);
        }
        self.bench.line.host_write(clock.now(), &bytes);
        self.bench.poll_server();
        clock.block_for(Duration::from_micros(500));
        self.bench.line.advance(clock.now());
    }
}

/// A board in a thread of its own until it is dropped.
#[cfg(unix)]
pub(crate) struct Running {
    pub(crate) target: Target,
    stop: Arc<AtomicBool>,
    fast: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Running {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let fast = Arc::new(AtomicBool::new(false));
        let (stopped, is_fast) = (stop.clone(), fast.clone());
        let thread = thread::spawn(move || {
            let mut board = RealBoard::start();
            sender.send(board.path()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                board.step();
                let is_other = board.rate() != USUAL_RATE;
                is_fast.fetch_or(is_other, Ordering::Relaxed);
            }
        });
        let target = Target::Port(receiver.recv().unwrap());
        Running { target, stop, fast, thread: Some(thread) }
    }

    /// Returns whether a program has set the port to another than the usual speed since the last call.
    pub(crate) fn has_been_fast(&self) -> bool {
        self.fast.swap(false, Ordering::Relaxed)
    }
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
