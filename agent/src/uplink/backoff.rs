//! How long to wait before the next attempt to reach the broker: exponential, with full jitter.
//!
//! A thousand nodes that lost one broker come back spread over the whole delay; without jitter they come back together,
//! for ever (AWS Architecture Blog, "Exponential Backoff And Jitter").

use embassy_time::{Duration, Instant};

/// Limit of the first delay.
const FIRST: Duration = Duration::from_secs(1);
/// Limit of every delay while the broker cannot be reached.
const LONGEST: Duration = Duration::from_secs(60);
/// Limit of every delay while the broker refuses the node: nothing changes until a person acts.
const LONGEST_REFUSED: Duration = Duration::from_secs(300);
/// A session that lasted so long was healthy: the next delay starts small again.
const HEALTHY: Duration = Duration::from_secs(60);

/// From this limit on, short sessions are no accident any more.
const AGAIN: Duration = Duration::from_secs(4);

/// The delays between attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    limit: Duration,
    random: u64,
}

impl Backoff {
    /// Starts with the shortest delay. `seed` must differ between nodes.
    pub(crate) fn new(seed: u64) -> Self {
        Backoff { limit: FIRST, random: seed | 1 }
    }

    /// Tells how long a session lasted that has just ended.
    pub(crate) fn session_ended(&mut self, established: Instant, now: Instant) {
        if now.saturating_duration_since(established) >= HEALTHY {
            self.limit = FIRST;
        }
    }

    /// Returns whether several attempts and sessions in a row have come to nothing.
    pub(crate) fn is_again(&self) -> bool {
        self.limit >= AGAIN
    }

    /// Returns the next delay, evenly distributed between 0 and a limit that doubles each time.
    pub(crate) fn next(&mut self, refused: bool) -> Duration {
        let limit = self.limit;
        let longest = if refused { LONGEST_REFUSED } else { LONGEST };
        self.limit = (limit * 2).min(longest);
        // xorshift64 (Marsaglia 2003): spreading needs no more.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        Duration::from_millis(self.random % (limit.as_millis() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_minute_and_are_spread() {
        let mut backoff = Backoff::new(7);
        let delays: [Duration; 500] = core::array::from_fn(|_| backoff.next(false));
        assert!(delays.iter().all(|delay| *delay <= LONGEST));
        assert!(delays[0] <= FIRST && delays[1] <= FIRST * 2 && delays[2] <= FIRST * 4);
        let late = &delays[6..];
        for quarter in 0..4 {
            let range = LONGEST / 4 * quarter..LONGEST / 4 * (quarter + 1);
            let share = late.iter().filter(|delay| range.contains(delay)).count();
            assert!((80..170).contains(&share), "quarter {quarter}: {share} of {}", late.len());
        }
    }

    #[test]
    fn only_a_healthy_session_resets() {
        let mut backoff = Backoff::new(1);
        for _ in 0..10 {
            backoff.next(false);
        }
        backoff.session_ended(Instant::from_secs(100), Instant::from_secs(159));
        assert!(backoff.limit == LONGEST && backoff.is_again());
        backoff.session_ended(Instant::from_secs(100), Instant::from_secs(160));
        assert!(backoff.limit == FIRST && !backoff.is_again());
    }

    #[test]
    fn a_refusal_waits_longer() {
        let mut backoff = Backoff::new(1);
        for _ in 0..20 {
            backoff.next(true);
        }
        assert_eq!(backoff.limit, LONGEST_REFUSED);
        backoff.next(false);
        assert_eq!(backoff.limit, LONGEST);
    }
}
