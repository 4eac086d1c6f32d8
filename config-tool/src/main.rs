//! The `dunlin` command.

use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    end_quietly_where_nobody_reads();
    dunlin::cli::run(std::env::args_os())
}

/// Ends the command without a word where whoever read its output has closed the pipe, as `head` does.
///
/// `println!` panics then, and nothing else ends every command at every place.
fn end_quietly_where_nobody_reads() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or_default();
        // The numbers are EPIPE of Linux and of Windows.
        let is_closed =
            ["os error 32)", "os error 232)", "os error 109)"].iter().any(|error| text.ends_with(error));
        if text.starts_with("failed printing to std") && is_closed {
            std::process::exit(0);
        }
        tell(info);
    }));
}
