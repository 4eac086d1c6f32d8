//! Power cuts at every word of every flash operation of the slot store, under four tear models, alone and in chains.
//!
//! A store cannot know of a cut before it happens, so its operations up to the cut are those of a run without one. The
//! harness records that run once, and makes each cut on the chip model by repeating the one operation that is cut.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chip;
mod script;

use chip::{Window, chip_of};
use dunlin_twin::devices::nor_flash::{Cut, Tear};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use script::{Images, Script, State, judge, load};

/// Cuts in one run of this file, unless `DUNLIN_CUTS` says otherwise.
const CUTS: u64 = 1_000_000;
/// Every so many cuts an update is made to the end behind it.
const COMPLETE_EVERY: u64 = 61;

/// Seeds the fault that `DUNLIN_MUTANT` names into the store.
fn seed_mutant() {
    #[cfg(feature = "mutants")]
    if let Some(number) = std::env::var("DUNLIN_MUTANT").ok().and_then(|text| text.parse().ok()) {
        dunlin_agent::store::mutant::seed(number);
    }
}

fn cuts() -> u64 {
    std::env::var("DUNLIN_CUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(CUTS)
}

/// Cuts every operation of `script` at every word, under every model. Returns how many cuts that were.
fn cut_everywhere(images: &Images, before: &State, script: Script, seed: u64) -> u64 {
    let window = Window::new(&before.contents);
    let log = window.record(|| script.run(&window, images));
    let ran_new = script::runs_new(images, before);
    let mut contents = before.contents.clone();
    let mut cuts = 0;
    for (operation, change) in log.iter().enumerate() {
        for word in 0..change.words() {
            for tear in Tear::ALL {
                let replay = || format!("{seed}/{script:?}/{operation}/{word}/{tear:?}");
                let cut = Cut { after_words: word as u64, tear, seed: seed ^ cuts };
                window.chip.set_contents(&contents);
                window.chip.set_power(true);
                window.chip.plan_cut(cut);
                change.repeat(&window);
                window.chip.set_power(true);
                judge(images, ran_new, script, &window, &replay);
                if cuts % COMPLETE_EVERY == 0 {
                    script::complete(images, &window, &replay());
                }
                cuts += 1;
            }
        }
        window.chip.set_contents(&contents);
        window.chip.set_power(true);
        change.repeat(&window);
        contents = window.chip.contents();
    }
    assert_eq!(window.chip.counts().misuses, 0, "{seed}/{script:?}: a word was programmed twice");
    cuts
}

#[test]
fn every_word_of_every_operation() {
    seed_mutant();
    let threads = 2;
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            std::thread::spawn(move || {
                let mut random = Pcg32::seed_from_u64(worker);
                let mut done = 0;
                while done < cuts() / threads {
                    let seed = u64::from(random.next_u32());
                    let images = Images::random(seed);
                    for (state, script) in script::situations(&images) {
                        done += cut_everywhere(&images, &state, script, seed);
                    }
                }
                done
            })
        })
        .collect();
    let total: u64 = workers.into_iter().map(|worker| worker.join().expect("a worker found a fault")).sum();
    println!("{total} cuts: 0 lost, 0 mixed");
    assert!(total >= cuts());
}

#[test]
fn chains_of_cuts_lose_nothing() {
    seed_mutant();
    let mut random = Pcg32::seed_from_u64(9);
    for chain in 0..2_000 {
        let images = Images::random(u64::from(random.next_u32()));
        let window = chip_of(&State::confirmed(&images).contents);
        let length = 3 + random.next_u32() % 8;
        for link in 0..length {
            let tear = Tear::ALL[(random.next_u32() % 4) as usize];
            let after_words = u64::from(random.next_u32() % 2_300);
            window.chip.plan_cut(Cut { after_words, tear, seed: u64::from(random.next_u32()) });
            let script = if random.next_u32() % 4 == 0 { Script::Secret } else { Script::Update };
            script.run(&window, &images);
            window.chip.set_power(true);
            let generation = load(&window).map(|(_, hash)| hash);
            let known = [images.old_hash(), images.new_hash()];
            assert!(generation.is_some_and(|hash| known.contains(&hash)), "chain {chain}, cut {link}");
        }
        script::complete(&images, &window, &format!("chain {chain}"));
        assert_eq!(window.chip.counts().misuses, 0, "chain {chain}");
    }
}

#[test]
fn a_trial_leaves_no_mark_on_the_update_that_takes_its_slot() {
    let images = Images::random(3);
    for script in [Script::Confirm, Script::Attempt, Script::RollBack] {
        let window = chip_of(&State::updated(&images).contents);
        script::update_with(&window, &images, script);
        script::complete_state(&images, &window, &format!("{script:?}"));
    }
}

#[test]
fn no_flipped_bit_makes_another_configuration_or_a_write() {
    seed_mutant();
    let images = Images::random(5);
    let state = State::updated(&images);
    let window = chip_of(&state.contents);
    let check = |what: &str| {
        let before = window.chip.counts();
        let loaded = script::load_body(&window);
        assert!(loaded.is_none_or(|(_, hash, body)| images.are_of(&hash, &body)), "{what}");
        assert_eq!(window.chip.counts(), before, "{what}: a load wrote");
    };
    for bit in 0..state.contents.len() * 8 {
        window.chip.flip(bit);
        check(&format!("bit {bit}"));
        window.chip.flip(bit);
    }
    for slot in 0..2 {
        let header = slot * 16 * 1024 * 8;
        for first in 0..64 * 8 {
            window.chip.flip(header + first);
            for second in first + 1..64 * 8 {
                window.chip.flip(header + second);
                check(&format!("bits {first} and {second} of header {slot}"));
                window.chip.flip(header + second);
            }
            window.chip.flip(header + first);
        }
    }
}
