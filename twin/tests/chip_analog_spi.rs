//! The converter and the user's SPI, driven as the drivers of others drive them.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_twin::chip::core::bus::Refusal;
use dunlin_twin::chip::peripherals::Peripherals;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::devices::spi::{Mode, SpiDevice};
use embassy_time::Instant;

struct Bench {
    chip: Peripherals,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let flash = NorFlash::with_contents(vec![0xff; 1 << 20]);
        let start = Instant::from_ticks(0);
        let mut chip = Peripherals::new(flash, Timing::default(), Wiring::new(), 0x12_3456, 1, start);
        chip.reset(Time(0), Cause::PowerOn);
        chip.write_analog(Time(0), 103, 4, 2, 0x91);
        Bench { chip, now: Time(0) }
    }

    fn load(&mut self, address: u32) -> u32 {
        self.chip.load(address, self.now).unwrap_or_else(|_| unreachable!("{address:#x} is modelled"))
    }

    fn try_store(&mut self, address: u32, value: u32) -> Result<(), Refusal> {
        self.chip.store(address, value, self.now)
    }

    fn store(&mut self, address: u32, value: u32) {
        assert_eq!(self.try_store(address, value), Ok(()), "{value:#x} to {address:#x}");
    }

    fn pass_us(&mut self, us: u64) {
        self.now = Time(self.now.0 + Time::from_micros(us).0);
    }

    /// Writes a byte on the internal bus.
    fn analog(&mut self, block: u32, host: u32, register: u32, value: u32) {
        self.store(0x6000_0d00 + 4 * host, 1 << 24 | value << 16 | register << 8 | block);
    }

    /// What the SDK's `test_tout` and esp8266web's `adc.c` do: 0 to 1024.
    fn convert(&mut self) -> u32 {
        let power = self.load(0x6000_0710);
        self.store(0x6000_0710, power | 0x0600_0000);
        self.analog(108, 2, 0, 0x10);
        self.analog(108, 2, 1, 2);
        self.store(0x6000_0d50, 0x08bc | 7 << 2);
        self.analog(108, 2, 0, 0x30);
        self.store(0x6000_0d5c, 1 << 21);
        assert_eq!(self.load(0x6000_0d50) >> 24 & 7, 0);
        self.store(0x6000_0d50, 0x08bc & !2);
        self.store(0x6000_0d50, 0x08bc | 2);
        self.pass_us(2);
        assert_ne!(self.load(0x6000_0d50) >> 24 & 7, 0, "eight samples take longer than 2 us");
        assert_eq!(self.chip.load(0x6000_0d80, self.now), Err(Refusal::Unmodelled), "and can't be read yet");
        self.pass_us(171);
        assert_eq!(self.load(0x6000_0d50) >> 24 & 7, 0);
        let sum: u32 = (0..8)
            .map(|index| {
                let word = !self.load(0x6000_0d80 + 4 * index);
                word & 0x700 | ((word & 0xff).saturating_sub(21) * 279 / 256).min(255)
            })
            .sum();
        (sum + 8) >> 4
    }
}

#[test]
fn the_recipe_of_others_reads_the_voltage() {
    let mut bench = Bench::new();
    for millivolts in (0..=1000).step_by(7).chain([1001, 3300]) {
        bench.chip.adc.set_input_uv(millivolts * 1000);
        let expected = (millivolts * 1024 / 1000).min(1024);
        let found = bench.convert();
        assert!(found.abs_diff(expected) <= 2, "{found} at {millivolts} mV, and not {expected}");
    }
}

#[test]
fn a_conversion_without_power_clock_or_enable_is_refused() {
    for missing in 0..3 {
        let mut bench = Bench::new();
        if missing != 0 {
            bench.store(0x6000_0710, 0x0600_0000);
        }
        if missing != 1 {
            bench.analog(108, 2, 0, 0x30);
            bench.analog(108, 2, 1, 2);
        }
        if missing != 2 {
            bench.store(0x6000_0d5c, 1 << 21);
        }
        bench.store(0x6000_0d50, 0);
        assert_eq!(bench.try_store(0x6000_0d50, 2), Err(Refusal::Unmodelled), "without {missing}");
    }
}

/// A memory of 256 bytes: 2, address, bytes write; 3, address reads.
#[derive(Default)]
struct Sram {
    bytes: Vec<u8>,
    received: Vec<u8>,
    modes: Vec<Mode>,
    /// When a frame began and ended, in microseconds.
    frames: Vec<(u64, u64)>,
}

#[derive(Clone)]
struct Shared(Rc<RefCell<Sram>>);

impl SpiDevice for Shared {
    fn select(&mut self, now: Instant) {
        let mut sram = self.0.borrow_mut();
        sram.received.clear();
        sram.frames.push((now.as_micros(), 0));
    }

    fn exchange(&mut self, byte: u8, mode: Mode, _: Instant) -> u8 {
        let sram = &mut *self.0.borrow_mut();
        sram.modes.push(mode);
        let index = sram.received.len();
        sram.received.push(byte);
        match (sram.received.first(), sram.received.get(1)) {
            (Some(2), Some(at)) if index > 1 => {
                sram.bytes[usize::from(*at) + index - 2] = byte;
                0
            }
            (Some(3), Some(at)) if index > 1 => sram.bytes[usize::from(*at) + index - 2],
            _ => 0,
        }
    }

    fn deselect(&mut self, now: Instant) {
        if let Some((_, end)) = self.0.borrow_mut().frames.last_mut() {
            *end = now.as_micros();
        }
    }
}

fn with_sram(pin: Option<u8>) -> (Bench, Shared) {
    let mut bench = Bench::new();
    let sram = Shared(Rc::new(RefCell::new(Sram { bytes: vec![0; 256], ..Sram::default() })));
    bench.chip.hspi.attach(Box::new(sram.clone()), pin);
    (bench, sram)
}

const CMD: u32 = 0x6000_0100;
const USR: u32 = 1 << 18;
const WORD: u32 = 0x6000_0140;

#[test]
fn command_address_and_data_go_out_and_data_comes_back() {
    let (mut bench, sram) = with_sram(None);
    // 80 MHz / (7 + 1) / (9 + 1) = 1 MHz.
    bench.store(CMD + 0x18, 7 << 18 | 9 << 12 | 4 << 6 | 9);
    bench.store(CMD + 0x24, 7 << 28 | 2);
    bench.store(CMD + 0x04, 0x40 << 24);
    bench.store(CMD + 0x1c, 1 << 31 | 1 << 30 | 1 << 27);
    bench.store(CMD + 0x20, 7 << 26 | 47 << 17);
    bench.store(WORD, 0x4433_2211);
    bench.store(WORD + 4, 0x6655);
    bench.store(CMD + 0x30, 1 << 9);
    bench.store(CMD, USR);
    assert_eq!(bench.load(CMD), USR, "eight bytes at 1 MHz take 64 us");
    assert_eq!(bench.try_store(WORD, 0), Err(Refusal::Unmodelled));
    assert_eq!(bench.chip.levels(), 0);
    bench.pass_us(65);
    assert_eq!((bench.load(CMD), bench.chip.levels(), bench.load(0x3ff0_0020)), (0, 1 << 2, 1 << 7));
    bench.store(CMD + 0x30, 1 << 9);
    assert_eq!(bench.chip.levels(), 0);
    assert_eq!(sram.0.borrow().bytes[0x40..0x46], [0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
    assert_eq!(sram.0.borrow().frames, [(0, 64)]);

    bench.store(CMD + 0x24, 7 << 28 | 3);
    bench.store(CMD + 0x04, 0x41 << 24);
    bench.store(CMD + 0x1c, 1 << 31 | 1 << 30 | 1 << 28);
    bench.store(CMD + 0x20, 7 << 26 | 39 << 8);
    bench.store(CMD, USR);
    bench.pass_us(65);
    assert_eq!((bench.load(WORD), bench.load(WORD + 4) & 0xff), (0x5544_3322, 0x66));
}

#[test]
fn a_pin_selects_over_several_transactions_and_both_directions_go_at_once() {
    let (mut bench, sram) = with_sram(Some(15));
    sram.0.borrow_mut().bytes[0x10..0x14].copy_from_slice(b"byte");
    // GPIO15 is a GPIO, an output, and high.
    bench.store(0x6000_0810, 0x30);
    bench.store(0x6000_0304, 1 << 15);
    bench.store(0x6000_0310, 1 << 15);
    // Duplex alone brings the answer, as the Arduino core does it; CS0 stays off, mode 3.
    bench.store(CMD + 0x1c, 1 << 27 | 1);
    bench.store(CMD + 0x2c, 1 << 29 | 1);
    let exchange = |bench: &mut Bench, byte: u32| {
        bench.store(CMD + 0x20, 7 << 17 | 7 << 8);
        bench.store(WORD, byte);
        bench.store(CMD, USR);
        bench.pass_us(1);
        bench.load(WORD) & 0xff
    };
    assert_eq!(exchange(&mut bench, 3), 0);
    assert!(sram.0.borrow().received.is_empty(), "nobody is selected");
    bench.store(0x6000_0308, 1 << 15);
    let answers: Vec<u32> = [3, 0x10, 0, 0, 0, 0].map(|byte| exchange(&mut bench, byte)).to_vec();
    bench.store(0x6000_0304, 1 << 15);
    assert_eq!(answers[2..], [u32::from(b'b'), u32::from(b'y'), u32::from(b't'), u32::from(b'e')]);
    assert_eq!(sram.0.borrow().frames.len(), 1);
    assert_eq!(sram.0.borrow().modes[0], Mode { idles_high: true, takes_late: true });
}

#[test]
fn parts_of_bytes_and_other_orders_of_bits_are_refused() {
    let (mut bench, _) = with_sram(None);
    bench.store(CMD + 0x1c, 1 << 27);
    bench.store(CMD + 0x20, 8 << 17);
    assert_eq!(bench.try_store(CMD, USR), Err(Refusal::Unmodelled));
    assert_eq!(bench.try_store(CMD + 0x08, 1 << 26), Err(Refusal::Unmodelled));
    assert_eq!(bench.try_store(CMD + 0x1c, 1 << 12), Err(Refusal::Unmodelled));
    assert_eq!(bench.try_store(CMD, 1 << 31), Err(Refusal::Unmodelled));
}
