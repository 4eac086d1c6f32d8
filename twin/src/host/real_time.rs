//! The host's clock as the clock of a world.

use embassy_time::{Duration, Instant};

use crate::world::clock::TimeSource;

/// Time since it was made, by the host's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct RealTime {
    start: std::time::Instant,
}

impl RealTime {
    /// Returns a source that is at zero now.
    pub fn new() -> Self {
        RealTime { start: std::time::Instant::now() }
    }
}

impl Default for RealTime {
    fn default() -> Self {
        RealTime::new()
    }
}

impl TimeSource for RealTime {
    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(std::time::Duration::from_micros(duration.as_micros()));
    }
}
