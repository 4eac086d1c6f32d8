//! Both ends of the USB line and the line between them, in virtual time: the tool's tasks, a paced and noisy serial line,
//! the agent's server, and a board that takes as long for a flash operation as a chip does.

use crate::bench::{Bench, Holder, package, push};
use dunlin::device::{
    Ask, FAST_RATE, Failure, HelloTask, InfoTask, Package, Patience, Progress, PullTask, PushOptions,
    PushTask, Pushed,
};
use dunlin_config_format::message::{PullReply, RateRequest};
use dunlin_twin::world::serial_line::Noise;
use embassy_time::Duration;
use proptest::prelude::*;

#[test]
fn a_push_is_stored_judged_and_not_repeated() {
    let mut bench = Bench::new(45, Noise::none());
    let package = package(4096, 3);
    assert_eq!(push(&mut bench, package.clone()), Ok(Pushed::Confirmed));
    assert_eq!(bench.chip.stored(), Some((package.image.clone(), 1)));
    let wear = bench.chip.wear();
    assert_eq!(push(&mut bench, package.clone()), Ok(Pushed::Unchanged));
    assert_eq!(bench.chip.wear(), wear);
    let prefix = PullReply::prefix(&package.hash);
    let pulled = bench.run(&mut PullTask::new().unwrap()).unwrap();
    assert_eq!((pulled.bytes, pulled.hash_prefix), (package.image, prefix));
    assert_eq!(bench.line.counts().overruns, 0);
}

#[test]
fn a_changed_secret_stores_an_unchanged_image_again() {
    let mut bench = Bench::new(45, Noise::none());
    let mut package = package(600, 3);
    package.secrets = vec![("mqtt.password".to_owned(), b"first".to_vec())];
    assert_eq!(push(&mut bench, package.clone()), Ok(Pushed::Confirmed));
    assert_eq!(push(&mut bench, package.clone()), Ok(Pushed::Unchanged));
    package.secrets[0].1 = b"other".to_vec();
    assert_eq!(push(&mut bench, package.clone()), Ok(Pushed::Confirmed));
    assert_eq!(bench.chip.stored(), Some((package.image.clone(), 2)));
    assert!(!format!("{package:?}").contains("111"), "a secret's bytes are shown");
}

#[test]
fn what_does_not_fit_the_device_is_refused_before_anything_is_erased() {
    let mut bench = Bench::new(45, Noise::none());
    assert_eq!(push(&mut bench, package(600, 1)), Ok(Pushed::Confirmed));
    let wear = bench.chip.wear();
    let good = package(600, 2);
    let other = Package { device: "porch".to_owned(), ..good.clone() };
    let newer = Package { schema: 2, ..good.clone() };
    let driver = Package { drivers: vec![(7, "bme280".to_owned())], ..good.clone() };
    let failures =
        [other, newer, driver, package(7_801, 2)].map(|package| push(&mut bench, package).unwrap_err());
    assert!(matches!(&failures[0], Failure::OtherDevice { found, .. } if found == "esp8266"));
    assert!(matches!(failures[1], Failure::SchemaNotRead { wanted: 2, reads: (1, 1) }));
    assert!(matches!(&failures[2], Failure::DriverMissing { driver } if driver == "bme280"));
    assert!(matches!(failures[3], Failure::ImageTooLong { length: 7_801, limit: 7_800 }));
    assert_eq!(bench.chip.wear(), wear);
}

#[test]
fn a_silent_line_is_no_device() {
    let mut bench = Bench::new(45, Noise::new(1, 0, 1_000_000, 0));
    assert_eq!(bench.run(&mut HelloTask::new().unwrap()).unwrap_err(), Failure::NoAnswer);
    assert_eq!(bench.clock.now().as_secs(), 5);
}

#[test]
fn boot_noise_before_the_first_hello_is_no_error() {
    let mut bench = Bench::new(45, Noise::none());
    bench.reset();
    let hello = bench.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!(hello.chip_id, 0x00c0_ffee);
    assert!(!bench.station.take_text().is_empty());
}

#[test]
fn many_replies_to_one_request_survive_noise() {
    for seed in 0..20 {
        let mut bench = Bench::new(45, Noise::new(seed, 200, 100, 100));
        let facts = bench.run(&mut InfoTask::new().unwrap());
        assert_eq!(facts.map(|facts| facts.len()), Ok(40), "seed {seed}");
    }
}

#[test]
fn the_line_runs_faster_after_agreement_and_returns_without_proof() {
    let mut bench = Bench::new(45, Noise::none());
    let rate = |bench: &mut Bench, baud| {
        let mut ask = Ask::new(&RateRequest { baud }, Patience::QUICK).unwrap();
        bench.run(&mut ask)
    };
    assert!(rate(&mut bench, 4_000_000).is_err());
    rate(&mut bench, 460_800).unwrap();
    bench.line.set_host_rate(460_800);
    let before = bench.clock.now();
    assert_eq!(push(&mut bench, package(7_680, 3)), Ok(Pushed::Confirmed));
    // At 115,200 baud the bytes alone take 667 ms.
    assert!((bench.clock.now() - before).as_millis() < 600);
    // A host that does not follow hears from the board again at the usual speed, a second later.
    rate(&mut bench, 921_600).unwrap();
    bench.line.set_host_rate(115_200);
    bench.run(&mut HelloTask::new().unwrap()).unwrap();
}

/// The goal is 1.15 times the time that the image's bytes alone take on the line. Erases are left out: they are the chip's,
/// and told apart.
#[test]
fn a_clean_push_comes_close_to_the_line() {
    const LENGTH: usize = 7_680;
    for adapter_ms in [0, 1, 16] {
        let mut bench = Bench::new(45, Noise::none());
        bench.line.set_adapter_latency(Duration::from_millis(adapter_ms));
        let options = PushOptions { no_wait: true, ..PushOptions::default() };
        let mut task = PushTask::new(package(LENGTH, 3), options).unwrap();
        let (mut began, clock) = (None, bench.clock.clone());
        let pushed = bench.run_watching(&mut task, |task| {
            while let Some(progress) = task.take_progress() {
                if matches!(progress, Progress::Sending { .. }) {
                    began.get_or_insert(clock.now());
                }
            }
        });
        assert_eq!(pushed, Ok(Pushed::Stored));
        let took = (bench.clock.now() - began.unwrap()).as_micros() as f64;
        let ratio = took / (LENGTH as f64 * 10.0 / 115_200.0 * 1e6);
        println!(
            "adapter {adapter_ms} ms: {ratio:.3} of the line, whole {} ms",
            bench.clock.now().as_millis()
        );
        assert!(ratio <= 1.15, "{ratio}");
        assert_eq!(bench.line.counts().overruns, 0);
    }
}

/// One push under damage, over a confirmed configuration: either the very image is stored, or a failure says why and the
/// configuration before it is still there. `resets` are milliseconds from the push's beginning.
fn push_under(
    seed: u64,
    noise: Noise,
    erase_ms: u64,
    length: usize,
    resets: &[u64],
) -> Result<Pushed, Failure> {
    let mut bench = Bench::new(erase_ms, Noise::none());
    let old = package(200, !(seed as u8));
    assert_eq!(push(&mut bench, old.clone()), Ok(Pushed::Confirmed));
    bench.line.set_noise(noise);
    // Half of the pushes ask for a faster line.
    let rate = seed.is_multiple_of(2).then_some(FAST_RATE);
    bench.holder = Some(Holder::new(Some));
    bench.resets = resets.iter().map(|at| bench.clock.now() + Duration::from_millis(*at)).collect();
    bench.resets.sort_unstable_by(|a, b| b.cmp(a));
    let new = package(length, seed as u8);
    let options = PushOptions { rate, ..PushOptions::default() };
    let result = bench.run(&mut PushTask::new(new.clone(), options).unwrap());
    let (stored, _) = bench.chip.stored().unwrap();
    assert!(stored == new.image || stored == old.image, "seed {seed}: a wrong image is stored");
    assert!(stored == new.image || result.is_err(), "seed {seed}: {result:?}, but the old image is stored");
    result
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// At this noise about one frame in eight is lost: a push always comes through.
    #[test]
    fn a_push_survives_noise_and_resets(
        seed: u64,
        (flips, drops, doubles) in (0..300u32, 0..150u32, 0..150u32),
        erase_ms in prop_oneof![Just(45u64), Just(400)],
        length in 1..6000usize,
        resets in proptest::collection::vec(0..2500u64, 0..3),
    ) {
        let result = push_under(seed, Noise::new(seed, flips, drops, doubles), erase_ms, length, &resets);
        prop_assert_eq!(result, Ok(Pushed::Confirmed));
    }

    #[test]
    fn a_hopeless_line_ends_with_a_reason(seed: u64, flips in 5_000..200_000u32, length in 1..3000usize) {
        if let Err(failure) = push_under(seed, Noise::new(seed, flips, flips / 2, flips / 2), 45, length, &[]) {
            prop_assert!(!failure.to_string().is_empty());
        }
    }
}
