//! What the shipping image does when its own program or its board goes wrong: instructions of it are replaced in flash, RAM is
//! overwritten, the flash chip is another one.
//!
//! `cargo xtask test` builds the image and runs these, with `DUNLIN_FIRMWARE` for its path; the symbols lie beside it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use dunlin_agent::platform::Part;
use dunlin_config_format::config::{Config, List, QoS, Sensor};
use dunlin_config_format::driver::Driver;
use dunlin_config_format::flash_map::SLOTS;
use dunlin_config_format::frame::{Encoded, Received, Receiver};
use dunlin_config_format::image::Header;
use dunlin_config_format::message::{
    self, BeginRequest, ErrorReply, InfoItem, InfoRequest, Refusal, Value, kind,
};
use dunlin_twin::chip::time::{PER_MICROSECOND, Time};
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use dunlin_twin::simulation::Simulation;
use dunlin_twin::world::broker::{Activity, Broker};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::Scenario;
use embassy_time::{Duration, Instant};
use std::cell::RefCell;
use std::rc::Rc;

#[expect(dead_code, reason = "of the shared support, this file uses the configurations")]
mod node_world;
use node_world::{flash_with, tutorial};
#[path = "support/patched.rs"]
#[expect(unreachable_pub, reason = "the tool's tests use it too")]
mod patched;
use patched::{WINDOW, function, image, make_whole};

/// `ill`, the instruction that is none.
const ILLEGAL: [u8; 3] = [0, 0, 0];
/// `j .`, a jump to itself.
const LOOP: [u8; 3] = [0x06, 0xff, 0xff];

/// `rsil a2, 15` before it: no interrupt comes any more, the NMI excepted.
const DEAF_LOOP: [u8; 6] = [0x20, 0x6f, 0x00, 0x06, 0xff, 0xff];

/// `movi.n a2, 1; ret.n`: a future's poll that is never ready, and wakes nobody.
const PENDING: [u8; 4] = [0x0c, 0x12, 0x0d, 0xf0];

/// Puts the stack's pointer into its guard (`movi a1, 0x400; slli a1, a1, 20`, three times `addmi a1, a1, -0x8000`,
/// `addmi a1, a1, 0x100`: 0x3ffe8100), and stays there.
const DEEP_STACK: [u8; 21] = [
    0x12, 0xa4, 0x00, 0xc0, 0x11, 0x01, 0x12, 0xd1, 0x80, 0x12, 0xd1, 0x80, 0x12, 0xd1, 0x80, 0x12, 0xd1,
    0x01, 0x06, 0xff, 0xff,
];
/// The lower end of the stack (`link.ld`).
const STACK_END: u32 = 0x3ffe_8000;

/// Where the memory of the real-time clock has the number of the part of the agent that is late: the third of the agent's words.
const RETAINED_LATE: u32 = 0x6000_1200 + 4 * (5 + 2);

/// The image, and the tutorial's configuration.
fn flash_with_image() -> Vec<u8> {
    let mut flash = flash_with(&tutorial(2_000, QoS::AtMostOnce));
    let bytes = std::fs::read(image()).unwrap();
    flash[..bytes.len()].copy_from_slice(&bytes);
    flash
}

/// Returns a configuration of the tutorial's device without any chip on a bus: it reports its uptime.
fn without_chip() -> Vec<u8> {
    let body = tutorial(2_000, QoS::AtMostOnce);
    let mut config = Config::decode(&body).unwrap();
    let sensor = Sensor { driver: Driver::Internal, bus: None, ..config.sensors.get(0).unwrap() };
    let sensors = [sensor];
    config.sensors = List::new(&sensors);
    config.i2c = List::default();
    let mut without = vec![0; 4096];
    let len = config.encode(&mut without).unwrap();
    without.truncate(len);
    without
}

/// What a board did.
struct Seen {
    /// What the board said.
    bytes: Vec<u8>,
    /// The same as text.
    text: String,
    births: Vec<String>,
}

/// Returns where the image keeps the place of a panic in the agent's source, its file and its line: a `Location`, which is
/// address and length of the file's name, line and column.
fn place_of_a_panic() -> (u32, String, u32) {
    let image = std::fs::read(image()).unwrap();
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    for at in (0x1_0000..image.len() - 16).step_by(4) {
        let [name, len, line, column] = [0, 4, 8, 12].map(|offset| word(at + offset));
        let start = name.wrapping_sub(WINDOW) as usize;
        let name = image.get(start..start.saturating_add(len as usize)).unwrap_or_default();
        let is_place = (1..200).contains(&len) && (1..10_000).contains(&line) && (1..500).contains(&column);
        if let Ok(name) = std::str::from_utf8(name)
            && is_place
            && name.ends_with(".rs")
        {
            return (WINDOW + at as u32, name.to_owned(), line);
        }
    }
    panic!("the image has no place of a panic");
}

/// Returns code that panics at `place` in the way that an `unwrap` of nothing does, for an address that is a multiple of 4.
fn panicking(place: u32) -> Vec<u8> {
    let unwrap_failed = function(&["4core6option13unwrap_failed"]);
    let mut code = vec![0x06, 0x02, 0x00, 0x00]; // j to behind the literals
    code.extend(place.to_le_bytes());
    code.extend(unwrap_failed.to_le_bytes());
    code.extend([0x21, 0xfe, 0xff]); // l32r a2, the first literal
    code.extend([0x81, 0xfe, 0xff]); // l32r a8, the second
    code.extend([0xa0, 0x08, 0x00]); // jx a8
    code
}

/// Runs the tutorial on an image in which a function begins with `code`, until the end of `seconds`.
fn run(parts: &[&str], code: &[u8], seconds: u64) -> (u32, Seen) {
    let at = function(parts);
    let mut flash = flash_with_image();
    let place = (at - WINDOW) as usize;
    flash[place..place + code.len()].copy_from_slice(code);
    make_whole(&mut flash);
    (at, watch(&NorFlash::with_contents(flash), seconds, &[], |_, _| {}))
}

/// Runs the tutorial on an image in which a future never comes back; the next start has the image as it is again.
fn run_hung(parts: &[&str], part: Part) -> Seen {
    let flash = flash_with_image();
    let place = (function(parts) - WINDOW) as usize;
    let mut hung = flash.clone();
    hung[place..place + PENDING.len()].copy_from_slice(&PENDING);
    make_whole(&mut hung);
    let chip = NorFlash::with_contents(hung);
    let handle = chip.clone();
    let mut is_healed = false;
    watch(&chip, 40, &[], move |_, simulation| {
        // As soon as the supervisor has seen it.
        let mut late = [0; 4];
        simulation.chip().unwrap().peek(RETAINED_LATE, &mut late);
        if !is_healed && u32::from_le_bytes(late) == part as u32 {
            is_healed = true;
            handle.poke(0, &flash[..SLOTS[0].address as usize]);
        }
    })
}

/// Runs a board with this flash until the end of `seconds`; after two a host sends `requests`, and `disturb` may disturb the
/// board at every step.
fn watch(
    flash: &NorFlash,
    seconds: u64,
    requests: &[Encoded],
    mut disturb: impl FnMut(Instant, &mut Simulation),
) -> Seen {
    let requests: Vec<Vec<u8>> = requests.iter().map(|request| request.as_bytes().to_vec()).collect();
    let clock = Clock::virtual_time();
    let scenario = Scenario::quiet(Environment::constant(284.0));
    let mut simulation = Simulation::with_chip(&clock, &scenario, flash.clone(), Timing::default());
    let text = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&text);
    let mut requests = Some(requests.concat());
    simulation.connect_host(move |now, line| {
        line.host_read(now, &mut heard.borrow_mut());
        if now >= Instant::from_secs(2)
            && let Some(requests) = requests.take()
        {
            line.host_write(now, &requests);
        }
    });
    let births = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&births);
    let mut broker = Broker::new();
    broker.observe(move |_, activity| {
        if let Activity::Published { topic: "dunlin/esp8266/info", payload, .. } = activity {
            seen.borrow_mut().push(String::from_utf8_lossy(payload).into_owned());
        }
    });
    let end = Instant::from_secs(seconds);
    while clock.now() < end {
        disturb(clock.now(), &mut simulation);
        simulation.step(&mut broker).unwrap();
        let next = [simulation.next_event(), broker.next_event(), Some(end)].into_iter().flatten().min();
        clock.wait_until(next.unwrap().max(clock.now() + Duration::from_ticks(1)));
        broker.step(clock.now());
    }
    let bytes = text.take();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Seen { bytes, text, births: births.take() }
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn an_exception_is_told_and_three_of_them_give_the_configuration_up() {
    let (at, seen) = run(&["7Sampler", "7message"], &ILLEGAL, 20);
    let told = format!("the run before ended: exception 0 at 0x{at:08x}, address 0x");
    assert!(seen.text.contains(&told), "{}", seen.text);
    assert!(seen.text.contains("safe mode"), "{}", seen.text);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_hang_is_ended_by_the_watchdog_and_told() {
    // Needed first by the statistics, after a minute.
    let (at, seen) = run(&["4text", "11thousandths"], &LOOP, 80);
    let told = format!("the run before ended: hang, last at 0x{at:08x}");
    assert!(seen.text.contains(&told), "{}", seen.text);
    // The next start tells the broker too.
    let told = format!("\"reset\":\"watchdog\",\"crash\":\"hang, last at 0x{at:08x}\"");
    assert!(seen.births.iter().any(|birth| birth.contains(&told)), "{:?}", seen.births);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_hang_that_lets_no_interrupt_through_is_ended_too() {
    let (_, seen) = run(&["4text", "11thousandths"], &DEAF_LOOP, 80);
    // The second stage is the chip's own: where the program was is not known then.
    let told = "hang, with interrupts held";
    assert!(seen.text.contains(&format!("the run before ended: {told}\r\n")), "{}", seen.text);
    let told = format!("\"reset\":\"watchdog\",\"crash\":\"{told}\"");
    assert!(seen.births.iter().any(|birth| birth.contains(&told)), "{:?}", seen.births);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_trial_that_crashes_gives_way_to_the_confirmed_configuration() {
    // The first configuration is confirmed, and needs no bus.
    let mut flash = flash_with(&without_chip());
    let bytes = std::fs::read(image()).unwrap();
    flash[..bytes.len()].copy_from_slice(&bytes);
    let flash = NorFlash::with_contents(flash);
    let seen = watch(&flash, 6, &[], |_, _| {});
    assert!(seen.births.iter().any(|birth| birth.contains("\"state\":\"confirmed\"")), "{:?}", seen.births);
    // The second is on trial, and has a sensor whose driver crashes.
    let mut flash = flash.contents();
    let second = tutorial(2_000, QoS::AtMostOnce);
    let header = Header { generation: 2, ..Header::new(&second, &[]) };
    let slot = SLOTS[1].address as usize;
    flash[slot..slot + 64].copy_from_slice(&header.encode());
    flash[slot + 64..slot + 64 + second.len()].copy_from_slice(&second);
    let at = function(&["7tsl2591", "5start"]);
    let place = (at - WINDOW) as usize;
    flash[place..place + 3].copy_from_slice(&ILLEGAL);
    make_whole(&mut flash);
    let seen = watch(&NorFlash::with_contents(flash), 30, &[], |_, _| {});
    let told = format!("the run before ended: exception 0 at 0x{at:08x}, address 0x");
    assert_eq!(seen.text.matches(&told).count(), 3, "{}", seen.text);
    let told = "\"generation\":1,\"state\":\"confirmed\"";
    let mut told = seen.births.iter().filter(|birth| birth.contains(told));
    let last = told.next_back().unwrap_or_else(|| panic!("{:?}\n{}", seen.births, seen.text));
    assert!(last.contains("\"rollback\":{\"generation\":2,\"reason\":\"panic\"}"), "{last}");
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_part_that_never_comes_back_is_ended_by_the_watchdog_and_told() {
    let server = ["12dunlin_agent3usb6server", "6WriterE4send0"];
    let uplink = ["_RNCNv", "12dunlin_agent6uplink", "6Uplink3run0"];
    for (parts, part) in [(&server[..], Part::Server), (&uplink[..], Part::Uplink)] {
        let seen = run_hung(parts, part);
        let told = format!("hang, the {} did not come back", part.name());
        assert!(seen.text.contains(&format!("the run before ended: {told}\r\n")), "{}", seen.text);
        assert!(seen.text.contains("attempt of generation 1 failed: part-silent"), "{}", seen.text);
        let told = format!("\"reset\":\"watchdog\",\"crash\":\"{told}\"");
        assert!(seen.births.iter().any(|birth| birth.contains(&told)), "{:?}", seen.births);
    }
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_panic_is_told_with_file_and_line() {
    // Needed first by the statistics, after a minute: by then the configuration is confirmed.
    let parts = ["4text", "11thousandths"];
    assert!(function(&parts).is_multiple_of(4), "literals are words");
    let (place, file, line) = place_of_a_panic();
    let (_, seen) = run(&parts, &panicking(place), 80);
    let told = format!("the run before ended: panic at {file}:{line}");
    assert!(seen.text.contains(&told), "`{told}` is missing in {}", seen.text);
    let told = format!("\"reset\":\"panic\",\"crash\":\"panic at {file}:{line}\"");
    assert!(seen.births.iter().any(|birth| birth.contains(&told)), "`{told}`: {:?}", seen.births);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn an_interrupt_finds_a_stack_that_has_reached_its_guard() {
    let (at, seen) = run(&["4text", "11thousandths"], &DEEP_STACK, 75);
    let told = format!("the run before ended: stack overflow, found at 0x{:08x}", at + 18);
    assert!(seen.text.contains(&told), "{}", seen.text);
    let told = "\"reset\":\"panic\",\"crash\":\"stack overflow, found at 0x";
    assert!(seen.births.iter().any(|birth| birth.contains(told)), "{:?}", seen.births);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_stack_that_was_too_deep_is_found_when_the_watchdog_is_fed() {
    let flash = flash_with_image();
    let mut was_deep = false;
    let seen = watch(&NorFlash::with_contents(flash), 12, &[], |now, simulation| {
        if !was_deep && now >= Instant::from_secs(4) {
            was_deep = true;
            // The guard's upper end: what was deepest has left a word there.
            assert!(simulation.chip().unwrap().poke(STACK_END + 508, &[0; 4]));
        }
    });
    assert!(seen.text.contains("the run before ended: stack overflow\r\n"), "{}", seen.text);
    let told = "\"reset\":\"panic\",\"crash\":\"stack overflow\"";
    assert!(seen.births.iter().any(|birth| birth.contains(told)), "{:?}", seen.births);
}

/// Returns what a board answered to INFO for this fact, and whether it refused anything with a flash fault.
fn answers(seen: &Seen, wanted: &str) -> (Option<String>, bool) {
    let (mut fact, mut is_refused) = (None, false);
    let mut receiver = Receiver::new();
    for byte in &seen.bytes {
        let Received::Frame(frame) = receiver.push(*byte) else { continue };
        if let Ok(InfoItem { name, value: Value::Text(text), .. }) = message::decode(frame.payload)
            && name == wanted
        {
            fact = Some(text.to_owned());
        }
        if let Ok(ErrorReply { refusal, request: kind::BEGIN, .. }) = message::decode(frame.payload) {
            is_refused |= refusal == Refusal::FlashFault.number();
        }
    }
    (fact, is_refused)
}

/// INFO, and the beginning of a push.
fn info_and_begin() -> [Encoded; 2] {
    let begin = BeginRequest { length: 200, hash: [7; 32], flags: 0, device: "esp8266" };
    [message::encode(&InfoRequest {}, 1).unwrap(), message::encode(&begin, 2).unwrap()]
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_flash_chip_that_is_too_small_is_told_and_never_changed() {
    let mut bytes = std::fs::read(image()).unwrap();
    bytes.resize(512 << 10, 0xff);
    let flash = NorFlash::with_contents(bytes.clone());
    let seen = watch(&flash, 6, &info_and_begin(), |_, _| {});
    let told = "no configuration can be stored, the flash chip: too small: 512 KiB, 1024 KiB are needed\r\n";
    assert!(seen.text.contains(told), "{}", seen.text);
    let fact = Some("too small: 512 KiB, 1024 KiB are needed".to_owned());
    assert_eq!(answers(&seen, "flash"), (fact, true));
    assert!(flash.contents() == bytes && flash.counts().programs + flash.counts().erases == 0);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_flash_chip_that_stays_protected_is_told() {
    let mut bytes = std::fs::read(image()).unwrap();
    bytes.resize(1 << 20, 0xff);
    let flash = NorFlash::with_contents(bytes.clone());
    let seen = watch(&flash, 6, &info_and_begin(), |_, simulation| {
        simulation.chip().unwrap().peripherals().spi.lock();
    });
    let told = "no configuration can be stored, the flash chip: protected against writing\r\n";
    assert!(seen.text.contains(told), "{}", seen.text);
    assert_eq!(answers(&seen, "flash"), (Some("protected against writing".to_owned()), false));
    assert!(flash.contents() == bytes);
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_usable_flash_chip_is_told() {
    let flash = NorFlash::with_contents(flash_with_image());
    let seen = watch(&flash, 6, &info_and_begin(), |_, _| {});
    assert_eq!(answers(&seen, "flash"), (Some("usable".to_owned()), false));
}

/// Returns what a board tells of its entropy whose slow oscillator is off by `jitter_ns` at most, either way.
fn entropy(jitter_ns: u64) -> Option<String> {
    let flash = NorFlash::with_contents(flash_with_image());
    let seen = watch(&flash, 3, &info_and_begin(), |_, simulation| {
        let jitter = Time(PER_MICROSECOND * jitter_ns / 1000);
        simulation.chip().unwrap().peripherals().rtc.set_jitter(jitter);
    });
    answers(&seen, "entropy").0
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn a_start_without_chance_is_told() {
    let told = |jitter_ns| entropy(jitter_ns).unwrap();
    assert_eq!(told(0), "repeating");
    // What is less than a turn of the loop that waits for a tick, about 75 ns, may be hidden by it.
    for jitter_ns in [200, 500, 1000] {
        assert_eq!(told(jitter_ns), "good", "{jitter_ns} ns");
    }
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn an_image_that_is_cut_short_or_damaged_says_so_and_runs_nothing() {
    let image = std::fs::read(image()).unwrap();
    let with = |len: usize| {
        let mut bytes = image[..len].to_vec();
        bytes.resize(1 << 20, 0xff);
        bytes
    };
    let mut damaged = with(image.len());
    damaged[image.len() - 5] ^= 1;
    for bytes in [with(70_000), with(200_000), with(image.len() - 4), damaged] {
        // Longer than the watchdog would let it wait.
        let seen = watch(&NorFlash::with_contents(bytes), 10, &[], |_, _| {});
        let told = "\r\nfirmware incomplete: flash it again with dunlin flash\r\n";
        // Once: nothing restarts it.
        assert_eq!(seen.text.matches(told).count(), 1, "{}", seen.text);
    }
    let seen = watch(&NorFlash::with_contents(with(image.len())), 2, &[], |_, _| {});
    assert!(seen.text.contains("safe mode"), "{}", seen.text);
}
