//! Functions of the mask ROM, by address (`eagle.rom.addr.v6.ld` of the vendor's SDK).

/// Switches the flash cache off. To be called from IRAM, with interrupts off.
#[inline(always)]
pub fn cache_read_disable() {
    let routine = core::ptr::without_provenance::<()>(0x4000_47f0);
    // SAFETY: the mask ROM is the same in every chip, and has this function of this type at this address.
    let routine = unsafe { core::mem::transmute::<*const (), extern "C" fn()>(routine) };
    routine();
}

/// Empties the flash cache and switches it on, over the first MiB. To be called from IRAM.
#[inline(always)]
pub fn cache_read_enable(is_large: bool) {
    let routine = core::ptr::without_provenance::<()>(0x4000_4678);
    // SAFETY: as for `cache_read_disable`: half, block of 2 MiB, and whether the cache has 32 KiB instead of 16.
    let routine = unsafe { core::mem::transmute::<*const (), extern "C" fn(u32, u32, u32)>(routine) };
    routine(0, 0, u32::from(is_large));
}
