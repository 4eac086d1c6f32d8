//! The identity of a board: its secrets, in two copies of one sector each.
//!
//! A copy is a header of 64 bytes and, behind it, entries without gaps: name length (1 byte), value length (1 byte),
//! generation from which the entry holds (4 bytes), name, value. The newest whole copy counts; the other one is rewritten.

use crate::flash_map::SECTOR_SIZE;
use crate::image::checksum;
use crate::limits::{CREDENTIAL_LEN, IDENTIFIER_LEN};

/// Bytes of a copy's header.
pub const HEADER_SIZE: usize = 64;
/// First word of a copy: `DNID`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"DNID");
/// Version of the format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;
/// Most bytes of all entries of a copy.
pub const ENTRIES_SIZE: usize = SECTOR_SIZE as usize - HEADER_SIZE;
/// Most bytes of a secret's name.
pub const NAME_LEN: usize = IDENTIFIER_LEN;
/// Most bytes of a secret.
pub const VALUE_LEN: usize = CREDENTIAL_LEN;
/// Bytes of an entry before its name.
pub const ENTRY_HEAD_SIZE: usize = 6;

/// The header of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Counts rewrites, wrapping around.
    pub sequence: u32,
    /// Bytes of the entries.
    pub entries_len: u32,
    /// Checksum of the entries.
    pub entries_crc: u32,
    /// Highest revision of a configuration that was ever tried from the network.
    pub highest_revision: u32,
}

impl Header {
    /// Returns the header's bytes.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let fields =
            [MAGIC, FORMAT_VERSION, self.sequence, self.entries_len, self.entries_crc, self.highest_revision];
        let mut bytes = [0xff; HEADER_SIZE];
        let (head, check) = bytes.split_at_mut(HEADER_SIZE - 4);
        for (target, field) in head.chunks_exact_mut(4).zip(fields) {
            target.copy_from_slice(&field.to_le_bytes());
        }
        let crc = checksum(head);
        check.copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; none where the bytes are no header of this version.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Option<Self> {
        let (head, check) = bytes.split_at(HEADER_SIZE - 4);
        let mut words = head.chunks_exact(4).map(|word| match *word {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        });
        let [magic, version, sequence, entries_len, entries_crc, highest_revision] =
            core::array::from_fn(|_| words.next().unwrap_or(0));
        let is_whole = magic == MAGIC
            && version == FORMAT_VERSION
            && check == checksum(head).to_le_bytes()
            && entries_len as usize <= ENTRIES_SIZE;
        is_whole.then_some(Header { sequence, entries_len, entries_crc, highest_revision })
    }
}

/// What stands before an entry's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// Bytes of the name, 1 to 32.
    pub name_len: u8,
    /// Bytes of the value, 0 to 64.
    pub value_len: u8,
    /// The first generation that the entry holds for.
    pub generation: u32,
}

impl EntryHead {
    /// Returns the bytes.
    pub fn encode(&self) -> [u8; ENTRY_HEAD_SIZE] {
        let [a, b, c, d] = self.generation.to_le_bytes();
        [self.name_len, self.value_len, a, b, c, d]
    }

    /// Reads the bytes; none where a length is out of its range.
    pub fn decode(bytes: [u8; ENTRY_HEAD_SIZE]) -> Option<Self> {
        let [name_len, value_len, a, b, c, d] = bytes;
        let in_range = (1..=NAME_LEN).contains(&usize::from(name_len)) && usize::from(value_len) <= VALUE_LEN;
        in_range.then_some(EntryHead { name_len, value_len, generation: u32::from_le_bytes([a, b, c, d]) })
    }

    /// Returns the bytes of the whole entry.
    pub fn entry_len(&self) -> u32 {
        ENTRY_HEAD_SIZE as u32 + u32::from(self.name_len) + u32::from(self.value_len)
    }
}
