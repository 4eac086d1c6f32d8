//! Time from a counter that wraps, and who is to be woken when.

use core::task::Waker;

/// Counts of the counter in a microsecond.
pub const COUNTS_PER_TICK: u32 = 5;

/// The longest time between two looks at the counter for which [`Extender`] is right, in ticks: the counter wraps after
/// 2^32 counts, and half of them tells "past" from "yet to come" in [`is_reached`].
pub const LONGEST_ALARM_TICKS: u64 = (u32::MAX / COUNTS_PER_TICK / 2) as u64;

/// Makes 64-bit time out of a 32-bit counter that counts up and wraps.
#[derive(Debug)]
pub struct Extender {
    /// The counter at `ticks`, exactly.
    count: u32,
    ticks: u64,
}

impl Extender {
    /// Returns time 0 at counter value `count`.
    pub const fn new(count: u32) -> Self {
        Extender { count, ticks: 0 }
    }

    /// Returns the time at counter value `count`: at most one wrap after the last call.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.clock_ticks_at"))]
    pub fn ticks_at(&mut self, count: u32) -> u64 {
        let passed = count.wrapping_sub(self.count) / COUNTS_PER_TICK;
        self.ticks += u64::from(passed);
        // The counts of a tick that has begun stay in the difference.
        self.count = self.count.wrapping_add(passed * COUNTS_PER_TICK);
        self.ticks
    }

    /// Returns the counter value for an alarm at `at` ticks, or earlier if that is too far away, and never before now.
    pub fn count_for(&self, at: u64) -> u32 {
        let ahead = at.saturating_sub(self.ticks).min(LONGEST_ALARM_TICKS);
        self.count.wrapping_add(ahead as u32 * COUNTS_PER_TICK)
    }
}

/// Returns whether the counter, now at `count`, has reached `alarm`, which lies less than half its range away.
pub const fn is_reached(alarm: u32, count: u32) -> bool {
    count.wrapping_sub(alarm) < 1 << 31
}

/// Most tasks that wait for a time.
const WAITING: usize = 4;

/// Who is to be woken when: for each task the earliest time that it asked for.
#[derive(Debug)]
pub struct Alarms {
    waiting: [Option<(u64, Waker)>; WAITING],
}

impl Alarms {
    /// Returns no alarms.
    pub const fn new() -> Self {
        Alarms { waiting: [const { None }; WAITING] }
    }

    /// Notes that `waker` is to be woken at `at`; returns whether [`Alarms::next`] has become earlier.
    ///
    /// A task beyond the fourth takes the place of the one that waits longest, which is woken at once: a wake too many is
    /// no fault, one too few would be.
    pub fn add(&mut self, at: u64, waker: &Waker) -> bool {
        let before = self.next();
        let same =
            self.waiting.iter().position(|entry| entry.as_ref().is_some_and(|(_, w)| w.will_wake(waker)));
        let place = same.or_else(|| self.waiting.iter().position(Option::is_none)).unwrap_or_else(|| {
            let last = self.waiting.iter().enumerate().max_by_key(|(_, e)| e.as_ref().map(|(at, _)| *at));
            last.map_or(0, |(index, _)| index)
        });
        if let Some(entry) = self.waiting.get_mut(place) {
            match entry {
                Some((earliest, _)) if same.is_some() => *earliest = at.min(*earliest),
                _ => {
                    if let Some((_, evicted)) = entry.replace((at, waker.clone())) {
                        evicted.wake();
                    }
                }
            }
        }
        self.next() < before
    }

    /// Wakes everyone whose time has come; returns when the next one is due, `u64::MAX` where nobody waits.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.clock_wake_due"))]
    pub fn wake_due(&mut self, now: u64) -> u64 {
        for entry in &mut self.waiting {
            if let Some((_, waker)) = entry.take_if(|(at, _)| *at <= now) {
                waker.wake();
            }
        }
        self.next()
    }

    /// Returns when the next one is due, `u64::MAX` where nobody waits.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.clock_next"))]
    pub fn next(&self) -> u64 {
        self.waiting.iter().flatten().map(|(at, _)| *at).min().unwrap_or(u64::MAX)
    }
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[test]
    fn time_goes_on_over_every_wrap_and_loses_no_fraction() {
        let start = u32::MAX - 1000;
        let mut extender = Extender::new(start);
        let mut counts = 0u64;
        let mut number = 7u64;
        for _ in 0..100_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // From a few counts to nearly a whole range.
            counts += (number >> 32) >> (number & 31);
            assert_eq!(extender.ticks_at(start.wrapping_add(counts as u32)), counts / 5);
        }
        assert!(counts > 10 << 32);
    }

    #[test]
    fn an_alarm_is_reached_at_its_time_and_not_before() {
        let mut extender = Extender::new(4_294_960_000);
        let now = extender.ticks_at(4_294_960_003);
        let alarm = extender.count_for(now + 2_000);
        assert_eq!(alarm, 4_294_960_000u32.wrapping_add(10_000));
        assert!(!is_reached(alarm, alarm.wrapping_sub(1)));
        assert!(is_reached(alarm, alarm) && is_reached(alarm, alarm.wrapping_add(1)));
        // One that is past is reached now; one that is far away comes early, and is set again then.
        assert!(is_reached(extender.count_for(0), 4_294_960_003));
        let far = extender.count_for(u64::MAX);
        assert!(!is_reached(far, 4_294_960_003));
        assert!(is_reached(far, 4_294_960_000u32.wrapping_add(1 << 31)));
    }

    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_task_is_woken_at_its_earliest_time_and_none_is_forgotten() {
        let tasks: Vec<_> = (0..5).map(|_| Arc::new(Counting::default())).collect();
        let wakers: Vec<_> = tasks.iter().map(|task| Waker::from(Arc::clone(task))).collect();
        let woken = || tasks.iter().map(|task| task.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let mut alarms = Alarms::new();
        assert!(alarms.add(50, &wakers[0]));
        assert!(alarms.add(30, &wakers[1]));
        assert!(!alarms.add(40, &wakers[0]) && !alarms.add(60, &wakers[0]));
        assert_eq!(alarms.wake_due(29), 30);
        assert_eq!(alarms.wake_due(30), 40);
        assert_eq!(woken(), [0, 1, 0, 0, 0]);
        assert_eq!(alarms.wake_due(45), u64::MAX);
        assert_eq!(woken(), [1, 1, 0, 0, 0]);
        for (at, waker) in (1..).zip(&wakers) {
            alarms.add(100 * at, waker);
        }
        // The one that waited longest made room.
        assert_eq!(woken(), [1, 1, 0, 1, 0]);
        assert_eq!(alarms.wake_due(1_000), u64::MAX);
        assert_eq!(woken(), [2, 2, 1, 1, 1]);
    }
}
