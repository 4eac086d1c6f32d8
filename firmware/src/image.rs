//! Which image runs.

/// Returns the CRC-32 of the image's code in flash, as it lies in the part that the ROM loads; start-up has compared it.
#[cfg(target_arch = "xtensa")]
pub fn checksum() -> Option<u32> {
    unsafe extern "C" {
        /// Address, length and CRC-32 (`boot/vectors.S`).
        static dunlin_flash_check: [u32; 3];
    }
    let words = core::ptr::addr_of!(dunlin_flash_check);
    // SAFETY: the words lie in IRAM, aligned, and nothing writes them while the image runs. The read is volatile because they
    // are filled in behind the linker's back.
    let [_, _, checksum] = unsafe { words.read_volatile() };
    Some(checksum)
}

/// Returns nothing: on a computer there is no image.
#[cfg(not(target_arch = "xtensa"))]
pub fn checksum() -> Option<u32> {
    None
}
