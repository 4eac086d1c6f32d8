//! The shipping image with instructions of it replaced: where its functions are, and what makes it whole again.

use std::path::PathBuf;

use dunlin_config_format::image::checksum;

/// Where the image's file has address, length and CRC-32 of the part in flash: 0x80 behind the start of its first segment.
const FLASH_CHECK: usize = 0x90;
/// Where the window on flash begins.
pub const WINDOW: u32 = 0x4020_0000;

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

/// Returns the address of the function whose mangled name has all of `parts`: a symbol of an ELF file for a 32-bit machine.
pub fn function(parts: &[&str]) -> u32 {
    let elf = std::fs::read(image().with_extension("elf")).unwrap();
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let section = |index: usize| word(0x20) + index * half(0x2e);
    // The symbol table is the section of type 2; its link is the table of names.
    let table = (0..half(0x30)).map(section).find(|at| word(at + 4) == 2).unwrap();
    let names = word(section(word(table + 0x18)) + 0x10);
    let symbols = (word(table + 0x10)..word(table + 0x10) + word(table + 0x14)).step_by(16);
    for symbol in symbols {
        let name = &elf[names + word(symbol)..];
        let name = std::str::from_utf8(&name[..name.iter().position(|byte| *byte == 0).unwrap()]).unwrap();
        if parts.iter().all(|part| name.contains(part)) {
            return word(symbol + 4) as u32;
        }
    }
    panic!("no function {parts:?} in the image");
}
