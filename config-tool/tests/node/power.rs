//! Power cuts inside the flash operations of pushes, one update after the other on one board, as it would be in life.

use dunlin::device::{Hello, HelloTask, PullTask, PushOptions, PushTask, Pushed};
use dunlin_config_format::message::state;
use dunlin_twin::devices::nor_flash::{Cut, Tear};

use crate::world::{Wish, World, package};

/// Updates of an ordinary run; `DUNLIN_UPDATES` asks for more.
const UPDATES: u32 = 12;

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

/// Cuts the power inside an update at a word that `seed` decides, then lets the update go on.
///
/// Returns whether the cut happened.
fn cut_update(world: &mut World, period_ms: u32, words: u64, seed: u64) -> bool {
    let old = hello(world).active_hash;
    let update = package(Wish { period_ms, ..Wish::default() });
    // Two of three cuts are among the few words that are programmed, the others anywhere.
    let erased = words / 1024 * 1024;
    let after_words = match seed % 3 {
        0 => draw(seed, words),
        _ => erased + draw(seed, words - erased),
    };
    let tear = Tear::ALL[draw(seed + 1, 4) as usize];
    let replay = format!("update to {period_ms} ms cut after {after_words} words, {tear:?}, seed {seed}");
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
        assert!(runs == old || runs == Some(update.hash), "{replay}: runs something else");
        assert!(matches!(now.state, state::TRIAL | state::CONFIRMED), "{replay}: state {}", now.state);
        let pushed = world.push(update.clone());
        assert!(matches!(pushed, Ok(Pushed::Confirmed | Pushed::Unchanged)), "{replay}: {pushed:?}");
    } else {
        assert_eq!(ended, Some(Ok(Pushed::Confirmed)), "{replay}");
    }
    let pulled = world.run(&mut PullTask::new().unwrap()).unwrap();
    assert_eq!(pulled.bytes, update.image, "{replay}");
    is_cut
}

#[test]
fn no_power_cut_inside_an_update_loses_the_node() {
    let updates = std::env::var("DUNLIN_UPDATES").ok().and_then(|text| text.parse().ok()).unwrap_or(UPDATES);
    let mut world = World::new();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    let before = world.simulation.hardware().flash.counts().words;
    assert_eq!(world.push(package(Wish { period_ms: 3000, ..Wish::default() })), Ok(Pushed::Confirmed));
    let words = world.simulation.hardware().flash.counts().words - before;
    let mut cuts = 0;
    for update in 0..updates {
        cuts += u32::from(cut_update(&mut world, 1000 + update, words, u64::from(update) + 1));
    }
    println!("{cuts} of {updates} updates were cut");
    assert!(cuts * 10 >= updates * 8, "{cuts} of {updates} cuts happened");
}
