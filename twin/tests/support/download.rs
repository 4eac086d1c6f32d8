//! A board with an emulated chip on a pseudo-terminal, for esptool, which knows neither from a real one.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{LazyLock, mpsc};
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

/// The esptool that the emulated boot ROM is judged by.
pub const ESPTOOL: &str = "esptool==5.6.0";
/// esptool's waits are for a chip that runs in real time; on a busy machine the emulated one is slower. esptool's
/// documentation, "Configuration File".
const PATIENCE: &str = "[esptool]\ntimeout = 120\nsync_timeout = 2\nmem_end_rom_timeout = 2\nserial_write_timeout = 120\n\
                        md5_timeout_per_mb = 400\nerase_region_timeout_per_mb = 400\nerase_write_timeout_per_mb = 400\n";
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// Returns a configuration file that makes esptool wait for a slow chip, for the variable `ESPTOOL_CFGFILE`.
pub fn patience() -> &'static Path {
    // Once: an esptool of another test may be reading it.
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("esptool.cfg");
        std::fs::write(&path, PATIENCE).unwrap();
        path
    });
    &PATH
}

/// A board on a pseudo-terminal.
pub struct Board {
    /// Where the terminal is.
    pub port: String,
    end: mpsc::Sender<()>,
    thread: JoinHandle<Vec<u8>>,
}

impl Board {
    /// Switches on a board with these `contents` of its flash; strapped for a download, its boot ROM waits for esptool.
    pub fn start(contents: Vec<u8>, is_download: bool) -> Self {
        let (sender, port) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let pty = Rc::new(Pty::open().unwrap());
            let clock = Clock::following(RealTime::new());
            let flash = NorFlash::with_contents(contents);
            let scenario = Scenario::quiet(Environment::constant(284.0));
            let mut simulation = Simulation::with_chip(&clock, &scenario, flash.clone(), Timing::default());
            simulation.strap_for_download(is_download);
            simulation.observe(|at, incident| println!("{at}: {incident:?}"));
            let host = Rc::clone(&pty);
            simulation.connect_host(move |now, line| host.exchange(now, line).unwrap());
            sender.send(pty.path().to_str().unwrap().to_owned()).unwrap();
            while ended.try_recv().is_err() {
                simulation.step(&mut Broker::new()).unwrap();
                let next =
                    simulation.next_event().map_or(LOOK, |at| at.saturating_duration_since(clock.now()));
                let mut set = WaitSet::new();
                if pty.is_open() {
                    set.add_readable(pty.as_fd());
                }
                set.wait(Some(next.min(LOOK))).unwrap();
            }
            flash.contents()
        });
        Board { port: port.recv().unwrap(), end, thread }
    }

    /// Switches it off; returns what its flash holds.
    pub fn stop(self) -> Vec<u8> {
        self.end.send(()).unwrap();
        self.thread.join().unwrap()
    }
}
