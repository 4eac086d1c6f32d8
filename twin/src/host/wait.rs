//! The one place where a loop in real time waits.
//!
//! Every shell adds its descriptors anew before each wait; all of them try without blocking afterwards, so that nobody
//! has to learn which descriptor was ready. For a handful of descriptors this is as fast as anything.

use std::io;
use std::os::fd::BorrowedFd;

use embassy_time::Duration;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What to wait for. Borrows the descriptors, so that none is closed meanwhile.
#[derive(Default)]
pub struct WaitSet<'fd> {
    descriptors: Vec<PollFd<'fd>>,
}

impl<'fd> WaitSet<'fd> {
    /// Returns a set without descriptors.
    pub fn new() -> Self {
        WaitSet::default()
    }

    /// Adds a descriptor that something can be read from.
    ///
    /// One whose far end is closed ends every wait at once: leave it out as soon as that was seen.
    pub fn add_readable(&mut self, descriptor: BorrowedFd<'fd>) {
        self.descriptors.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    }

    /// Adds a descriptor that something can be written to.
    pub fn add_writable(&mut self, descriptor: BorrowedFd<'fd>) {
        self.descriptors.push(PollFd::from_borrowed_fd(descriptor, PollFlags::OUT));
    }

    /// Waits until a descriptor is ready or `timeout` has passed; without a timeout, for a descriptor alone. A signal ends
    /// the wait, too. Returns whether a descriptor was ready.
    ///
    /// # Errors
    /// Where the system cannot watch that many descriptors.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: (timeout.as_micros() % 1_000_000 * 1_000) as _,
        });
        match poll(&mut self.descriptors, timeout.as_ref()) {
            Ok(ready_count) => Ok(ready_count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
