//! `dunlin completions`: what a shell needs to complete the command line.

use clap::Args;

use super::{CommandError, Exit};

/// Write completions for a shell
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<Exit, CommandError> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, command, "dunlin", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}
