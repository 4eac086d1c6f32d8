//! The flash chip, as far as a configuration lives in it.
//!
//! Reading goes through the mapped window, which shows the first MiB. Erasing and programming talk to the chip over SPI0:
//! meanwhile nothing can be executed or read from flash, so each step lies in IRAM, holds interrupts off, switches the cache
//! off before and flushes it afterwards. A sector takes up to 400 ms, a step of programming well under 1 ms.

pub mod steps;

use dunlin_agent::platform::FlashChip;
use dunlin_config_format::flash_map::{RADIO, SECTOR_SIZE, SLOTS, WORD_SIZE};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

use crate::mmio::{Register, Registers};
use crate::{clock, watchdog};
use steps::{CHUNK_WORDS, Controller, Fault};

const CMD: Register = Register::new(0x6000_0200);
const ADDR: Register = Register::new(0x6000_0204);
const RD_STATUS: Register = Register::new(0x6000_0210);
const WR_STATUS: Register = Register::new(0x6000_0228);
const DATA: Registers<16> = Registers::new(0x6000_0240);
const CACHE: Register = Register::new(0x3ff0_000c);

/// The cache's share of the bus is busy.
const CACHE_SPI_BUSY: u32 = 1 << 9;
/// The cache has 32 KiB.
const CACHE_IS_LARGE: u32 = 1 << 26;

/// The cache lets go of the bus within microseconds; in counts of 0.2 µs, generously.
const BUS_LIMIT: u32 = 10_000 * 5;

/// First address that may be changed: the first slot.
const FIRST: u32 = SLOTS[0].address;
/// Address behind the last that may be changed: the vendor's radio code is not ours.
const END: u32 = RADIO.address;
/// Size of the mapped window.
const MAPPED: u32 = 0x10_0000;

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Fault::Refused => NorFlashErrorKind::OutOfBounds,
            Fault::Timeout | Fault::NotEnabled | Fault::Verify => NorFlashErrorKind::Other,
        }
    }
}

/// The flash chip. Holding it is the right to change the configuration's region.
#[derive(Debug)]
pub struct Flash {
    chip: FlashChip,
}

impl Flash {
    /// Takes the chip over: sees how large it is, and takes its protection off, if it came with one. To be called once.
    pub fn take() -> Self {
        let id = critical_section::with(|_| in_iram::take());
        let chip = match id.map(|id| (id, steps::size_of(id))) {
            Ok((_, Some(size))) if size < MAPPED => FlashChip::TooSmall { kib: size / 1024 },
            Ok((0 | 0x00ff_ffff, _)) => FlashChip::Silent,
            // One that tells no size is taken for large enough.
            Ok(_) => FlashChip::Usable,
            Err(Fault::NotEnabled) => FlashChip::Protected,
            Err(_) => FlashChip::Silent,
        };
        Flash { chip }
    }

    /// Returns whether the chip can hold configurations.
    pub fn chip(&self) -> FlashChip {
        self.chip
    }

    /// Refuses to change a chip that is too small: it drops the upper bits of an address, and the firmware lies there.
    fn require_size(&self) -> Result<(), Fault> {
        if matches!(self.chip, FlashChip::TooSmall { .. }) { Err(Fault::Refused) } else { Ok(()) }
    }
}

impl ErrorType for Flash {
    type Error = Fault;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        let len = u32::try_from(bytes.len()).map_err(|_| Fault::Refused)?;
        if offset.checked_add(len).is_none_or(|end| end > MAPPED) {
            return Err(Fault::Refused);
        }
        for (address, byte) in (offset..).zip(bytes) {
            *byte = (mapped_word(address & !3) >> (8 * (address & 3))) as u8;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        MAPPED as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WORD_SIZE as usize;
    const ERASE_SIZE: usize = SECTOR_SIZE as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        self.require_size()?;
        let aligned = from.is_multiple_of(SECTOR_SIZE) && to.is_multiple_of(SECTOR_SIZE);
        if !aligned || from < FIRST || to > END || from > to {
            return Err(Fault::Refused);
        }
        let mut address = from;
        while address < to {
            critical_section::with(|_| in_iram::erase_sector(address))?;
            address += SECTOR_SIZE;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        self.require_size()?;
        let len = u32::try_from(bytes.len()).map_err(|_| Fault::Refused)?;
        let aligned = offset.is_multiple_of(WORD_SIZE) && len.is_multiple_of(WORD_SIZE);
        if !aligned || offset < FIRST || offset.checked_add(len).is_none_or(|end| end > END) {
            return Err(Fault::Refused);
        }
        let (mut address, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let step = steps::step_len(address, rest.len() as u32);
            let (now, later) = rest.split_at_checked(step as usize).unwrap_or((rest, &[]));
            // The caller's bytes may lie in flash: they are on the stack before the cache is off.
            let mut words = [u32::MAX; CHUNK_WORDS];
            for (word, bytes) in words.iter_mut().zip(now.chunks_exact(4)) {
                *word = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            critical_section::with(|_| in_iram::program(address, &words, now.len() / 4))?;
            address += step;
            rest = later;
        }
        Ok(())
    }
}

/// Reads a word through the mapped window; `address` is a multiple of 4 below [`MAPPED`].
fn mapped_word(address: u32) -> u32 {
    const WINDOW: usize = 0x4020_0000;
    let word = core::ptr::with_exposed_provenance::<u32>(WINDOW + address as usize);
    // SAFETY: the callers stay below MAPPED, so that the word lies in the window, which start-up has mapped and which no
    // Rust object is changed through. Volatile: the chip's content changes behind the compiler's back.
    unsafe { word.read_volatile() }
}

/// SPI0 as the steps see it. One proves that the cache is off and that interrupts are.
struct Spi0;

impl Controller for Spi0 {
    #[inline(always)]
    fn start(&mut self, command: u32) {
        CMD.write(command);
    }

    #[inline(always)]
    fn is_busy(&mut self) -> bool {
        CMD.read() != 0
    }

    #[inline(always)]
    fn set_address(&mut self, address: u32) {
        ADDR.write(address);
    }

    #[inline(always)]
    fn status(&mut self) -> u32 {
        RD_STATUS.read()
    }

    #[inline(always)]
    fn set_status(&mut self, status: u32) {
        RD_STATUS.write(status);
        WR_STATUS.write(status);
    }

    #[inline(always)]
    fn word(&mut self, index: usize) -> u32 {
        DATA.at(index as u32).read()
    }

    #[inline(always)]
    fn set_word(&mut self, index: usize, word: u32) {
        DATA.at(index as u32).write(word);
    }

    #[inline(always)]
    fn count(&mut self) -> u32 {
        clock::count()
    }

    #[inline(always)]
    fn feed(&mut self) {
        watchdog::feed();
    }
}

/// What runs while flash can't be executed from. Interrupts are off in all of it.
mod in_iram {
    use super::{BUS_LIMIT, CACHE, CACHE_IS_LARGE, CACHE_SPI_BUSY, CHUNK_WORDS, Fault, Spi0, clock, steps};
    use crate::rom;

    /// Switches the cache off, does something with the chip, and switches it on again, empty.
    #[inline(always)]
    fn without_cache<T>(operation: impl FnOnce(&mut Spi0) -> Result<T, Fault>) -> Result<T, Fault> {
        let is_large = CACHE.read() & CACHE_IS_LARGE != 0;
        rom::cache_read_disable();
        let done = if is_free() { operation(&mut Spi0) } else { Err(Fault::Timeout) };
        rom::cache_read_enable(is_large);
        done
    }

    /// Waits until the cache has let go of the bus; returns whether it has, in a time in which it fills any line.
    #[inline(always)]
    fn is_free() -> bool {
        let from = clock::count();
        while CACHE.read() & CACHE_SPI_BUSY != 0 {
            if clock::count().wrapping_sub(from) > BUS_LIMIT {
                return false;
            }
        }
        true
    }

    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.flash_take"))]
    pub(super) fn take() -> Result<u32, Fault> {
        without_cache(|spi| {
            let id = steps::read_id(spi)?;
            steps::unprotect(spi)?;
            Ok(id)
        })
    }

    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.flash_erase_sector"))]
    pub(super) fn erase_sector(address: u32) -> Result<(), Fault> {
        without_cache(|spi| steps::erase_sector(spi, address))
    }

    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.flash_program"))]
    pub(super) fn program(address: u32, words: &[u32; CHUNK_WORDS], count: usize) -> Result<(), Fault> {
        without_cache(|spi| steps::program(spi, address, words, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_configurations_is_refused() {
        // No register is touched: on a computer that would end the test.
        let mut flash = Flash { chip: FlashChip::Usable };
        for (from, to) in [
            (0, 0x1000),
            (0xa_7000, 0xa_9000),
            (0xf_a000, 0xf_c000),
            (0xa_8000, 0xa_8800),
            (0xa_9000, 0xa_8000),
            (0xffff_f000, 0),
        ] {
            assert_eq!(flash.erase(from, to), Err(Fault::Refused), "{from:#x}");
        }
        for (offset, len) in [(0xa_7ffc, 8), (0xf_affc, 8), (0xa_8002, 4), (0xa_8000, 3), (u32::MAX - 3, 8)] {
            assert_eq!(flash.write(offset, &vec![0; len]), Err(Fault::Refused), "{offset:#x}");
        }
        assert_eq!(flash.read(0xf_fffe, &mut [0; 3]), Err(Fault::Refused));
        assert_eq!(flash.read(u32::MAX, &mut [0; 3]), Err(Fault::Refused));
    }

    #[test]
    fn a_chip_that_is_too_small_is_never_changed() {
        let mut flash = Flash { chip: FlashChip::TooSmall { kib: 512 } };
        assert_eq!(flash.erase(0xa_8000, 0xa_9000), Err(Fault::Refused));
        assert_eq!(flash.write(0xa_8000, &[0; 4]), Err(Fault::Refused));
    }
}
