//! A bad cable between the tool and whichever board is tested: nothing wrong is stored or told, and everything ends in success
//! or with a reason.
//!
//! An episode is a board, and pushes, pulls, questions and measurements under noise and resets that its seed decides.
//! Episodes go on until enough frames have crossed the line. `DUNLIN_NOISE_FRAMES` asks for more, `DUNLIN_NOISE_SEED` repeats
//! one episode.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use dunlin::device::{
    Ask, Failure, HelloTask, InfoTask, Measurement, Package, Patience, PullTask, Pushed, ReadTask, Task,
};
use dunlin_config_format::message::{self, MonitorReply, MonitorRequest, ReadRequest};
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::serial_line::Noise;
use embassy_time::Duration;
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use crate::world::{Wish, World, firmware, package_with};

/// Frames of an ordinary run, on the native board and on the image. `cargo xtask torture --frames` asks for a million.
const FRAMES: [u64; 2] = [20_000, 100_000];
/// Frames of an episode.
const EPISODE: u64 = 5_000;
/// Most bytes of assets: the image is then as long as a slot takes.
const ASSETS: u32 = 3_000;
const LUX: f64 = 284.0;

/// What became of the operations of an episode.
#[derive(Default)]
struct Tally {
    done: u64,
    failed: u64,
    resets: u64,
}

struct Episode {
    seed: u64,
    random: Pcg32,
    world: World,
    /// The image that runs.
    image: Vec<u8>,
    /// How many facts the board tells, by a line without noise.
    facts: usize,
    tally: Tally,
}

impl Episode {
    fn start(seed: u64) -> Self {
        let mut random = Pcg32::seed_from_u64(seed);
        // One chip in four erases as slowly as data sheets allow.
        let erase = if random.next_u32() % 4 == 0 { 400 } else { 45 };
        let mut world = World::in_light(Environment::constant(LUX), Duration::from_millis(erase));
        let first = update(&mut random);
        assert_eq!(world.push(first.clone()), Ok(Pushed::Confirmed), "episode {seed}");
        let facts = world.run(&mut InfoTask::new().unwrap()).unwrap().len();
        Episode { seed, random, world, image: first.image, facts, tally: Tally::default() }
    }

    fn draw(&mut self, limit: u32) -> u32 {
        self.random.next_u32() % limit
    }

    /// The words that a failure begins with.
    fn name(&self) -> String {
        format!("episode {0}; repeat it with DUNLIN_NOISE_SEED={0}", self.seed)
    }

    /// Makes the line bad for the next operation: at most times as a push still comes through, else hopeless.
    fn spoil(&mut self) {
        let most = if self.draw(60) == 0 { 50_000 } else { 300 };
        let [flips, drops, doubles] = [self.draw(most), self.draw(most / 2), self.draw(most / 2)];
        let noise = Noise::new(u64::from(self.random.next_u32()), flips, drops, doubles);
        self.world.simulation.hardware().line.set_noise(noise);
    }

    /// Runs a task under noise; a failure has a reason.
    fn run<T: Task>(&mut self, task: Result<T, Failure>) -> Option<T::Output> {
        let result = self.world.run(&mut task.unwrap());
        match result {
            Ok(output) => {
                self.tally.done += 1;
                Some(output)
            }
            Err(failure) => {
                self.tally.failed += 1;
                assert!(!failure.to_string().is_empty(), "{}", self.name());
                None
            }
        }
    }

    fn push(&mut self) {
        let new = update(&mut self.random);
        if self.draw(3) == 0 {
            let delay = Duration::from_millis(self.draw(1500).into());
            self.world.reset_at = Some(self.world.clock.now() + delay);
            self.tally.resets += 1;
        }
        let result = self.world.push(new.clone());
        self.world.reset_at = None;
        self.world.simulation.hardware().line.set_noise(Noise::none());
        match &result {
            Ok(_) => self.tally.done += 1,
            Err(failure) => {
                self.tally.failed += 1;
                assert!(!failure.to_string().is_empty(), "{}", self.name());
                // What was stored as the line died is started, and confirmed.
                self.world.run_s(2);
            }
        }
        let name = self.name();
        let stored = self.world.run(&mut PullTask::new().unwrap());
        let stored = stored.unwrap_or_else(|failure| panic!("{name}: {failure}")).bytes;
        let is_new = stored == new.image;
        assert!(is_new || stored == self.image, "{name}: a wrong image is stored");
        assert!(is_new || result.is_err(), "{name}: {result:?}, but the old image is stored");
        self.image = stored;
    }

    fn step(&mut self) {
        self.spoil();
        match self.draw(64) {
            0..=1 => self.push(),
            2..=4 => {
                let pulled = self.run(PullTask::new());
                assert!(
                    pulled.is_none_or(|pulled| pulled.bytes == self.image),
                    "{}: wrong bytes",
                    self.name()
                );
            }
            5 => {
                let sensor = Some("lux-1");
                let request = ReadRequest { sensor, driver: None, sda: None, scl: None, address: None };
                let items = self.run(ReadTask::new(&request)).unwrap_or_default();
                let is_lux = |item: &&Measurement| item.name.as_deref() == Some("illuminance");
                for lux in items.iter().filter(is_lux).map(|item| item.raw.unwrap()) {
                    assert!((f64::from(lux) / LUX - 1.0).abs() < 0.01, "{}: {lux} lx", self.name());
                }
            }
            6..=9 => {
                let hello = self.run(HelloTask::new());
                let is_right = hello.is_none_or(|hello| hello.device.as_deref() == Some("esp8266"));
                assert!(is_right, "{}: a wrong name", self.name());
            }
            10..=49 => {
                // The cheapest question there is, many times.
                for what in (0..8).chain(0..8) {
                    let request = MonitorRequest { what };
                    let reply = self.run(Ask::new(&request, Patience::QUICK));
                    let is_right =
                        reply.is_none_or(|reply| message::decode(&reply) == Ok(MonitorReply { what }));
                    assert!(is_right, "{}: another reply", self.name());
                }
            }
            _ => {
                let facts = self.run(InfoTask::new());
                let is_right = |name: &str| name.is_ascii() && !name.is_empty();
                assert!(
                    facts
                        .is_none_or(|facts| facts.len() == self.facts
                            && facts.iter().all(|fact| is_right(&fact.name))),
                    "{}: wrong facts",
                    self.name()
                );
            }
        }
    }
}

/// The tutorial's configuration with assets of some length.
fn update(random: &mut Pcg32) -> Package {
    let mut assets = vec![0; (random.next_u32() % ASSETS) as usize];
    random.fill_bytes(&mut assets);
    package_with(Wish { period_ms: 1000 + random.next_u32() % 1000, ..Wish::default() }, &assets)
}

/// Plays an episode; returns the frames that crossed the line.
fn play(seed: u64) -> (u64, Tally) {
    let mut episode = Episode::start(seed);
    while episode.world.frames() < EPISODE {
        episode.step();
    }
    (episode.world.frames(), episode.tally)
}

#[test]
fn a_bad_cable_stores_and_tells_nothing_wrong() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("DUNLIN_NOISE_SEED") {
        play(seed);
        return;
    }
    let wanted = number("DUNLIN_NOISE_FRAMES").unwrap_or(FRAMES[usize::from(firmware().is_some())]);
    let (frames, next) = (AtomicU64::new(0), AtomicU64::new(1));
    let work = || {
        let mut sum = Tally::default();
        while frames.load(Ordering::Relaxed) < wanted {
            let (crossed, tally) = play(next.fetch_add(1, Ordering::Relaxed));
            frames.fetch_add(crossed, Ordering::Relaxed);
            sum.done += tally.done;
            sum.failed += tally.failed;
            sum.resets += tally.resets;
        }
        sum
    };
    // A world belongs to its thread.
    let [first, second] =
        thread::scope(|scope| [scope.spawn(work), scope.spawn(work)].map(|thread| thread.join().unwrap()));
    println!(
        "{} frames: {} operations done, {} ended with a reason, {} resets; 0 wrong bytes",
        frames.into_inner(),
        first.done + second.done,
        first.failed + second.failed,
        first.resets + second.resets
    );
}
