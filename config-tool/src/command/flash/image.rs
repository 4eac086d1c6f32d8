//! Whether a file is a whole image for the ESP8266's boot ROM, as far as the file itself can tell.
//!
//! The layout is esptool's "ESP8266 firmware image format", version 1: a header, segments that the ROM copies into RAM, and a
//! checksum at the end of a block of 16 bytes. What lies behind is code in flash, which the ROM knows nothing of; this
//! firmware's first segment says where it is and what its CRC-32 is (`firmware/boot/vectors.S`).

use std::ops::Range;

use dunlin_config_format::flash_map::{FIRMWARE, FLASH_CHECK, WINDOW};
use dunlin_config_format::image::checksum;

/// First byte of an image.
const MAGIC: u8 = 0xe9;
const HEADER_LEN: usize = 8;
const SEGMENT_HEADER_LEN: usize = 8;
/// Most segments that the ROM loads.
const SEGMENTS: u8 = 16;
/// What the checksum starts from.
const CHECKSUM: u8 = 0xef;
/// What the ROM can load into: instruction RAM and data RAM.
const RAM: [Range<u32>; 2] = [0x4010_0000..0x4010_8000, 0x3ffe_8000..0x4000_0000];

/// A segment: the address that it is loaded to, and its bytes.
type Segment<'b> = (u32, &'b [u8]);

/// Checks an image: its header, its segments, its checksum, and its code in flash.
///
/// # Errors
/// What is wrong, as it follows the file's name.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    match bytes.first() {
        None => return Err("is empty".to_owned()),
        Some(&MAGIC) => {}
        Some(other) => {
            return Err(format!("is no image for an ESP8266: it begins with {other:#04x}, not {MAGIC:#04x}"));
        }
    }
    if bytes.len() > FIRMWARE.size as usize {
        return Err(format!(
            "has {} bytes and would overwrite the board's configurations; a firmware has at most {}",
            bytes.len(),
            FIRMWARE.size
        ));
    }
    let header = bytes.first_chunk::<HEADER_LEN>().ok_or("ends inside its header")?;
    let [_, count, _, _, entry @ ..] = *header;
    let entry = u32::from_le_bytes(entry);
    if !(1..=SEGMENTS).contains(&count) {
        return Err(format!("names {count} segments; the boot ROM loads 1 to {SEGMENTS}"));
    }
    let (segments, end) = segments(bytes, count)?;
    let loaded = |address: u32, len: usize| {
        segments.iter().find_map(|(start, bytes)| {
            let at = address.checked_sub(*start)? as usize;
            bytes.get(at..at.checked_add(len)?)
        })
    };
    if loaded(entry, 1).is_none() {
        return Err(format!("starts at {entry:#010x}, which none of its segments holds"));
    }
    let sum = segments.iter().flat_map(|(_, bytes)| bytes.iter()).fold(CHECKSUM, |sum, byte| sum ^ byte);
    // The last byte of the block of 16 that the segments end in.
    match bytes.get(end | 15) {
        None => return Err("ends before the checksum of its segments".to_owned()),
        Some(&found) if found != sum => {
            return Err(format!(
                "is damaged: its segments have the checksum {sum:#04x}, it says {found:#04x}"
            ));
        }
        Some(_) => {}
    }
    match loaded(FLASH_CHECK, 12) {
        Some(words) => check_flash(bytes, words),
        None => Ok(()),
    }
}

/// Returns the segments, and where they end in the file.
fn segments(bytes: &[u8], count: u8) -> Result<(Vec<Segment<'_>>, usize), String> {
    let mut segments = Vec::new();
    let mut at = HEADER_LEN;
    for number in 1..=count {
        let rest = bytes.get(at..).unwrap_or_default();
        let (header, rest) = rest
            .split_first_chunk::<SEGMENT_HEADER_LEN>()
            .ok_or_else(|| format!("ends before its segment {number} of {count}"))?;
        let (address, len) = (word(header), word(&header[4..]));
        let end = address.checked_add(len);
        let fits = |ram: &Range<u32>| ram.contains(&address) && end.is_some_and(|end| end <= ram.end);
        if !RAM.iter().any(fits) {
            return Err(format!(
                "has {len} bytes for {address:#010x} in segment {number} of {count}; the boot ROM loads into \
                 {:#010x} to {:#010x} and {:#010x} to {:#010x}",
                RAM[0].start, RAM[0].end, RAM[1].start, RAM[1].end
            ));
        }
        let segment = rest.get(..len as usize).ok_or_else(|| {
            format!(
                "ends inside its segment {number} of {count}: {len} bytes are named, {} there",
                rest.len()
            )
        })?;
        segments.push((address, segment));
        at += SEGMENT_HEADER_LEN + segment.len();
    }
    Ok((segments, at))
}

/// Checks what lies in flash against what the loaded part says of it. A firmware whose words can't be that is another's.
fn check_flash(bytes: &[u8], words: &[u8]) -> Result<(), String> {
    let (start, len, crc) = (word(words), word(&words[4..]), word(&words[8..]));
    let end = start.checked_add(len).filter(|end| WINDOW.contains(&start) && len > 0 && *end <= WINDOW.end);
    let Some(end) = end else { return Ok(()) };
    let (from, to) = ((start - WINDOW.start) as usize, (end - WINDOW.start) as usize);
    let code = bytes.get(from..to).ok_or_else(|| {
        format!("is cut short: its code ends at byte {to}, the file at byte {}", bytes.len())
    })?;
    match checksum(code) {
        sum if sum == crc => Ok(()),
        sum => Err(format!("is damaged: its code has the CRC-32 {sum:#010x}, it says {crc:#010x}")),
    }
}

/// Returns the first four bytes as a number; 0 where there are fewer.
fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
