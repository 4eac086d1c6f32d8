//! What a crash report means: the cause of an exception in words, and addresses as places in the program that ran.
//!
//! A board tells numbers alone, because names would not fit into it. The names are in the ELF that was built with the image.

use std::ops::Range;

use dunlin_config_format::flash_map::WINDOW;
use dunlin_config_format::image::checksum;
use dunlin_twin::chip::symbols::Symbols;

/// Where a program's variables, and its code are: RAM, IRAM and the window.
const PROGRAM: [Range<u32>; 2] = [0x3ffe_8000..0x4000_0000, 0x4010_0000..0x4030_0000];
/// The boot ROM, whose code has no name here.
const ROM: Range<u32> = 0x4000_0000..0x4001_0000;
/// Offsets from 0 that a member of a structure has: an address below is that of nothing.
const NULL: u32 = 0x1000;
/// Bits of a cause that `boot/vectors.S` adds: an exception while one was served, and a debug exception.
const DOUBLE: u32 = 0x100;
const DEBUG: u32 = 0x200;

/// A program's names and code, from its ELF.
pub struct Program {
    symbols: Symbols,
    checksum: u32,
}

impl Program {
    /// Reads a program from its ELF; none where the file is no whole ELF, or has no names.
    pub fn read(elf: &[u8]) -> Option<Self> {
        Some(Program { symbols: Symbols::read(elf)?, checksum: checksum(&code(elf)?) })
    }

    /// Returns the CRC-32 of the program's code in flash, by which a board tells which one it runs.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Returns the name of what is at an address, such as `agent::run+0x12`.
    fn place(&self, address: u32) -> Option<String> {
        let (name, offset) = self.symbols.find(address)?;
        let name = rustc_demangle::demangle(name);
        Some(if offset == 0 { format!("{name:#}") } else { format!("{name:#}+{offset:#x}") })
    }
}

/// Returns what lies in the window on flash, from the first of the ELF's segments there to the last whole word.
fn code(elf: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| elf.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let half = |at: usize| elf.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes) as usize);
    let (headers, size, count) = (word(28)? as usize, half(42)?, half(44)?);
    let (mut start, mut bytes) = (None, Vec::new());
    for header in (0..count).map(|index| headers + index * size) {
        let (kind, offset, address, len) =
            (word(header)?, word(header + 4)?, word(header + 8)?, word(header + 16)?);
        // To be loaded (System V ABI, chapter 5), and to be seen.
        if kind != 1 || len == 0 || !WINDOW.contains(&address) {
            continue;
        }
        let at = address.checked_sub(*start.get_or_insert(address))? as usize;
        bytes.resize(at.max(bytes.len()), 0xff);
        bytes.extend(elf.get(offset as usize..(offset as usize).checked_add(len as usize)?)?);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    Some(bytes)
}

/// Says in words what a board's crash report means, a line each; nothing where the report says it already.
pub fn explain(report: &str, program: Option<&Program>) -> Vec<String> {
    let mut lines = Vec::new();
    let exception = report.strip_prefix("exception ").and_then(|rest| rest.split_once(' '));
    let cause = exception.and_then(|(cause, _)| cause.parse::<u32>().ok());
    lines.extend(cause.map(cause_in_words));
    // The others leave the address of an exception before in its register.
    let used = number_after(report, ", address 0x").filter(|_| cause.is_some_and(is_of_address));
    for (address, is_code) in [(number_after(report, " at 0x"), true), (used, false)] {
        let Some(address) = address else { continue };
        let place = program.and_then(|program| program.place(address));
        let what = match place {
            _ if !is_code && address < NULL => "nothing's, as of a null pointer".to_owned(),
            _ if ROM.contains(&address) => "in the boot ROM".to_owned(),
            Some(place) if PROGRAM.iter().any(|memory| memory.contains(&address)) => place,
            _ => continue,
        };
        lines.push(format!("{address:#010x} is {what}"));
    }
    lines
}

/// Returns the hexadecimal number of eight digits that follows `before`.
fn number_after(text: &str, before: &str) -> Option<u32> {
    let (_, rest) = text.split_once(before)?;
    u32::from_str_radix(rest.get(..8)?, 16).ok()
}

/// Returns whether an exception is that of an address.
fn is_of_address(cause: u32) -> bool {
    cause & DEBUG == 0 && matches!(cause & 0x3f, 2 | 3 | 9 | 20 | 28 | 29)
}

/// Returns what an exception's cause means (Xtensa ISA, "Exception Causes"; the LX106 has these).
fn cause_in_words(cause: u32) -> String {
    if cause & DEBUG != 0 {
        return "a `break` instruction, or a breakpoint".to_owned();
    }
    let words = match cause & 0x3f {
        0 => "an instruction that there is not",
        1 => "a call of a system that there is not",
        2 => "an instruction fetched from where none can be",
        3 => "a load or store of a width that this memory does not allow",
        4 => "an interrupt",
        6 => "a division by zero",
        8 => "an instruction that only the kernel may use",
        9 => "a load or store at an address that is no multiple of its width",
        20 => "a jump to where no code can be",
        28 => "a load from where nothing is",
        29 => "a store to where nothing is, or nothing can be stored",
        _ => "a cause without a name",
    };
    let double = if cause & DOUBLE != 0 { ", while another exception was served" } else { "" };
    format!("{words}{double}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_words_and_a_panic_needs_none() {
        let words = |report: &str| explain(report, None).join("; ");
        assert_eq!(
            words("exception 28 at 0x40210000, address 0x00000008"),
            "a load from where nothing is; 0x00000008 is nothing's, as of a null pointer"
        );
        assert_eq!(
            words("exception 285 at 0x40001234, address 0x60000000"),
            "a store to where nothing is, or nothing can be stored, while another exception was served; \
             0x40001234 is in the boot ROM"
        );
        assert_eq!(
            words("exception 512 at 0x40210000, address 0x20000000"),
            "a `break` instruction, or a breakpoint"
        );
        assert_eq!(words("exception 77 at 0x"), "a cause without a name");
        for report in [
            "panic at agent/src/run.rs:12",
            "hang, last at 0x40210000",
            "hang, the uplink did not come back",
            "hang, with interrupts held",
            "",
        ] {
            assert_eq!(words(report), "", "{report}");
        }
    }

    #[test]
    fn a_damaged_elf_is_none() {
        assert!(Program::read(b"").is_none());
        assert!(Program::read(b"\x7fELF\x01\x01").is_none());
        assert_eq!(code(&[0; 64]), Some(Vec::new()));
        assert_eq!(code(&[0xff; 64]), None);
    }
}
