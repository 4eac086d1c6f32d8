//! Decoded instructions by address, so that a loop is decoded once.
//!
//! Direct-mapped. It doesn't know what memory holds: whoever changes memory that was fetched from has to say so.

use std::fmt;

use super::bus::Width;
use super::decode::{Instruction, Operation};

/// Entries; a power of two. Code within a span of this many bytes never displaces itself.
const SIZE: usize = 1 << 16;

/// An instruction and where it is, in 16 bytes: what a loop needs stays in the host's nearest cache.
#[derive(Clone, Copy)]
struct Entry {
    address: u32,
    immediate: i32,
    operation: Operation,
    r: u8,
    s: u8,
    t: u8,
    length: u8,
    /// The generation in which it was decoded; 0 for never.
    generation: u16,
}

const EMPTY: Entry =
    Entry { address: 0, immediate: 0, operation: Operation::Ill, r: 0, s: 0, t: 0, length: 3, generation: 0 };

/// What was decoded so far.
#[derive(Clone)]
pub(super) struct DecodeCache {
    entries: Box<[Entry; SIZE]>,
    /// Entries of others are forgotten.
    generation: u16,
}

impl DecodeCache {
    pub(super) fn new() -> Self {
        let entries: Result<Box<[Entry; SIZE]>, _> = vec![EMPTY; SIZE].into_boxed_slice().try_into();
        let entries = entries.unwrap_or_else(|_| unreachable!("made of {SIZE} entries"));
        DecodeCache { entries, generation: 1 }
    }

    #[inline(always)]
    pub(super) fn get(&self, address: u32) -> Option<Instruction> {
        let entry = &self.entries[index(address)];
        let Entry { immediate, operation, r, s, t, length, .. } = *entry;
        let is_known = entry.address == address && entry.generation == self.generation;
        is_known.then_some(Instruction { operation, r, s, t, immediate, length })
    }

    pub(super) fn insert(&mut self, address: u32, instruction: Instruction) {
        let Instruction { operation, r, s, t, immediate, length } = instruction;
        let generation = self.generation;
        self.entries[index(address)] = Entry { address, immediate, operation, r, s, t, length, generation };
    }

    /// Forgets every instruction with a byte in what a store of `width` at `address` changed.
    pub(super) fn forget(&mut self, address: u32, width: Width) {
        // The longest instruction has three bytes, so that it may begin two bytes before.
        for start in 0..width as u32 + 2 {
            let start = address.wrapping_sub(2).wrapping_add(start);
            let entry = &mut self.entries[index(start)];
            if entry.address == start {
                *entry = EMPTY;
            }
        }
    }

    pub(super) fn forget_all(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.entries.fill(EMPTY);
            self.generation = 1;
        }
    }
}

impl fmt::Debug for DecodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecodeCache")
    }
}

#[inline(always)]
fn index(address: u32) -> usize {
    address as usize % SIZE
}
