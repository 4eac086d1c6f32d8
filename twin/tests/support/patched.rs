//! The shipping image with instructions of it replaced: where its functions are, and what makes it whole again.

use std::path::PathBuf;

use dunlin_config_format::flash_map;
use dunlin_config_format::image::checksum;
use dunlin_twin::chip::symbols::Symbols;

/// Where the image's file has address, length and CRC-32 of the part in flash: its first segment is behind two headers.
const FLASH_CHECK: usize = (flash_map::FLASH_CHECK - 0x4010_0000 + 0x10) as usize;
/// Where the window on flash begins.
pub const WINDOW: u32 = flash_map::WINDOW.start;

/// The image that `cargo xtask test` has built; its ELF lies beside it.
pub fn image() -> PathBuf {
    PathBuf::from(std::env::var_os("DUNLIN_FIRMWARE").unwrap())
}

/// Makes an image whole again whose part in flash was changed: start-up compares it with a CRC-32 in the part that the ROM
/// loads, and the ROM that part with a sum.
pub fn make_whole(flash: &mut [u8]) {
    let word = |flash: &[u8], at: usize| u32::from_le_bytes(flash[at..at + 4].try_into().unwrap()) as usize;
    let (start, len) = (word(flash, FLASH_CHECK) - WINDOW as usize, word(flash, FLASH_CHECK + 4));
    let crc = checksum(&flash[start..start + len]).to_le_bytes();
    let mut sum = 8;
    for _ in 0..flash[1] {
        sum += 8 + word(flash, sum + 4);
    }
    for (at, byte) in (FLASH_CHECK + 8..).zip(crc) {
        flash[sum | 15] ^= flash[at] ^ byte;
        flash[at] = byte;
    }
}

/// Returns the address of the function whose mangled name has all of `parts`.
pub fn function(parts: &[&str]) -> u32 {
    let elf = std::fs::read(image().with_extension("elf")).unwrap();
    let symbols = Symbols::read(&elf).unwrap();
    let found = symbols.iter().find(|(_, name)| parts.iter().all(|part| name.contains(part)));
    found.unwrap_or_else(|| panic!("no function {parts:?} in the image")).0
}
