//! A NOR flash chip: programming clears bits, erasing a sector sets them, both take their time, and power may go away at any
//! word of either. A supply that only dips leaves an operation as torn as a power cut does, but the chip reports success.
//!
//! The model is strict: a word that is programmed twice between two erasures is counted as misuse, because some chips
//! (Puya) do not keep what such a word holds (esp8266/Arduino issue 4061).

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use embassy_time::{Duration, Instant};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash as NorFlashTrait, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

use crate::world::clock::Clock;

/// Bytes of a sector, the unit of erasing.
pub const SECTOR_SIZE: usize = 4096;
/// Bytes of a page, which one program operation does not cross.
pub const PAGE_SIZE: usize = 256;
/// Bytes of a word, the unit that a power cut tears.
pub const WORD_SIZE: usize = 4;
/// A word that was erased and not programmed since.
const ERASED: &[u8] = &[0xff; WORD_SIZE];

/// How long operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Erasing a sector: typically 45 ms, up to 400 ms.
    pub erase: Duration,
    /// Programming a page: typically 0.7 ms.
    pub program: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { erase: Duration::from_millis(45), program: Duration::from_micros(700) }
    }
}

/// What a power cut leaves of the operation that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// The words before the cut are done, the others untouched.
    Clean,
    /// Of the word at the cut, some of the bits from the lowest up are done.
    Prefix,
    /// Of the word at the cut, random bits are done.
    RandomWord,
    /// Of everything behind the cut, random bits are done.
    RandomRest,
}

impl Tear {
    /// Every model.
    pub const ALL: [Tear; 4] = [Tear::Clean, Tear::Prefix, Tear::RandomWord, Tear::RandomRest];

    /// Returns what an operation that would turn `before` into `after` leaves in flash when it ends at a word.
    ///
    /// `seed` decides the random bits. Both slices are equally long, a multiple of the word size.
    pub fn leaves(self, before: &[u8], after: &[u8], word: usize, seed: u64) -> Vec<u8> {
        let at = (word * WORD_SIZE).min(before.len()).min(after.len());
        let mut left = before.to_vec();
        for (target, byte) in left.iter_mut().zip(after).take(at) {
            *target = *byte;
        }
        let torn = match self {
            Tear::Clean => 0,
            Tear::Prefix | Tear::RandomWord => 1,
            Tear::RandomRest => usize::MAX,
        };
        let mut random = Pcg32::seed_from_u64(seed);
        let words = left.chunks_exact_mut(WORD_SIZE).zip(after.chunks_exact(WORD_SIZE));
        for (target, after) in words.skip(word).take(torn) {
            let mask = match self {
                Tear::Prefix => (1u32 << (random.next_u32() % 32)) - 1,
                _ => random.next_u32(),
            };
            for ((target, after), mask) in target.iter_mut().zip(after).zip(mask.to_le_bytes()) {
                *target = *target & !mask | after & mask;
            }
        }
        left
    }
}

/// A power cut that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many words are erased or programmed before it.
    pub after_words: u64,
    /// What it leaves of the operation.
    pub tear: Tear,
    /// Decides the random bits.
    pub seed: u64,
}

/// What was done to a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sectors erased.
    pub erases: u64,
    /// Program operations.
    pub programs: u64,
    /// Words erased or programmed.
    pub words: u64,
    /// Words programmed twice, and other things that a chip does not forgive.
    pub misuses: u64,
}

impl Counts {
    /// Returns how many sectors were erased and programmings done.
    pub fn operations(&self) -> u64 {
        self.erases + self.programs
    }
}

/// An operation that changed the chip, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'c> {
    /// A sector was erased.
    Erased {
        /// Its address.
        address: u32,
    },
    /// Bytes were programmed.
    Programmed {
        /// Address of the first.
        address: u32,
        /// What the chip holds there now.
        bytes: &'c [u8],
    },
}

/// A dip of the supply that is planned: the operation ends as at a power cut, but the chip reports success and stays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dip {
    /// When it happens, and what it leaves of the operation.
    pub cut: Cut,
    /// Whether cells that were not erased whole read as erased once, before they read as what they hold (an erasure that
    /// was cut short can do that).
    pub is_hidden: bool,
}

type Watcher = Box<dyn FnMut(Instant, Change<'_>) -> bool>;

struct Chip {
    bytes: Vec<u8>,
    timing: Timing,
    clock: Option<Clock>,
    cut: Option<Cut>,
    /// A cut within the operation of this number, counted from 1.
    cut_within: Option<(u64, Tear, u64)>,
    dip: Option<Dip>,
    /// Bytes that read as erased once more.
    hidden: HashSet<usize>,
    powered: bool,
    counts: Counts,
    sector_erases: Vec<u32>,
    watchers: Vec<Watcher>,
}

/// A handle to a flash chip. Clones share the chip, which keeps its contents while boards come and go.
#[derive(Clone)]
pub struct NorFlash {
    chip: Rc<RefCell<Chip>>,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The supply is off.
    NoPower,
    /// The address is outside the chip, or not where the operation may start.
    Address,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::NoPower => NorFlashErrorKind::Other,
            FlashError::Address => NorFlashErrorKind::OutOfBounds,
        }
    }
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FlashError::NoPower => "the flash chip has no power",
            FlashError::Address => "the address is not one of the flash chip",
        })
    }
}

impl std::error::Error for FlashError {}

impl NorFlash {
    /// Returns an erased chip of `size` bytes, a multiple of the sector size, whose operations take no time.
    pub fn new(size: usize) -> Self {
        Self::with_contents(vec![0xff; size])
    }

    /// Returns a chip that holds `bytes`.
    pub fn with_contents(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len().next_multiple_of(SECTOR_SIZE), 0xff);
        let sectors = bytes.len() / SECTOR_SIZE;
        NorFlash {
            chip: Rc::new(RefCell::new(Chip {
                bytes,
                timing: Timing::default(),
                clock: None,
                cut: None,
                cut_within: None,
                dip: None,
                hidden: HashSet::new(),
                powered: true,
                counts: Counts::default(),
                sector_erases: vec![0; sectors],
                watchers: Vec::new(),
            })),
        }
    }

    /// Lets operations take their time of `clock`.
    pub fn set_clock(&self, clock: &Clock, timing: Timing) {
        let mut chip = self.chip.borrow_mut();
        chip.clock = Some(clock.clone());
        chip.timing = timing;
    }

    /// Tells `watcher` of every change from now on, in order, after those who watch already. The watcher must not use the
    /// chip; where it returns `false` the chip loses power at once, before the operation is reported as done.
    pub fn watch(&self, watcher: impl FnMut(Instant, Change<'_>) -> bool + 'static) {
        self.chip.borrow_mut().watchers.push(Box::new(watcher));
    }

    /// Plans a power cut.
    pub fn plan_cut(&self, cut: Cut) {
        let mut chip = self.chip.borrow_mut();
        let words = chip.counts.words;
        chip.cut = Some(Cut { after_words: words + cut.after_words, ..cut });
    }

    /// Plans a power cut within an operation (the erasing of a sector, or a programming), the `operation`-th from now on,
    /// counted from 1; `seed` decides at which of its words, and the random bits. It stays planned when power goes off and on
    /// before.
    pub fn plan_cut_within(&self, operation: u32, tear: Tear, seed: u64) {
        let mut chip = self.chip.borrow_mut();
        let done = chip.counts.operations();
        chip.cut_within = Some((done + u64::from(operation), tear, seed));
    }

    /// Returns whether a cut is planned that has not happened, or after which power is not back.
    pub fn is_cut_planned(&self) -> bool {
        let chip = self.chip.borrow();
        chip.cut.is_some() || chip.cut_within.is_some()
    }

    /// Plans a dip of the supply.
    pub fn plan_dip(&self, dip: Dip) {
        let mut chip = self.chip.borrow_mut();
        let words = chip.counts.words;
        chip.dip = Some(Dip { cut: Cut { after_words: words + dip.cut.after_words, ..dip.cut }, ..dip });
    }

    /// Returns whether the chip has power: no planned cut has happened since it was switched on.
    pub fn is_powered(&self) -> bool {
        self.chip.borrow().powered
    }

    /// Switches the supply.
    pub fn set_power(&self, powered: bool) {
        let mut chip = self.chip.borrow_mut();
        chip.powered = powered;
        if powered {
            chip.cut = None;
            chip.dip = None;
            chip.hidden.clear();
        }
    }

    /// Returns what was done to the chip.
    pub fn counts(&self) -> Counts {
        self.chip.borrow().counts
    }

    /// Returns how often each sector was erased.
    pub fn sector_erases(&self) -> Vec<u32> {
        self.chip.borrow().sector_erases.clone()
    }

    /// Returns the contents.
    pub fn contents(&self) -> Vec<u8> {
        self.chip.borrow().bytes.clone()
    }

    /// Replaces the contents, as another programmer would.
    pub fn set_contents(&self, bytes: &[u8]) {
        let mut chip = self.chip.borrow_mut();
        for (target, byte) in chip.bytes.iter_mut().zip(bytes) {
            *target = *byte;
        }
    }

    /// Replaces some bytes, as another programmer would; bytes behind the end of the chip are dropped.
    pub fn poke(&self, address: u32, bytes: &[u8]) {
        let mut chip = self.chip.borrow_mut();
        for (target, byte) in chip.bytes.iter_mut().skip(address as usize).zip(bytes) {
            *target = *byte;
        }
    }

    /// Inverts a bit.
    pub fn flip(&self, bit: usize) {
        if let Some(byte) = self.chip.borrow_mut().bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }

    fn pass(&self, duration: Duration) {
        let clock = self.chip.borrow().clock.clone();
        if let Some(clock) = clock {
            clock.block_for(duration);
        }
    }
}

impl Chip {
    /// Changes the bytes from `address` on to `after`, until the supply goes; returns whether all of them are changed.
    fn change(&mut self, address: usize, after: &[u8]) -> Result<bool, FlashError> {
        let words = (after.len() / WORD_SIZE) as u64;
        let end = self.counts.words + words;
        let operations = self.counts.operations();
        if let Some((_, tear, seed)) = self.cut_within.take_if(|(operation, ..)| *operation <= operations) {
            let word = u64::from(Pcg32::seed_from_u64(seed).next_u32()) % words.max(1);
            self.cut = Some(Cut { after_words: self.counts.words + word, tear, seed });
        }
        let cut = self.cut.filter(|cut| cut.after_words < end);
        let dip = self.dip.take_if(|dip| dip.cut.after_words < end);
        let start = self.counts.words;
        let Some(bytes) = self.bytes.get_mut(address..address + after.len()) else {
            return Err(FlashError::Address);
        };
        let Some(end_of_supply) = cut.or(dip.map(|dip| dip.cut)) else {
            bytes.copy_from_slice(after);
            self.counts.words = end;
            return Ok(true);
        };
        let done = end_of_supply.after_words.saturating_sub(start);
        let left = end_of_supply.tear.leaves(bytes, after, done as usize, end_of_supply.seed);
        bytes.copy_from_slice(&left);
        self.powered = cut.is_none();
        self.counts.words = if self.powered { end } else { start + done };
        if dip.is_some_and(|dip| dip.is_hidden) {
            let differing = left.iter().zip(after).enumerate().filter(|(_, (left, after))| left != after);
            self.hidden
                .extend(differing.filter(|(_, (_, after))| **after == 0xff).map(|(at, _)| address + at));
        }
        if self.powered { Ok(false) } else { Err(FlashError::NoPower) }
    }

    /// Tells the watchers what the chip holds now in the bytes that an operation touched, torn or not; returns whether all of
    /// them go on.
    fn tell(&mut self, address: usize, len: usize, erased: bool) -> Result<(), FlashError> {
        let now = self.clock.as_ref().map_or(Instant::from_ticks(0), Clock::now);
        let bytes = self.bytes.get(address..address + len).unwrap_or_default();
        let at = address as u32;
        let change =
            if erased { Change::Erased { address: at } } else { Change::Programmed { address: at, bytes } };
        for watcher in &mut self.watchers {
            self.powered &= watcher(now, change);
        }
        if self.powered { Ok(()) } else { Err(FlashError::NoPower) }
    }
}

impl ErrorType for NorFlash {
    type Error = FlashError;
}

impl ReadNorFlash for NorFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let mut chip = self.chip.borrow_mut();
        if !chip.powered {
            return Err(FlashError::NoPower);
        }
        let offset = offset as usize;
        let source = chip.bytes.get(offset..offset + bytes.len()).ok_or(FlashError::Address)?;
        bytes.copy_from_slice(source);
        if !chip.hidden.is_empty() {
            for (at, byte) in (offset..).zip(bytes) {
                if chip.hidden.remove(&at) {
                    *byte = 0xff;
                }
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip.borrow().bytes.len()
    }
}

impl NorFlashTrait for NorFlash {
    const WRITE_SIZE: usize = WORD_SIZE;
    const ERASE_SIZE: usize = SECTOR_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(SECTOR_SIZE)
            || !to.is_multiple_of(SECTOR_SIZE)
            || to > self.capacity()
            || from > to
        {
            return Err(FlashError::Address);
        }
        for address in (from..to).step_by(SECTOR_SIZE) {
            let timing = self.chip.borrow().timing;
            self.pass(timing.erase);
            let mut chip = self.chip.borrow_mut();
            if !chip.powered {
                return Err(FlashError::NoPower);
            }
            chip.counts.erases += 1;
            if let Some(count) = chip.sector_erases.get_mut(address / SECTOR_SIZE) {
                *count += 1;
            }
            let result = chip.change(address, &[0xff; SECTOR_SIZE]);
            chip.tell(address, SECTOR_SIZE, result == Ok(true))?;
            result?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let address = offset as usize;
        let is_in_page = address % PAGE_SIZE + bytes.len() <= PAGE_SIZE;
        if !address.is_multiple_of(WORD_SIZE)
            || !bytes.len().is_multiple_of(WORD_SIZE)
            || address + bytes.len() > self.capacity()
        {
            return Err(FlashError::Address);
        }
        let timing = self.chip.borrow().timing;
        self.pass(timing.program);
        let mut chip = self.chip.borrow_mut();
        if !chip.powered {
            return Err(FlashError::NoPower);
        }
        chip.counts.programs += 1;
        chip.counts.misuses += u64::from(!is_in_page);
        let Some(before) = chip.bytes.get(address..address + bytes.len()) else {
            return Err(FlashError::Address);
        };
        let words = before.chunks_exact(WORD_SIZE).zip(bytes.chunks_exact(WORD_SIZE));
        let twice = words.filter(|&(before, word)| word != ERASED && before != ERASED).count();
        let after: Vec<u8> = before.iter().zip(bytes).map(|(before, byte)| before & byte).collect();
        chip.counts.misuses += twice as u64;
        let result = chip.change(address, &after);
        chip.tell(address, bytes.len(), false)?;
        result.map(|_| ())
    }
}
