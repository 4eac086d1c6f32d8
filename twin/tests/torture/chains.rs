//! One disturbance after the other: chains of power cuts, and dips of the supply that the chip does not notice.

use dunlin_twin::devices::nor_flash::{Cut, Dip, Tear};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use crate::model::Step;
use crate::payload::{Payload, below};
use crate::session::{Failed, Session, life};

/// Returns a place inside `step`, most often.
fn place(step: &Step, random: &mut Pcg32) -> Cut {
    let words = match step {
        Step::Begin(_) | Step::EraseSlots => 4 * 1024,
        Step::Secret(..) | Step::EraseSecrets => 1024 + 64,
        Step::Page(_) => 64,
        Step::Finish => 16,
        _ => 3,
    };
    let tear = Tear::ALL[below(random, Tear::ALL.len())];
    Cut { after_words: below(random, words) as u64, tear, seed: random.next_u64() }
}

/// Cuts the power 3 to 10 times in a row while one image after the other is pushed; returns how many cuts there were.
///
/// # Errors
/// What is wrong, and the string that repeats it.
pub(crate) fn chain(seed: u64) -> Result<u64, String> {
    let mut random = Pcg32::seed_from_u64(seed);
    run_chain(&mut random)
        .map_err(|error| format!("{error}\nrepeat it with: cargo xtask torture --replay chain-{seed:x}"))
}

fn run_chain(random: &mut Pcg32) -> Result<u64, String> {
    let mut session = Session::new();
    for _ in 0..random.next_u32() % 3 {
        session.all(&life(&Payload::random(random), random))?;
    }
    let links = 3 + u64::from(random.next_u32() % 8);
    let mut cuts = 0;
    let mut image = Payload::random(random);
    while cuts < links {
        // The host tries the same image again, or another.
        if random.next_u32().is_multiple_of(3) {
            image = Payload::random(random);
        }
        let steps = life(&image, random);
        let at = if random.next_u32().is_multiple_of(2) {
            below(random, steps.len())
        } else {
            steps.len() - 1 - below(random, steps.len().min(9))
        };
        for (index, step) in steps.iter().enumerate() {
            if index == at {
                session.chip.plan_cut(place(step, random));
            }
            if let Err(Failed) = session.step(step)? {
                if session.chip.is_powered() {
                    return Err(format!("{step:?} failed with the power on"));
                }
                cuts += 1;
                session.restart()?;
                break;
            }
        }
        session.chip.set_power(true);
    }
    session.complete(&Payload::random(random))?;
    Ok(cuts)
}

/// Disturbs one operation of a push without a sign; returns whether it was noticed.
///
/// # Errors
/// What is wrong, and the string that repeats it.
pub(crate) fn dip(seed: u64) -> Result<bool, String> {
    let mut random = Pcg32::seed_from_u64(seed);
    run_dip(&mut random)
        .map_err(|error| format!("{error}\nrepeat it with: cargo xtask torture --replay dip-{seed:x}"))
}

fn run_dip(random: &mut Pcg32) -> Result<bool, String> {
    let mut session = Session::new();
    for _ in 0..1 + random.next_u32() % 3 {
        session.all(&life(&Payload::random(random), random))?;
    }
    let steps = life(&Payload::random(random), random);
    let at = match random.next_u32() % 4 {
        0 | 1 => below(random, steps.len()),
        2 => steps.iter().position(|step| matches!(step, Step::Begin(_))).unwrap_or(0),
        _ => steps.iter().position(|step| matches!(step, Step::Finish)).unwrap_or(0),
    };
    let mut noticed = false;
    for (index, step) in steps.iter().enumerate() {
        if index == at {
            let is_hidden = random.next_u32().is_multiple_of(2);
            session.chip.plan_dip(Dip { cut: place(step, random), is_hidden });
        }
        let before = session.models.clone();
        if let Err(Failed) = session.step(step)? {
            noticed = true;
            // What failed is given up: the host begins anew, with or without a restart of the node.
            if random.next_u32().is_multiple_of(2) {
                session.restart()?;
            } else {
                session.all(&[Step::Reload])?;
            }
            break;
        }
        if matches!(step, Step::Attempt(_)) {
            // A torn word may count beside the one that was programmed in its place.
            session.models.extend(before.iter().map(|model| model.after(step).0.after(step).0));
        }
    }
    session.chip.set_power(true);
    session.restart()?;
    session.complete(&Payload::random(random))?;
    Ok(noticed)
}
