//! Secrets: written over USB only, used by the configuration that names them, never read back by anyone else.

use dunlin_config_format::flash_map::{IDENTITIES, PAGE_SIZE};
use dunlin_config_format::identity::{
    ENTRIES_SIZE, ENTRY_HEAD_SIZE, EntryHead, HEADER_SIZE, Header, NAME_LEN, VALUE_LEN,
};
use dunlin_config_format::image::Checksum;
use dunlin_config_format::slot::is_newer;
use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;

use super::Store;
use super::flash::{Flash, FlashFault};

/// A secret's value. Its `Debug` tells nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Vec<u8, VALUE_LEN>);

impl Secret {
    /// Returns the value.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a secret cannot be stored. The secrets before it stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// The name or the value is too long, or there are too many.
    TooLong,
    /// The sector could not be written.
    Flash(FlashFault),
}

impl From<FlashFault> for SecretError {
    fn from(fault: FlashFault) -> Self {
        SecretError::Flash(fault)
    }
}

/// A copy that was read: its index and its header.
#[derive(Clone, Copy)]
struct Copy {
    index: usize,
    header: Header,
}

/// An entry and where its name starts.
#[derive(Clone)]
struct Entry {
    head: EntryHead,
    address: u32,
    name: Vec<u8, NAME_LEN>,
}

impl<F: NorFlash> Store<F> {
    /// Returns the secret `name` as the running configuration uses it: the newest that is not newer than itself.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let generation = self.running_generation()?;
        self.secret_for(name, generation)
    }

    /// Stores a secret for the configuration that is stored next; returns whether the running one uses this value already,
    /// in which case nothing is written.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn put_secret(&mut self, name: &str, value: &[u8]) -> Result<bool, SecretError> {
        if !(1..=NAME_LEN).contains(&name.len()) || value.len() > VALUE_LEN {
            return Err(SecretError::TooLong);
        }
        let generation = self.next_generation();
        if self.secret_for(name, generation).is_some_and(|secret| secret.expose() == value) {
            return Ok(true);
        }
        let users = {
            let [a, b] = self.generations();
            [a, b, Some(generation)]
        };
        let current = self.current();
        let target = current.map_or(0, |copy| 1 - copy.index.min(1));
        let flash = self.flash();
        flash.erase(address(target))?;
        let mut writer = Writer::new(address(target) + HEADER_SIZE as u32);
        let head = EntryHead { name_len: name.len() as u8, value_len: value.len() as u8, generation };
        writer.add(flash, &head.encode())?;
        writer.add(flash, name.as_bytes())?;
        writer.add(flash, value)?;
        if let Some(copy) = current {
            let mut entries = Entries::of(copy);
            while let Some(entry) = entries.next(flash) {
                let replaced = entry.head.generation == generation && entry.name == name.as_bytes();
                if !replaced && is_used(flash, copy, &entry, &users) {
                    writer.copy(flash, &entry)?;
                }
            }
        }
        let (entries_len, entries_crc) = writer.finish(flash)?;
        let sequence = current.map_or(1, |copy| copy.header.sequence.wrapping_add(1));
        let highest_revision = current.map_or(0, |copy| copy.header.highest_revision);
        let header = Header { sequence, entries_len, entries_crc, highest_revision };
        flash.program(address(target), &header.encode())?;
        Ok(false)
    }

    /// Erases every secret: the older copy first, so that no older value comes back when the power goes in between.
    ///
    /// # Errors
    /// [`FlashFault`]; call again.
    pub fn erase_secrets(&mut self) -> Result<(), FlashFault> {
        let newest = self.current().map_or(0, |copy| copy.index);
        self.flash().erase(address(1 - newest.min(1)))?;
        self.flash().erase(address(newest))
    }

    fn secret_for(&mut self, name: &str, generation: u32) -> Option<Secret> {
        let copy = self.current()?;
        let flash = self.flash();
        let mut entries = Entries::of(copy);
        let mut best: Option<Entry> = None;
        while let Some(entry) = entries.next(flash) {
            let fits = entry.name == name.as_bytes() && !is_newer(entry.head.generation, generation);
            if fits && best.as_ref().is_none_or(|best| is_newer(entry.head.generation, best.head.generation))
            {
                best = Some(entry);
            }
        }
        let entry = best?;
        let mut value = Vec::new();
        value.resize_default(entry.head.value_len.into()).ok()?;
        flash.read(entry.address + u32::from(entry.head.name_len), &mut value).ok()?;
        Some(Secret(value))
    }

    /// Returns the newest generation that a secret holds for.
    pub(super) fn newest_secret(&mut self) -> Option<u32> {
        let copy = self.current()?;
        let flash = self.flash();
        let mut entries = Entries::of(copy);
        let mut newest = None;
        while let Some(entry) = entries.next(flash) {
            let generation = entry.head.generation;
            if newest.is_none_or(|newest| is_newer(generation, newest)) {
                newest = Some(generation);
            }
        }
        newest
    }

    /// Returns the newest whole copy.
    fn current(&mut self) -> Option<Copy> {
        let flash = self.flash();
        let [a, b] = [0, 1].map(|index| {
            let mut bytes = [0; HEADER_SIZE];
            flash.read(address(index), &mut bytes).ok()?;
            let header = Header::decode(&bytes)?;
            let mut crc = Checksum::new();
            let at = address(index) + HEADER_SIZE as u32;
            flash.read_through(at, header.entries_len, |piece| crc.update(piece)).ok()?;
            (crc.finish() == header.entries_crc).then_some(Copy { index, header })
        });
        match (a, b) {
            (Some(a), Some(b)) if is_newer(b.header.sequence, a.header.sequence) => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        }
    }
}

/// Returns whether any of the generations uses `entry`: it is the newest that is not newer than the generation.
fn is_used<F: NorFlash>(flash: &mut Flash<F>, copy: Copy, entry: &Entry, users: &[Option<u32>]) -> bool {
    users.iter().flatten().any(|&user| {
        let mut others = Entries::of(copy);
        let mut is_newest = !is_newer(entry.head.generation, user);
        while let Some(other) = others.next(flash) {
            let better = other.name == entry.name
                && is_newer(other.head.generation, entry.head.generation)
                && !is_newer(other.head.generation, user);
            is_newest &= !better;
        }
        is_newest
    })
}

/// Walks through the entries of a copy.
struct Entries {
    at: u32,
    end: u32,
}

impl Entries {
    fn of(copy: Copy) -> Self {
        let at = address(copy.index) + HEADER_SIZE as u32;
        Entries { at, end: at + copy.header.entries_len }
    }

    fn next<F: NorFlash>(&mut self, flash: &mut Flash<F>) -> Option<Entry> {
        let mut head = [0; ENTRY_HEAD_SIZE];
        if self.at + ENTRY_HEAD_SIZE as u32 > self.end {
            return None;
        }
        flash.read(self.at, &mut head).ok()?;
        let head = EntryHead::decode(head).filter(|head| self.at + head.entry_len() <= self.end)?;
        let address = self.at + ENTRY_HEAD_SIZE as u32;
        let mut name = Vec::new();
        name.resize_default(head.name_len.into()).ok()?;
        flash.read(address, &mut name).ok()?;
        self.at += head.entry_len();
        Some(Entry { head, address, name })
    }
}

/// Writes entries page by page.
struct Writer {
    start: u32,
    page_at: u32,
    page: Vec<u8, { PAGE_SIZE as usize }>,
    crc: Checksum,
}

impl Writer {
    fn new(start: u32) -> Self {
        Writer { start, page_at: start, page: Vec::new(), crc: Checksum::new() }
    }

    fn add<F: NorFlash>(&mut self, flash: &mut Flash<F>, bytes: &[u8]) -> Result<(), SecretError> {
        self.crc.update(bytes);
        for &byte in bytes {
            // Cannot fail: a full page is written at once.
            let _ = self.page.push(byte);
            let at = self.page_at + self.page.len() as u32;
            if at - self.start > ENTRIES_SIZE as u32 {
                return Err(SecretError::TooLong);
            }
            if at.is_multiple_of(PAGE_SIZE) {
                flash.program(self.page_at, &self.page)?;
                self.page_at = at;
                self.page.clear();
            }
        }
        Ok(())
    }

    fn copy<F: NorFlash>(&mut self, flash: &mut Flash<F>, entry: &Entry) -> Result<(), SecretError> {
        self.add(flash, &entry.head.encode())?;
        self.add(flash, &entry.name)?;
        let mut value: Vec<u8, VALUE_LEN> = Vec::new();
        value.resize_default(entry.head.value_len.into()).map_err(|_| SecretError::TooLong)?;
        flash.read(entry.address + u32::from(entry.head.name_len), &mut value)?;
        self.add(flash, &value)
    }

    fn finish<F: NorFlash>(self, flash: &mut Flash<F>) -> Result<(u32, u32), SecretError> {
        if !self.page.is_empty() {
            flash.program(self.page_at, &self.page)?;
        }
        Ok((self.page_at + self.page.len() as u32 - self.start, self.crc.finish()))
    }
}

fn address(index: usize) -> u32 {
    let [a, b] = IDENTITIES;
    if index == 0 { a.address } else { b.address }
}
