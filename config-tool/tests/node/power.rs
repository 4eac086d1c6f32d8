//! The power goes in the middle of updates: at every flash operation, and at a word inside it, on whichever board is tested.
//!
//! What a board does before a cut does not depend on the cut. So each update is done once, with every flash operation
//! written down; each operation is then cut on a copy of the flash as it was, and another board starts from what is left.
//! `cargo xtask torture --image` does that for 200 updates of the image, `cargo xtask torture --image --replay STRING`
//! repeats one cut.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;

use dunlin::device::{Hello, HelloTask, Package, Progress, PullTask, PushOptions, PushTask, Pushed};
use dunlin_config_format::message::state;
use dunlin_twin::devices::nor_flash::{Change, Cut, SECTOR_SIZE, Tear, WORD_SIZE};
use dunlin_twin::world::scenario::{Fault, FaultKind};
use embassy_time::{Duration, Instant};

use crate::world::{Wish, World, package};

/// Updates of an ordinary run; `DUNLIN_UPDATES` asks for more.
const UPDATES: u32 = 3;
/// Updates that are cut while they run and go on by themselves.
const LIVE_UPDATES: u32 = 8;
/// Of so many cuts, one is followed by a whole update.
const COMPLETED: u64 = 16;
/// Cuts of one operation: before its first word, and torn at a word inside.
const CUTS: u64 = 2;

/// A number below `limit` that looks random and repeats.
fn draw(seed: u64, limit: u64) -> u64 {
    let mixed = (seed ^ seed >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb) % limit
}

/// Asks the board who it is until it answers: it may be starting.
fn hello(world: &mut World) -> Hello {
    for _ in 0..5 {
        if let Ok(hello) = world.run(&mut HelloTask::new().unwrap()) {
            return hello;
        }
    }
    panic!("the board does not answer any more")
}

fn update(number: u32) -> Package {
    package(Wish { period_ms: 1000 + number, ..Wish::default() })
}

/// A flash operation of an update: where it is, and what the bytes there were and became.
struct Operation {
    address: u32,
    after: Vec<u8>,
}

/// An update that was done without a cut.
struct Done {
    number: u32,
    /// The flash before it.
    before: Vec<u8>,
    operations: Vec<Operation>,
    /// How many of them there were when the board told that the image is stored.
    before_acknowledged: usize,
}

/// One cut.
#[derive(Clone, Copy)]
struct Point {
    update: u32,
    operation: usize,
    cut: u64,
}

impl Point {
    /// Returns the string that repeats it.
    fn name(self) -> String {
        format!("{}-{}-{}", self.update, self.operation, self.cut)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('-').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Point { update: next()? as u32, operation: next()? as usize, cut: next()? })
    }

    fn seed(self) -> u64 {
        u64::from(self.update) << 32 | (self.operation as u64) << 8 | self.cut
    }
}

/// Does an update and writes down what it does to the flash.
fn record(world: &mut World, number: u32) -> Done {
    let flash = world.simulation.hardware().flash.clone();
    let before = flash.contents();
    let operations: Rc<RefCell<Vec<Operation>>> = Rc::default();
    let log = operations.clone();
    flash.watch(move |_, change| {
        let (address, after) = match change {
            Change::Erased { address } => (address, vec![0xff; SECTOR_SIZE]),
            Change::Programmed { address, bytes } => (address, bytes.to_vec()),
        };
        log.borrow_mut().push(Operation { address, after });
        true
    });
    let mut task = PushTask::new(update(number), PushOptions::default()).unwrap();
    let mut before_acknowledged = None;
    let pushed = world.run_watching(&mut task, |task| {
        while let Some(progress) = task.take_progress() {
            if matches!(progress, Progress::Stored { .. }) {
                before_acknowledged = Some(operations.borrow().len());
            }
        }
        true
    });
    assert_eq!(pushed, Some(Ok(Pushed::Confirmed)), "update {number}");
    // Flags that follow the verdict belong to the update too.
    world.run_s(1);
    flash.watch(|_, _| true);
    assert_eq!(flash.counts().misuses, 0, "update {number}");
    let (operations, before_acknowledged) = (operations.take(), before_acknowledged.unwrap());
    assert!(before_acknowledged < operations.len(), "the flag of the confirmation follows");
    Done { number, before, operations, before_acknowledged }
}

impl Done {
    /// Cuts the operations of which `is_mine` says so; returns how many cuts that were.
    fn cut_each(&self, is_mine: impl Fn(Point) -> bool) -> u64 {
        let mut contents = self.before.clone();
        let mut cuts = 0;
        for (index, operation) in self.operations.iter().enumerate() {
            let start = operation.address as usize;
            let range = start..start + operation.after.len();
            let before = contents[range.clone()].to_vec();
            for cut in 0..CUTS {
                let point = Point { update: self.number, operation: index, cut };
                if is_mine(point) {
                    let (word, tear) = match cut {
                        0 => (0, Tear::Clean),
                        _ => {
                            let words = (operation.after.len() / WORD_SIZE) as u64;
                            let tear = Tear::ALL[draw(point.seed() + 1, 4) as usize];
                            (draw(point.seed(), words) as usize, tear)
                        }
                    };
                    let left = tear.leaves(&before, &operation.after, word, point.seed());
                    contents[range.clone()].copy_from_slice(&left);
                    self.look(contents.clone(), point);
                    cuts += 1;
                }
            }
            contents[range].copy_from_slice(&operation.after);
        }
        cuts
    }

    /// Starts a board from what a cut has left: it runs the old configuration or the new one, and takes an update.
    fn look(&self, contents: Vec<u8>, point: Point) {
        let name = format!("cut {}; repeat it with: cargo xtask torture --image --replay {0}", point.name());
        let [old, new] = [self.number - 1, self.number].map(update);
        let mut world = World::with_flash(contents);
        let now = hello(&mut world);
        let is_new = now.active_hash == Some(new.hash);
        assert!(is_new || now.active_hash == Some(old.hash), "{name}: runs something else");
        assert!(matches!(now.state, state::TRIAL | state::CONFIRMED), "{name}: state {}", now.state);
        let is_acknowledged = point.operation >= self.before_acknowledged;
        assert!(is_new || !is_acknowledged, "{name}: what was told to be stored is lost");
        let running = if is_new { &new } else { &old };
        let pulled = world.run(&mut PullTask::new().unwrap()).unwrap();
        assert_eq!(pulled.bytes, running.image, "{name}");
        if draw(point.seed(), COMPLETED) == 0 {
            let pushed = world.push(new.clone());
            assert!(matches!(pushed, Ok(Pushed::Confirmed | Pushed::Unchanged)), "{name}: {pushed:?}");
            assert_eq!(world.run(&mut PullTask::new().unwrap()).unwrap().bytes, new.image, "{name}");
        }
        assert_eq!(world.simulation.hardware().flash.counts().misuses, 0, "{name}");
    }
}

#[test]
fn a_power_cut_at_any_flash_operation_leaves_the_old_or_the_new() {
    let only = std::env::var("DUNLIN_REPLAY").ok().map(|text| Point::parse(&text).unwrap());
    let updates = std::env::var("DUNLIN_UPDATES").ok().and_then(|text| text.parse().ok()).unwrap_or(UPDATES);
    let updates = only.map_or(updates, |point| point.update);
    let mut world = World::new();
    assert_eq!(world.push(update(0)), Ok(Pushed::Confirmed));
    let (mut cuts, mut operations) = (0, 0);
    for number in 1..=updates {
        let done = record(&mut world, number);
        operations += done.operations.len();
        if let Some(only) = only {
            if only.update == number {
                cuts += done.cut_each(|point| (point.operation, point.cut) == (only.operation, only.cut));
            }
            continue;
        }
        // A world belongs to its thread; each looks at a part of the cuts.
        cuts += thread::scope(|scope| {
            let threads = [0, 1].map(|part| {
                scope.spawn({
                    let done = &done;
                    move || done.cut_each(|point| point.operation % 2 == part)
                })
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
    }
    println!("{cuts} cuts in {operations} operations of {updates} updates: 0 lost, 0 mixed");
    assert!(cuts > 0, "there is no such cut");
}

/// Cuts the power inside an update at a word that `seed` decides, then lets the update go on.
///
/// Returns whether the cut happened.
fn cut_update(world: &mut World, number: u32, words: u64, seed: u64) -> bool {
    let old = hello(world).active_hash;
    let update = update(number);
    // Two of three cuts are among the few words that are programmed, the others anywhere.
    let erased = words / 1024 * 1024;
    let after_words = match seed % 3 {
        0 => draw(seed, words),
        _ => erased + draw(seed, words - erased),
    };
    let tear = Tear::ALL[draw(seed + 1, 4) as usize];
    let name = format!("update {number} cut after {after_words} words, {tear:?}, seed {seed}");
    let flash = world.simulation.hardware().flash.clone();
    flash.plan_cut(Cut { after_words, tear, seed });
    let mut task = PushTask::new(update.clone(), PushOptions::default()).unwrap();
    // Until the board is back, or the update is over without having come to the place.
    let ended = world.run_watching(&mut task, |_| flash.is_cut_planned());
    let is_cut = !flash.is_cut_planned();
    flash.set_power(true);
    if is_cut {
        let now = hello(world);
        let runs = now.active_hash;
        assert!(runs == old || runs == Some(update.hash), "{name}: runs something else");
        assert!(matches!(now.state, state::TRIAL | state::CONFIRMED), "{name}: state {}", now.state);
        let pushed = world.push(update.clone());
        assert!(matches!(pushed, Ok(Pushed::Confirmed | Pushed::Unchanged)), "{name}: {pushed:?}");
    } else {
        assert_eq!(ended, Some(Ok(Pushed::Confirmed)), "{name}");
    }
    let pulled = world.run(&mut PullTask::new().unwrap()).unwrap();
    assert_eq!(pulled.bytes, update.image, "{name}");
    is_cut
}

#[test]
fn an_update_goes_on_after_a_power_cut() {
    let mut world = World::new();
    assert_eq!(world.push(update(1000)), Ok(Pushed::Confirmed));
    let before = world.simulation.hardware().flash.counts().words;
    assert_eq!(world.push(update(1001)), Ok(Pushed::Confirmed));
    let words = world.simulation.hardware().flash.counts().words - before;
    let mut cuts = 0;
    for number in 0..LIVE_UPDATES {
        cuts += u32::from(cut_update(&mut world, number, words, u64::from(number) + 1));
    }
    println!("{cuts} of {LIVE_UPDATES} updates were cut");
    assert!(cuts * 10 >= LIVE_UPDATES * 7, "{cuts} of {LIVE_UPDATES} cuts happened");
}

#[test]
fn a_scenario_cuts_the_power_inside_the_operation_that_it_names() {
    let update = |world: &mut World| {
        assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
        world.run_until(Instant::from_secs(20));
        let before = world.simulation.hardware().flash.counts();
        let mut task =
            PushTask::new(package(Wish { period_ms: 3000, ..Wish::default() }), PushOptions::default())
                .unwrap();
        let is_whole = world.run_watching(&mut task, |_| true).unwrap() == Ok(Pushed::Confirmed);
        let after = world.simulation.hardware().flash.counts();
        (after.erases - before.erases, after.programs - before.programs, is_whole)
    };
    // Two erases, two programmings for body and header, one for the confirmation.
    let (erases, programs, is_whole) = update(&mut World::new());
    assert!(erases == 2 && programs >= 3 && is_whole, "{erases} erases, {programs} programmings");
    for operation in 1..=4 {
        let cut = Fault {
            name: "torn-write".to_owned(),
            at: Instant::from_secs(15),
            duration: Some(Duration::from_secs(600)),
            kind: FaultKind::PowerCut { operation: Some(operation) },
        };
        let mut world = World::with_faults(vec![cut]);
        // The board is off for ten minutes: the push ends without an answer, at the operation that was cut.
        let (erases, programs, is_whole) = update(&mut world);
        assert_eq!(
            (erases, programs, is_whole),
            (operation.min(2).into(), operation.saturating_sub(2).into(), false)
        );
        assert!(!world.simulation.hardware().flash.is_powered());
    }
}
