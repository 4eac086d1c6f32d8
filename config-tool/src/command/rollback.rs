//! `dunlin rollback`: returns to the configuration before.

use std::time::Duration;

use dunlin_config_format::message::RollbackRequest;
use serde_json::json;

use super::info::state_name;
use super::{CommandError, Exit, LineArguments, Outcome, short};
use crate::device::{Ask, Hello, HelloTask, Patience};
use crate::line::Connection;

/// How often the board is asked what runs, until it runs another generation: a node says goodbye to its broker first.
const LOOKS: u32 = 50;
/// The rest between two of them.
const LOOK: Duration = Duration::from_millis(100);

/// Return to the confirmed configuration before the running one
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
    let Some(generation) = hello.generation else {
        return Err(CommandError::new(
            Exit::Device,
            "no configuration is running: there is nothing to return from",
        ));
    };
    connection.run(&mut Ask::new(&RollbackRequest { generation }, Patience::ERASE)?)?;
    let now = after(&mut connection, generation)?;
    if arguments.json {
        println!(
            "{}",
            json!({
                "version": 1, "given-up": generation, "generation": now.generation, "device": now.device,
                "state": state_name(now.state), "hash": now.active_hash.map(|hash| short(&hash)),
            })
        );
    } else {
        println!("generation {generation} is given up; {}", runs(&now));
    }
    Ok(if now.generation.is_some() { Exit::Done } else { Exit::Device })
}

/// Asks what runs, until it is another generation.
fn after(connection: &mut Connection, generation: u32) -> Result<Hello, CommandError> {
    for _ in 0..LOOKS {
        let now = connection.run(&mut HelloTask::new()?)?;
        if now.generation.is_some_and(|runs| runs != generation) {
            return Ok(now);
        }
        std::thread::sleep(LOOK);
    }
    let text =
        format!("generation {generation} is given up, but nothing else runs yet: `dunlin info` tells more");
    Err(CommandError::new(Exit::Device, text))
}

fn runs(now: &Hello) -> String {
    let generation =
        now.generation.map_or_else(|| "nothing".to_owned(), |number| format!("generation {number}"));
    let device = now.device.as_deref().unwrap_or("no device");
    let hash = now.active_hash.map_or_else(String::new, |hash| format!(", hash {}", short(&hash)));
    format!("{generation} runs: device {device}, {}{hash}", state_name(now.state))
}
