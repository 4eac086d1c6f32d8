//! The TSL2591 as a driver sees it: through its bus, by the data sheet.
#![cfg(test)]

mod bench;

use bench::Bench;
use dunlin_twin::devices::i2c::{Acknowledge, Direction, I2cDevice};
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, SECOND_ADDRESS, Tsl2591};
use dunlin_twin::world::environment::{Environment, Irradiance};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::I2c;
use proptest::prelude::*;

const ENABLE: u8 = 0x00;
const CONTROL: u8 = 0x01;
const PERSIST: u8 = 0x0c;
const ID: u8 = 0x12;
const STATUS: u8 = 0x13;
const C0DATAL: u8 = 0x14;
const AVALID: u8 = 1;
const AINT: u8 = 1 << 4;
const NPINTR: u8 = 1 << 5;

fn write(bench: &mut Bench, register: u8, value: u8) {
    bench.bus().write(ADDRESS, &[0xa0 | register, value]).unwrap();
}

fn read(bench: &mut Bench, register: u8) -> u8 {
    let mut buffer = [0xa5];
    bench.bus().write_read(ADDRESS, &[0xa0 | register], &mut buffer).unwrap();
    buffer[0]
}

fn special(bench: &mut Bench, function: u8) {
    bench.bus().write(ADDRESS, &[0xe0 | function]).unwrap();
}

fn channels(bench: &mut Bench) -> [u16; 2] {
    let mut buffer = [0xa5; 4];
    bench.bus().write_read(ADDRESS, &[0xa0 | C0DATAL], &mut buffer).unwrap();
    [u16::from_le_bytes([buffer[0], buffer[1]]), u16::from_le_bytes([buffer[2], buffer[3]])]
}

fn with_light(environment: Environment) -> Bench {
    Bench::with_chip(Tsl2591::new(Part::default(), move |at| environment.irradiance(at)))
}

/// The data sheet's own example of light: 4.98 µW/cm² of white at high gain gives 1,315 and 174 counts.
fn data_sheet_light() -> Bench {
    let light = Irradiance { white_uw_per_cm2: 4.98, infrared_uw_per_cm2: 0.0 };
    Bench::with_chip(Tsl2591::new(Part::default(), move |_| light))
}

#[test]
fn identifies_itself_and_starts_powered_down() {
    let mut bench = data_sheet_light();
    assert_eq!(read(&mut bench, ID), 0x50);
    for register in (0x00..=0x11).chain(0x13..=0x1f) {
        assert_eq!(read(&mut bench, register), 0, "register {register:#04x}");
    }
}

#[test]
fn counts_what_the_data_sheet_says_for_white_light() {
    let mut bench = data_sheet_light();
    write(&mut bench, CONTROL, 0x20);
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(108);
    assert_eq!(read(&mut bench, STATUS) & AVALID, AVALID);
    assert_eq!(channels(&mut bench), [1315, 174]);
}

#[test]
fn counts_what_the_data_sheet_says_for_infrared_light() {
    let light = Irradiance { white_uw_per_cm2: 0.0, infrared_uw_per_cm2: 5.62 };
    let mut bench = Bench::with_chip(Tsl2591::new(Part::default(), move |_| light));
    write(&mut bench, CONTROL, 0x20);
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(108);
    assert_eq!(channels(&mut bench), [1447, 866]);
}

#[test]
fn valid_only_after_a_whole_cycle_since_enabling() {
    let mut bench = data_sheet_light();
    write(&mut bench, CONTROL, 0x25);
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(600);
    assert_eq!(read(&mut bench, STATUS) & AVALID, 0, "six steps of 101 ms are not over");
    bench.wait_ms(10);
    assert_eq!(read(&mut bench, STATUS) & AVALID, AVALID);
    assert_eq!(channels(&mut bench), [7891, 1043]);
    write(&mut bench, ENABLE, 0x01);
    bench.wait_ms(50);
    write(&mut bench, ENABLE, 0x03);
    assert_eq!(read(&mut bench, STATUS) & AVALID, 0, "enabled again, no cycle since");
    assert_eq!(channels(&mut bench), [7891, 1043], "old data stays");
}

#[test]
fn nothing_is_measured_without_power() {
    let mut bench = data_sheet_light();
    write(&mut bench, ENABLE, 0x02);
    bench.wait_ms(1000);
    assert_eq!(read(&mut bench, STATUS) & AVALID, 0);
    assert_eq!(channels(&mut bench), [0, 0]);
}

#[test]
fn gains_and_times_scale_the_counts() {
    let environment = Environment::constant(0.5);
    let mut bench = with_light(environment);
    let mut counts = Vec::new();
    for control in [0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x30] {
        write(&mut bench, ENABLE, 0x00);
        write(&mut bench, CONTROL, control);
        write(&mut bench, ENABLE, 0x03);
        bench.wait_ms(650);
        counts.push(f64::from(channels(&mut bench)[0]));
    }
    for (index, count) in counts.iter().take(6).enumerate() {
        let expected = counts[0] * (index + 1) as f64;
        assert!((count - expected).abs() <= 3.0, "{count} against {expected}");
    }
    assert!((counts[6] / counts[0] - 9876.0 / 428.0).abs() < 0.1, "{counts:?}");
}

#[test]
fn saturates_at_its_full_scale() {
    let mut bench = with_light(Environment::constant(80_000.0));
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(110);
    let [full, infrared] = channels(&mut bench);
    assert_eq!(full, 36_863, "maximum of 100 ms");
    assert!(infrared < full);
    write(&mut bench, CONTROL, 0x31);
    bench.wait_ms(650);
    assert_eq!(channels(&mut bench), [65_535, 65_535], "maximum of longer times");
}

#[test]
fn a_cycle_in_which_the_gain_changes_counts_with_both() {
    let mut bench = data_sheet_light();
    write(&mut bench, CONTROL, 0x20);
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(50);
    write(&mut bench, CONTROL, 0x00);
    bench.wait_ms(52);
    let [mixed, _] = channels(&mut bench);
    assert!((500..800).contains(&mixed), "half of 1315 and next to nothing: {mixed}");
    bench.wait_ms(102);
    assert_eq!(channels(&mut bench)[0], 3, "1315 / 428");
}

#[test]
fn a_low_byte_latches_its_high_byte() {
    let light = |at: Instant| Irradiance {
        white_uw_per_cm2: if at < Instant::from_millis(150) { 4.98 } else { 40.0 },
        infrared_uw_per_cm2: 0.0,
    };
    let mut bench = Bench::with_chip(Tsl2591::new(Part::default(), light));
    write(&mut bench, CONTROL, 0x20);
    write(&mut bench, ENABLE, 0x03);
    bench.wait_ms(110);
    let low = read(&mut bench, 0x14);
    bench.wait_ms(300);
    let high = read(&mut bench, 0x15);
    assert_eq!(u16::from_le_bytes([low, high]), 1315);
    assert_eq!(channels(&mut bench)[0], 10_564);
}

#[test]
fn reset_is_like_power_on_and_clears_itself() {
    let mut bench = data_sheet_light();
    write(&mut bench, CONTROL, 0x25);
    write(&mut bench, 0x07, 0x12);
    write(&mut bench, ENABLE, 0x93);
    bench.wait_ms(700);
    write(&mut bench, CONTROL, 0x80);
    for register in [ENABLE, CONTROL, 0x07, STATUS] {
        assert_eq!(read(&mut bench, register), 0, "register {register:#04x}");
    }
}

#[test]
fn interrupts_follow_thresholds_and_persistence() {
    let mut bench = data_sheet_light();
    write(&mut bench, CONTROL, 0x20);
    // Persistent window 0 to 1000, without persistence 0 to 2000; two cycles outside are needed.
    bench.bus().write(ADDRESS, &[0xa4, 0, 0, 0xe8, 0x03, 0, 0, 0xd0, 0x07, 0x02]).unwrap();
    assert_eq!(read(&mut bench, PERSIST), 2, "addresses go up by themselves");
    write(&mut bench, ENABLE, 0x13);
    bench.wait_ms(102);
    assert_eq!(read(&mut bench, STATUS), AVALID, "one cycle outside");
    bench.wait_ms(101);
    assert_eq!(read(&mut bench, STATUS), AVALID | AINT, "two");
    special(&mut bench, 0x06);
    assert_eq!(read(&mut bench, STATUS), AVALID);
    special(&mut bench, 0x04);
    assert_eq!(read(&mut bench, STATUS), AVALID | AINT | NPINTR);
    special(&mut bench, 0x0a);
    assert_eq!(read(&mut bench, STATUS), AVALID | AINT);
    write(&mut bench, 0x0b, 0x01);
    bench.wait_ms(102);
    assert_eq!(read(&mut bench, STATUS), AVALID | AINT | NPINTR, "above 464 at once");
    special(&mut bench, 0x07);
    assert_eq!(read(&mut bench, STATUS), AVALID);
}

#[test]
fn sleeps_after_an_interrupt_until_it_is_cleared() {
    let mut light = 0u32;
    let mut chip = Tsl2591::new(Part::default(), move |_| {
        light += 1;
        Irradiance { white_uw_per_cm2: f64::from(light), infrared_uw_per_cm2: 0.0 }
    });
    let mut now = Instant::from_ticks(0);
    chip.power_on(now);
    let send = |chip: &mut Tsl2591, now: Instant, bytes: &[u8]| {
        chip.start(ADDRESS, Direction::Write, now);
        for &byte in bytes {
            chip.write(byte, now);
        }
        chip.stop(now);
    };
    send(&mut chip, now, &[0xa1, 0x20]);
    send(&mut chip, now, &[0xa0, 0x53]);
    now += Duration::from_secs(10);
    assert!(chip.interrupt_pin_low(now));
    send(&mut chip, now, &[0xb4]);
    chip.start(ADDRESS, Direction::Read, now);
    assert_eq!([chip.read(now), chip.read(now)], 264_u16.to_le_bytes(), "one cycle, then asleep");
    send(&mut chip, now, &[0xe7]);
    assert!(!chip.interrupt_pin_low(now));
    now += Duration::from_millis(150);
    assert!(chip.interrupt_pin_low(now), "it went on after the clear");
    assert_eq!(chip.misuses(), 0);
}

#[test]
fn skipped_cycles_change_nothing() {
    let read_after_a_day = |visits: u64| {
        let environment = Environment::room(3);
        let part = Part { noise: Some(7), ..Part::default() };
        let mut chip = Tsl2591::new(part, move |at| environment.irradiance(at));
        let now = Instant::from_ticks(0);
        chip.power_on(now);
        for bytes in [[0xa1, 0x10], [0xa0, 0x03]] {
            chip.start(ADDRESS, Direction::Write, now);
            assert_eq!(bytes.map(|byte| chip.write(byte, now)), [Acknowledge::Ack; 2]);
        }
        let day_us = 86_400_000_000;
        for visit in 1..=visits {
            chip.stop(Instant::from_micros(day_us / visits * visit));
        }
        let now = Instant::from_micros(day_us);
        chip.start(ADDRESS, Direction::Write, now);
        chip.write(0xb4, now);
        chip.start(ADDRESS, Direction::Read, now);
        [0; 4].map(|_: u8| chip.read(now))
    };
    assert_eq!(read_after_a_day(1), read_after_a_day(864_000));
}

#[test]
fn answers_at_its_second_address_with_nothing() {
    let mut bench = data_sheet_light();
    let mut buffer = [0xa5; 2];
    bench.bus().write_read(SECOND_ADDRESS, &[0xb2], &mut buffer).unwrap();
    assert_eq!(buffer, [0, 0]);
    assert!(bench.bus().write(0x2a, &[]).is_err());
}

proptest! {
    /// No order of bytes, addresses and times does harm, and the registers keep their reserved bits clear.
    #[test]
    fn hostile_masters_do_no_harm(calls in proptest::collection::vec((0u8..6, any::<u8>(), 0u64..400_000), 1..200)) {
        let mut chip = Tsl2591::new(Part { noise: Some(1), ..Part::default() }, |at| {
            let wild = at.as_micros().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Irradiance { white_uw_per_cm2: f64::from_bits(wild), infrared_uw_per_cm2: -1e300 }
        });
        let mut now = Instant::from_ticks(0);
        for (call, byte, pause) in calls {
            now += Duration::from_micros(pause);
            match call {
                0 => drop(chip.start(byte & 0x7f, Direction::Write, now)),
                1 => drop(chip.start(ADDRESS, Direction::Write, now)),
                2 => drop(chip.start(ADDRESS, Direction::Read, now)),
                3 => drop(chip.write(byte, now)),
                4 => drop(chip.read(now)),
                _ => chip.stop(now),
            }
        }
        chip.start(ADDRESS, Direction::Write, now);
        chip.write(0xa0, now);
        chip.start(ADDRESS, Direction::Read, now);
        prop_assert_eq!(chip.read(now) & 0b0010_1100, 0);
        prop_assert_eq!(chip.read(now) & 0b1100_1000, 0);
    }

    /// Both published formulas show the world's light, within 1 %, at every gain and time that does not saturate and has
    /// counts enough to divide.
    #[test]
    fn published_formulas_agree_with_the_world(full in 1000.0f64..36_000.0, gain in 0usize..4, atime in 0u8..6) {
        let cpl = f64::from(atime + 1) * 100.0 * [1.0, 25.0, 428.0, 9876.0][gain] / 408.0;
        let lux = full * 0.4096 / cpl;
        let mut bench = with_light(Environment::constant(lux));
        write(&mut bench, CONTROL, (gain as u8) << 4 | atime);
        write(&mut bench, ENABLE, 0x03);
        bench.wait_ms(650);
        let [c0, c1] = channels(&mut bench).map(f64::from);
        let arduino = (c0 - c1) * (1.0 - c1 / c0) / cpl;
        let python = ((c0 - 1.64 * c1) / cpl).max((0.59 * c0 - 0.86 * c1) / cpl);
        prop_assert!((arduino / lux - 1.0).abs() < 0.005, "{arduino} against {lux}");
        prop_assert!((python / lux - 1.0).abs() < 0.005, "{python} against {lux}");
    }
}
