//! A driver that no one here wrote, Adafruit's, reads the TSL2591 of the twin: it must find the chip, set every gain and
//! integration time, read the raw channels that the registers hold, and show the light that there is.
//!
//! Needs `python3` with `venv`, and PyPI once; a virtual environment is made in the target folder.
#![cfg(test)]

mod bench;
#[path = "support/python.rs"]
#[expect(unreachable_pub, reason = "other tests use it too")]
mod python;

use bench::Bench;
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, Tsl2591};
use dunlin_twin::world::environment::{DAYLIGHT_INFRARED_SHARE, irradiance};
use embedded_hal::i2c::I2c;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

/// The driver and what it calls; what that depends on in turn is for boards.
const PACKAGES: [&str; 3] =
    ["adafruit-circuitpython-tsl2591==1.4.8", "adafruit-circuitpython-busdevice==5.2.17", "--no-deps"];

/// The world's light, in lux, and a board on which it falls.
struct World {
    light_lx: Rc<Cell<f64>>,
    bench: Bench,
    readings: usize,
    overflows: usize,
    /// Readings whose lux was compared with the world's.
    compared: usize,
}

#[test]
fn adafruits_driver_reads_the_light() {
    let python = python::virtual_environment(&PACKAGES).join("python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adafruit_drive.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 can't be started");
    let mut to_driver = child.stdin.take().unwrap();
    let mut world = World::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let answer = world.answer(&line.unwrap());
        writeln!(to_driver, "{answer}").unwrap();
    }
    assert!(child.wait().unwrap().success(), "the driver's script failed; its message is above");
    assert_eq!(world.readings, 4 * 4 * 6);
    assert!(world.overflows > 0 && world.compared >= 30, "{} and {}", world.overflows, world.compared);
}

impl World {
    fn new() -> Self {
        let light_lx = Rc::new(Cell::new(0.0));
        let light = Rc::clone(&light_lx);
        let chip = Tsl2591::new(Part::default(), move |_| irradiance(light.get(), DAYLIGHT_INFRARED_SHARE));
        let bench = Bench::with_chip(chip);
        Self { light_lx, bench, readings: 0, overflows: 0, compared: 0 }
    }

    fn answer(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = match words[..] {
            ["write", address] => self.bench.bus().write(byte(address), &[]).map(|()| Vec::new()),
            ["write", address, hex] => {
                self.bench.bus().write(byte(address), &bytes(hex)).map(|()| Vec::new())
            }
            ["read", address, count] => {
                let mut buffer = vec![0xa5; count.parse().unwrap()];
                self.bench.bus().read(byte(address), &mut buffer).map(|()| buffer)
            }
            ["write-read", address, hex, count] => {
                let mut buffer = vec![0xa5; count.parse().unwrap()];
                self.bench.bus().write_read(byte(address), &bytes(hex), &mut buffer).map(|()| buffer)
            }
            ["sleep", duration_ms] => {
                self.bench.wait_ms(duration_ms.parse().unwrap());
                Ok(Vec::new())
            }
            ["light", lux] => {
                self.light_lx.set(lux.parse().unwrap());
                Ok(Vec::new())
            }
            ["reading", gain, time, full, infrared, lux] => {
                self.check(gain, time, [full, infrared].map(|count| count.parse().unwrap()), lux);
                Ok(Vec::new())
            }
            _ => panic!("the driver's script said `{line}`"),
        };
        outcome.map_or("nack".to_owned(), |bytes| format!("ok {}", hex(&bytes)))
    }

    fn check(&mut self, gain: &str, time: &str, channels: [u16; 2], lux: &str) {
        self.readings += 1;
        let mut data = [0xa5; 4];
        self.bench.bus().write_read(ADDRESS, &[0xb4], &mut data).unwrap();
        let registers = [u16::from_le_bytes([data[0], data[1]]), u16::from_le_bytes([data[2], data[3]])];
        assert_eq!(channels, registers, "raw channels at gain {gain}, time {time}");
        let truth = self.light_lx.get();
        if lux == "overflow" {
            self.overflows += 1;
            let most = if time == "0" { 36_863 } else { 65_535 };
            assert_eq!(registers[0], most, "{truth} lx at gain {gain}, time {time}");
        } else if registers[0] >= 400 {
            // With fewer counts than that, one count is more than 1 % of the formula's difference.
            self.compared += 1;
            let shown: f64 = lux.parse().unwrap();
            assert!((shown / truth - 1.0).abs() < 0.01, "{shown} lx shown, {truth} lx there");
        }
    }
}

fn byte(hex: &str) -> u8 {
    u8::from_str_radix(hex, 16).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|index| byte(&hex[index..index + 2])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
