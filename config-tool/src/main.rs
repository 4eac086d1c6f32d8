//! The `dunlin` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    dunlin::cli::run(std::env::args_os())
}
