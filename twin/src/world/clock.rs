//! The clock of a world: what `embassy_time::Instant::now()` returns and when timers wake.
//!
//! embassy-time has one driver per process. The driver here delegates to the clock that the current thread has
//! *entered*, so that tests run side by side, each in a world of its own, and many nodes may share one. A clock knows
//! nothing of nodes, networks or sockets. Time is counted from the start of the world, in ticks of 1 µs.
//!
//! A virtual clock stands still until it is moved: by its owner, to the next event of the world, or by a blocking call
//! of a device. Everything in a world on a virtual clock repeats to the byte.
//!
//! ```
//! use dunlin_twin::world::clock::Clock;
//! use embassy_time::{Duration, Instant};
//!
//! let clock = Clock::virtual_time();
//! let _entered = clock.enter();
//! clock.block_for(Duration::from_millis(45));
//! assert_eq!(Instant::now(), Instant::from_millis(45));
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::Waker;

use embassy_time::{Duration, Instant};
use embassy_time_driver::{Driver, time_driver_impl};

/// Where the time of a clock that isn't virtual comes from.
///
/// # For implementers
/// `now` counts from the start of the world and never goes back.
pub trait TimeSource {
    /// Returns the time since the world's start.
    fn now(&self) -> Instant;
    /// Blocks the thread for `duration`.
    fn sleep(&self, duration: Duration);
}

/// A handle to the clock of a world. Clones share the clock.
#[derive(Clone)]
pub struct Clock {
    state: Rc<State>,
}

struct State {
    time: Time,
    alarms: RefCell<Alarms>,
}

enum Time {
    Virtual(Cell<Instant>),
    Real(Box<dyn TimeSource>, Cell<Pace>),
}

/// How the time of a world follows its source.
#[derive(Clone, Copy)]
struct Pace {
    /// What was left out so far.
    left_out: Duration,
    /// Where the time stands still.
    limit: Instant,
}

impl Pace {
    /// Returns the world's time, without its limit.
    fn unlimited(self, source: &dyn TimeSource) -> Instant {
        Instant::from_ticks(source.now().as_ticks().saturating_sub(self.left_out.as_ticks()))
    }
}

impl Clock {
    /// Returns a clock that stands at zero until it is moved.
    pub fn virtual_time() -> Self {
        Clock::with_time(Time::Virtual(Cell::new(Instant::from_ticks(0))))
    }

    /// Returns a clock that follows `source`.
    pub fn following(source: impl TimeSource + 'static) -> Self {
        let pace = Pace { left_out: Duration::from_ticks(0), limit: Instant::MAX };
        Clock::with_time(Time::Real(Box::new(source), Cell::new(pace)))
    }

    fn with_time(time: Time) -> Self {
        Clock { state: Rc::new(State { time, alarms: RefCell::default() }) }
    }

    /// Returns whether the clock moves only when it is told to.
    pub fn is_virtual(&self) -> bool {
        matches!(self.state.time, Time::Virtual(_))
    }

    /// Returns the time since the world's start.
    pub fn now(&self) -> Instant {
        match &self.state.time {
            Time::Virtual(now) => now.get(),
            Time::Real(source, pace) => {
                let pace = pace.get();
                pace.unlimited(source.as_ref()).min(pace.limit)
            }
        }
    }

    /// Keeps the clock from passing `limit`, in place of the limit before. What passed at the source beyond that one is left
    /// out for good: a world that the computer can't keep up with runs slower, and its time neither jumps nor goes back. A
    /// virtual clock waits for its owner anyway.
    pub fn hold_at(&self, limit: Instant) {
        let Time::Real(source, pace) = &self.state.time else { return };
        let before = pace.get();
        let passed = before.unlimited(source.as_ref());
        let lost = passed.saturating_duration_since(before.limit);
        pace.set(Pace { left_out: before.left_out + lost, limit: limit.max(passed.min(before.limit)) });
    }

    /// Makes this the clock of the current thread until the guard is dropped.
    ///
    /// Worlds may be entered while others are; dropping the guard brings the one before back.
    pub fn enter(&self) -> Entered {
        let previous = CURRENT.with(|current| current.replace(Some(self.clone())));
        Entered { previous, not_send: PhantomData }
    }

    /// Lets `duration` pass, as a blocking call of a device does: a virtual clock moves, a real one sleeps.
    ///
    /// Alarms that fall due meanwhile wake their futures, which run when the caller has returned.
    pub fn block_for(&self, duration: Duration) {
        self.wait_until(self.now() + duration);
    }

    /// Waits until `at`, or not at all if it is past, and wakes what is due.
    pub fn wait_until(&self, at: Instant) {
        match &self.state.time {
            Time::Virtual(now) => now.set(now.get().max(at)),
            Time::Real(source, _) => {
                let now = self.now();
                if at > now {
                    source.sleep(at - now);
                }
            }
        }
        self.wake_due();
    }

    /// Returns when the next alarm is due. It may be past.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.state.alarms.borrow().next().map(Instant::from_ticks)
    }

    /// Moves to the next alarm and wakes what is due; returns `false` if there is none.
    pub fn wait_for_next_alarm(&self) -> bool {
        match self.next_alarm() {
            Some(at) => {
                self.wait_until(at);
                true
            }
            None => false,
        }
    }

    /// Wakes every future whose alarm is due, in the order in which the alarms were set.
    pub fn wake_due(&self) {
        let now = self.now().as_ticks();
        // A waker may set an alarm: the queue is not borrowed while it runs.
        while let Some(waker) = self.take_due(now) {
            waker.wake();
        }
    }

    fn take_due(&self, now: u64) -> Option<Waker> {
        self.state.alarms.borrow_mut().take_due(now)
    }

    fn set_alarm(&self, at: u64, waker: &Waker) {
        self.state.alarms.borrow_mut().set(at, waker);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_virtual() { "virtual" } else { "real" };
        f.debug_struct("Clock").field("kind", &kind).field("now", &self.now()).finish()
    }
}

/// Forgets the alarm of a future that is about to be polled, in the world that is entered on this thread: a future sets the
/// alarms that it still wants whenever it is polled. What it waited for meanwhile does not wake it for nothing.
pub fn forget_alarm(waker: &Waker) {
    CURRENT.with_borrow(|current| {
        if let Some(clock) = current {
            clock.state.alarms.borrow_mut().forget(waker);
        }
    });
}

/// Proof that a clock is entered on this thread.
#[must_use = "the clock is left when this is dropped"]
#[derive(Debug)]
pub struct Entered {
    previous: Option<Clock>,
    // Belongs to the thread that entered.
    not_send: PhantomData<Rc<()>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let previous = self.previous.take();
        // A thread that is ending may have lost its current clock already.
        let _ = CURRENT.try_with(|current| current.replace(previous));
    }
}

/// One alarm for each waker: the earliest that was asked for since it last rang or was forgotten. A future that rings too
/// early sets its alarms again when it is polled, as embassy-time's own queue has it.
#[derive(Default)]
struct Alarms {
    /// In the order in which they were set.
    entries: Vec<Alarm>,
    /// Index of the entry used last: a future sets several alarms in a row.
    last_index: usize,
}

struct Alarm {
    /// When it rings; [`NEVER`] where it is forgotten: the future is likely to ask again.
    at: u64,
    waker: Waker,
}

const NEVER: u64 = u64::MAX;

impl Alarms {
    fn set(&mut self, at: u64, waker: &Waker) {
        match self.index_of(waker) {
            Some(index) if self.entries.get(index).is_some_and(|alarm| alarm.at != NEVER) => {
                self.last_index = index;
                if let Some(alarm) = self.entries.get_mut(index) {
                    alarm.at = alarm.at.min(at);
                }
            }
            found => {
                let waker = match found {
                    Some(index) => self.entries.remove(index).waker,
                    None => {
                        // Some may be of futures that are no more.
                        self.entries.retain(|alarm| alarm.at != NEVER);
                        waker.clone()
                    }
                };
                self.last_index = self.entries.len();
                self.entries.push(Alarm { at, waker });
            }
        }
    }

    fn forget(&mut self, waker: &Waker) {
        if let Some(alarm) = self.index_of(waker).and_then(|index| self.entries.get_mut(index)) {
            alarm.at = NEVER;
        }
    }

    fn index_of(&self, waker: &Waker) -> Option<usize> {
        match self.entries.get(self.last_index) {
            Some(alarm) if alarm.waker.will_wake(waker) => Some(self.last_index),
            _ => self.entries.iter().position(|alarm| alarm.waker.will_wake(waker)),
        }
    }

    fn next(&self) -> Option<u64> {
        self.entries.iter().map(|alarm| alarm.at).min().filter(|at| *at != NEVER)
    }

    fn take_due(&mut self, now: u64) -> Option<Waker> {
        let index = self.entries.iter().position(|alarm| alarm.at <= now)?;
        Some(self.entries.remove(index).waker)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// The embassy-time driver of the process.
struct CurrentClock;

impl Driver for CurrentClock {
    fn now(&self) -> u64 {
        CURRENT.with_borrow(|current| current.as_ref().map_or(0, |clock| clock.now().as_ticks()))
    }

    #[expect(
        clippy::panic,
        reason = "a timer outside every world would never ring; the caller must enter one"
    )]
    fn schedule_wake(&self, at: u64, waker: &Waker) {
        CURRENT.with_borrow(|current| match current {
            Some(clock) => clock.set_alarm(at, waker),
            None => panic!("a timer was polled on a thread that has entered no world's clock"),
        });
    }
}

time_driver_impl!(static DRIVER: CurrentClock = CurrentClock);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn worlds_on_one_thread_nest() {
        let (outer, inner) = (Clock::virtual_time(), Clock::virtual_time());
        outer.wait_until(Instant::from_secs(1));
        inner.wait_until(Instant::from_secs(2));
        assert_eq!(Instant::now(), Instant::from_ticks(0));
        let entered_outer = outer.enter();
        assert_eq!(Instant::now(), Instant::from_secs(1));
        {
            let _entered_inner = inner.enter();
            assert_eq!(Instant::now(), Instant::from_secs(2));
        }
        assert_eq!(Instant::now(), Instant::from_secs(1));
        drop(entered_outer);
        assert_eq!(Instant::now(), Instant::from_ticks(0));
    }

    #[test]
    fn worlds_on_two_threads_are_apart() {
        let clock = Clock::virtual_time();
        let _entered = clock.enter();
        clock.wait_until(Instant::from_secs(5));
        let elsewhere = std::thread::spawn(|| {
            let clock = Clock::virtual_time();
            let _entered = clock.enter();
            clock.block_for(Duration::from_millis(3));
            Instant::now()
        });
        assert_eq!(elsewhere.join().unwrap(), Instant::from_millis(3));
        assert_eq!(Instant::now(), Instant::from_secs(5));
    }

    #[test]
    fn an_alarm_rings_once_at_the_earliest_time_asked_for() {
        let clock = Clock::virtual_time();
        let _entered = clock.enter();
        let (count, waker) = counted();
        for at_ms in [30, 10, 20] {
            embassy_time_driver::schedule_wake(Instant::from_millis(at_ms).as_ticks(), &waker);
        }
        assert_eq!(clock.next_alarm(), Some(Instant::from_millis(10)));
        clock.wait_until(Instant::from_millis(9));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(clock.wait_for_next_alarm());
        assert_eq!((count.0.load(Ordering::Relaxed), clock.now()), (1, Instant::from_millis(10)));
        assert!(!clock.wait_for_next_alarm());
    }

    #[test]
    fn a_forgotten_alarm_does_not_ring() {
        let clock = Clock::virtual_time();
        let _entered = clock.enter();
        let (first, second) = (counted(), counted());
        for (at_ms, waker) in [(1, &first.1), (2, &second.1)] {
            embassy_time_driver::schedule_wake(Instant::from_millis(at_ms).as_ticks(), waker);
        }
        forget_alarm(&first.1);
        assert_eq!(clock.next_alarm(), Some(Instant::from_millis(2)));
        embassy_time_driver::schedule_wake(Instant::from_millis(3).as_ticks(), &first.1);
        clock.wait_until(Instant::from_millis(2));
        assert_eq!([&first.0, &second.0].map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
        assert_eq!(clock.next_alarm(), Some(Instant::from_millis(3)));
    }

    #[test]
    fn a_blocking_call_wakes_what_falls_due_meanwhile() {
        let clock = Clock::virtual_time();
        let _entered = clock.enter();
        let (first, second, third) = (counted(), counted(), counted());
        for (at_ms, waker) in [(2, &first.1), (1, &second.1), (9, &third.1)] {
            embassy_time_driver::schedule_wake(Instant::from_millis(at_ms).as_ticks(), waker);
        }
        clock.block_for(Duration::from_millis(5));
        let rung = [&first, &second, &third].map(|(count, _)| count.0.load(Ordering::Relaxed));
        assert_eq!(rung, [1, 1, 0]);
        assert_eq!(clock.next_alarm(), Some(Instant::from_millis(9)));
    }

    /// A source that is moved by hand.
    struct ByHand(Rc<Cell<Instant>>);

    impl TimeSource for ByHand {
        fn now(&self) -> Instant {
            self.0.get()
        }

        fn sleep(&self, duration: Duration) {
            self.0.set(self.0.get() + duration);
        }
    }

    #[test]
    fn a_clock_that_is_held_goes_on_from_where_it_stood() {
        let source = Rc::new(Cell::new(Instant::from_ticks(0)));
        let clock = Clock::following(ByHand(Rc::clone(&source)));
        let at_ms = |ms| {
            source.set(Instant::from_millis(ms));
            clock.now()
        };
        assert_eq!(at_ms(10), Instant::from_millis(10));
        clock.hold_at(Instant::from_millis(15));
        assert_eq!(at_ms(12), Instant::from_millis(12));
        assert_eq!(at_ms(100), Instant::from_millis(15));
        // 85 ms are left out, and no more where the limit moves on in time.
        clock.hold_at(Instant::from_millis(25));
        assert_eq!(clock.now(), Instant::from_millis(15));
        assert_eq!(at_ms(107), Instant::from_millis(22));
        clock.hold_at(Instant::from_millis(40));
        assert_eq!(at_ms(115), Instant::from_millis(30));
        // A limit that is past does not turn the clock back.
        clock.hold_at(Instant::from_millis(5));
        assert_eq!(at_ms(200), Instant::from_millis(30));
        clock.hold_at(Instant::MAX);
        assert_eq!(at_ms(201), Instant::from_millis(31));
    }

    #[test]
    fn a_virtual_clock_never_goes_back() {
        let clock = Clock::virtual_time();
        clock.wait_until(Instant::from_secs(2));
        clock.wait_until(Instant::from_secs(1));
        assert_eq!(clock.now(), Instant::from_secs(2));
    }
}
