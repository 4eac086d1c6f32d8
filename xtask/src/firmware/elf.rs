//! As much of ELF32 as the linker's output needs (System V ABI, chapter 4 and 5; all little-endian).

/// What an ELF loads into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Address in memory.
    pub(crate) address: u32,
    /// What is there at the start.
    pub(crate) bytes: Vec<u8>,
}

/// The parts of an ELF that matter for an image.
#[derive(Debug)]
pub(crate) struct Elf {
    /// Where the program begins.
    pub(crate) entry: u32,
    /// Segments that are loaded and not empty, in the file's order.
    pub(crate) segments: Vec<Segment>,
}

/// Program header type: to be loaded.
const PT_LOAD: u32 = 1;
/// Machine: Xtensa.
const EM_XTENSA: u16 = 94;

/// Reads an executable ELF32 for the Xtensa.
pub(crate) fn read(bytes: &[u8]) -> Result<Elf, String> {
    let is_elf = bytes.starts_with(b"\x7fELF\x01\x01") && half(bytes, 18)? == EM_XTENSA;
    if !is_elf {
        return Err("not a 32-bit little-endian ELF for the Xtensa".to_owned());
    }
    let (headers, size, count) = (word(bytes, 28)?, half(bytes, 42)?, half(bytes, 44)?);
    let mut segments = Vec::new();
    for index in 0..u32::from(count) {
        let header = (headers + index * u32::from(size)) as usize;
        let (offset, len) = (word(bytes, header + 4)? as usize, word(bytes, header + 16)? as usize);
        if word(bytes, header)? == PT_LOAD && len > 0 {
            let content = bytes.get(offset..offset + len).ok_or("a segment is outside of the file")?;
            segments.push(Segment { address: word(bytes, header + 8)?, bytes: content.to_vec() });
        }
    }
    Ok(Elf { entry: word(bytes, 24)?, segments })
}

fn half(bytes: &[u8], at: usize) -> Result<u16, String> {
    let pair = bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok());
    pair.map(u16::from_le_bytes).ok_or_else(|| "the file ends early".to_owned())
}

fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or_else(|| "the file ends early".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_or_ends_early_is_refused() {
        assert!(read(b"").is_err());
        assert!(read(b"\x7fELF\x02\x01").is_err());
        let mut header = vec![0; 52];
        header[..6].copy_from_slice(b"\x7fELF\x01\x01");
        header[18] = 94;
        assert!(read(&header).is_ok_and(|elf| elf.segments.is_empty()));
        header[28..32].copy_from_slice(&52u32.to_le_bytes());
        header[42] = 32;
        header[44] = 1;
        assert!(read(&header).is_err());
    }
}
