//! Watches the other parts, ends the trial of a configuration, and feeds the watchdog.
//!
//! Before a part waits, it promises when it will be back at the latest. A promise costs no wake-up: the supervisor compares
//! it with the clock when it wakes anyway. Only when every promise is kept is the watchdog fed.

use core::cell::Cell;

use dunlin_config_format::Reason;
use embassy_futures::select::select;
use embassy_time::{Duration, Instant, Timer};

use crate::node::{Change, Shared};

/// Time between two looks at the promises; the watchdog of the chip bites after 6.7 s at the earliest.
pub(crate) const ROUND: Duration = Duration::from_secs(3);
/// How long after its promise a part may come back: longest erase of a flash sector, and a margin.
const GRACE: Duration = Duration::from_secs(2);

/// When each part will be back at the latest.
#[derive(Debug)]
pub struct Promises {
    /// The sampler.
    pub sampler: Cell<Instant>,
    /// The uplink.
    pub uplink: Cell<Instant>,
}

impl Default for Promises {
    fn default() -> Self {
        Promises { sampler: Cell::new(Instant::MAX), uplink: Cell::new(Instant::MAX) }
    }
}

impl Promises {
    fn are_kept(&self, now: Instant) -> bool {
        [&self.sampler, &self.uplink].iter().all(|promise| now <= promise.get().saturating_add(GRACE))
    }
}

/// What the supervisor may do to the board and its store.
pub(crate) trait Board {
    /// Feeds the watchdog.
    fn feed_watchdog(&self);
    /// Marks the running configuration as confirmed.
    fn confirm(&self);
    /// Notes that an attempt of the running configuration has failed.
    fn record_attempt(&self, reason: Reason);
}

/// Supervises until the configuration is replaced.
///
/// Dropping the future leaves the trial undecided: the next start decides it.
///
/// With nothing confirmed to go back to, a broker that is away never ends the trial.
pub(crate) async fn run(shared: &Shared, board: &impl Board, confirm_within: Duration) {
    let running = shared.running.get();
    let deadline = running.started.filter(|_| running.has_fallback).map(|started| started + confirm_within);
    loop {
        let now = Instant::now();
        let all_well = shared.promises.are_kept(now);
        if all_well {
            board.feed_watchdog();
        }
        let mut wake_at = now + ROUND;
        if !shared.running.get().confirmed {
            if shared.born.get() && shared.sampled.get() && all_well {
                board.confirm();
                if shared.running.get().confirmed {
                    shared.uplink.signal(());
                }
            } else if let Some(deadline) = deadline {
                if now >= deadline {
                    board.record_attempt(shared.obstacle.get().unwrap_or(Reason::PartSilent));
                    return shared.change.signal(Change::Apply);
                }
                wake_at = wake_at.min(deadline);
            }
        }
        select(shared.supervisor.wait(), Timer::at(wake_at)).await;
    }
}
