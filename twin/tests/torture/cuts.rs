//! The power goes at every word of everything that a history erases and programs.
//!
//! What the store does before a cut does not depend on the cut. So each step is done once on a chip; on a second chip every
//! word of every operation is then cut in turn, under every tear model, and a start looks at what is left.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_twin::devices::nor_flash::{Change, NorFlash, SECTOR_SIZE, Tear, WORD_SIZE};
use embedded_storage::nor_flash::ReadNorFlash;
use rand_core::SeedableRng;
use rand_pcg::Pcg32;

use crate::model::Model;
use crate::payload::Payload;
use crate::session::{END, START, Session, Start, life};

/// Of so many cuts, one is followed by a whole update.
const COMPLETED: u64 = 199;
/// Updates of one history.
const UPDATES: usize = 6;

/// One cut: the step of the history, the operation of the step, the word of the operation, and the tear model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) step: usize,
    pub(crate) operation: usize,
    pub(crate) word: usize,
    pub(crate) tear: usize,
}

type Log = Rc<RefCell<Vec<(u32, Vec<u8>)>>>;

/// A history whose operations are cut on a second chip.
struct Cutter {
    seed: u64,
    only: Option<Point>,
    probe: NorFlash,
    spare: NorFlash,
    start: Start,
    cuts: u64,
}

/// Cuts a history at every word, or only at one; returns how many cuts that were.
///
/// # Errors
/// What is wrong, and the string that repeats it.
pub(crate) fn history(seed: u64, only: Option<Point>) -> Result<u64, String> {
    let size = END as usize;
    let mut cutter = Cutter {
        seed,
        only,
        probe: NorFlash::new(size),
        spare: NorFlash::new(size),
        start: Start::new(),
        cuts: 0,
    };
    let mut random = Pcg32::seed_from_u64(seed);
    let mut session = Session::new();
    let log = Log::default();
    let writer = log.clone();
    session.chip.watch(move |_, change| {
        writer.borrow_mut().push(match change {
            Change::Erased { address } => (address, vec![0xff; SECTOR_SIZE]),
            Change::Programmed { address, bytes } => (address, bytes.to_vec()),
        });
        true
    });
    let mut image = Payload::random(&mut random);
    let mut number = 0;
    for update in 0..UPDATES {
        for step in life(&image, &mut random) {
            let on_the_way: Vec<Model> =
                session.models.iter().flat_map(|model| model.after(&step).1).collect();
            let place = |error: String| format!("{error}\nhistory {seed:x}, step {number} {step:.60?}");
            match session.step(&step) {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(place("failed without a reason".into())),
                Err(error) => return Err(place(error)),
            }
            let operations = std::mem::take(&mut *log.borrow_mut());
            cutter.step(number, &operations, &on_the_way).map_err(place)?;
            number += 1;
        }
        if region(&cutter.probe) != region(&session.chip) {
            return Err("the second chip has another history".into());
        }
        // Now and then the same image again, which changes nothing once it is confirmed.
        if update % 4 != 3 {
            image = Payload::random(&mut random);
        }
    }
    Ok(cutter.cuts)
}

impl Cutter {
    fn step(&mut self, step: usize, operations: &[(u32, Vec<u8>)], models: &[Model]) -> Result<(), String> {
        for (operation, (address, after)) in operations.iter().enumerate() {
            let mut before = vec![0; after.len()];
            self.probe.read(*address, &mut before).map_err(|error| error.to_string())?;
            for word in 0..after.len() / WORD_SIZE {
                for (tear, model) in Tear::ALL.into_iter().enumerate() {
                    let point = Point { step, operation, word, tear };
                    if self.only.is_some_and(|only| only != point) {
                        continue;
                    }
                    let seed = self.seed ^ (word << 20 | operation << 8 | step << 2 | tear) as u64;
                    self.probe.poke(*address, &model.leaves(&before, after, word, seed));
                    self.cut(models, seed).map_err(|error| {
                        let name = format!("cut-{:x}-{step}-{operation}-{word}-{tear}", self.seed);
                        format!("{error}\nrepeat it with: cargo xtask torture --replay {name}")
                    })?;
                }
            }
            self.probe.poke(*address, after);
        }
        Ok(())
    }

    /// Starts from what is left, and now and then updates it; `seed` is the cut's own, so that it alone can be repeated.
    fn cut(&mut self, models: &[Model], seed: u64) -> Result<(), String> {
        self.cuts += 1;
        self.start.check(&self.probe, models)?;
        if !self.cuts.is_multiple_of(COMPLETED) && self.only.is_none() {
            return Ok(());
        }
        self.spare.poke(START, &region(&self.probe));
        let mut random = Pcg32::seed_from_u64(seed);
        Session::resume(self.spare.clone(), models.to_vec())?.complete(&Payload::random(&mut random))
    }
}

/// Returns the bytes that the store owns.
fn region(chip: &NorFlash) -> Vec<u8> {
    let mut bytes = vec![0; (END - START) as usize];
    let mut chip = chip.clone();
    chip.read(START, &mut bytes).unwrap();
    bytes
}
