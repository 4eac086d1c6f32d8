//! Host, line and board in one virtual time, and a board in real time behind a pseudo-terminal.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;

use dunlin::device::{Failure, Package, PushOptions, PushTask, Pushed, Station, Task};
use dunlin::line::Target;
use dunlin_agent::usb::{Begun, Event, Node, Probed, Pulled, Refused, serve};
use dunlin_config_format::message::{self as m, Refusal, Value};
use dunlin_twin::world::clock::{Clock, TimeSource};
use dunlin_twin::world::serial_line::{Noise, SerialLine};
use embassy_time::{Duration, Instant, Timer};

/// A page's program and read-back.
const PROGRAM: Duration = Duration::from_micros(900);

/// From reset to the first instruction of the agent.
const BOOT: Duration = Duration::from_millis(120);

/// What survives a restart of the board.
pub(crate) struct Flash {
    clock: Clock,
    erase: Duration,
    inactive: Vec<u8>,
    verdicts: u32,
    /// Sectors erased so far.
    pub(crate) erases: u32,
    /// Pages programmed so far.
    pub(crate) pages: u32,
    /// The image stored last, and its hash.
    pub(crate) stored: Option<(Vec<u8>, [u8; 32])>,
    /// Its generation.
    pub(crate) generation: u32,
}

struct Board {
    flash: Rc<RefCell<Flash>>,
    boot_id: u32,
    monitored: u8,
    uptime_ms: u64,
    line: SerialLine,
}

impl Node for Board {
    fn board(&self) -> m::HelloBoard<'_> {
        m::HelloBoard {
            part: 0,
            boot_id: self.boot_id,
            major: 1,
            minor: 0,
            firmware: "0.1.0",
            chip_id: 0x00c0_ffee,
            schema_low: 1,
            schema_high: 1,
            drivers: &[0, 1],
            image_limit: 12_000,
            sensor_limit: 32,
            report_limit: 64,
        }
    }

    fn configuration(&mut self) -> m::HelloConfiguration<'_> {
        let flash = self.flash.borrow();
        m::HelloConfiguration {
            part: 1,
            boot_id: self.boot_id,
            state: m::state::TRIAL,
            generation: Some(flash.generation),
            active_hash: flash.stored.as_ref().map(|(_, hash)| *hash),
            stored_hash: None,
            device: flash.stored.as_ref().map(|_| "esp8266"),
            rollback_reason: None,
            rollback_generation: None,
        }
    }

    fn verdict(&self, request: &m::VerdictRequest) -> m::VerdictReply {
        let mut flash = self.flash.borrow_mut();
        flash.verdicts += 1;
        let known = flash.stored.as_ref().is_some_and(|(_, hash)| *hash == request.hash);
        let outcome = match (known, flash.verdicts) {
            (false, _) => m::outcome::UNKNOWN,
            (true, ..3) => m::outcome::TRIAL,
            (true, _) => m::outcome::CONFIRMED,
        };
        m::VerdictReply { outcome, reason: None, elapsed_ms: None, limit_ms: Some(60_000), attempts: None }
    }

    async fn begin(&mut self, request: &m::BeginRequest<'_>) -> Result<Begun, Refused> {
        let mut flash = self.flash.borrow_mut();
        let same = flash.stored.as_ref().is_some_and(|(_, hash)| *hash == request.hash);
        if same && request.flags & m::flag::AGAIN == 0 {
            return Ok(Begun::Unchanged);
        }
        let sectors = request.length.div_ceil(4096) + 1;
        flash.erases += sectors;
        flash.clock.block_for(flash.erase * sectors);
        flash.inactive.clear();
        Ok(Begun::Ready)
    }

    fn write_page(&mut self, offset: u32, page: &[u8]) -> Result<(), Refused> {
        let mut flash = self.flash.borrow_mut();
        assert_eq!(flash.inactive.len(), offset as usize);
        flash.clock.block_for(PROGRAM);
        flash.pages += 1;
        flash.inactive.extend_from_slice(page);
        Ok(())
    }

    async fn finish(&mut self, request: &m::EndRequest, _: u8) -> Result<u32, Refused> {
        let mut flash = self.flash.borrow_mut();
        flash.clock.block_for(PROGRAM * 4);
        flash.stored = Some((flash.inactive.clone(), request.hash));
        flash.generation += 1;
        flash.verdicts = 0;
        Ok(flash.generation)
    }

    fn start(&mut self) {}

    async fn secret(&mut self, _: &str, value: &[u8]) -> Result<bool, Refused> {
        let flash = self.flash.borrow_mut();
        flash.clock.block_for(flash.erase * 2);
        Ok(value == b"known")
    }

    fn pull(&mut self, offset: u32, buffer: &mut [u8]) -> Result<Pulled, Refused> {
        let flash = self.flash.borrow();
        let (image, hash) = flash.stored.as_ref().ok_or(Refusal::NothingStored)?;
        let rest = image.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(Pulled { len, length: image.len() as u32, hash_prefix: m::PullReply::prefix(hash) })
    }

    fn info_count(&self) -> u16 {
        40
    }

    fn info(&mut self, index: u16) -> Option<(&str, Value<'_>)> {
        Some(("fact", Value::Unsigned(index.into())))
    }

    async fn read(&mut self, request: &m::ReadRequest<'_>) -> Result<u8, Refused> {
        let is_known = request.sensor == Some("lux-1") || request.driver == Some(1);
        if is_known { Ok(1) } else { Err(Refusal::NoSuchSensor.into()) }
    }

    fn read_item(&self, _: u8) -> Option<m::ReadItem<'_>> {
        Some(m::ReadItem {
            index: 0,
            count: 1,
            health: "ok",
            name: Some("illuminance"),
            raw: Some(284.1312),
            filtered: Some(284.0),
            unit: Some("lx"),
        })
    }

    async fn probe(&mut self, sda: u8, scl: u8) -> Result<Probed, Refused> {
        if sda == scl {
            return Err(Refusal::PinsRefused.into());
        }
        Ok(Probed { bus: m::bus::FREE, addresses: [0x29].into_iter().collect() })
    }

    fn monitor(&mut self, what: u8) {
        self.monitored = what;
    }

    async fn rollback(&mut self) -> Result<Option<u32>, Refused> {
        Err(Refusal::NothingToRollBack.into())
    }

    async fn erase(&mut self, _: u8) -> Result<(), Refused> {
        self.flash.borrow_mut().stored = None;
        Ok(())
    }

    fn restart(&mut self) {}

    fn accepts_rate(&self, baud: u32) -> bool {
        baud <= 921_600
    }

    fn set_rate(&mut self, baud: u32) {
        self.line.set_board_rate(baud);
    }

    async fn event(&mut self) -> Event<'_> {
        if self.monitored & m::monitor::READINGS == 0 {
            pending().await
        }
        Timer::after_millis(20).await;
        self.uptime_ms += 20;
        let uptime_ms = self.uptime_ms;
        Event::Reading(m::ReadingEvent {
            uptime_ms,
            sensor: "lux-1",
            name: "illuminance",
            value: 284.1312,
            unit: Some("lx"),
        })
    }
}

/// Host, line and board.
pub(crate) struct Bench {
    /// The world's clock.
    pub(crate) clock: Clock,
    /// The line between them.
    pub(crate) line: SerialLine,
    /// What survives a restart of the board.
    pub(crate) flash: Rc<RefCell<Flash>>,
    /// The host's end.
    pub(crate) station: Station,
    /// When the board restarts by itself, the latest first.
    pub(crate) resets: Vec<Instant>,
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
        let flash = Flash {
            clock: clock.clone(),
            erase: Duration::from_millis(erase_ms),
            erases: 0,
            pages: 0,
            inactive: Vec::new(),
            stored: None,
            generation: 0,
            verdicts: 0,
        };
        let mut bench = Bench {
            clock,
            line,
            flash: Rc::new(RefCell::new(flash)),
            server: None,
            boots: 0,
            boot_at: Instant::from_ticks(0),
            station: Station::default(),
            resets: Vec::new(),
        };
        bench.start();
        bench
    }

    fn start(&mut self) {
        self.boots += 1;
        let (flash, line) = (self.flash.clone(), self.line.clone());
        let mut board = Board { flash, boot_id: 1000 + self.boots, monitored: 0, uptime_ms: 0, line };
        let (reader, writer) = self.line.board();
        self.server = Some(Box::pin(async move { serve(reader, writer, &mut board).await }));
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
            let end = self.station.receive(now, &heard, task).or_else(|| self.station.tick(now, task));
            watch(task);
            self.line.host_write(clock.now(), &self.station.take_bytes());
            if let Some(end) = end {
                return end;
            }
            if clock.now() > before {
                // The board was busy; what has arrived meanwhile is there now.
                continue;
            }
            let deadline = task.deadline().map(|at| Instant::from_micros(at.as_micros() as u64));
            let boot = self.server.is_none().then_some(self.boot_at);
            let next =
                [self.line.next_event(), clock.next_alarm(), deadline, self.resets.last().copied(), boot];
            let next = next.into_iter().flatten().min().unwrap_or_else(|| panic!("nothing will ever happen"));
            clock.wait_until(next.max(clock.now() + Duration::from_ticks(1)));
            self.line.advance(clock.now());
        }
    }
}

/// A package of recognizable bytes.
pub(crate) fn package(length: usize, seed: u8) -> Package {
    Package {
        image: (0..length).map(|index| (index as u8).wrapping_mul(31) ^ seed).collect(),
        hash: [seed; 32],
        device: "esp8266".to_owned(),
        schema: 1,
        drivers: vec![(1, "tsl2591".to_owned())],
        secrets: Vec::new(),
    }
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
        self.pty.exchange(clock.now(), &self.bench.line).unwrap();
        self.bench.poll_server();
        clock.block_for(Duration::from_micros(500));
        self.bench.line.advance(clock.now());
    }

    /// As `step`, over a line shared in this process.
    pub(crate) fn step_shared(&mut self, shared: &mut dunlin::line::SharedLine) {
        let clock = self.bench.clock.clone();
        let _entered = clock.enter();
        let mut sent = Vec::new();
        self.bench.line.host_read(clock.now(), &mut sent);
        self.bench.line.host_write(clock.now(), &shared.exchange(&sent));
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
    thread: Option<thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Running {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut board = RealBoard::start();
            sender.send(board.path()).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                board.step();
            }
        });
        let target = Target::Port(receiver.recv().unwrap());
        Running { target, stop, thread: Some(thread) }
    }
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
