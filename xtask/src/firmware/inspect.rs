//! What GNU's tools say of the linked image, and what must not be in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A function or variable of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Address in memory.
    pub(crate) address: u32,
    /// Size in bytes.
    pub(crate) size: u32,
    /// Name as the linker knows it.
    pub(crate) name: String,
}

/// Parts of names that must not be in the image, and why.
const FORBIDDEN: &[(&str, &str)] = &[
    ("4core3fmt", "core's formatting: its callers drag in 20 KiB, and readings have writers of their own"),
    ("__rust_alloc", "an allocator: memory is accounted for when the image is linked"),
    ("__rg_alloc", "an allocator: memory is accounted for when the image is linked"),
];

/// Ends of the names of the only functions in flash that code in IRAM may name: both are entered with the flash cache on.
const ENTRIES: &[&str] = &["dunlin_main", "9interrupt9note_hang"];

/// Start of the flash window, and the address behind it.
const WINDOW: std::ops::Range<u32> = 0x4020_0000..0x4030_0000;

/// Checks that nothing forbidden is in the image, and that code in IRAM stays there while flash can't be read.
pub(crate) fn check(elf: &Path) -> Result<(), String> {
    for symbol in symbols(elf)? {
        if let Some((_, why)) = FORBIDDEN.iter().find(|(part, _)| symbol.name.contains(part)) {
            return Err(format!("`{}` is in the image: {why}", symbol.name));
        }
    }
    let listing = output(Command::new("xtensa-lx106-elf-objdump").args(["-d", "-j", ".iram"]).arg(elf))?;
    let strays = references_to_flash(&listing);
    if strays.is_empty() {
        return Ok(());
    }
    Err(format!(
        "code in IRAM uses what is in flash, which can't be read while it is changed:\n{}",
        strays.join("\n")
    ))
}

/// Returns where a disassembly of IRAM loads an address in flash, or calls or jumps to one, other than [`ENTRIES`].
fn references_to_flash(listing: &str) -> Vec<String> {
    let mut strays = Vec::new();
    let mut function = "";
    for line in listing.lines() {
        if let Some((_, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            function = name;
            continue;
        }
        let mut words = line.split('\t').skip(2);
        let (Some(mnemonic), Some(operands)) = (words.next(), words.next()) else { continue };
        // `l32r a2, 40100274 <…> (4022bbb8 <dunlin_main>)`, `call0 4022bbb8 <dunlin_main>`; names are not always there.
        let target = match mnemonic.trim() {
            "l32r" => operands.rsplit_once('(').map(|(_, target)| target.trim_end_matches(')')),
            "call0" | "j" => Some(operands),
            _ => None,
        };
        let Some(target) = target else { continue };
        let (address, name) = target.split_once(" <").unwrap_or((target, ""));
        let (address, name) = (address.trim(), name.trim_end_matches('>'));
        let is_flash = u32::from_str_radix(address, 16).is_ok_and(|address| WINDOW.contains(&address));
        if is_flash && !ENTRIES.iter().any(|entry| name.ends_with(entry)) {
            strays.push(format!("  {function} uses {}", if name.is_empty() { address } else { name }));
        }
    }
    strays
}

/// Returns the sections of `elf` and their sizes in bytes.
pub(crate) fn sections(elf: &Path) -> Result<BTreeMap<String, u32>, String> {
    let text = output(Command::new("xtensa-lx106-elf-size").arg("-A").arg(elf))?;
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Ok(text.lines().filter_map(pair).collect())
}

/// Returns the symbols of `elf` that have a size.
pub(crate) fn symbols(elf: &Path) -> Result<Vec<Symbol>, String> {
    let text = output(Command::new("xtensa-lx106-elf-nm").arg("-S").arg(elf))?;
    let symbol = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, size, _, name] = words[..] else { return None };
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        Some(Symbol { address: number(address)?, size: number(size)?, name: name.to_owned() })
    };
    Ok(text.lines().filter_map(symbol).collect())
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_from_iram_to_flash_is_found() {
        let listing = "
40100320 <flash_program>:
40100320:\t90c182        \taddi\ta8, a1, -112
40100323:\tffe341        \tl32r\ta4, 40100084 <double_vector+0x14> (4022ba00 <_RNvNtCs1_6dunlin9interrupt9note_hang>)
40100326:\tffe341        \tl32r\ta4, 40100088 <double_vector+0x18> (60000200 <abort>)
40100329:\tffe341        \tl32r\ta8, 4010008c <double_vector+0x1c> (40244090 <next>)
4010032c:\t0008c0        \tcallx0\ta8
4010032f:\t000005        \tcall0\t40244690 <memcpy>
40100332:\t000005        \tcall0\t40100090 <abort>
40100335:\tffe341        \tl32r\ta8, 40100090 <double_vector+0x20> (40250000)
40100338:\tffe341        \tl32r\ta8, 40100094 <double_vector+0x24> (60000200)
4010033b:\t000006        \tj\t40260000
";
        assert_eq!(
            references_to_flash(listing),
            [
                "  flash_program uses next",
                "  flash_program uses memcpy",
                "  flash_program uses 40250000",
                "  flash_program uses 40260000"
            ]
        );
    }
}
