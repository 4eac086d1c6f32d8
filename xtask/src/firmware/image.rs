//! From an ELF to the one file that a board is flashed with.
//!
//! The boot ROM loads the segments for IRAM and DRAM from an image at address 0 (`esptool`'s `elf2image`, version 1, calls
//! it that; the ROM's loader at 0x40001308 reads it). Code in flash is not loaded but seen through the cache, at
//! 0x40200000 plus its address in flash; it follows the image in the same file. The ROM's checksum covers only what it loads,
//! so the loaded part carries where the rest lies, its length and its CRC-32, and start-up compares them.

use dunlin_config_format::flash_map::FIRMWARE;
use dunlin_config_format::image::checksum;

use super::elf::{self, Segment};

/// First byte of an image.
const MAGIC: u8 = 0xe9;
/// How the ROM reads flash: one line out and two in would be faster, this works with every module.
const MODE_DOUT: u8 = 3;
/// 1 MiB at 40 MHz. The ROM ignores it; `esptool` puts in what it finds on the board.
const SIZE_AND_FREQUENCY: u8 = 2 << 4;
/// What the checksum starts from.
const CHECKSUM: u8 = 0xef;
/// The flash window: the cache shows flash address 0 here.
const WINDOW: u32 = 0x4020_0000;
/// Size of the window.
const WINDOW_SIZE: u32 = 0x10_0000;
/// Where `boot/vectors.S` keeps address, length and CRC-32 of what lies in flash.
const FLASH_CHECK: u32 = 0x4010_0080;
/// Erased flash.
const ERASED: u8 = 0xff;

/// Returns the file to be flashed at address 0.
pub(crate) fn from_elf(elf: &[u8]) -> Result<Vec<u8>, String> {
    let elf = elf::read(elf)?;
    let is_flash = |segment: &Segment| (WINDOW..WINDOW + WINDOW_SIZE).contains(&segment.address);
    let (flash, mut loaded): (Vec<Segment>, Vec<Segment>) = elf.segments.into_iter().partition(is_flash);
    let (start, mapped) = join(&flash)?;
    if !mapped.is_empty() {
        let words = [start, mapped.len() as u32, checksum(&mapped)];
        put(&mut loaded, FLASH_CHECK, &words.map(u32::to_le_bytes).concat())?;
    }
    let mut file = vec![MAGIC, loaded.len() as u8, MODE_DOUT, SIZE_AND_FREQUENCY];
    file.extend(elf.entry.to_le_bytes());
    let mut sum = CHECKSUM;
    for segment in &loaded {
        if !segment.address.is_multiple_of(4) {
            return Err(format!("the segment at {:#x} is not at a word", segment.address));
        }
        let padding = segment.bytes.len().next_multiple_of(4) - segment.bytes.len();
        file.extend(segment.address.to_le_bytes());
        file.extend(((segment.bytes.len() + padding) as u32).to_le_bytes());
        file.extend(&segment.bytes);
        file.resize(file.len() + padding, 0);
        sum = segment.bytes.iter().fold(sum, |sum, byte| sum ^ byte);
    }
    // The checksum is the last byte of a block of 16.
    file.resize((file.len() + 1).next_multiple_of(16) - 1, 0);
    file.push(sum);
    if !mapped.is_empty() {
        let at = (start - WINDOW) as usize;
        if at < file.len() {
            return Err(format!(
                "code in flash begins at {at:#x}, but the image before it ends at {:#x}",
                file.len()
            ));
        }
        file.resize(at, ERASED);
        file.extend(&mapped);
    }
    if file.len() > FIRMWARE.size as usize {
        return Err(format!(
            "the image has {} bytes; the firmware's region has {}",
            file.len(),
            FIRMWARE.size
        ));
    }
    Ok(file)
}

/// Returns where the segments for flash begin, and their bytes as the cache shows them, up to a whole word.
fn join(segments: &[Segment]) -> Result<(u32, Vec<u8>), String> {
    let start = segments.first().map_or(WINDOW, |segment| segment.address);
    let mut bytes = Vec::new();
    for segment in segments {
        let at = segment.address.checked_sub(start).map(|at| at as usize).filter(|at| *at >= bytes.len());
        let at = at.ok_or_else(|| format!("segments for flash overlap at {:#x}", segment.address))?;
        bytes.resize(at, ERASED);
        bytes.extend(&segment.bytes);
    }
    if !start.is_multiple_of(4) {
        return Err(format!("code in flash begins at {start:#x}, which is not a word"));
    }
    bytes.resize(bytes.len().next_multiple_of(4), ERASED);
    Ok((start, bytes))
}

/// Puts `bytes` at an address of the segments that are loaded.
fn put(loaded: &mut [Segment], address: u32, bytes: &[u8]) -> Result<(), String> {
    let place = loaded.iter_mut().find_map(|segment| {
        let at = address.checked_sub(segment.address)? as usize;
        segment.bytes.get_mut(at..at + bytes.len())
    });
    let place =
        place.ok_or_else(|| format!("nothing is loaded to {address:#x}, where the check's words go"))?;
    place.copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF with these segments, as the linker writes one.
    fn elf(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; 52 + 32 * segments.len()];
        file[..6].copy_from_slice(b"\x7fELF\x01\x01");
        file[18] = 94;
        file[24..28].copy_from_slice(&0x4010_0278u32.to_le_bytes());
        file[28] = 52;
        file[42] = 32;
        file[44] = segments.len() as u8;
        for (index, (address, bytes)) in segments.iter().enumerate() {
            let offset = file.len() as u32;
            for (place, word) in [(0, 1), (4, offset), (8, *address), (16, bytes.len() as u32)] {
                let at = 52 + 32 * index + place;
                file[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            file.extend(*bytes);
        }
        file
    }

    #[test]
    fn the_image_is_what_the_boot_rom_reads() {
        let file = from_elf(&elf(&[
            (0x4010_0080, &[0; 12]),
            (0x3ffe_8000, &[5, 6, 7, 8, 9]),
            (0x4020_0040, b"123456789abc"),
        ]));
        let mut expected = vec![0xe9, 2, 3, 0x20, 0x78, 0x02, 0x10, 0x40];
        // Where flash begins, its length, and the CRC-32 that `zlib.crc32` gives.
        expected.extend([0x80, 0, 0x10, 0x40, 12, 0, 0, 0, 0x40, 0, 0x20, 0x40, 12, 0, 0, 0]);
        expected.extend(0xbdb0c0e4u32.to_le_bytes());
        expected.extend([0, 0x80, 0xfe, 0x3f, 8, 0, 0, 0, 5, 6, 7, 8, 9, 0, 0, 0]);
        expected.resize(47, 0);
        expected.push(expected[16..28].iter().chain(&expected[36..44]).fold(0xef, |sum, byte| sum ^ byte));
        expected.resize(64, 0xff);
        expected.extend(b"123456789abc");
        assert_eq!(file, Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let check: (u32, &[u8]) = (FLASH_CHECK, &[0; 12]);
        // Code in flash where the image itself lies, and code whose length has no place.
        assert!(from_elf(&elf(&[check, (0x4020_0010, &[0])])).is_err());
        assert!(from_elf(&elf(&[(0x4010_0000, &[0; 4]), (0x4020_0040, &[0])])).is_err());
        // Behind the firmware's region.
        let last = WINDOW + FIRMWARE.size - 4;
        assert!(from_elf(&elf(&[check, (last, &[0])])).is_ok());
        assert!(from_elf(&elf(&[check, (last, &[0; 5])])).is_err());
        // The ROM can't store a byte into IRAM.
        assert!(from_elf(&elf(&[(0x4010_0002, &[0; 4])])).is_err());
    }
}
