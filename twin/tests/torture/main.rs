//! The agent's slot store on flash that loses its power at any word: nothing is lost, nothing is mixed.
//!
//! The ordinary tests take seconds. `cargo xtask torture` runs many more cuts; `cargo xtask torture --replay STRING` repeats
//! one that failed; `cargo xtask torture --mutants` seeds faults into the store and sees that the ordinary tests find them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod chains;
mod corners;
mod cuts;
mod flips;
mod model;
mod payload;
mod session;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cuts::Point;

/// Variable with the number of cuts of the long run.
const CUTS: &str = "DUNLIN_TORTURE_CUTS";
/// Variable with the string that a failure printed.
const REPLAY: &str = "DUNLIN_TORTURE_REPLAY";

/// Runs `work` with one seed after the other on every core until it has counted up to `end`; returns the count.
fn until(end: u64, work: impl Fn(u64) -> Result<u64, String> + Sync) -> u64 {
    let (count, seed) = (AtomicU64::new(0), AtomicU64::new(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while count.load(Ordering::Relaxed) < end {
                    match work(seed.fetch_add(1, Ordering::Relaxed)) {
                        Ok(more) => count.fetch_add(more, Ordering::Relaxed),
                        Err(error) => {
                            count.store(u64::MAX, Ordering::Relaxed);
                            panic!("{error}");
                        }
                    };
                }
            });
        }
    });
    count.into_inner()
}

#[test]
fn a_million_cuts_lose_nothing_and_mix_nothing() {
    let start = Instant::now();
    let cuts = until(1_000_000, |seed| cuts::history(seed, None));
    println!("{cuts} cuts in {:.1?}: 0 lost, 0 mixed", start.elapsed());
}

#[test]
fn chains_of_cuts_lose_nothing_and_mix_nothing() {
    let start = Instant::now();
    let cuts = until(6_000, chains::chain);
    println!("{cuts} cuts in chains of 3 to 10 in {:.1?}: 0 lost, 0 mixed", start.elapsed());
}

#[test]
fn what_a_dip_of_the_supply_spoils_is_never_acknowledged() {
    let noticed = until(500, |seed| chains::dip(seed).map(u64::from));
    println!("{noticed} dips noticed, the others harmless");
}

#[test]
#[ignore = "takes minutes: cargo xtask torture"]
fn long_run() {
    let end: u64 = std::env::var(CUTS).unwrap().parse().unwrap();
    let start = Instant::now();
    let cuts = until(end, |seed| cuts::history(seed << 32, None));
    println!("{cuts} cuts in {:.1?}: 0 lost, 0 mixed", start.elapsed());
    let start = Instant::now();
    let chained = until(end / 30, |seed| chains::chain(seed << 32));
    println!("{chained} cuts in chains of 3 to 10 in {:.1?}: 0 lost, 0 mixed", start.elapsed());
    let noticed = until(end / 1000, |seed| chains::dip(seed << 32).map(u64::from));
    println!("{noticed} dips noticed, the others harmless");
}

#[test]
#[ignore = "needs the string of a failure: cargo xtask torture --replay STRING"]
fn replay() {
    let string = std::env::var(REPLAY).unwrap();
    let (kind, numbers) = string.split_once('-').unwrap();
    let mut numbers = numbers.split('-');
    let seed = u64::from_str_radix(numbers.next().unwrap(), 16).unwrap();
    let result = match kind {
        "cut" => {
            let [step, operation, word, tear] =
                std::array::from_fn(|_| numbers.next().and_then(|number| number.parse().ok()).unwrap());
            cuts::history(seed, Some(Point { step, operation, word, tear })).map(|cuts| cuts > 0)
        }
        "chain" => chains::chain(seed).map(|_| true),
        "dip" => chains::dip(seed).map(|_| true),
        _ => panic!("`{kind}` is none of cut, chain and dip"),
    };
    match result {
        Ok(true) => println!("{string}: nothing wrong"),
        Ok(false) => panic!("{string}: the history has no such cut"),
        Err(error) => panic!("{error}"),
    }
}
