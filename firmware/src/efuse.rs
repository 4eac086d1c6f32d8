//! What the factory burnt in: the chip's identifier.

use crate::mmio::Registers;

const WORDS: Registers<2> = Registers::new(0x3ff0_0050);

/// Returns the chip's identifier, 24 bits that no two chips share, as the vendor's tools print it.
pub fn chip_id() -> u32 {
    identifier(WORDS.at(0).read(), WORDS.at(1).read())
}

const fn identifier(word0: u32, word1: u32) -> u32 {
    word0 >> 24 | (word1 & 0x00ff_ffff) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identifier_is_read_as_the_vendors_tool_reads_it() {
        // esptool, targets/esp8266.py, chip_id: (id0 >> 24) | ((id1 & MASK_24_BIT) << 8).
        assert_eq!(identifier(0x5600_0001, 0xff00_1234), 0x0012_3456);
    }
}
