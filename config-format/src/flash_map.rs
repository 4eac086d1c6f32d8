//! Where everything is in flash. Addresses count from the start of the flash chip, in bytes; the same on every board.

use core::ops::Range;

/// Smallest unit that can be erased, in bytes.
pub const SECTOR_SIZE: u32 = 4096;
/// Largest unit that is programmed at once, in bytes.
pub const PAGE_SIZE: u32 = 256;
/// Smallest unit that is programmed, in bytes. No word is programmed twice between two erasures.
pub const WORD_SIZE: u32 = 4;

/// A region of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of its first byte.
    pub address: u32,
    /// Size in bytes; a multiple of [`SECTOR_SIZE`].
    pub size: u32,
}

impl Region {
    /// Returns the address behind its last byte.
    pub const fn end(self) -> u32 {
        self.address + self.size
    }
}

/// The firmware.
pub const FIRMWARE: Region = Region { address: 0x0_0000, size: 672 * 1024 };
/// Configuration slots A and B.
pub const SLOTS: [Region; 2] =
    [Region { address: 0xA_8000, size: 16 * 1024 }, Region { address: 0xA_C000, size: 16 * 1024 }];
/// The two copies of the identity.
pub const IDENTITIES: [Region; 2] =
    [Region { address: 0xB_0000, size: 4 * 1024 }, Region { address: 0xB_1000, size: 4 * 1024 }];
/// Reserved.
pub const RESERVED: Region = Region { address: 0xB_2000, size: 8 * 1024 };
/// The outbox ring.
pub const OUTBOX: Region = Region { address: 0xB_4000, size: 284 * 1024 };
/// The vendor's radio code.
pub const RADIO: Region = Region { address: 0xF_B000, size: 20 * 1024 };

/// Size of the flash chip that holds all of them.
pub const SIZE: u32 = RADIO.end();
/// Size of a slot's image: its first three sectors. The fourth holds its state.
pub const IMAGE_SIZE: u32 = 3 * SECTOR_SIZE;

/// Where the chip sees its flash, byte 0 first: code runs and constants are read there.
pub const WINDOW: Range<u32> = 0x4020_0000..0x4020_0000 + SIZE;
/// Where the firmware keeps address, length and CRC-32 of its part in flash: four bytes each, in the part that the boot ROM loads.
pub const FLASH_CHECK: u32 = 0x4010_0080;

/// Every region in the order of addresses.
pub const REGIONS: [Region; 8] =
    [FIRMWARE, SLOTS[0], SLOTS[1], IDENTITIES[0], IDENTITIES[1], RESERVED, OUTBOX, RADIO];

const _: () = {
    let mut regions: &[Region] = &REGIONS;
    while let [before, rest @ ..] = regions {
        assert!(before.size.is_multiple_of(SECTOR_SIZE));
        if let [after, ..] = rest {
            assert!(before.end() == after.address);
        }
        regions = rest;
    }
    // Inside the memory-mapped first MiB.
    assert!(SIZE == 0x10_0000);
    assert!(SLOTS[0].size == IMAGE_SIZE + SECTOR_SIZE && SLOTS[1].size == SLOTS[0].size);
};
