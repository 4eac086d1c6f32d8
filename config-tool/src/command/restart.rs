//! `dunlin restart`: restarts a board.

use dunlin_config_format::message::RestartRequest;

use super::{Exit, LineArguments, Outcome};
use crate::device::{Ask, HelloTask, Patience};

/// Restart a board
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut connection, hello) = arguments.line.meet(None)?;
    connection.run(&mut Ask::new(&RestartRequest { boot_id: hello.boot_id }, Patience::QUICK)?)?;
    let again = connection.run(&mut HelloTask::new()?)?;
    if again.boot_id == hello.boot_id {
        return Err(super::CommandError::new(
            Exit::Device,
            "the board took the request but has not restarted",
        ));
    }
    println!("restarted");
    Ok(Exit::Done)
}
