//! Flash that is trusted only after it was read back.

use dunlin_config_format::flash_map::{PAGE_SIZE, SECTOR_SIZE, WORD_SIZE};
use embedded_storage::nor_flash::NorFlash;

/// A write to flash did not take, or the chip reports an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashFault {
    /// Address of the operation, in bytes.
    pub address: u32,
}

/// A flash chip whose every write is read back.
pub(super) struct Flash<F>(pub(super) F);

/// Bytes that are compared at once.
const CHUNK: usize = 64;

impl<F: NorFlash> Flash<F> {
    /// Reads bytes.
    pub(super) fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.0.read(address, bytes).map_err(|_| FlashFault { address })
    }

    /// Reads eight words.
    pub(super) fn read_words(&mut self, address: u32) -> Result<[u32; 8], FlashFault> {
        let mut bytes = [0; 32];
        self.read(address, &mut bytes)?;
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        Ok(words)
    }

    /// Calls `take` with the bytes from `address` on, piece by piece.
    pub(super) fn read_through(
        &mut self,
        address: u32,
        len: u32,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), FlashFault> {
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < len {
            let count = (len - done).min(CHUNK as u32);
            let piece = chunk.get_mut(..count as usize).unwrap_or_default();
            self.read(address + done, piece)?;
            take(piece);
            done += count;
        }
        Ok(())
    }

    /// Erases a sector and reads it back twice: an erasure that was cut short can read as erased once and not again.
    pub(super) fn erase(&mut self, address: u32) -> Result<(), FlashFault> {
        self.0.erase(address, address + SECTOR_SIZE).map_err(|_| FlashFault { address })?;
        for _ in 0..2 {
            if !self.is_erased(address, SECTOR_SIZE)? {
                return Err(FlashFault { address });
            }
        }
        Ok(())
    }

    /// Programs bytes inside one page, and reads them back. `address` is a multiple of the word size; the last word is
    /// filled up with ones, which program nothing.
    ///
    /// Bytes that are there already are not programmed again. Bytes over others are refused: some chips do not keep what a
    /// word that was programmed twice holds (Puya; esp8266/Arduino issue 4061).
    pub(super) fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let fault = FlashFault { address };
        if self.holds(address, bytes)? {
            return Ok(());
        }
        if !self.is_erased(address, bytes.len().next_multiple_of(WORD_SIZE as usize) as u32)? {
            return Err(fault);
        }
        let mut page = [0xff; PAGE_SIZE as usize];
        let len = bytes.len().next_multiple_of(WORD_SIZE as usize);
        let words = page.get_mut(..len).ok_or(fault)?;
        words.get_mut(..bytes.len()).ok_or(fault)?.copy_from_slice(bytes);
        self.0.write(address, words).map_err(|_| fault)?;
        if self.holds(address, bytes)? { Ok(()) } else { Err(fault) }
    }

    /// Returns whether the bytes from `address` on are `bytes`.
    fn holds(&mut self, address: u32, bytes: &[u8]) -> Result<bool, FlashFault> {
        let mut expected = bytes;
        let mut same = true;
        self.read_through(address, bytes.len() as u32, |piece| {
            let (now, rest) = expected.split_at(piece.len().min(expected.len()));
            same &= now == piece;
            expected = rest;
        })?;
        Ok(same)
    }

    fn is_erased(&mut self, address: u32, len: u32) -> Result<bool, FlashFault> {
        let mut erased = true;
        self.read_through(address, len, |piece| erased &= piece.iter().all(|&byte| byte == 0xff))?;
        Ok(erased)
    }
}
