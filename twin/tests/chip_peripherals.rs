//! The chip's peripherals, register by register: what a driver relies on, and what it must not.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use dunlin_twin::chip::core::bus::Refusal;
use dunlin_twin::chip::peripherals::Peripherals;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::devices::i2c::{Acknowledge, Direction, I2cBus, I2cDevice, Lines, Wiring};
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, Tsl2591};
use dunlin_twin::world::environment::{DAYLIGHT_INFRARED_SHARE, irradiance};
use embassy_time::{Duration, Instant};

const SPI_CMD: u32 = 0x6000_0200;
const SPI_ADDR: u32 = 0x6000_0204;
const SPI_STATUS: u32 = 0x6000_0210;
const SPI_WORD: u32 = 0x6000_0240;
const WRITE_ENABLE: u32 = 1 << 30;
const READ_STATUS: u32 = 1 << 27;
const READ: u32 = 1 << 31;
const PROGRAM: u32 = 1 << 25;
const ERASE: u32 = 1 << 24;

struct Bench {
    peripherals: Peripherals,
    flash: NorFlash,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let flash = NorFlash::with_contents(vec![0xff; 1 << 20]);
        let mut peripherals = Peripherals::new(
            flash.clone(),
            Timing::default(),
            Wiring::new(),
            0x12_3456,
            1,
            Instant::from_ticks(0),
        );
        peripherals.reset(Time(0), Cause::PowerOn);
        peripherals.write_analog(Time(0), 103, 4, 2, 0x91);
        Bench { peripherals, flash, now: Time(0) }
    }

    fn load(&mut self, address: u32) -> u32 {
        self.peripherals.load(address, self.now).unwrap()
    }

    fn store(&mut self, address: u32, value: u32) {
        self.peripherals.store(address, value, self.now).unwrap();
    }

    fn pass_us(&mut self, us: u64) {
        let end = Time(self.now.0 + Time::from_micros(us).0);
        while let Some(at) = self.peripherals.next_event().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.peripherals.advance(self.now);
        }
        self.now = end;
        self.peripherals.advance(end);
    }

    fn status(&mut self) -> u32 {
        self.store(SPI_CMD, READ_STATUS);
        self.load(SPI_STATUS)
    }

    fn program(&mut self, address: u32, words: &[u32]) {
        self.store(SPI_ADDR, address | (words.len() as u32 * 4) << 24);
        for (index, word) in (0..).zip(words) {
            self.store(SPI_WORD + 4 * index, *word);
        }
        self.store(SPI_CMD, PROGRAM);
    }
}

#[test]
fn flash_needs_its_latch_for_each_operation_and_takes_its_time() {
    let mut bench = Bench::new();
    bench.program(0x1000, &[0x1234_5678]);
    assert_eq!(bench.flash.contents()[0x1000], 0xff, "without write enable nothing is programmed");
    bench.store(SPI_CMD, WRITE_ENABLE);
    assert_eq!(bench.status(), 2);
    bench.program(0x1000, &[0x1234_5678]);
    assert_eq!(bench.status(), 1, "busy, and the latch is closed again");
    bench.store(SPI_CMD, WRITE_ENABLE);
    assert_eq!(bench.status(), 1, "a busy chip hears nothing but the question for its status");
    bench.pass_us(699);
    assert_eq!(bench.status(), 1);
    bench.pass_us(2);
    assert_eq!(bench.status(), 0);
    assert_eq!(bench.flash.contents()[0x1000..0x1004], [0x78, 0x56, 0x34, 0x12]);
    bench.store(SPI_CMD, WRITE_ENABLE);
    bench.store(SPI_ADDR, 0x1abc);
    bench.store(SPI_CMD, ERASE);
    bench.pass_us(44_999);
    assert_eq!(bench.status(), 1);
    bench.pass_us(2);
    assert_eq!((bench.status(), bench.flash.contents()[0x1000]), (0, 0xff));
}

#[test]
fn a_program_operation_wraps_inside_its_page_and_a_read_of_64_bytes_is_none() {
    let mut bench = Bench::new();
    bench.store(SPI_CMD, WRITE_ENABLE);
    bench.program(0x20f8, &[1, 2, 3, 4]);
    let page = &bench.flash.contents()[0x2000..0x2108];
    assert_eq!((page[0xf8], page[0xfc], page[0], page[4], page[0x100]), (1, 2, 3, 4, 0xff));
    bench.pass_us(1000);
    bench.store(SPI_ADDR, 0x20f8 | 8 << 24);
    bench.store(SPI_CMD, READ);
    assert_eq!([bench.load(SPI_WORD), bench.load(SPI_WORD + 4)], [1, 2]);
    bench.store(SPI_ADDR, 64 << 24);
    assert_eq!(bench.peripherals.store(SPI_CMD, READ, bench.now), Err(Refusal::Unmodelled));
}

#[test]
fn the_cache_shows_old_bytes_until_it_is_flushed() {
    let mut bench = Bench::new();
    let read = |bench: &mut Bench| bench.peripherals.spi.window(0x3000, bench.now).map(|bytes| bytes[0]);
    assert_eq!(read(&mut bench), Err(Refusal::Unmodelled), "the cache is off after a reset");
    bench.peripherals.enable_cache(0, 0, true).unwrap();
    assert_eq!(read(&mut bench), Ok(0xff));
    bench.flash.poke(0x3000, &[0x55]);
    assert_eq!(read(&mut bench), Ok(0xff));
    assert_eq!(
        bench.peripherals.store(SPI_CMD, READ_STATUS, bench.now),
        Err(Refusal::Unmodelled),
        "a command meets the cache on the bus"
    );
    bench.peripherals.disable_cache();
    bench.peripherals.enable_cache(0, 0, true).unwrap();
    assert_eq!(read(&mut bench), Ok(0x55));
}

#[test]
fn a_character_takes_ten_bit_times_and_the_fifo_tells() {
    let mut bench = Bench::new();
    bench.store(0x6000_0024, 2 << 24 | 1 << 31 | 32 | 8 << 8);
    bench.store(0x6000_000c, 0x1ff);
    for byte in 0..100 {
        bench.store(0x6000_0000, byte);
    }
    // One is on the wire.
    assert_eq!(bench.load(0x6000_001c) >> 16, 99);
    assert_eq!(bench.load(0x6000_0008) & 2, 0);
    // 80 MHz by 694: 115,274 baud, 86.75 us a character.
    bench.pass_us(87 * 91);
    assert_eq!(bench.load(0x6000_0008) & 2, 2);
    let sent: Vec<_> = bench.peripherals.uarts[0].take_sent().collect();
    assert_eq!((sent[0].rate, sent[99].at.micros()), (115_273, 8675));
    for index in 0..5 {
        bench.peripherals.uarts[0].arrive(Time::from_micros(20_000 + 87 * index), b'a' + index as u8);
    }
    bench.pass_us(20_348 + 170 - 87 * 91);
    assert_eq!(bench.load(0x6000_0008) & 0x101, 0, "five bytes are below the threshold");
    bench.pass_us(10);
    assert_eq!(bench.load(0x6000_0008) & 0x101, 0x100, "but the line has been quiet for two characters");
    let read: Vec<u32> = (0..5).map(|_| bench.load(0x6000_0000)).collect();
    assert_eq!(read, [97, 98, 99, 100, 101]);
    for index in 0..130 {
        bench.peripherals.uarts[0].arrive(bench.now, index);
    }
    bench.pass_us(1);
    assert_eq!(
        (bench.load(0x6000_001c) & 0xff, bench.load(0x6000_0004) & 0x11),
        (128, 0x11),
        "two were lost"
    );
}

#[test]
fn frc2_fires_when_it_meets_its_alarm_and_frc1_at_zero() {
    let mut bench = Bench::new();
    bench.store(0x3ff0_0004, 6);
    bench.store(0x6000_0628, 1 << 7 | 1 << 2);
    let count = bench.load(0x6000_0624);
    bench.store(0x6000_0630, count.wrapping_add(500));
    bench.pass_us(99);
    assert_eq!(bench.peripherals.take_edges(), 0);
    bench.pass_us(2);
    assert_eq!(bench.peripherals.take_edges(), 1 << 10);
    // An alarm that is set on the count that has just passed comes after a whole round.
    let count = bench.load(0x6000_0624);
    bench.store(0x6000_0630, count.wrapping_sub(1));
    bench.pass_us(800_000_000);
    assert_eq!(bench.peripherals.take_edges(), 0);
    bench.pass_us(60_000_000);
    assert_eq!(bench.peripherals.take_edges(), 1 << 10);
    bench.store(0x6000_0608, 1 << 7 | 1 << 6 | 1 << 2);
    bench.store(0x6000_0600, 5000);
    for _ in 0..3 {
        bench.pass_us(990);
        assert_eq!(bench.peripherals.take_edges(), 0);
        bench.pass_us(10);
        assert_eq!(bench.peripherals.take_edges(), 1 << 9);
    }
}

#[test]
fn the_watchdog_warns_and_then_bites() {
    let mut bench = Bench::new();
    bench.store(0x3ff0_0004, 1);
    for (offset, value) in [(4, 11), (8, 13), (0, 0x38), (0, 0x39)] {
        bench.store(0x6000_0900 + offset, value);
    }
    for _ in 0..5 {
        bench.pass_us(1_600_000);
        bench.store(0x6000_0914, 0x73);
    }
    bench.store(0x6000_0914, 0x37);
    bench.pass_us(1_700_000);
    assert_eq!(bench.peripherals.take_edges(), 1 << 8, "2^27 cycles without food");
    bench.pass_us(6_600_000);
    assert_eq!(bench.peripherals.reset_cause(), None);
    bench.pass_us(200_000);
    assert_eq!(bench.peripherals.reset_cause(), Some(Cause::Watchdog));
}

#[test]
fn memory_of_the_clock_outlives_a_reset_but_not_a_power_cut() {
    let mut bench = Bench::new();
    bench.store(0x6000_1234, 42);
    bench.store(0x6000_0700, 1 << 31);
    bench.peripherals.advance(bench.now);
    assert_eq!(bench.peripherals.reset_cause(), Some(Cause::Software));
    bench.peripherals.reset(bench.now, Cause::Software);
    assert_eq!((bench.load(0x6000_1234), bench.load(0x6000_0714)), (42, 3));
    bench.peripherals.reset(bench.now, Cause::PowerOn);
    assert_ne!(bench.load(0x6000_1234), 42);
}

#[test]
fn what_is_not_modelled_is_refused() {
    let mut bench = Bench::new();
    for address in [0x6000_0190, 0x6000_0500, 0x6000_2000, 0x3ff0_0030, 0x3ff2_0000, 0x6000_0b00] {
        assert_eq!(bench.peripherals.load(address, bench.now), Err(Refusal::Unmodelled), "{address:#x}");
        assert_eq!(bench.peripherals.store(address, 0, bench.now), Err(Refusal::Unmodelled), "{address:#x}");
    }
    for (address, value, what) in [
        (0x3ff0_0028, 1, "UARTs that are swapped"),
        (0x3ff0_0018, 1 << 30, "a clock that is switched off"),
        (0x3ff0_0014, 2, "another clock"),
        (0x3ff0_000c, 1 << 16, "another MiB of flash"),
        (0x6000_0700, 0x30, "a timing of sleep"),
        (0x6000_0704, 1, "the alarm"),
        (0x6000_0708, 1 << 20, "sleep"),
        (0x6000_0718, 8, "a wake by the alarm"),
        (0x6000_0728, 1, "the alarm's interrupt"),
        (0x6000_0774, 1, "GPIO16"),
        (0x6000_0900, 0x3c | 1, "a watchdog of one stage"),
        (0x6000_0900, 0x3a | 1, "a watchdog whose second stage resets nothing"),
        (0x6000_0018, 1, "a measured rate"),
        (0x6000_0020, 0x1c | 1 << 15, "a sender that waits for CTS"),
        (0x6000_0024, 1 << 23, "a receiver that raises RTS"),
        (0x6000_0208, 0x0100_2000, "flash over four wires"),
        (0x6000_0208, 0x0080_2000, "flash over two wires"),
        (0x6000_022c, 1, "chip select switched off"),
        (0x6000_02f8, 1, "the state machine"),
    ] {
        assert_eq!(bench.peripherals.store(address, value, bench.now), Err(Refusal::Unmodelled), "{what}");
    }
}

/// A master that moves lines and looks at them.
struct Master {
    lines: Lines,
    bus: I2cBus,
    us: u64,
}

impl Master {
    fn new() -> Self {
        let light = |_| irradiance(300.0, DAYLIGHT_INFRARED_SHARE);
        Self::with(Tsl2591::new(Part::default(), light))
    }

    fn with(device: impl I2cDevice + 'static) -> Self {
        let mut bus = I2cBus::new();
        bus.attach(Box::new(device), Instant::from_ticks(0));
        Master { lines: Lines::new(), bus, us: 0 }
    }

    fn set(&mut self, sda: bool, scl: bool) -> (bool, bool) {
        self.us += 5;
        let now = Instant::from_micros(self.us);
        self.lines.drive(&mut self.bus, sda, scl, now);
        self.lines.levels(&mut self.bus, now)
    }

    fn bit(&mut self, bit: bool) -> bool {
        self.set(bit, false);
        let (level, _) = self.set(bit, true);
        self.set(bit, false);
        level
    }

    fn start(&mut self) {
        self.set(true, true);
        self.set(false, true);
        self.set(false, false);
    }

    fn stop(&mut self) {
        self.set(false, false);
        self.set(false, true);
        self.set(true, true);
    }

    /// Sends a byte; returns whether it was acknowledged.
    fn send(&mut self, byte: u8) -> bool {
        for index in (0..8).rev() {
            self.bit(byte >> index & 1 != 0);
        }
        !self.bit(true)
    }

    fn receive(&mut self, acknowledge: bool) -> u8 {
        let byte = (0..8).fold(0, |byte, _| byte << 1 | u8::from(self.bit(true)));
        self.bit(!acknowledge);
        byte
    }

    /// Reads `count` registers from `register` on.
    fn registers(&mut self, register: u8, count: usize) -> Option<Vec<u8>> {
        self.start();
        let is_there = self.send(ADDRESS << 1) && self.send(0xa0 | register);
        self.set(true, false);
        self.start();
        let is_there = is_there && self.send(ADDRESS << 1 | 1);
        let bytes = is_there.then(|| (0..count).map(|index| self.receive(index + 1 < count)).collect());
        self.stop();
        bytes
    }
}

#[test]
fn levels_on_two_pins_reach_the_registers_of_a_device() {
    let mut master = Master::new();
    // PID and ID (data sheet, register set).
    assert_eq!(master.registers(0x11, 2), Some(vec![0x00, 0x50]));
    master.start();
    assert!(master.send(ADDRESS << 1) && master.send(0xa0) && master.send(0x03));
    master.stop();
    master.us += 250_000;
    let data = master.registers(0x14, 4).unwrap();
    assert!(u16::from_le_bytes([data[0], data[1]]) > 50, "{data:?}");
    assert_eq!((master.bus.counters().transactions, master.bus.samples()), (3, 1));
    master.start();
    assert!(!master.send(0x50 << 1), "nobody is there");
    master.stop();
    master.bus.refuse(ADDRESS, Some(1));
    assert_eq!(master.registers(0x12, 1), None);
    assert_eq!(master.registers(0x12, 1), Some(vec![0x50]));
    master.bus.disconnect(ADDRESS);
    assert_eq!(master.registers(0x12, 1), None);
}

#[test]
fn a_data_line_that_is_held_is_freed_by_clock_pulses() {
    let mut master = Master::new();
    master.bus.hold_data(Some(5));
    assert_eq!(master.set(true, true), (false, true));
    for pulse in 0..5 {
        assert!(!master.set(true, true).0, "pulse {pulse}");
        master.set(true, false);
    }
    assert_eq!(master.set(true, true), (true, true));
    master.stop();
    assert_eq!(master.registers(0x12, 1), Some(vec![0x50]));
}

/// A device that keeps the clock for 300 us after each byte, and gives back the last one.
struct Slow(u8);

impl I2cDevice for Slow {
    fn address(&self) -> u8 {
        0x20
    }
    fn power_on(&mut self, _now: Instant) {}
    fn start(&mut self, address: u8, _direction: Direction, _now: Instant) -> Acknowledge {
        if address == self.address() { Acknowledge::Ack } else { Acknowledge::Nack }
    }
    fn write(&mut self, byte: u8, _now: Instant) -> Acknowledge {
        self.0 = byte;
        Acknowledge::Ack
    }
    fn read(&mut self, _now: Instant) -> u8 {
        self.0
    }
    fn stop(&mut self, _now: Instant) {}
    fn stretch(&mut self, _now: Instant) -> Duration {
        Duration::from_micros(300)
    }
}

#[test]
fn a_device_that_holds_the_clock_is_waited_for() {
    let mut master = Master::with(Slow(0));
    /// Lets the clock go and waits until it is high; returns the data line.
    fn wait(master: &mut Master) -> bool {
        let mut waited = 0;
        let is_high = loop {
            match master.set(true, true) {
                (is_high, true) => break is_high,
                _ => waited += 5,
            }
        };
        assert!((285..=300).contains(&waited), "the clock was low for {waited} us");
        master.set(true, false);
        is_high
    }
    /// Sends a byte to a device that needs time before its acknowledge bit.
    fn send(master: &mut Master, byte: u8) -> bool {
        for index in (0..8).rev() {
            master.bit(byte >> index & 1 != 0);
        }
        !wait(master)
    }
    master.start();
    assert!(send(&mut master, 0x20 << 1));
    assert!(send(&mut master, 0x5a));
    master.set(true, false);
    master.start();
    assert!(send(&mut master, 0x20 << 1 | 1));
    // Before the first bit of a byte that it gives, too.
    let first = u8::from(wait(&mut master));
    let byte = (1..8).fold(first, |byte, _| byte << 1 | u8::from(master.bit(true)));
    assert_eq!(byte, 0x5a);
    assert!(master.bit(true), "no acknowledge, so that it ends");
    master.stop();
}

#[test]
fn a_reset_lets_the_lines_of_a_bus_go() {
    let mut bench = Bench::new();
    bench.peripherals.gpio.wire(4, 5);
    for cause in [Cause::Watchdog, Cause::External, Cause::PowerOn] {
        // Both pins are outputs at 0, in the middle of a byte.
        bench.store(0x6000_0310, 0x30);
        assert_eq!(bench.load(0x6000_0318) >> 4 & 3, 0);
        bench.peripherals.reset(bench.now, cause);
        assert_eq!(bench.load(0x6000_0318) >> 4 & 3, 3, "{cause:?}");
    }
}
