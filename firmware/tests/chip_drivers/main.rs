//! Drivers without a user in the agent yet, against the twin's models of the registers that they write: what is run here is
//! what the chip runs, down to each load and store.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod bench;
mod device;
mod onewire;

use std::cell::RefCell;
use std::rc::Rc;

use bench::Bench;
use dunlin_firmware::adc::{Adc, FULL_SCALE, Timeout};
use dunlin_firmware::gpio::{Input, Output, Pin};
use dunlin_firmware::hspi::Hspi;
use dunlin_twin::devices::spi::{Mode, SpiDevice};
use embassy_time::Instant;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::spi::{MODE_0, MODE_1, MODE_2, MODE_3, SpiBus};

#[test]
fn the_converter_reads_the_voltage_at_its_pin() {
    let bench = Bench::new();
    let mut adc = Adc::start(bench.clone()).unwrap();
    for millivolts in (0..=1000).step_by(7).chain([1001, 3300, 0]) {
        bench.chip().adc.set_input_uv(millivolts * 1000);
        let expected = (millivolts * 1024 / 1000).min(FULL_SCALE.into());
        let found = u32::from(adc.read().unwrap());
        assert!(found.abs_diff(expected) <= 2, "{found} at {millivolts} mV, and not {expected}");
    }
    // It is off between two measurements, and the parts that others use are as they were.
    assert_eq!(bench.peek(0x6000_0d5c), 0);
    assert_eq!(bench.peek(0x6000_0710) >> 25 & 3, 3);
}

#[test]
fn a_converter_that_does_not_come_to_rest_is_given_up() {
    let bench = Bench::new();
    let mut adc = Adc::start(bench.clone()).unwrap();
    bench.stick(0x6000_0d50, 3 << 24);
    let before = bench.micros();
    assert_eq!(adc.read(), Err(Timeout));
    assert!(bench.micros() - before < 10_000);
    bench.stick(0x6000_0d50, 0);
    assert_eq!(adc.read(), Ok(0), "and is used again");
    // The internal bus, whose busy bit stays.
    let bench = Bench::new();
    bench.stick(0x6000_0d04, 1 << 25);
    assert_eq!(Adc::start(bench).unwrap_err(), Timeout);
}

#[test]
fn inputs_and_outputs_are_pins_of_that_number() {
    for number in [0, 1, 2, 3, 4, 5, 12, 13, 14, 15] {
        let bench = Bench::new();
        let pin = Pin::new(number).unwrap();
        let mut input = Input::new(bench.clone(), pin, true);
        assert_eq!((input.is_high(), input.is_low()), (Ok(true), Ok(false)), "GPIO{number} is pulled up");
        for level in [false, true, false] {
            bench.drive_pin(number, Some(level));
            assert_eq!(input.is_high(), Ok(level), "GPIO{number}");
        }
        bench.drive_pin(number, None);
        assert_eq!(Input::new(bench.clone(), pin, false).is_low(), Ok(true), "GPIO{number} floats");
        assert_eq!(bench.chip().gpio.driven(number), None);
        // Never at the other level, not for a moment.
        for high in [true, false] {
            bench.forbid(number, !high);
            let mut output = Output::new(bench.clone(), pin, high);
            bench.allow();
            assert_eq!(bench.chip().gpio.driven(number), Some(high), "GPIO{number}");
            output.set_low().unwrap();
            assert_eq!(bench.chip().gpio.driven(number), Some(false));
            output.set_high().unwrap();
            assert_eq!(bench.chip().gpio.driven(number), Some(true));
            Input::new(bench.clone(), pin, false);
        }
    }
}

/// A memory of 256 bytes: 2, address, bytes write; 3, address reads.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    received: Vec<u8>,
    modes: Vec<Mode>,
    /// When the latest byte was complete, and the shortest time of a byte, in microseconds.
    last_us: Option<u64>,
    shortest_us: Option<u64>,
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Memory>>);

impl SpiDevice for Shared {
    fn select(&mut self, _: Instant) {
        let mut memory = self.0.borrow_mut();
        memory.received.clear();
        memory.last_us = None;
    }

    fn exchange(&mut self, byte: u8, mode: Mode, now: Instant) -> u8 {
        let memory = &mut *self.0.borrow_mut();
        memory.modes.push(mode);
        if let Some(last) = memory.last_us.replace(now.as_micros()) {
            let took = now.as_micros() - last;
            memory.shortest_us = Some(memory.shortest_us.map_or(took, |shortest| shortest.min(took)));
        }
        let index = memory.received.len();
        memory.received.push(byte);
        let at = memory.received.get(1).map(|at| (usize::from(*at) + index).wrapping_sub(2) % 256);
        match (memory.received[0], at) {
            (2, Some(at)) if index > 1 => {
                memory.bytes[at] = byte;
                0
            }
            (3, Some(at)) if index > 1 => memory.bytes[at],
            _ => 0,
        }
    }

    fn deselect(&mut self, _: Instant) {}
}

fn with_memory(frequency_hz: u32, mode: embedded_hal::spi::Mode) -> (Hspi<Bench>, Output<Bench>, Shared) {
    let bench = Bench::new();
    let memory = Shared(Rc::new(RefCell::new(Memory { bytes: vec![0; 256], ..Memory::default() })));
    bench.chip().hspi.attach(Box::new(memory.clone()), Some(15));
    let select = Output::new(bench.clone(), Pin::new(15).unwrap(), true);
    (Hspi::start(bench, frequency_hz, mode), select, memory)
}

#[test]
fn a_memory_on_the_bus_is_written_and_read_over_many_transactions() {
    let (mut spi, mut select, memory) = with_memory(1_000_000, MODE_0);
    let written: Vec<u8> = (0..200u8).map(|index| index.wrapping_mul(7)).collect();
    select.set_low().unwrap();
    spi.write(&[&[2, 0x10], &written[..]].concat()).unwrap();
    select.set_high().unwrap();
    assert_eq!(memory.0.borrow().bytes[0x10..][..200], written);
    assert_eq!(memory.0.borrow().shortest_us, Some(8), "1 MHz");

    // One exchange in three calls, of lengths around a word and a transaction.
    for len in [1, 3, 4, 5, 63, 64, 65, 128, 190] {
        select.set_low().unwrap();
        spi.write(&[3]).unwrap();
        spi.write(&[0x10]).unwrap();
        let mut read = vec![0; len];
        spi.read(&mut read).unwrap();
        select.set_high().unwrap();
        assert_eq!(read, written[..len]);

        let mut in_place = vec![0; len + 2];
        in_place[..2].copy_from_slice(&[3, 0x10]);
        select.set_low().unwrap();
        spi.transfer_in_place(&mut in_place).unwrap();
        select.set_high().unwrap();
        assert_eq!(in_place[2..], written[..len]);

        let mut answer = vec![0; len + 2];
        select.set_low().unwrap();
        spi.transfer(&mut answer, &[3, 0x10]).unwrap();
        select.set_high().unwrap();
        assert_eq!(answer[2..], written[..len]);
    }
    // Nothing to do is done.
    spi.write(&[]).unwrap();
}

#[test]
fn modes_are_those_of_the_device() {
    for (mode, idles_high, takes_late) in
        [(MODE_0, false, false), (MODE_1, false, true), (MODE_2, true, false), (MODE_3, true, true)]
    {
        let (mut spi, mut select, memory) = with_memory(40_000_000, mode);
        select.set_low().unwrap();
        spi.write(&[2, 0, 9]).unwrap();
        assert_eq!(memory.0.borrow().bytes[0], 9);
        assert!(memory.0.borrow().modes.iter().all(|found| *found == Mode { idles_high, takes_late }));
    }
}
