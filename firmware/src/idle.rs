//! How long the processor has slept.

use core::cell::Cell;

use critical_section::Mutex;
use embassy_time::Duration;

use crate::clock;

/// Counts of [`clock::count`] that were slept away.
static ASLEEP: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Calls `sleep` and counts its time. The clock's alarm ends it long before the counter wraps.
pub fn count(sleep: impl FnOnce()) {
    let from = clock::count();
    sleep();
    let slept = clock::count().wrapping_sub(from);
    critical_section::with(|token| {
        let asleep = ASLEEP.borrow(token);
        asleep.set(asleep.get().wrapping_add(slept.into()));
    });
}

/// Returns how long the processor has slept since the start.
pub fn asleep() -> Duration {
    let counts = critical_section::with(|token| ASLEEP.borrow(token).get());
    Duration::from_micros(counts / u64::from(clock::COUNTS_PER_US))
}
