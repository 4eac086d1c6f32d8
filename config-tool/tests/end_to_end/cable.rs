//! A board on a cable: the native board, or the chip with the image that `DUNLIN_FIRMWARE` names, in real time behind a pseudo-terminal, with its network on the same line.

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::host::pty::Pty;
use dunlin_twin::host::real_time::RealTime;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;
use embassy_time::Duration;

/// A board that runs until the value is dropped.
pub(crate) struct CabledBoard {
    /// Path of its port.
    pub(crate) port: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CabledBoard {
    /// Starts a board whose flash is empty.
    pub(crate) fn start() -> Self {
        let (sender, port) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let pty = Rc::new(Pty::open().unwrap());
            sender.send(pty.path().to_str().unwrap().to_owned()).unwrap();
            let clock = Clock::following(RealTime::new());
            let scenario = Scenario::quiet(Environment::constant(284.0));
            let mut simulation = match std::env::var_os("DUNLIN_FIRMWARE") {
                None => Simulation::new(&clock, &scenario, NorFlash::new(1 << 20), Timing::default()),
                Some(path) => {
                    let image = std::fs::read(path).unwrap();
                    let mut flash = vec![0xff; 1 << 20];
                    flash[..image.len()].copy_from_slice(&image);
                    Simulation::with_chip(
                        &clock,
                        &scenario,
                        NorFlash::with_contents(flash),
                        Timing::default(),
                    )
                }
            };
            simulation.tether();
            let host = Rc::clone(&pty);
            simulation.connect_host(move |now, line| host.exchange(now, line).unwrap());
            while !stopped.load(Ordering::Relaxed) {
                simulation.step(&mut Broker::new()).unwrap();
                let next =
                    simulation.next_event().map_or(LOOK, |at| at.saturating_duration_since(clock.now()));
                let mut set = WaitSet::new();
                if pty.is_open() {
                    set.add_readable(pty.as_fd());
                }
                set.wait(Some(next.min(LOOK))).unwrap();
            }
        });
        CabledBoard { port: port.recv().unwrap(), stop, thread: Some(thread) }
    }
}

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(5);

impl Drop for CabledBoard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
