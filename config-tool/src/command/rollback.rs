//! `dunlin rollback`: returns to the configuration before.

use dunlin_config_format::message::{self, RollbackReply, RollbackRequest};

use super::{CommandError, Exit, LineArguments, Outcome};
use crate::device::{Ask, Failure, Patience};

/// Return to the confirmed configuration before the running one
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut connection, hello) = arguments.line.meet(None)?;
    let Some(generation) = hello.generation else {
        return Err(CommandError::new(
            Exit::Device,
            "no configuration is running: there is nothing to return from",
        ));
    };
    let reply = connection.run(&mut Ask::new(&RollbackRequest { generation }, Patience::ERASE)?)?;
    let reply: RollbackReply = message::decode(&reply).map_err(|_| Failure::Garbled)?;
    match reply.generation {
        Some(now) => println!("generation {generation} is given up; generation {now} runs"),
        None => println!("generation {generation} is given up"),
    }
    Ok(Exit::Done)
}
