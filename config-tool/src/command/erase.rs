//! `dunlin erase`: erases what is stored on a board.

use std::io::{IsTerminal, Write};

use dunlin_config_format::message::{EraseRequest, what};

use serde_json::json;

use super::{CommandError, Exit, LineArguments, Outcome};
use crate::device::{Ask, Patience};

/// Erase what is stored on a board: both configurations, and with --secrets the passwords as well
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// Erase secrets (passwords, keys) as well
    #[arg(long)]
    secrets: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// One JSON object instead of words
    #[arg(long, requires = "yes")]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut connection, hello) = arguments.line.meet(None)?;
    let name = hello.device.clone().unwrap_or_else(|| hello.chip());
    if !arguments.yes && !confirmed(&name)? {
        println!("nothing is erased");
        return Ok(Exit::Done);
    }
    let what = what::CONFIGURATIONS | if arguments.secrets { what::SECRETS } else { 0 };
    connection.run(&mut Ask::new(&EraseRequest { what }, Patience::ERASE)?)?;
    if arguments.json {
        println!(
            "{}",
            json!({ "version": 1, "erased": name, "chip": hello.chip(), "secrets": arguments.secrets })
        );
    } else {
        println!("`{name}` is erased: it waits for `dunlin push`");
    }
    Ok(Exit::Done)
}

fn confirmed(name: &str) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::new(Exit::Usage, "erasing can't be undone: add `--yes`"));
    }
    eprint!("erase everything that is stored on `{name}`? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
