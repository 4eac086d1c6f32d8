//! `dunlin flash` against the emulated chip: esptool from PyPI speaks to its boot ROM, and what a board had stays.
//!
//! With `DUNLIN_FIRMWARE`, which `cargo xtask test` sets, it flashes that image and starts it. Needs `python3` with `venv`, and
//! PyPI once; a virtual environment is made in the target folder.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use dunlin_config_format::flash_map::FIRMWARE;
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

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A board on a pseudo-terminal.
struct Board {
    port: String,
    end: mpsc::Sender<()>,
    thread: JoinHandle<Vec<u8>>,
}

impl Board {
    fn start(contents: Vec<u8>, is_download: bool) -> Self {
        let (sender, port) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let pty = Rc::new(Pty::open().unwrap());
            let clock = Clock::following(RealTime::new());
            let flash = NorFlash::with_contents(contents);
            let scenario = Scenario::quiet(Environment::constant(284.0));
            let mut simulation = Simulation::with_chip(&clock, &scenario, flash.clone(), Timing::default());
            simulation.strap_for_download(is_download);
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
    fn stop(self) -> Vec<u8> {
        self.end.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

/// An image without code, where none is given: the magic, one segment of 16 bytes for RAM, and its checksum.
fn image() -> Vec<u8> {
    if let Some(path) = std::env::var_os("DUNLIN_FIRMWARE") {
        return std::fs::read(path).unwrap();
    }
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40, 16, 0, 0, 0];
    image.extend([0x5a; 16]);
    image.resize(47, 0);
    image.push(0xef);
    image.resize(20_000, 0x33);
    image
}

fn dunlin(arguments: &[&str]) -> Output {
    let path = format!("{}:{}", virtual_environment().join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).env("PATH", path);
    command.env("XDG_STATE_HOME", std::env::temp_dir().join(format!("dunlin-flash-{}", std::process::id())));
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flash-{name}"));
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_board_gets_its_firmware_and_keeps_its_configurations() {
    let image = image();
    // Everything behind the firmware's region is the board's own.
    let own = FIRMWARE.size as usize;
    let mut before = vec![0; 1 << 20];
    for (index, byte) in before.iter_mut().enumerate() {
        *byte = (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    }
    let board = Board::start(before.clone(), true);
    let path = file("image.bin", &image);
    let arguments = ["flash", "--port", &board.port, "--image", &path, "--no-reset", "--baud", "115200"];
    let output = dunlin(&arguments);
    assert!(output.status.success(), "{}", text(&output));
    for words in ["Hash of data verified", "next: dunlin push"] {
        assert!(text(&output).contains(words), "`{words}` is missing in {}", text(&output));
    }
    let after = board.stop();
    assert_eq!(after[..3], image[..3]);
    assert_eq!(after[4..image.len()], image[4..], "all but the size of the flash chip, which was found");
    assert!(after[own..] == before[own..], "slots, identity and the rest are the board's");
    if std::env::var_os("DUNLIN_FIRMWARE").is_some() {
        let mut erased = after;
        erased[own..].fill(0xff);
        let board = Board::start(erased, false);
        let output = dunlin(&["info", "--port", &board.port]);
        assert!(text(&output).contains("nothing is stored"), "{}", text(&output));
        board.stop();
    }
}

#[test]
fn what_is_no_firmware_is_refused_before_a_port_is_opened() {
    let mut large = image();
    large.resize(FIRMWARE.size as usize + 1, 0);
    let cases = [
        (file("large.bin", &large), 1, "would overwrite the board's configurations"),
        (file("text.bin", b"hello"), 1, "does not begin with 0xe9"),
        ("no-such-file.bin".to_owned(), 1, "can't be read"),
    ];
    for (image, code, words) in cases {
        let output = dunlin(&["flash", "--port", "/dev/no-such-port", "--image", &image]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(words), "{}", text(&output));
    }
    let output = dunlin(&["flash", "--port", "sim", "--image", &file("fine.bin", &image())]);
    assert!(output.status.code() == Some(64) && text(&output).contains("over USB"), "{}", text(&output));
}

/// Makes the virtual environment unless it is there.
fn virtual_environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flash-esptool-5.6.0");
    let done = folder.join("complete");
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap();
    if !done.exists() {
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
            "apt-get install python3-venv",
        );
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "esptool==5.6.0"];
        run(Command::new(folder.join("bin/python3")).args(pip), "this test needs PyPI once");
        std::fs::write(done, "").unwrap();
    }
    folder
}

fn run(command: &mut Command, cure: &str) {
    let status = command.status().expect(cure);
    assert!(status.success(), "{command:?} failed; {cure}");
}
