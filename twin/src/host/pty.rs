//! A pseudo-terminal at the host's end of a serial line: a running simulation looks like a plugged-in board to any program.
//!
//! The line paces what goes through ([`serial_line`](crate::world::serial_line)); this moves bytes and decides nothing. As on a real port, what the board
//! sends while nobody has the port open is lost.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use embassy_time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::world::serial_line::{HostEnd, USUAL_RATE};

/// A pseudo-terminal. Its path can be opened as a serial port until it is dropped.
#[derive(Debug)]
pub struct Pty {
    controller: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// Opens a pseudo-terminal.
    ///
    /// # Errors
    /// Where the system has none left.
    pub fn open() -> io::Result<Self> {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        fcntl_setfl(&controller, fcntl_getfl(&controller)? | OFlags::NONBLOCK)?;
        // Opened and closed once, so that the controller tells whether somebody has it open.
        let port = open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&port)?;
        settings.set_speed(USUAL_RATE).map_err(io::Error::from)?;
        tcsetattr(&port, OptionalActions::Now, &settings)?;
        drop(port);
        Ok(Pty { controller, path })
    }

    /// Returns the path to open as a serial port.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether somebody has the port open.
    pub fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(&self.controller, PollFlags::IN)];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, Some(&none)) {
            Ok(_) => !fds.iter().any(|fd| fd.revents().contains(PollFlags::HUP)),
            Err(_) => false,
        }
    }

    /// Moves what is there in both directions, without waiting. The line's end has the speed that the program set the port to.
    ///
    /// # Errors
    /// Where the system refuses for another reason than that nobody has the port open.
    pub fn exchange(&self, now: Instant, line: &mut HostEnd<'_>) -> io::Result<()> {
        if let Ok(settings) = tcgetattr(&self.controller) {
            line.set_rate(settings.output_speed());
        }
        let mut buffer = [0; 1024];
        loop {
            match rustix::io::read(&self.controller, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN | Errno::IO) => break,
                Ok(count) => line.host_write(now, buffer.get(..count).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut heard = Vec::new();
        line.host_read(now, &mut heard);
        if heard.is_empty() || !self.is_open() {
            return Ok(());
        }
        match rustix::io::write(&self.controller, &heard) {
            // A program that does not read loses bytes, as at a port whose buffer is full.
            Ok(_) | Err(Errno::AGAIN | Errno::IO | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.controller.as_fd()
    }
}
