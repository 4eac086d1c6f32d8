//! A part of the agent that never comes back: the watchdog ends the run, and the next start tells which part it was.
//!
//! The agent is the whole one. What hangs is what is around it: a serial line that takes no byte, a network stack that is not
//! polled any more.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;

use dunlin_agent::platform::{Parts, Platform, ResetCause};
use dunlin_agent::{Memory, network};
use dunlin_config_format::config::QoS;
use dunlin_config_format::frame::{Received, Receiver};
use dunlin_config_format::message::{self, EraseRequest, InfoRequest, MonitorRequest, monitor, what};
use dunlin_config_format::packet::NODE_ADDRESS;
use dunlin_twin::devices::i2c::{Wiring, WiringMaster};
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::native::board::{Hardware, NativeBoard, NativeSystem};
use dunlin_twin::native::executor::Executor;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::gateway::GatewaySettings;
use dunlin_twin::world::network::lan::Lan;
use dunlin_twin::world::serial_line::{SerialLine, SerialReader, SerialWriter};
use embassy_futures::select::select;
use embassy_time::{Duration, Instant, Timer};
use embedded_io_async::{ErrorType, Write};
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

#[expect(dead_code, reason = "of the shared support, this file uses the configurations")]
mod node_world;
use node_world::{flash_with, tutorial};

/// When what hangs begins to.
const HANGS_AT: Instant = Instant::from_secs(20);

/// What hangs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hung {
    Nothing,
    Line,
    Stack,
}

/// A native board whose serial line takes no byte any more, from some time on.
struct Board(NativeBoard, Hung);

/// The sending half of the line.
struct Sender(SerialWriter, Hung);

impl Platform for Board {
    type Flash = NorFlash;
    type SerialReader = SerialReader;
    type SerialWriter = Sender;
    type I2c = WiringMaster;
    type System = NativeSystem;

    fn split(self) -> Parts<Self> {
        let Parts { flash, serial_reader, serial_writer, i2c, system } = self.0.split();
        Parts { flash, serial_reader, serial_writer: Sender(serial_writer, self.1), i2c, system }
    }
}

impl ErrorType for Sender {
    type Error = Infallible;
}

impl Write for Sender {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if self.1 == Hung::Line && Instant::now() >= HANGS_AT {
            pending::<()>().await;
        }
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        self.0.flush().await
    }
}

/// Starts a node on this board. Dropping what is returned is what a reset does.
fn start(hardware: &Hardware, hung: Hung) -> (Executor<'static>, Lan) {
    let clock = hardware.clock.clone();
    let (port, lan) = Lan::new(&clock, GatewaySettings::default(), NODE_ADDRESS, 1);
    // Both futures borrow what lives as long as the test.
    let resources: &'static mut _ = Box::leak(Box::new(network::Resources::new()));
    let memory: &'static mut _ = Box::leak(Box::new(Memory::new()));
    let (network, mut runner) = network::new(port, resources, 1);
    let board = Board(NativeBoard(hardware.clone()), hung);
    let mut executor = Executor::new();
    executor.spawn(async move {
        dunlin_agent::run(board, network, None, memory).await;
    });
    executor.spawn(async move {
        let hangs = async {
            match hung {
                Hung::Stack => Timer::at(HANGS_AT).await,
                _ => pending().await,
            }
        };
        select(runner.run(), hangs).await;
        pending().await
    });
    (executor, lan)
}

/// Runs a board until `end` or until the watchdog bites; returns whether it did. Each second, `host` writes to the line.
fn run(
    hardware: &Hardware,
    hung: Hung,
    end: Instant,
    heard: &mut Vec<u8>,
    mut host: impl FnMut(&SerialLine),
) -> bool {
    let clock = &hardware.clock;
    let _entered = clock.enter();
    let (mut executor, _lan) = start(hardware, hung);
    let mut speaks_at = clock.now();
    while clock.now() < end {
        if clock.now() >= speaks_at {
            host(&hardware.line);
            speaks_at += Duration::from_secs(1);
        }
        clock.wake_due();
        hardware.line.advance(clock.now());
        executor.run().unwrap();
        hardware.line.host_read(clock.now(), heard);
        if clock.now() >= hardware.watchdog_bites_at() {
            return true;
        }
        let line = hardware.line.next_event();
        let next = [clock.next_alarm(), line, Some(hardware.watchdog_bites_at()), Some(speaks_at)];
        let next = next.into_iter().flatten().min().unwrap();
        clock.wait_until(next.max(clock.now() + Duration::from_ticks(1)));
    }
    false
}

fn board(flash: Vec<u8>) -> Hardware {
    let clock = Clock::virtual_time();
    let flash = NorFlash::with_contents(flash);
    Hardware::new(clock, flash, Wiring::new(), SerialLine::new(), 1, Pcg32::seed_from_u64(1))
}

fn empty() -> Vec<u8> {
    vec![0xff; 1 << 20]
}

fn configured() -> Vec<u8> {
    flash_with(&tutorial(2_000, QoS::AtMostOnce))
}

/// Returns the lines of text that the board printed.
fn text(heard: &[u8]) -> String {
    let mut receiver = Receiver::new();
    let mut text = Vec::new();
    for byte in heard {
        if let Received::Text(more) = receiver.push(*byte) {
            text.extend_from_slice(more);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Asks for something each second, so that the server has something to send.
fn info(line: &SerialLine) {
    let request = message::encode(&InfoRequest {}, 1).unwrap();
    line.host_write(Instant::now(), request.as_bytes());
}

#[test]
fn a_part_that_hangs_is_ended_by_the_watchdog_and_told() {
    for (hung, part) in [(Hung::Line, "USB server"), (Hung::Stack, "network stack")] {
        for flash in [empty(), configured()] {
            let hardware = board(flash);
            let bites = run(&hardware, hung, Instant::from_secs(60), &mut Vec::new(), info);
            assert!(bites && hardware.clock.now() >= HANGS_AT, "{part}: {}", hardware.clock.now());
            hardware.reset(ResetCause::Watchdog);
            hardware.line.restart_board(hardware.clock.now());
            let mut heard = Vec::new();
            let end = hardware.clock.now() + Duration::from_secs(30);
            assert!(!run(&hardware, Hung::Nothing, end, &mut heard, |_| {}));
            let told = format!("the run before ended: hang, the {part} did not come back\r\n");
            assert!(text(&heard).contains(&told), "{}", text(&heard));
        }
    }
}

#[test]
fn the_slowest_flash_chip_is_not_taken_for_a_hang() {
    let hardware = board(configured());
    // The longest erasure of a sector that a data sheet of such a chip allows.
    let timing = Timing { erase: Duration::from_millis(400), ..Timing::default() };
    hardware.flash.set_clock(&hardware.clock, timing);
    let mut seconds = 0;
    let erase = |line: &SerialLine| {
        // Everything there is: ten sectors, 4 s without a break.
        let request = EraseRequest { what: what::CONFIGURATIONS | what::SECRETS };
        if seconds % 6 == 0 {
            line.host_write(Instant::now(), message::encode(&request, seconds).unwrap().as_bytes());
        }
        seconds += 1;
    };
    assert!(!run(&hardware, Hung::Nothing, Instant::from_secs(120), &mut Vec::new(), erase));
    assert!(hardware.flash.counts().erases > 100, "{}", hardware.flash.counts().erases);
}

#[test]
fn nobody_is_taken_for_hung_who_waits_or_works() {
    for flash in [empty(), configured()] {
        // Nobody asks anything, no broker answers.
        let hardware = board(flash.clone());
        assert!(!run(&hardware, Hung::Nothing, Instant::from_secs(600), &mut Vec::new(), |_| {}));
        // A host asks more than the line can carry, and takes no answer.
        let hardware = board(flash);
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let flood = move |line: &SerialLine| {
            let what = MonitorRequest { what: monitor::READINGS | monitor::LOG };
            line.host_write(Instant::now(), message::encode(&what, 1).unwrap().as_bytes());
            for number in 0..40 {
                line.host_write(Instant::now(), message::encode(&InfoRequest {}, number).unwrap().as_bytes());
            }
            count.set(count.get() + 1);
        };
        assert!(!run(&hardware, Hung::Nothing, Instant::from_secs(300), &mut Vec::new(), flood));
        assert!(asked.get() > 290);
    }
}
