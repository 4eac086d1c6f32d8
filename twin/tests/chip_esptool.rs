//! esptool from PyPI, unmodified, writes the chip's flash over a pseudo-terminal, with its own stub running on the emulated
//! core, and reads it back.
//!
//! Needs `python3` with `venv`, and PyPI once; a virtual environment is made in the target folder.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

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
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

const PACKAGE: &str = "esptool==5.6.0";
const FLASH_SIZE: usize = 4 << 20;

/// Runs `work` with the port of a chip whose boot ROM waits for a download; returns the flash as it is afterwards.
fn with_chip(contents: Vec<u8>, work: impl FnOnce(&str)) -> Vec<u8> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let (sender, port) = mpsc::channel();
    let board = thread::spawn(move || {
        let pty = Rc::new(Pty::open().unwrap());
        let clock = Clock::following(RealTime::new());
        let flash = NorFlash::with_contents(contents);
        let scenario = Scenario::quiet(Environment::constant(284.0));
        let mut simulation = Simulation::with_chip(&clock, &scenario, flash.clone(), Timing::default());
        simulation.strap_for_download(true);
        let host = Rc::clone(&pty);
        simulation.connect_host(move |now, line| host.exchange(now, line).unwrap());
        sender.send(pty.path().to_str().unwrap().to_owned()).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            simulation.step(&mut Broker::new()).unwrap();
            for incident in simulation.take_incidents() {
                println!("{incident:?}");
            }
            let next = simulation.next_event().map_or(LOOK, |at| at.saturating_duration_since(clock.now()));
            let mut set = WaitSet::new();
            if pty.is_open() {
                set.add_readable(pty.as_fd());
            }
            set.wait(Some(next.min(LOOK))).unwrap();
        }
        flash.contents()
    });
    work(&port.recv().unwrap());
    stop.store(true, Ordering::Relaxed);
    board.join().unwrap()
}

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(5);

fn esptool(port: &str, arguments: &[&str]) -> Output {
    Command::new(virtual_environment())
        .args(["-m", "esptool", "--chip", "esp8266", "--port", port])
        .args(["--before", "no-reset", "--after", "no-reset"])
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(port: &str, arguments: &[&str], expected: &[&str]) {
    let output = esptool(port, arguments);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    for words in expected {
        assert!(text.contains(words), "`{words}` is missing in {arguments:?}: {text}");
    }
}

#[test]
fn esptool_identifies_writes_reads_and_verifies_the_flash() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut random = Pcg32::seed_from_u64(1);
    let mut image = vec![0; 24 * 1024];
    random.fill_bytes(&mut image);
    // Half of it compresses well, as firmware does.
    image[..12 * 1024].fill(0x5a);
    let (written, read) = (folder.join("esptool-written.bin"), folder.join("esptool-read.bin"));
    std::fs::write(&written, &image).unwrap();
    let small = folder.join("esptool-small.bin");
    std::fs::write(&small, &image[..3000]).unwrap();
    let small = small.to_str().unwrap();
    let (written, read) = (written.to_str().unwrap(), read.to_str().unwrap());
    let mut before = vec![0xff; FLASH_SIZE];
    before[0x1_0000..0x1_0100].fill(0);
    before[0xa_8000..0xa_8010].copy_from_slice(b"a configuration.");
    let after = with_chip(before, |port| {
        succeeds(port, &["--no-stub", "chip-id"], &["ESP8266", "Chip ID: 0x00d00000"]);
        succeeds(port, &["flash-id"], &["Device: 4016", "4MB"]);
    });
    assert_eq!(after[0xa_8000..0xa_8010], *b"a configuration.");
    let after = with_chip(after, |port| {
        succeeds(
            port,
            &["write-flash", "--flash-size", "keep", "0x10000", written],
            &["Hash of data verified"],
        );
    });
    // Through the ROM's loader alone, which knows no MD5.
    let after = with_chip(after, |port| {
        let write = ["--no-stub", "write-flash", "--flash-size", "keep", "--no-compress", "0x20000", small];
        succeeds(port, &write, &["Wrote 3000 bytes"]);
    });
    assert_eq!(after[0x2_0000..][..3000], image[..3000]);
    assert_eq!(after[0x1_0000..][..image.len()], image);
    assert_eq!(after[0xa_8000..0xa_8010], *b"a configuration.");
    let after = with_chip(after, |port| {
        succeeds(port, &["read-flash", "0x10000", "0x6000", read], &[]);
    });
    assert_eq!(std::fs::read(read).unwrap(), image);
    with_chip(after, |port| {
        succeeds(port, &["verify-flash", "0x10000", written], &["Verification successful"]);
    });
}

/// Makes the virtual environment unless it is there, and returns its Python.
fn virtual_environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("esptool-5.6.0");
    let python = folder.join("bin/python3");
    let done = folder.join("complete");
    if !done.exists() {
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
            "apt-get install python3-venv",
        );
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
        run(Command::new(&python).args(pip), "this test needs PyPI once");
        std::fs::write(done, "").unwrap();
    }
    python
}

fn run(command: &mut Command, cure: &str) {
    let status = command.status().expect(cure);
    assert!(status.success(), "{command:?} failed; {cure}");
}
