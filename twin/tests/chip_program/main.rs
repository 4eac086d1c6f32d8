//! A C program by Debian's `gcc-xtensa-lx106` on the chip: its image in flash, its measurements on the serial line.
//!
//! What it prints is compared with what the registers promise: reckoned from clocks and dividers, not from a first run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the steps of a test, which fails where they fail")]

mod flash;
mod trace;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;

const BUTTON: u8 = 13;

/// Compiles the program for one test; returns its ELF.
fn gcc(test: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chip_program");
    let elf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chip_program_{test}.elf"));
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-Os", "-ffreestanding", "-nostdlib", "-mtext-section-literals", "-Wall", "-Werror"]);
    gcc.arg("-T").arg(source.join("link.ld")).arg("-o").arg(&elf);
    run(gcc.arg(source.join("vectors.S")).arg(source.join("program.c")));
    elf
}

fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("needs the Debian package gcc-xtensa-lx106: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn section(elf: &Path, name: &str) -> Vec<u8> {
    let binary = elf.with_extension(name.trim_start_matches('.'));
    run(Command::new("xtensa-lx106-elf-objcopy").args(["-O", "binary", "-j", name]).arg(elf).arg(&binary));
    std::fs::read(binary).unwrap()
}

/// An image as the boot ROM loads it. The entry point is in the ELF header.
fn image(elf: &Path) -> Vec<u8> {
    let header = std::fs::read(elf).unwrap();
    let segments = [(0x4010_0000_u32, section(elf, ".text")), (0x3ffe_8000, section(elf, ".data"))];
    let mut image = vec![0xe9, segments.len() as u8, 0, 0];
    image.extend_from_slice(&header[24..28]);
    let mut checksum = 0xef;
    for (address, bytes) in segments {
        image.extend_from_slice(&address.to_le_bytes());
        image.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
        image.extend_from_slice(&bytes);
    }
    image.resize(image.len() | 15, 0);
    image.push(checksum);
    image.resize(1 << 20, 0xff);
    image
}

fn chip(image: Vec<u8>) -> Chip {
    let mut chip = Chip::new(Settings {
        flash: NorFlash::with_contents(image),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 0x12_3456,
        seed: 1,
        origin: Instant::from_ticks(0),
    });
    assert_eq!(chip.reset(Cause::PowerOn), End::Reset(Cause::PowerOn));
    chip
}

struct Session {
    chip: Chip,
    text: String,
    /// When each byte's stop bit ended, in microseconds.
    sent_at: Vec<u64>,
    resets: Vec<Cause>,
}

impl Session {
    /// Runs until the program has printed `line`, for two seconds at most.
    fn until(&mut self, line: &str) {
        let end = Time::from_micros(self.chip.now().micros() + 2_000_000);
        while !self.text.contains(line) {
            assert!(self.chip.now() < end, "no `{line}` in {}", self.text);
            self.pass_us(1000);
        }
    }

    fn pass_us(&mut self, us: u64) {
        let end = Time::from_micros(self.chip.now().micros() + us);
        while self.chip.now() < end {
            match self.chip.run_until(end) {
                End::Time => {}
                End::Reset(cause) => self.resets.push(cause),
                other => panic!("{other:?} after {}", self.text),
            }
        }
        for sent in self.chip.take_sent() {
            self.text.push(char::from(sent.byte));
            self.sent_at.push(sent.at.micros());
        }
    }

    /// The number behind each name, and the numbers of both lines of a provoked exception.
    fn numbers(&self) -> HashMap<&str, u32> {
        let lines = self.text.lines().filter_map(|line| line.rsplit_once(' '));
        lines.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect()
    }

    fn exception(&self, name: &str) -> (u32, u32) {
        let (_, rest) = self.text.split_once(&format!("\n{name} ")).unwrap();
        let (cause, rest) = rest.split_once("\nat ").unwrap();
        (cause.parse().unwrap(), rest.lines().next().unwrap().parse().unwrap())
    }

    fn drive(&mut self, level: Option<bool>) {
        let peripherals = self.chip.peripherals();
        let now = Instant::from_micros(0);
        peripherals.gpio.drive_pin(BUTTON, level, now);
    }
}

/// Lets the program run through all that it measures.
fn measured(test: &str) -> Session {
    let chip = chip(image(&gcc(test)));
    let mut session = Session { chip, text: String::new(), sent_at: Vec::new(), resets: Vec::new() };
    session.until("levels");
    for _ in 0..3 {
        session.pass_us(2000);
        session.drive(Some(false));
        session.pass_us(500);
        session.drive(Some(true));
    }
    session.until("send\n");
    session.pass_us(1000);
    let mut at = session.chip.now();
    for byte in b"hello, chip" {
        at = Time(at.0 + Time::from_micros(87).0);
        session.chip.receive(at, *byte);
    }
    session.chip.peripherals().uarts[0].arrive_break(Time(at.0 + Time::from_micros(200).0));
    session.until("\nend\n");
    session
}

#[test]
fn a_program_by_gcc_measures_what_the_registers_promise() {
    let session = measured("registers");
    let numbers = session.numbers();
    let near = |name: &str, expected: u32, slack: u32| {
        let found = numbers.get(name).copied().unwrap_or_else(|| panic!("no `{name}` in {}", session.text));
        assert!(found.abs_diff(expected) <= slack, "{name}: {found}, and not {expected} within {slack}");
    };
    // 5000 counts of 80 MHz / 16 are 1 ms: 80,000 cycles, or 160,000 at the doubled clock.
    near("frc1 least", 80_000, 20);
    near("frc1 most", 80_000, 20);
    near("frc1 held", 8_000, 20);
    near("frc1 at 160 MHz", 160_000, 20);
    // From the match to the handler's look at CCOUNT: entry, saved registers and what comes first there.
    near("ccompare", 40_000 + 35, 35);
    for (name, expected) in [
        ("software while masked", 0),
        ("software after nmi", 0),
        ("nmi level", 3),
        ("software", 1),
        // GPIO12 and GPIO13 high, then GPIO12 low.
        ("levels", 0b1110),
        ("falling edges", 3),
        ("gpio status", 1 << BUTTON),
        ("open drain", 1),
        // A break; a frame error isn't among the interrupts that are on.
        ("line errors", 1 << 7),
    ] {
        near(name, expected, 0);
    }
    assert!(session.text.contains("\nhello, chip\n"), "{}", session.text);
}

#[test]
fn exceptions_of_a_program_have_the_causes_and_addresses_of_silicon() {
    let session = measured("exceptions");
    for (name, cause, address) in [
        ("byte of instruction ram", 3, 0x4010_0001),
        ("half word of flash", 3, 0x4020_0000),
        ("byte into instruction ram", 3, 0x4010_0003),
        ("misaligned", 9, 0x3ffe_8002),
        ("null load", 28, 0),
        ("null store", 29, 4),
    ] {
        assert_eq!(session.exception(name), (cause, address), "{name}");
    }
    assert_eq!((session.exception("syscall").0, session.exception("ill").0), (1, 0));
}

#[test]
fn a_program_that_hangs_is_reset_by_the_watchdog_and_one_that_asks_is_reset_by_software() {
    let session = measured("resets");
    assert_eq!(session.resets, [Cause::Watchdog, Cause::Software]);
    // Its memory has counted, and the registers know why.
    let lines = [
        "\nreset 1\nram at power-on 1\n",
        "\nreset 4\nram after a reset 65535\nstarts 2\n",
        "\nreset 3\nram after a reset 65535\nstarts 3\n",
    ];
    for line in lines {
        assert!(session.text.contains(line), "no {line:?} in {}", session.text);
    }
    // The second stage lasts 2^18 cycles of 80 MHz: 3277 us from the interrupt to the reset. Right after each comes a byte,
    // which has ended 87 us later, or 133 us by the clock of the boot ROM.
    let warned = session.text.find("warned").unwrap();
    let banner = session.text[warned..].find("\r\n ets").unwrap() + warned;
    let stage = (session.sent_at[banner] - 133) - (session.sent_at[warned] - 87);
    assert!((3260..3280).contains(&stage), "{stage} us");
}
