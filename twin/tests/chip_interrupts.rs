//! The lines from the peripherals to the processor: what raises them, what holds them, and what lets them go.

use dunlin_twin::chip::core::bus::Refusal;
use dunlin_twin::chip::peripherals::Peripherals;
use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;

const NMI_GATE: u32 = 0x3ff0_0000;
const EDGE_ENABLE: u32 = 0x3ff0_0004;
const FRC1_LOAD: u32 = 0x6000_0600;
const FRC1_CTRL: u32 = 0x6000_0608;
const FRC1_INT: u32 = 0x6000_060c;
const FRC1: u32 = 1 << 9;
const NMI: u32 = 1 << 14;
const GPIO: u32 = 1 << 4;
const START: Instant = Instant::from_ticks(0);

fn peripherals() -> Peripherals {
    let flash = NorFlash::with_contents(vec![0xff; 1 << 20]);
    let mut peripherals = Peripherals::new(flash, Timing::default(), Wiring::new(), 0x12_3456, 1, START);
    peripherals.reset(Time(0), Cause::PowerOn);
    peripherals.write_analog(Time(0), 103, 4, 2, 0x91);
    peripherals
}

/// Lets 1 ms pass, which is one round of a timer that is loaded with 5000 at a sixteenth of the clock.
fn round(peripherals: &mut Peripherals, now: &mut Time) -> u32 {
    let end = Time(now.0 + Time::from_micros(1000).0);
    while let Some(at) = peripherals.next_event().filter(|at| *at <= end) {
        peripherals.advance(at);
    }
    peripherals.advance(end);
    *now = end;
    peripherals.take_edges()
}

#[test]
fn a_held_timer_interrupt_comes_once_until_it_is_cleared() {
    let (mut chip, mut now) = (peripherals(), Time(0));
    chip.store(EDGE_ENABLE, 2, now).unwrap();
    chip.store(FRC1_CTRL, 0xc5, now).unwrap();
    chip.store(FRC1_LOAD, 5000, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), FRC1);
    assert_eq!(chip.load(FRC1_CTRL, now).unwrap(), 0x1c5);
    assert_eq!((round(&mut chip, &mut now), round(&mut chip, &mut now)), (0, 0));
    chip.store(FRC1_INT, 0, now).unwrap();
    assert_eq!(chip.load(FRC1_CTRL, now).unwrap(), 0xc5);
    assert_eq!(round(&mut chip, &mut now), FRC1);
    // Not enabled at the door, it doesn't get in.
    chip.store(FRC1_INT, 0, now).unwrap();
    chip.store(EDGE_ENABLE, 0, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), 0);
}

#[test]
fn without_reload_a_timer_goes_all_the_way_round() {
    let (mut chip, mut now) = (peripherals(), Time(0));
    chip.store(EDGE_ENABLE, 2, now).unwrap();
    chip.store(FRC1_CTRL, 0x84, now).unwrap();
    chip.store(FRC1_LOAD, 5000, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), FRC1);
    // 2^23 counts at 5 MHz are 1,677.7 ms.
    let silent = (0..1677).filter(|_| round(&mut chip, &mut now) == 0).count();
    assert_eq!((silent, round(&mut chip, &mut now)), (1677, FRC1));
}

#[test]
fn the_nmi_is_held_while_its_gate_says_so() {
    let (mut chip, mut now) = (peripherals(), Time(0));
    chip.store(EDGE_ENABLE, 2, now).unwrap();
    chip.store(NMI_GATE, 0x0f, now).unwrap();
    chip.store(FRC1_CTRL, 0xc4, now).unwrap();
    chip.store(FRC1_LOAD, 5000, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), NMI);
    chip.store(NMI_GATE, 0x0e, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), 0);
    chip.store(NMI_GATE, 0x0f, now).unwrap();
    assert_eq!(chip.take_edges(), NMI, "what was held comes at once, and once");
    assert_eq!(chip.take_edges(), 0);
    chip.store(NMI_GATE, 0, now).unwrap();
    assert_eq!(round(&mut chip, &mut now), FRC1);
    assert_eq!(chip.store(NMI_GATE, 3, now), Err(Refusal::Unmodelled), "nobody knows what that selects");
}

#[test]
fn pins_raise_edges_once_and_levels_as_long_as_they_last() {
    let (mut chip, now) = (peripherals(), Time(0));
    // Bits of what is latched: when the pin rises, and when it falls or stays low.
    for (kind, expected) in [(1, 0b01), (2, 0b10), (3, 0b11), (0, 0)] {
        chip.store(0x6000_033c, kind << 7, now).unwrap();
        let mut raised = 0;
        for (index, level) in [(0, true), (1, false), (1, false)] {
            chip.gpio.drive_pin(5, Some(level), START);
            raised |= u32::from(chip.levels() & GPIO != 0) << index;
            chip.store(0x6000_0324, 0xffff, now).unwrap();
            assert_eq!(chip.levels(), 0);
        }
        assert_eq!(raised, expected, "kind {kind}");
    }
    chip.store(0x6000_033c, 4 << 7, now).unwrap();
    chip.store(0x6000_0324, 0xffff, now).unwrap();
    assert_eq!(chip.load(0x6000_031c, now).unwrap(), 1 << 5, "low, and still low");
    chip.gpio.drive_pin(5, Some(true), START);
    chip.store(0x6000_0324, 0xffff, now).unwrap();
    assert_eq!(chip.levels(), 0);
}

#[test]
fn what_a_pin_does_is_seen_outside_only_while_its_pad_is_a_gpio() {
    let (mut chip, now) = (peripherals(), Time(0));
    chip.store(0x6000_0310, 1 << 12, now).unwrap();
    assert_eq!(chip.gpio.driven(12), None, "the pad is still MTDI");
    chip.store(0x6000_0804, 0x30, now).unwrap();
    assert_eq!(chip.gpio.driven(12), Some(false));
    chip.store(0x6000_0304, 1 << 12, now).unwrap();
    assert_eq!(chip.gpio.driven(12), Some(true));
    chip.store(0x6000_0328 + 4 * 12, 1 << 2, now).unwrap();
    assert_eq!(chip.gpio.driven(12), None, "open drain lets a one go");
    chip.gpio.drive_pin(12, Some(false), START);
    assert_eq!(chip.load(0x6000_0318, now).unwrap() & 1 << 12, 0);
}

#[test]
fn a_looped_uart_hears_itself_and_tells_nobody() {
    let (mut chip, now) = (peripherals(), Time(0));
    chip.store(0x6000_0020, 0x1c | 1 << 14, now).unwrap();
    chip.store(0x6000_0000, u32::from(b'x'), now).unwrap();
    let now = Time::from_micros(100);
    assert_eq!(chip.load(0x6000_001c, now).unwrap() & 0xff, 1);
    assert_eq!(chip.load(0x6000_0000, now).unwrap(), u32::from(b'x'));
    assert_eq!(chip.uarts[0].take_sent().count(), 0);
    for unmodelled in [0x1d, 0x1e, 0x0c, 0x3c, 0x1c | 1 << 8, 0x1c | 1 << 19] {
        assert_eq!(chip.store(0x6000_0020, unmodelled, now), Err(Refusal::Unmodelled), "{unmodelled:#x}");
    }
}

#[test]
fn a_break_is_a_zero_with_two_errors() {
    let mut chip = peripherals();
    chip.uarts[0].arrive_break(Time::from_micros(100));
    let now = Time::from_micros(101);
    assert_eq!(chip.load(0x6000_0004, now).unwrap() & 0x88, 0x88);
    chip.store(0x6000_0010, 0x88, now).unwrap();
    assert_eq!(chip.load(0x6000_0004, now).unwrap() & 0x88, 0);
    assert_eq!((chip.load(0x6000_001c, now).unwrap() & 0xff, chip.load(0x6000_0000, now).unwrap()), (1, 0));
}
