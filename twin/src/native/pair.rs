//! Two futures of one node, each with a waker of its own.
//!
//! The network stack wakes its runner on every socket operation, a pending read included. Under one shared waker the agent
//! and the runner wake each other for ever.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::world::clock::forget_alarm;

/// Notes that a half asked to be polled, and wakes the whole.
struct Half {
    woken: AtomicBool,
    /// Whether the whole is being polled: it looks at the halves again before it rests.
    is_looked_at: Arc<AtomicBool>,
    whole: Mutex<Waker>,
}

impl Wake for Half {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Whoever woke it before has woken the whole.
        if !self.woken.swap(true, Ordering::SeqCst) && !self.is_looked_at.load(Ordering::SeqCst) {
            self.whole.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

impl Half {
    fn new(is_looked_at: Arc<AtomicBool>) -> (Arc<Half>, Waker) {
        let whole = Mutex::new(Waker::noop().clone());
        let half = Arc::new(Half { woken: AtomicBool::new(true), is_looked_at, whole });
        let waker = Waker::from(Arc::clone(&half));
        (half, waker)
    }

    fn take(&self) -> bool {
        // Looking alone costs less, and most often there is nothing.
        self.woken.load(Ordering::SeqCst) && self.woken.swap(false, Ordering::SeqCst)
    }

    fn belongs_to(&self, whole: Waker) {
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = whole;
    }
}

/// Runs `first` to its end, and `second` beside it.
///
/// Dropping the future drops both.
pub(crate) async fn first_of<T>(first: impl Future<Output = T>, second: impl Future) -> T {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let is_looked_at = Arc::new(AtomicBool::new(false));
    let (first_half, first_waker) = Half::new(Arc::clone(&is_looked_at));
    let (second_half, second_waker) = Half::new(Arc::clone(&is_looked_at));
    let mut whole = Waker::noop().clone();
    poll_fn(|context| {
        if !whole.will_wake(context.waker()) {
            whole.clone_from(context.waker());
            first_half.belongs_to(whole.clone());
            second_half.belongs_to(whole.clone());
        }
        is_looked_at.store(true, Ordering::SeqCst);
        loop {
            let (mut poll_first, mut poll_second) = (first_half.take(), second_half.take());
            if !poll_first && !poll_second {
                is_looked_at.store(false, Ordering::SeqCst);
                // Another thread may have woken one in between.
                (poll_first, poll_second) = (first_half.take(), second_half.take());
                if !poll_first && !poll_second {
                    return Poll::Pending;
                }
                is_looked_at.store(true, Ordering::SeqCst);
            }
            if poll_first {
                forget_alarm(&first_waker);
                if let Poll::Ready(value) = first.as_mut().poll(&mut Context::from_waker(&first_waker)) {
                    return Poll::Ready(value);
                }
            }
            if poll_second {
                forget_alarm(&second_waker);
                // The runner of a network stack never ends; if another second future does, it is not polled again.
                if second.as_mut().poll(&mut Context::from_waker(&second_waker)).is_ready() {
                    second_half.take();
                }
            }
        }
    })
    .await
}
