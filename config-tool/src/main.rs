//! The `dunlin` command.

use std::io::Write;
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    end_quietly_where_nobody_reads();
    dunlin::cli::run(std::env::args_os())
}

/// Ends the command as a closed pipe ends others where nobody reads its output any more; and with one line where that can't
/// be written, such as to a full disk.
///
/// `println!` panics then, and nothing else ends every command at every place.
fn end_quietly_where_nobody_reads() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        let Some(error) = text.strip_prefix("failed printing to std") else { return tell(info) };
        // The numbers are EPIPE of Linux and of Windows.
        if ["os error 32)", "os error 232)", "os error 109)"].iter().any(|end| error.ends_with(end)) {
            dunlin::interrupt::end_unread();
        }
        let error = error.split_once(": ").map_or(error, |(_, error)| error);
        let _ = writeln!(std::io::stderr(), "error: the output can't be written: {error}");
        std::process::exit(2);
    }));
}
