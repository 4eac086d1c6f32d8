//! Runs the agent and the runner of its network stack, each with a waker of its own, and sleeps when neither is woken.
//!
//! Under one shared waker the two would never rest: the stack wakes its runner on every socket operation. A waker is a flag
//! in static memory, so waking is safe from an interrupt and costs a store.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// A flag that says that a future asked to be polled.
#[derive(Debug)]
pub struct Flag(AtomicBool);

impl Flag {
    /// Returns a flag that is up: a future is polled once before it can wake itself.
    pub const fn new() -> Self {
        Flag(AtomicBool::new(true))
    }

    /// Returns a waker that puts the flag up.
    pub fn waker(&'static self) -> Waker {
        // SAFETY: the pointer is to a static flag, and every function of the table treats it as that.
        unsafe { Waker::from_raw(RawWaker::new(core::ptr::from_ref(self).cast(), &VTABLE)) }
    }

    /// Returns whether the flag is up.
    pub fn is_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Takes the flag down; returns whether it was up.
    ///
    /// The processor has no atomic exchange. A flag that is down is not written, and one that an interrupt puts up again
    /// between the two steps is polled for right now, so that no wake is lost.
    fn take(&self) -> bool {
        let was_up = self.0.load(Ordering::Acquire);
        if was_up {
            self.0.store(false, Ordering::Release);
        }
        was_up
    }
}

impl Default for Flag {
    fn default() -> Self {
        Flag::new()
    }
}

/// Read by interrupts: it lies in RAM, and what wakes in IRAM.
#[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".data.waker"))]
static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, |_| {});

fn clone(flag: *const ()) -> RawWaker {
    RawWaker::new(flag, &VTABLE)
}

#[inline(never)]
#[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.wake"))]
fn wake(flag: *const ()) {
    // SAFETY: `Flag::waker` made this pointer from a reference to a static flag.
    let flag = unsafe { &*flag.cast::<Flag>() };
    flag.0.store(true, Ordering::Release);
}

/// Polls `first` and `second` until either is ready, and calls `sleep` when neither flag is up.
///
/// `sleep` must return after an interrupt, and must not begin to sleep when a flag came up in between: it looks again with
/// interrupts off.
pub fn run<T>(
    mut first: Pin<&mut impl Future<Output = T>>,
    mut second: Pin<&mut impl Future<Output = T>>,
    flags: &'static [Flag; 2],
    mut sleep: impl FnMut(&'static [Flag; 2]),
) -> T {
    let [first_flag, second_flag] = flags;
    let (first_waker, second_waker) = (first_flag.waker(), second_flag.waker());
    loop {
        if first_flag.take()
            && let Poll::Ready(value) = first.as_mut().poll(&mut Context::from_waker(&first_waker))
        {
            return value;
        }
        if second_flag.take()
            && let Poll::Ready(value) = second.as_mut().poll(&mut Context::from_waker(&second_waker))
        {
            return value;
        }
        if !flags.iter().any(Flag::is_up) {
            sleep(flags);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::pin::pin;

    #[test]
    fn each_future_is_polled_when_its_own_waker_says_so() {
        static FLAGS: [Flag; 2] = [Flag::new(), Flag::new()];
        let polls = [Cell::new(0), Cell::new(0)];
        let wakers = RefCell::new([const { None::<Waker> }; 2]);
        let counting = |index: usize, end: u32| {
            let (polls, wakers) = (&polls, &wakers);
            poll_fn(move |context| {
                polls[index].set(polls[index].get() + 1);
                wakers.borrow_mut()[index] = Some(context.waker().clone());
                if polls[index].get() == end { Poll::Ready(index) } else { Poll::Pending }
            })
        };
        let mut sleeps = 0;
        let (first, second) = (pin!(counting(0, 3)), pin!(counting(1, 100)));
        let ended = run(first, second, &FLAGS, |flags| {
            assert!(!flags.iter().any(Flag::is_up));
            sleeps += 1;
            let index = usize::from(sleeps > 3);
            let waker = wakers.borrow()[1 - index].clone();
            waker.unwrap().wake();
        });
        // Thrice the second was woken, then the first, twice.
        assert_eq!((ended, sleeps), (0, 5));
        assert_eq!(polls.each_ref().map(Cell::get), [3, 4]);
    }

    #[test]
    fn a_wake_while_polling_is_not_lost() {
        static FLAGS: [Flag; 2] = [Flag::new(), Flag::new()];
        let left = Cell::new(10);
        let first = pin!(poll_fn(|context| {
            left.set(left.get() - 1);
            context.waker().wake_by_ref();
            if left.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
        }));
        let second = pin!(std::future::pending());
        run(first, second, &FLAGS, |_| panic!("a woken future sleeps"));
        assert_eq!(left.get(), 0);
    }
}
