//! How much of the stack was ever used.
//!
//! Start-up paints the stack from its lower end; what is no longer painted was used. The bytes nearest the lower end are the
//! guard, which nothing may use: every interrupt looks whether the stack reaches into it (`boot/vectors.S`), and when the
//! watchdog is fed its paint must be whole. What finds an overflow leaves it for the next start to tell.

/// What start-up paints with.
pub const PAINT: u32 = 0x5a5a_a5a5;
/// Bytes of the guard: an interrupt takes fewer. `STACK_GUARD` of `boot/registers.h`.
pub const GUARD: usize = 512;

#[cfg(target_arch = "xtensa")]
mod bounds {
    unsafe extern "C" {
        /// Lower end of the stack.
        pub(super) static dunlin_stack_end: u32;
        /// Upper end of the stack, where it begins.
        pub(super) static dunlin_stack_start: u32;
    }
}

/// Returns the most stack that was ever used and the stack's size, in bytes.
#[cfg(target_arch = "xtensa")]
pub fn usage() -> Option<(u32, u32)> {
    let end = core::ptr::addr_of!(bounds::dunlin_stack_end);
    let start = core::ptr::addr_of!(bounds::dunlin_stack_start);
    let size = (start as usize).checked_sub(end as usize)?;
    let used = size - painted(size);
    Some((used as u32, size as u32))
}

/// Returns nothing: only the chip's stack is painted.
#[cfg(not(target_arch = "xtensa"))]
pub fn usage() -> Option<(u32, u32)> {
    None
}

/// Returns whether the stack was ever so deep that its guard was written to.
#[cfg(target_arch = "xtensa")]
pub fn has_overflowed() -> bool {
    painted(GUARD) < GUARD
}

/// Returns false: only the chip's stack is painted.
#[cfg(not(target_arch = "xtensa"))]
pub fn has_overflowed() -> bool {
    false
}

/// Returns how many bytes from the lower end on are painted, of the first `most`, which are no more than the stack has.
#[cfg(target_arch = "xtensa")]
fn painted(most: usize) -> usize {
    let end = core::ptr::addr_of!(bounds::dunlin_stack_end);
    let mut painted = 0;
    while painted < most {
        // SAFETY: the word lies between the ends of the stack, which the linker script puts into RAM; other code may use
        // it meanwhile, which only changes the count.
        let word = unsafe { end.byte_add(painted).read_volatile() };
        if word != PAINT {
            break;
        }
        painted += size_of::<u32>();
    }
    painted
}
