//! The 1-Wire master against a device within and at the limits of its data sheet, with interrupts at the worst of times.

use dunlin_firmware::gpio::Pin;
use dunlin_firmware::onewire::master;
use dunlin_firmware::onewire::wire::{Line, OneWireError, Wire};

use crate::bench::Bench;
use crate::device::{Choice, Device, US};

const ROM: [u8; 8] = [0x28, 0xff, 0x00, 0x64, 0x1e, 0x0d, 0xa5, 0x5a];
/// The counter of the line under test, a count a nanosecond / 12.5: the processor's cycles.
const COUNTS_PER_US: u32 = 80;

/// A line with a device, and interrupts that come wherever they are let.
struct Disturbed {
    device: Device,
    now: u64,
    random: u32,
    /// The longest interrupt, and how long they have been held at a time.
    interrupt: u64,
    held_since: Option<u64>,
    longest_held: u64,
}

impl Disturbed {
    fn new(device: Device, interrupt: u64, seed: u32) -> Self {
        Disturbed { device, now: 0, random: seed, interrupt, held_since: None, longest_held: 0 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u64::from(self.random >> 8) % below.max(1)
    }

    /// A call takes up to half a microsecond, and an interrupt where there may be one.
    fn pass(&mut self) {
        self.now += 50 + self.random(450);
        if self.held_since.is_none() && self.random(4) == 0 {
            self.now += self.random(self.interrupt);
        }
    }
}

impl Line for &mut Disturbed {
    fn set(&mut self, high: bool) {
        self.pass();
        let now = self.now;
        self.device.drive(now, !high);
    }

    fn is_high(&mut self) -> bool {
        self.pass();
        self.device.is_high(self.now)
    }

    fn now(&mut self) -> u32 {
        self.pass();
        (self.now * u64::from(COUNTS_PER_US) / US) as u32
    }

    fn undisturbed<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T {
        self.held_since = Some(self.now);
        let done = action(self);
        let held = self.now - self.held_since.take().unwrap();
        self.longest_held = self.longest_held.max(held);
        done
    }
}

/// Every corner of what a device may choose.
fn choices() -> impl Iterator<Item = Choice> {
    let corners =
        |bit: u32, low: u64, high: u64| move |index: u32| if index >> bit & 1 == 0 { low } else { high };
    let (waits, present) = (corners(0, 15 * US, 60 * US), corners(1, 60 * US, 240 * US));
    let (samples, holds) = (corners(2, 15 * US, 60 * US), corners(3, 15 * US, 60 * US));
    let rise = corners(4, 100, 5 * US);
    (0..32).map(move |index| Choice {
        waits: waits(index),
        present: present(index),
        samples: samples(index),
        holds: holds(index),
        rise: rise(index),
    })
}

#[test]
fn every_device_of_the_data_sheet_is_understood_between_any_interrupts() {
    for (choice, seed) in choices().flat_map(|choice| (0..8).map(move |seed| (choice, seed))) {
        for interrupt in [0, 40 * US, 2_000 * US] {
            let mut line = Disturbed::new(Device::new(choice, ROM), interrupt, seed);
            let mut wire = Wire::new(&mut line, COUNTS_PER_US);
            assert_eq!(wire.reset(), Ok(()), "{choice:?}");
            wire.write(&[0x33]);
            let mut rom = [0; 8];
            wire.read(&mut rom);
            assert_eq!(rom, ROM, "{choice:?}");
            assert_eq!(wire.reset(), Ok(()));
            wire.write(&[0xcc, 0x4e, 0x00, 0xff, 0x7f]);
            assert_eq!(line.device.written, [0xcc, 0x4e, 0x00, 0xff, 0x7f], "{choice:?}");
            assert!(line.longest_held <= 70 * US, "interrupts were held for {} ns", line.longest_held);
        }
    }
}

#[test]
fn a_line_without_a_device_and_one_that_is_held_are_told_apart() {
    let choice = choices().next().unwrap();
    let mut line = Disturbed::new(Device::new(choice, ROM).absent(), 0, 1);
    let mut wire = Wire::new(&mut line, COUNTS_PER_US);
    assert_eq!(wire.reset(), Err(OneWireError::NoDevice));
    let mut bytes = [0; 2];
    wire.read(&mut bytes);
    assert_eq!(bytes, [0xff; 2]);
    let mut line = Disturbed::new(Device::new(choice, ROM).short(), 0, 1);
    assert_eq!(Wire::new(&mut line, COUNTS_PER_US).reset(), Err(OneWireError::LineHeld));
    assert!(line.now < 1_000 * US, "it is not waited for long");
}

#[test]
fn a_pin_of_the_chip_is_such_a_line() {
    for number in [0, 2, 4, 5, 12, 13, 14] {
        let bench = Bench::new();
        let choice = choices().last().unwrap();
        bench.attach(number, Device::new(choice, ROM));
        let mut wire = master(bench.clone(), Pin::new(number).unwrap());
        assert_eq!(wire.reset(), Ok(()), "GPIO{number}");
        wire.write(&[0x33]);
        let mut rom = [0; 8];
        wire.read(&mut rom);
        assert_eq!(rom, ROM, "GPIO{number}");
        assert_eq!(bench.chip().gpio.driven(number), None, "never driven high");
    }
}
