//! Decoded instructions by address, so that a loop is decoded once.
//!
//! Direct-mapped. It doesn't know what memory holds: whoever changes memory that was fetched from has to say so.

use std::fmt;

use super::bus::Width;
use super::decode::{Instruction, Operation};

/// Entries; a power of two. Code within a span of this many bytes never displaces itself.
const SIZE: usize = 1 << 14;

#[derive(Clone, Copy)]
struct Entry {
    address: u32,
    instruction: Instruction,
}

/// What was decoded so far.
#[derive(Clone)]
pub(super) struct DecodeCache(Box<[Entry; SIZE]>);

impl DecodeCache {
    pub(super) fn new() -> Self {
        let entries: Vec<Entry> = (0..SIZE as u32).map(empty).collect();
        let entries: Result<Box<[Entry; SIZE]>, _> = entries.into_boxed_slice().try_into();
        DecodeCache(entries.unwrap_or_else(|_| unreachable!("collected {SIZE} entries")))
    }

    #[inline(always)]
    pub(super) fn get(&self, address: u32) -> Option<Instruction> {
        let entry = &self.0[index(address)];
        (entry.address == address).then_some(entry.instruction)
    }

    pub(super) fn insert(&mut self, address: u32, instruction: Instruction) {
        self.0[index(address)] = Entry { address, instruction };
    }

    /// Forgets every instruction with a byte in what a store of `width` at `address` changed.
    pub(super) fn forget(&mut self, address: u32, width: Width) {
        // The longest instruction has three bytes, so that it may begin two bytes before.
        for start in 0..width as u32 + 2 {
            let start = address.wrapping_sub(2).wrapping_add(start);
            if self.0[index(start)].address == start {
                self.0[index(start)] = empty(index(start) as u32);
            }
        }
    }

    pub(super) fn forget_all(&mut self) {
        for (index, entry) in self.0.iter_mut().enumerate() {
            *entry = empty(index as u32);
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

/// Returns an entry that no address finds: one that belongs to another index.
fn empty(index: u32) -> Entry {
    let instruction = Instruction { operation: Operation::Ill, r: 0, s: 0, t: 0, immediate: 0, length: 3 };
    Entry { address: !index, instruction }
}
