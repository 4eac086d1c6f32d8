//! How much of the stack was ever used.
//!
//! Start-up paints the stack from its lower end; what is no longer painted was used. The painted words nearest the lower end
//! are the guard: an overflow is seen when they are gone, at the latest when the watchdog is fed.

/// What start-up paints with.
pub const PAINT: u32 = 0x5a5a_a5a5;

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
    let mut painted = 0;
    while painted < size {
        // SAFETY: the word lies between the ends of the stack, which the linker script puts into RAM; other code may use
        // it meanwhile, which only changes the count.
        let word = unsafe { end.byte_add(painted).read_volatile() };
        if word != PAINT {
            break;
        }
        painted += size_of::<u32>();
    }
    Some(((size - painted) as u32, size as u32))
}

/// Returns nothing: only the chip's stack is painted.
#[cfg(not(target_arch = "xtensa"))]
pub fn usage() -> Option<(u32, u32)> {
    None
}
