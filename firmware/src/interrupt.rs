//! Which interrupt is served by which driver, and how they are held.

use critical_section::RawRestoreState;
use dunlin_firmware::{clock, uart, watchdog};

/// Interrupt numbers of the processor.
const UART: u32 = 1 << 5;
const WATCHDOG: u32 = 1 << 8;
const FRC2: u32 = 1 << 10;
/// Those of them that an edge latches, and that are forgotten by being cleared.
const EDGES: u32 = WATCHDOG | FRC2;

unsafe extern "C" {
    safe fn dunlin_hold_interrupts() -> u32;
    safe fn dunlin_restore_interrupts(state: u32);
    safe fn dunlin_enable_interrupts(mask: u32);
    safe fn dunlin_clear_interrupts(mask: u32);
}

/// Lets the drivers' interrupts through, from now on.
pub(crate) fn start() {
    dunlin_clear_interrupts(EDGES);
    dunlin_enable_interrupts(UART | WATCHDOG | FRC2);
    dunlin_restore_interrupts(PS_ENABLED);
}

/// User mode, nothing held.
const PS_ENABLED: u32 = 0x20;

/// Holds interrupts until [`release`], or until [`wait_for_interrupt`](dunlin_firmware::cpu::wait_for_interrupt) returns.
pub(crate) fn hold() {
    dunlin_hold_interrupts();
}

/// Lets interrupts through again.
pub(crate) fn release() {
    dunlin_restore_interrupts(PS_ENABLED);
}

/// Serves what is pending and enabled. Called by `vectors.S` with interrupts held; `interrupted_at` is where the program was.
///
/// It lies in IRAM with all that it calls: what serves an interrupt never waits for the flash cache. The exception is
/// [`note_hang`], which comes once in the life of a start.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".iram.text.interrupt")]
extern "C" fn dunlin_interrupt(pending: u32, interrupted_at: u32) {
    dunlin_clear_interrupts(pending & EDGES);
    if pending & UART != 0 {
        uart::on_interrupt();
    }
    if pending & FRC2 != 0 {
        clock::on_interrupt();
    }
    if pending & WATCHDOG != 0 {
        note_hang(interrupted_at);
    }
}

#[inline(never)]
fn note_hang(interrupted_at: u32) {
    watchdog::on_interrupt(interrupted_at);
}

/// The processor's own way to be left alone: it has one core and one level of interrupts.
struct HoldInterrupts;

critical_section::set_impl!(HoldInterrupts);

// SAFETY: between the two calls nothing but this code runs, because the NMI's handler returns at once; the state is restored
// by whoever acquired it, so that sections nest.
unsafe impl critical_section::Impl for HoldInterrupts {
    unsafe fn acquire() -> RawRestoreState {
        dunlin_hold_interrupts()
    }

    unsafe fn release(state: RawRestoreState) {
        dunlin_restore_interrupts(state);
    }
}
