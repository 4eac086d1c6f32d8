//! `dunlin rollback`: returns to the configuration before.

use dunlin_config_format::message::RollbackRequest;
use serde_json::json;

use super::info::state_name;
use super::{CommandError, Exit, LineArguments, Outcome, hello_when, short};
use crate::device::{Ask, Hello, Patience};

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
    let now = hello_when(&mut connection, |hello| hello.generation.is_some_and(|runs| runs != generation))?;
    let now = now.ok_or_else(|| {
        let text = format!(
            "generation {generation} is given up, but nothing else runs yet: `dunlin info` tells more"
        );
        CommandError::new(Exit::Device, text)
    })?;
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

fn runs(now: &Hello) -> String {
    let generation =
        now.generation.map_or_else(|| "nothing".to_owned(), |number| format!("generation {number}"));
    let device = now.device.as_deref().unwrap_or("no device");
    let hash = now.active_hash.map_or_else(String::new, |hash| format!(", hash {}", short(&hash)));
    format!("{generation} runs: device {device}, {}{hash}", state_name(now.state))
}
