//! What a chip does with what it is started with: straps, images of every kind, a line that nobody reads.

use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::Broker;
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;
use embassy_time::{Duration, Instant};

const TEXT: u32 = 0x4010_0000;
const DATA: u32 = 0x3ffe_8000;
/// `j .`, a jump to itself, and a byte behind it.
const LOOP: [u8; 4] = [0x06, 0xff, 0xff, 0];

/// An image of these segments, in a flash chip of 1 MiB.
fn image(segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut image = vec![0xe9, segments.len() as u8, 0, 0];
    image.extend_from_slice(&TEXT.to_le_bytes());
    let mut checksum = 0xef;
    for (address, bytes) in segments {
        image.extend_from_slice(&address.to_le_bytes());
        image.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        image.extend_from_slice(bytes);
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    image.resize(image.len() | 15, 0);
    image.push(checksum);
    image.resize(1 << 20, 0xff);
    image
}

fn chip(flash: Vec<u8>) -> Chip {
    Chip::new(Settings {
        flash: NorFlash::with_contents(flash),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 0x12_3456,
        seed: 1,
        origin: Instant::from_ticks(0),
    })
}

/// What the boot ROM has printed, all of it at its own rate.
fn printed(chip: &mut Chip) -> String {
    let sent = chip.take_sent();
    // 52 MHz by 694.
    assert!(sent.iter().all(|byte| byte.rate == 74_927), "{}", sent[0].rate);
    sent.iter().map(|byte| char::from(byte.byte)).collect()
}

#[test]
fn the_loader_tells_of_each_segment_as_the_rom_does() {
    let text = [&LOOP[..], &[0; 16]].concat();
    let mut chip = chip(image(&[(TEXT, &text), (DATA, &[1; 40]), (DATA + 40, &[2; 16])]));
    assert_eq!(chip.reset(Cause::PowerOn), End::Reset(Cause::PowerOn));
    // The first 16 bytes end with a segment's header; what is left of the newest 16 is the room.
    assert_eq!(
        printed(&mut chip),
        "\r\n ets Jan  8 2013,rst cause:1, boot mode:(3,6)\r\n\r\n\
         load 0x40100000, len 20, room 16 \r\ntail 4\r\nchksum 0xe9\r\n\
         load 0x3ffe8000, len 40, room 4 \r\ntail 4\r\nchksum 0xe9\r\n\
         load 0x3ffe8028, len 16, room 4 \r\ntail 12\r\nchksum 0xe9\r\ncsum 0xe9\r\n"
    );
}

#[test]
fn an_image_that_is_none_is_refused_as_a_board_refuses_it() {
    let good = image(&[(TEXT, &LOOP), (DATA, &[1; 400])]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = good.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    let cut = |at: usize| changed(at, &vec![0xff; good.len() - at]);
    let waits = "a board prints `ets_main.c 181` and waits for ever";
    let goes_on = "a board doesn't find that";
    for (name, flash, fault, board, last) in [
        ("empty", vec![0xff; 1 << 20], "the flash chip is empty", waits, "ets_main.c 181 "),
        ("foreign", changed(0, &[0xea]), "flash begins with 0xea", waits, "ets_main.c 181 "),
        ("too many segments", changed(1, &[9]), "segment 2 of the image has", goes_on, "load "),
        (
            "outside RAM",
            changed(8, &[0, 0, 0, 0x70]),
            "goes to 0x70000000, where",
            goes_on,
            "load 0x70000000",
        ),
        ("a bad byte", changed(60, &[7]), "the image's checksum is", waits, "ets_main.c 181 "),
        ("a bad checksum", changed(431, &[7]), "the image's checksum is 0x07", waits, "ets_main.c 181 "),
        ("cut in the last segment", cut(100), "damaged or cut short", waits, "ets_main.c 181 "),
        ("cut in the first segment", cut(16), "damaged or cut short", goes_on, "load 0xffffffff, len -1"),
    ] {
        let mut chip = chip(flash);
        let End::NotStarted(told) = chip.reset(Cause::PowerOn) else { panic!("{name} was started") };
        assert!(told.0.contains(fault) && told.0.contains(board), "{name}: {}", told.0);
        let text = printed(&mut chip);
        assert!(text.lines().last().unwrap().starts_with(last), "{name}: {text}");
        assert_eq!(
            text.contains("csum err\r\nets_main"),
            fault.contains("checksum") || name.contains("last")
        );
        assert_eq!(chip.run_until(Time::from_micros(1_000_000)), End::Time);
        assert_eq!(chip.executed(), 0, "{name}");
    }
}

#[test]
fn the_straps_at_a_reset_decide_what_the_rom_does() {
    for mode in 0..8 {
        let mut chip = chip(image(&[(TEXT, &LOOP)]));
        for (bit, pin) in [2, 0, 15].into_iter().enumerate() {
            chip.peripherals().gpio.drive_pin(pin, Some(mode >> bit & 1 != 0), Instant::from_ticks(0));
        }
        let end = chip.reset(Cause::External);
        assert!(printed(&mut chip).contains(&format!("rst cause:2, boot mode:({mode},6)")));
        let input = chip.peripherals().load(0x6000_0318, Time(0)).unwrap();
        assert_eq!(input >> 16 & 7, mode, "the program sees them");
        let begun = chip.run_until(Time(chip.now().0 + Time::from_micros(100).0));
        match (mode, end) {
            (1 | 3, End::Reset(Cause::External)) => {
                assert_eq!((begun, chip.executed() > 0), (End::Time, mode == 3));
            }
            (0 | 2 | 4..=7, End::NotStarted(told)) => {
                assert!(told.0.contains(&format!("boot mode {mode}: a board ")), "{}", told.0);
            }
            (_, end) => panic!("mode {mode}: {end:?}"),
        }
        // Levels that change later are no straps, and software doesn't ask for them.
        chip.peripherals().gpio.drive_pin(15, Some(mode & 4 == 0), Instant::from_ticks(0));
        assert_eq!(chip.peripherals().load(0x6000_0318, Time(0)).unwrap() >> 16 & 7, mode);
        assert_eq!(chip.reset(Cause::Software), End::Reset(Cause::Software));
    }
}

#[test]
fn bytes_that_a_chip_does_not_read_are_counted_as_lost() {
    let clock = Clock::virtual_time();
    let flash = NorFlash::with_contents(image(&[(TEXT, &LOOP)]));
    let scenario = Scenario::quiet(Environment::constant(284.0));
    let mut simulation = Simulation::with_chip(&clock, &scenario, flash, Timing::default());
    // Nobody but the test talks to the board.
    simulation.tether();
    let mut broker = Broker::new();
    let run = |simulation: &mut Simulation, broker: &mut Broker| {
        let end = clock.now() + Duration::from_millis(100);
        while clock.now() < end {
            simulation.step(broker).unwrap();
            clock.wait_until(clock.now() + Duration::from_millis(1));
        }
    };
    run(&mut simulation, &mut broker);
    let line = simulation.hardware().line.clone();
    line.set_host_rate(74_927);
    line.host_write(clock.now(), &[0x55; 200]);
    assert_eq!(line.counts().overruns, 0);
    run(&mut simulation, &mut broker);
    assert_eq!(line.counts().overruns, 200 - 128);
}

#[test]
#[ignore = "needs the image: DUNLIN_FIRMWARE names it"]
fn the_image_frees_a_flash_chip_that_somebody_has_protected() {
    let mut flash = std::fs::read(std::env::var_os("DUNLIN_FIRMWARE").unwrap()).unwrap();
    flash.resize(1 << 20, 0xff);
    let mut chip = chip(flash);
    // BP2 to BP0: the whole chip.
    chip.peripherals().spi.protect(0x1c);
    assert_eq!(chip.reset(Cause::PowerOn), End::Reset(Cause::PowerOn));
    assert_eq!(chip.peripherals().spi.protection(), 0x1c, "power alone changes nothing");
    assert_eq!(chip.run_until(Time::from_micros(2_000_000)), End::Time);
    assert_eq!(chip.peripherals().spi.protection(), 0);
}
