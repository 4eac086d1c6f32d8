//! `dunlin restart`: restarts a board.

use dunlin_config_format::message::RestartRequest;
use serde_json::json;

use super::{CommandError, Exit, LineArguments, Outcome, hello_when};
use crate::device::{Ask, Patience};

/// Restart a board
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// One JSON object instead of words
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut connection, hello) = arguments.line.meet(None)?;
    connection.run(&mut Ask::new(&RestartRequest { boot_id: hello.boot_id }, Patience::QUICK)?)?;
    let again = hello_when(&mut connection, |again| {
        again.boot_id != hello.boot_id && again.generation.is_some() == hello.generation.is_some()
    })?;
    let again = again
        .ok_or_else(|| CommandError::new(Exit::Device, "the board took the request but has not restarted"))?;
    if arguments.json {
        let boot_id = format!("{:08x}", again.boot_id);
        println!(
            "{}",
            json!({ "version": 1, "restarted": again.device, "chip": again.chip(), "boot-id": boot_id })
        );
    } else {
        println!("restarted");
    }
    Ok(Exit::Done)
}
