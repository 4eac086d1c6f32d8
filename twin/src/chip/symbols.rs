//! Names of places in a program, from the symbol table of its ELF (System V ABI, chapter 4).

/// Section header type: a symbol table.
const SYMBOL_TABLE: u32 = 2;
/// Symbol types: data and functions; no type is what an assembler's labels have.
const NO_TYPE: u8 = 0;
const OBJECT: u8 = 1;
const FUNCTION: u8 = 2;

/// Symbols by address.
#[derive(Clone, Debug, Default)]
pub struct Symbols(Vec<(u32, String)>);

impl Symbols {
    /// Reads the symbol table of a 32-bit little-endian ELF; `None` where there is none, or the file is damaged.
    pub fn read(elf: &[u8]) -> Option<Self> {
        if !elf.starts_with(b"\x7fELF\x01\x01") {
            return None;
        }
        let (headers, size, count) = (word(elf, 32)?, half(elf, 46)?, half(elf, 48)?);
        let header = |index: u32| headers.checked_add(index.checked_mul(size)?);
        let table = (0..count).find_map(|index| {
            let at = header(index)?;
            (word(elf, at.checked_add(4)?)? == SYMBOL_TABLE).then_some(at)
        })?;
        let (offset, len, names) = (word(elf, table + 16)?, word(elf, table + 20)?, word(elf, table + 24)?);
        let names = word(elf, header(names)?.checked_add(16)?)?;
        let mut symbols = Vec::new();
        for at in (offset..offset.checked_add(len)?).step_by(16) {
            let (name, address) = (word(elf, at)?, word(elf, at.checked_add(4)?)?);
            let kind = *elf.get(at as usize + 12)? & 15;
            let name = elf.get(names.checked_add(name)? as usize..)?.split(|byte| *byte == 0).next()?;
            if matches!(kind, NO_TYPE | OBJECT | FUNCTION) && address != 0 && !name.is_empty() {
                symbols.push((address, String::from_utf8_lossy(name).into_owned()));
            }
        }
        symbols.sort();
        symbols.dedup_by_key(|(address, _)| *address);
        Some(Symbols(symbols))
    }

    /// Returns the name of what is at or before an address, and how far behind its beginning the address is.
    pub fn find(&self, address: u32) -> Option<(&str, u32)> {
        let behind = self.0.partition_point(|(start, _)| *start <= address);
        let (start, name) = self.0.get(behind.checked_sub(1)?)?;
        // Regions of memory are megabytes apart.
        (address >> 20 == start >> 20).then_some((name, address - start))
    }

    /// Returns every symbol, by address.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.0.iter().map(|(address, name)| (*address, name.as_str()))
    }

    /// Returns the address of a symbol.
    pub fn address(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|(_, each)| each == name).map(|(address, _)| *address)
    }

    /// Returns an address with its name where it has one, such as `0x40100012 start+0x2`.
    pub fn describe(&self, address: u32) -> String {
        match self.find(address) {
            Some((name, 0)) => format!("{address:#010x} {name}"),
            Some((name, offset)) => format!("{address:#010x} {name}+{offset:#x}"),
            None => format!("{address:#010x}"),
        }
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_le_bytes(pair).into())
}

fn word(bytes: &[u8], at: u32) -> Option<u32> {
    let four = bytes.get(at as usize..at as usize + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(four))
}
