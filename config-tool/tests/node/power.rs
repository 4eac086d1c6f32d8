//! The power goes in the middle of whatever changes the flash: at every operation, and at a word inside it, on whichever board
//! is tested.
//!
//! What a board does before a cut does not depend on the cut. So each update (and whatever else is stored) is done once, with every flash operation
//! written down; each operation is then cut on a copy of the flash as it was, and another board starts from what is left.
//! `cargo xtask torture --image` does that for 200 updates of the image, `cargo xtask torture --image --replay STRING`
//! repeats one cut.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread;

use dunlin::device::{
    Ask, Failure, Hello, HelloTask, Package, Patience, Progress, PullTask, PushOptions, PushTask, Pushed,
};
use dunlin_agent::platform::ResetCause;
use dunlin_config_format::message::{EraseRequest, RollbackRequest, state, what};
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

/// What was done without a cut.
struct Done {
    number: u32,
    /// The flash before it.
    before: Vec<u8>,
    operations: Vec<Operation>,
    /// How many of them there were when the board told that it is done.
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

/// Does something and writes down what it does to the flash. `act` calls its second argument when the board has told that it
/// is done.
fn record(world: &mut World, number: u32, act: impl FnOnce(&mut World, &mut dyn FnMut())) -> Done {
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
    let mut before_acknowledged = None;
    act(world, &mut || before_acknowledged = Some(operations.borrow().len()));
    // Flags that follow belong to it too.
    world.run_s(1);
    flash.watch(|_, _| true);
    assert_eq!(flash.counts().misuses, 0, "{number}");
    let (operations, before_acknowledged) = (operations.take(), before_acknowledged.unwrap());
    Done { number, before, operations, before_acknowledged }
}

/// Does an update.
fn record_update(world: &mut World, number: u32) -> Done {
    let done = record(world, number, |world, acknowledged| {
        assert_eq!(push(world, update(number), acknowledged), Ok(Pushed::Confirmed), "update {number}");
    });
    assert!(done.before_acknowledged < done.operations.len(), "the flag of the confirmation follows");
    done
}

/// Pushes, and calls `stored` when the board has told that the image is.
fn push(world: &mut World, package: Package, stored: &mut dyn FnMut()) -> Result<Pushed, Failure> {
    let mut task = PushTask::new(package, PushOptions::default()).unwrap();
    let pushed = world.run_watching(&mut task, |task| {
        while let Some(progress) = task.take_progress() {
            if matches!(progress, Progress::Stored { .. }) {
                stored();
            }
        }
        true
    });
    pushed.unwrap()
}

impl Done {
    /// Cuts the operations of which `is_mine` says so, and hands to `look` what each cut leaves; returns how many cuts that
    /// were.
    fn cut_each(&self, is_mine: impl Fn(Point) -> bool, look: impl Fn(&Self, Vec<u8>, Point)) -> u64 {
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
                    look(self, contents.clone(), point);
                    cuts += 1;
                }
            }
            contents[range].copy_from_slice(&operation.after);
        }
        cuts
    }

    /// Cuts every operation on two threads: a world belongs to its thread.
    fn cut_all(&self, look: impl Fn(&Self, Vec<u8>, Point) + Sync) -> u64 {
        thread::scope(|scope| {
            let threads = [0, 1].map(|part| {
                let look = &look;
                scope.spawn(move || self.cut_each(|point| point.operation % 2 == part, look))
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    }

    fn is_acknowledged(&self, point: Point) -> bool {
        point.operation >= self.before_acknowledged
    }

    /// Starts a board from what a cut has left of an update: it runs the old configuration or the new one, and takes an update.
    fn look_at_update(&self, contents: Vec<u8>, point: Point) {
        let name = format!("cut {}; repeat it with: cargo xtask torture --image --replay {0}", point.name());
        let [old, new] = [self.number - 1, self.number].map(update);
        let mut world = World::with_flash(contents);
        let now = hello(&mut world);
        let is_new = now.active_hash == Some(new.hash);
        assert!(is_new || now.active_hash == Some(old.hash), "{name}: runs something else");
        assert!(matches!(now.state, state::TRIAL | state::CONFIRMED), "{name}: state {}", now.state);
        assert!(is_new || !self.is_acknowledged(point), "{name}: what was told to be stored is lost");
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
        let done = record_update(&mut world, number);
        operations += done.operations.len();
        cuts += match only {
            Some(only) if only.update == number => done.cut_each(
                |point| (point.operation, point.cut) == (only.operation, only.cut),
                Done::look_at_update,
            ),
            Some(_) => 0,
            None => done.cut_all(Done::look_at_update),
        };
    }
    println!("{cuts} cuts in {operations} operations of {updates} updates: 0 lost, 0 mixed");
    assert!(cuts > 0, "there is no such cut");
}

/// Returns a board, new or with this flash, in whose world there is one broker.
fn with_one_broker(flash: Option<Vec<u8>>) -> World {
    let mut world = flash.map_or_else(World::new, World::with_flash);
    world.simulation.serve_only("192.168.1.10", 1883);
    world
}

#[test]
fn a_power_cut_while_a_secret_is_stored_leaves_one_for_each_generation() {
    let with = |secret: &str| {
        let mut package = package(Wish { has_password: true, ..Wish::default() });
        package.secrets = vec![("mqtt.password".to_owned(), secret.as_bytes().to_vec())];
        package
    };
    let mut world = World::new();
    assert_eq!(world.push(with("first")), Ok(Pushed::Confirmed));
    let done = record(&mut world, 0, |world, stored| {
        assert_eq!(push(world, with("second"), stored), Ok(Pushed::Confirmed));
    });
    let cuts = done.cut_all(|done, contents, point| {
        let name = point.name();
        let mut world = World::with_flash(contents);
        world.simulation.start_capture();
        let generation = hello(&mut world).generation;
        assert!(generation == Some(2) || generation == Some(1) && !done.is_acknowledged(point), "{name}");
        // The generation that runs sends its own secret to the broker (MQTT 5, section 3.1.3.6).
        world.run_s(5);
        let packets = world.simulation.take_capture();
        let is_sent = |secret: &str| packets.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
        assert_eq!(
            [is_sent("first"), is_sent("second")],
            [generation == Some(1), generation == Some(2)],
            "{name}"
        );
        let pushed = world.push(with("second"));
        assert!(matches!(pushed, Ok(Pushed::Confirmed | Pushed::Unchanged)), "{name}: {pushed:?}");
        assert_eq!(world.push(with("second")), Ok(Pushed::Unchanged), "{name}");
        assert_eq!(world.simulation.hardware().flash.counts().misuses, 0, "{name}");
    });
    println!("{cuts} cuts in {} operations", done.operations.len());
    // An erase and at least two programmings of the identity, and those of the update.
    assert!(cuts >= 16, "{cuts}");
}

#[test]
fn a_power_cut_while_attempts_are_counted_ends_with_the_confirmed_one() {
    let (good, bad) = (update(1), package(Wish { port: 1884, confirm_within_s: 5, ..Wish::default() }));
    let mut world = with_one_broker(None);
    assert_eq!(world.push(good.clone()), Ok(Pushed::Confirmed));
    let done = record(&mut world, 0, |world, given_up| {
        let pushed = push(world, bad.clone(), &mut || {});
        assert!(matches!(pushed, Ok(Pushed::Rejected { .. })), "{pushed:?}");
        given_up();
    });
    let cuts = done.cut_all(|done, contents, point| {
        let name = point.name();
        let mut world = with_one_broker(Some(contents));
        let runs = hello(&mut world).active_hash;
        assert!(runs == Some(good.hash) || runs == Some(bad.hash) && !done.is_acknowledged(point), "{name}");
        // Whatever was counted: the other attempts take so long at most.
        world.run_s(60);
        for _ in 0..2 {
            let now = hello(&mut world);
            assert_eq!((now.active_hash, now.state), (Some(good.hash), state::CONFIRMED), "{name}");
            world.simulation.reset(ResetCause::External);
        }
        assert_eq!(world.simulation.hardware().flash.counts().misuses, 0, "{name}");
    });
    println!("{cuts} cuts in {} operations", done.operations.len());
    // Two erases, body and header, three attempts, and that it was given up.
    assert!(cuts >= 16, "{cuts}");
}

#[test]
fn a_power_cut_while_a_configuration_is_left_or_erased_leaves_a_board_that_takes_the_next() {
    let mut world = World::new();
    for number in [1, 2] {
        assert_eq!(world.push(update(number)), Ok(Pushed::Confirmed));
    }
    let left = record(&mut world, 0, |world, acknowledged| {
        let request = RollbackRequest { generation: 2 };
        world.run(&mut Ask::new(&request, Patience::ERASE).unwrap()).unwrap();
        acknowledged();
    });
    let erased = record(&mut world, 1, |world, acknowledged| {
        let request = EraseRequest { what: what::CONFIGURATIONS };
        world.run(&mut Ask::new(&request, Patience::ERASE).unwrap()).unwrap();
        acknowledged();
    });
    for done in [left, erased] {
        let cuts = done.cut_all(|done, contents, point| {
            let name = point.name();
            let mut world = World::with_flash(contents);
            let now = hello(&mut world);
            let (first, second) = (Some(update(1).hash), Some(update(2).hash));
            let is_done = if done.number == 0 { now.active_hash == first } else { now.active_hash.is_none() };
            assert!(is_done || !done.is_acknowledged(point), "{name}");
            assert!([None, first, second].contains(&now.active_hash), "{name}: runs something else");
            assert_eq!(world.push(update(3)), Ok(Pushed::Confirmed), "{name}");
            assert_eq!(world.run(&mut PullTask::new().unwrap()).unwrap().bytes, update(3).image, "{name}");
            assert_eq!(world.simulation.hardware().flash.counts().misuses, 0, "{name}");
        });
        println!("{cuts} cuts in {} operations", done.operations.len());
        assert!(cuts >= 2, "{cuts}");
    }
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
