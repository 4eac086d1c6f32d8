//! Programs that make no sense: whatever is written to any register, and whatever bytes are executed, the chip goes on or
//! says where it stands. It never panics, and time never goes backwards.

use dunlin_twin::chip::peripherals::Peripherals;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

/// Blocks of registers, and how many bytes each has.
const BLOCKS: [(u32, u32); 4] =
    [(0x6000_0000, 0x1000), (0x6000_1000, 0x400), (0x3ff0_0000, 0x60), (0x3ff2_0000, 0x1000)];
const TEXT: u32 = 0x4010_0000;

/// A value as a driver might write it, or as a driver never would.
fn value(random: &mut Pcg32) -> u32 {
    let bits = random.next_u32();
    match bits % 6 {
        0 => 0,
        1 => u32::MAX,
        2 => 1 << (bits >> 8 & 31),
        3 => bits >> 8 & 0xff,
        4 => bits & 0x8000_ffff,
        _ => random.next_u32(),
    }
}

fn address(random: &mut Pcg32) -> u32 {
    let (start, size) = BLOCKS[random.next_u32() as usize % BLOCKS.len()];
    start + random.next_u32() % (size / 4) * 4
}

#[test]
fn registers_take_anything_or_refuse_it() {
    for seed in 0..40 {
        let mut random = Pcg32::seed_from_u64(seed);
        let flash = NorFlash::with_contents(vec![0xff; 1 << 20]);
        let mut chip = Peripherals::new(
            flash,
            Timing::default(),
            Wiring::new(),
            0x12_3456,
            seed,
            Instant::from_ticks(0),
        );
        chip.reset(Time(0), Cause::PowerOn);
        let mut now = Time(0);
        let mut refused = 0;
        for _ in 0..5000 {
            let at = address(&mut random);
            let result = if random.next_u32() & 1 == 0 {
                chip.load(at, now).map(|_| ())
            } else {
                chip.store(at, value(&mut random), now)
            };
            refused += u32::from(result.is_err());
            now.0 += u64::from(random.next_u32() >> (random.next_u32() % 32));
            let mut events = 0;
            while let Some(at) = chip.next_event().filter(|at| *at <= now && events < 100) {
                chip.advance(at);
                events += 1;
            }
            chip.advance(now);
            if let Some(cause) = chip.reset_cause() {
                chip.reset(now, cause);
            }
        }
        assert!((100..4900).contains(&refused), "{refused} of 5000 were refused");
    }
}

/// A flash chip with one segment that the boot ROM loads and starts.
fn image(text: &[u8]) -> Vec<u8> {
    let mut image = vec![0xe9, 1, 0, 0];
    for word in [TEXT, TEXT, text.len() as u32] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(text);
    image.resize(image.len() | 15, 0);
    image.push(text.iter().fold(0xef, |sum, byte| sum ^ byte));
    image.resize(1 << 20, 0xff);
    image
}

#[test]
fn any_bytes_can_be_executed() {
    let (mut stopped, mut reset, mut alive) = (0, 0, 0);
    for seed in 0..600 {
        let mut random = Pcg32::seed_from_u64(seed);
        let mut text = vec![0; 1024];
        random.fill_bytes(&mut text);
        // Narrow instructions of arithmetic and loads go on for longer than chance does.
        if seed % 2 == 0 {
            text.iter_mut().step_by(2).for_each(|byte| *byte = *byte & 0xf0 | (8 + (*byte & 3)));
        }
        let mut chip = Chip::new(Settings {
            flash: NorFlash::with_contents(image(&text)),
            timing: Timing::default(),
            wiring: Wiring::new(),
            chip_id: 0x12_3456,
            seed,
            origin: Instant::from_ticks(0),
        });
        assert_eq!(chip.reset(Cause::PowerOn), End::Reset(Cause::PowerOn));
        let end = Time(chip.now().0 + Time::from_micros(2000).0);
        for _ in 0..50 {
            let before = chip.now();
            let ended = chip.run_until(end);
            assert!(chip.now() >= before);
            match ended {
                End::Time => {
                    alive += 1;
                    break;
                }
                End::Stopped(text) => {
                    assert!(text.contains("pc 0x"), "{text}");
                    stopped += 1;
                    break;
                }
                _ => reset += 1,
            }
        }
    }
    assert!(stopped > 300, "{stopped} stopped, {reset} reset, {alive} went on");
}
