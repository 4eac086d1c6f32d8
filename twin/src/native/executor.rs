//! Drives the futures of one board to rest.
//!
//! Each future has a waker of its own. Under one shared waker the agent and the runner of its network stack never come
//! to rest, because the stack wakes its runner on every socket operation, a pending read included. The executor knows
//! no time: when everything rests, its owner asks the clock for the next alarm.
//!
//! ```
//! use dunlin_twin::native::executor::{Executor, Rest};
//! use dunlin_twin::world::clock::Clock;
//! use embassy_time::{Instant, Timer};
//!
//! let clock = Clock::virtual_time();
//! let _entered = clock.enter();
//! let mut executor = Executor::new();
//! executor.spawn(Timer::after_secs(2));
//! while executor.run() == Ok(Rest::Waiting) && clock.wait_for_next_alarm() {}
//! assert_eq!(clock.now(), Instant::from_secs(2));
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use crate::world::clock::forget_alarm;

/// Polls of one future in one [`Executor::run`] after which it counts as spinning. The busiest honest future, a session
/// that drains a full outbox, stays three orders of magnitude below.
const POLLS_PER_RUN: u32 = 1_000_000;

/// A small set of futures, each with its own waker.
#[derive(Default)]
pub struct Executor<'f> {
    tasks: Vec<Task<'f>>,
}

struct Task<'f> {
    /// `None` once it has finished.
    future: Option<Pin<Box<dyn Future<Output = ()> + 'f>>>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Whether a future asked to be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A state in which no future can go on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// At least one future waits for something.
    Waiting,
    /// Every future has finished.
    Finished,
}

/// A future wakes itself for ever without letting time pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spinning {
    /// 0-based, in the order of [`Executor::spawn`].
    pub task_index: usize,
}

impl fmt::Display for Spinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "future `{}` was polled {POLLS_PER_RUN} times without coming to rest", self.task_index)
    }
}

impl std::error::Error for Spinning {}

impl<'f> Executor<'f> {
    /// Returns an executor without futures.
    pub fn new() -> Self {
        Executor { tasks: Vec::new() }
    }

    /// Adds a future, to be polled at the next run. Returns its index.
    ///
    /// A future that must return something writes it to a cell that its owner keeps.
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'f) -> usize {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        self.tasks.push(Task { future: Some(Box::pin(future)), woken, waker });
        self.tasks.len() - 1
    }

    /// Returns whether any future asked to be polled.
    pub fn is_woken(&self) -> bool {
        self.tasks.iter().any(|task| task.future.is_some() && task.woken.0.load(Ordering::Acquire))
    }

    /// Returns whether the future with this index has finished; one that never was counts as finished.
    pub fn is_finished(&self, task_index: usize) -> bool {
        self.tasks.get(task_index).is_none_or(|task| task.future.is_none())
    }

    /// Polls every woken future, in the order in which they were added, until none is woken.
    ///
    /// # Errors
    /// [`Spinning`] if a future doesn't come to rest. It stays woken.
    pub fn run(&mut self) -> Result<Rest, Spinning> {
        for _ in 0..POLLS_PER_RUN {
            let mut polled = None;
            for (task_index, task) in self.tasks.iter_mut().enumerate() {
                if task.poll() {
                    polled = Some(task_index);
                }
            }
            if polled.is_none() {
                let finished = self.tasks.iter().all(|task| task.future.is_none());
                return Ok(if finished { Rest::Finished } else { Rest::Waiting });
            }
        }
        let task_index =
            self.tasks.iter().position(|task| task.woken.0.load(Ordering::Acquire)).unwrap_or_default();
        Err(Spinning { task_index })
    }
}

impl Task<'_> {
    /// Polls the future if it is woken; returns whether it was.
    fn poll(&mut self) -> bool {
        let Some(future) = &mut self.future else { return false };
        // Looking alone costs less, and most often it is not.
        if !self.woken.0.load(Ordering::Acquire) || !self.woken.0.swap(false, Ordering::AcqRel) {
            return false;
        }
        forget_alarm(&self.waker);
        if future.as_mut().poll(&mut Context::from_waker(&self.waker)).is_ready() {
            self.future = None;
        }
        true
    }
}

impl fmt::Debug for Executor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = self.tasks.iter().filter(|task| task.future.is_none()).count();
        f.debug_struct("Executor").field("tasks", &self.tasks.len()).field("finished", &finished).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;
    use embassy_time::{Instant, Timer};
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    #[test]
    fn timers_run_in_order_of_time() {
        let clock = Clock::virtual_time();
        let _entered = clock.enter();
        let seen = RefCell::new(Vec::new());
        let mut executor = Executor::new();
        for (name, period_ms) in [("slow", 30), ("fast", 20)] {
            let seen = &seen;
            executor.spawn(async move {
                for turn in 1..=2 {
                    Timer::at(Instant::from_millis(period_ms * turn)).await;
                    seen.borrow_mut().push((name, Instant::now().as_millis()));
                }
            });
        }
        while executor.run() == Ok(Rest::Waiting) {
            assert!(clock.wait_for_next_alarm());
        }
        assert_eq!(*seen.borrow(), [("fast", 20), ("slow", 30), ("fast", 40), ("slow", 60)]);
        assert!(executor.is_finished(0) && executor.is_finished(1));
    }

    #[test]
    fn only_woken_futures_are_polled() {
        let polls = [Cell::new(0), Cell::new(0)];
        let waker = RefCell::new(None::<Waker>);
        let mut executor = Executor::new();
        for index in 0..2 {
            let (polls, waker) = (&polls, &waker);
            executor.spawn(poll_fn(move |context| {
                polls[index].set(polls[index].get() + 1);
                if index == 1 {
                    *waker.borrow_mut() = Some(context.waker().clone());
                }
                Poll::Pending
            }));
        }
        assert_eq!(executor.run(), Ok(Rest::Waiting));
        assert!(!executor.is_woken());
        waker.borrow().as_ref().unwrap().wake_by_ref();
        assert!(executor.is_woken());
        assert_eq!(executor.run(), Ok(Rest::Waiting));
        assert_eq!(polls.each_ref().map(Cell::get), [1, 2]);
    }

    #[test]
    fn a_future_that_never_rests_is_named() {
        let mut executor = Executor::new();
        executor.spawn(pending());
        executor.spawn(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let spinning = executor.run().unwrap_err();
        assert_eq!(spinning, Spinning { task_index: 1 });
        assert_eq!(spinning.to_string(), "future `1` was polled 1000000 times without coming to rest");
    }
}
