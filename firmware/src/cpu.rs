//! The few things that only the processor's own instructions can do.
//!
//! The compiler has no inline assembly for this processor yet, so they are routines of an assembler file. Outside of the chip,
//! in the tests of what is built on them, they do nothing.

/// Cycles of the processor in a second.
pub const FREQUENCY_HZ: u32 = 80_000_000;

#[cfg(target_arch = "xtensa")]
mod routines {
    unsafe extern "C" {
        pub(super) safe fn dunlin_cycles() -> u32;
        pub(super) safe fn dunlin_wait_for_interrupt();
    }
}

/// Returns the cycle counter, which wraps after 53 seconds.
#[inline(always)]
pub fn cycles() -> u32 {
    #[cfg(target_arch = "xtensa")]
    return routines::dunlin_cycles();
    #[cfg(not(target_arch = "xtensa"))]
    0
}

/// Sleeps until an interrupt (`waiti 0`). To be called with interrupts off, which it switches on at the same instant that it
/// begins to sleep, so that none is missed; it returns with them on, when the interrupt has been served.
pub fn wait_for_interrupt() {
    #[cfg(target_arch = "xtensa")]
    routines::dunlin_wait_for_interrupt();
}
