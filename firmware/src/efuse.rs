//! What the factory burnt in: the chip's identifier and its hardware address.

use crate::mmio::Registers;

const WORDS: Registers<4> = Registers::new(0x3ff0_0050);

/// Returns the chip's identifier, 24 bits that no two chips share, as the vendor's tools print it.
pub fn chip_id() -> u32 {
    let [word0, word1, ..] = words();
    word0 >> 24 | (word1 & 0x00ff_ffff) << 8
}

/// Returns the station's hardware address.
pub fn hardware_address() -> [u8; 6] {
    address_of(words())
}

fn words() -> [u32; 4] {
    core::array::from_fn(|index| WORDS.at(index as u32).read())
}

fn address_of([word0, word1, _, word3]: [u32; 4]) -> [u8; 6] {
    let vendor = match (word3 & 0x00ff_ffff, word1 >> 16 & 0xff) {
        (0, 0) => [0x18, 0xfe, 0x34],
        (0, _) => [0xac, 0xd0, 0x74],
        (vendor, _) => [(vendor >> 16) as u8, (vendor >> 8) as u8, vendor as u8],
    };
    let [a, b, c] = vendor;
    [a, b, c, (word1 >> 8) as u8, word1 as u8, (word0 >> 24) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_vendors_tool_reads_them() {
        // esptool, targets/esp8266.py, read_mac.
        assert_eq!(address_of([0x5600_0000, 0x0000_1234, 0, 0]), [0x18, 0xfe, 0x34, 0x12, 0x34, 0x56]);
        assert_eq!(address_of([0x5600_0000, 0x0001_1234, 0, 0]), [0xac, 0xd0, 0x74, 0x12, 0x34, 0x56]);
        assert_eq!(
            address_of([0x5600_0000, 0x0001_1234, 0, 0x5c_cf7f]),
            [0x5c, 0xcf, 0x7f, 0x12, 0x34, 0x56]
        );
    }
}
