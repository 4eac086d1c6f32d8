//! Ctrl-C as a flag that a loop looks at, so that a command ends with a last word; and the end without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, process};

/// Whether the user has pressed Ctrl-C, or the process was told to end. A second time ends the process at once.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes Ctrl-C over for the rest of the process.
    ///
    /// # Errors
    /// Where the system refuses a signal handler.
    pub fn watch() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order: the first signal finds the flag unset and only sets it.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Interrupt(flag))
    }

    /// Returns whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the process as a closed pipe ends others, where whoever read its output has closed it, as `head` does.
pub fn end_unread() -> ! {
    // A verdict that was not read is not told as a success either: the shell sees SIGPIPE.
    #[cfg(unix)]
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    process::exit(1)
}
