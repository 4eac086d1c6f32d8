//! `dunlin info`: who a board is and how it is.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::state;
use dunlin_config_format::reason::Reason;
use serde_json::{Map, Value, json};

use super::node::{self, NodeArguments};
use super::{CommandError, Exit, Outcome, short};
use crate::device::{Fact, Hello, InfoTask};

/// Tell who a board is and how it is
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Facts that the lines before them tell already.
const TOLD: &[&str] = &["device", "firmware", "chip", "hash", "generation", "state", "rollback"];

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(mut remote) = arguments.node.remote()? {
        let text = remote.ask("info", "").map_err(|error| CommandError::new(Exit::Device, error))?;
        let birth = node::answer(&text)?;
        if arguments.json {
            println!("{}", json!({ "version": 1, "device": birth.get("device"), "facts": birth }));
        } else {
            for (name, value) in &birth {
                println!("{name:<20} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        return Ok(Exit::Done);
    }
    let (mut connection, hello) = arguments.node.line.meet(None)?;
    let facts = connection.run(&mut InfoTask::new()?)?;
    if arguments.json {
        println!("{}", as_json(&hello, &facts));
    } else {
        for (name, value) in about(&hello) {
            println!("{name:<20} {value}");
        }
        for fact in facts.iter().filter(|fact| !TOLD.contains(&fact.name.as_str())) {
            println!("{:<20} {}", fact.name, fact.value.as_deref().unwrap_or("-"));
        }
    }
    Ok(Exit::Done)
}

/// What HELLO tells, in words.
fn about(hello: &Hello) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("device", hello.device.clone().unwrap_or_else(|| "none: nothing is stored".to_owned())),
        ("chip", hello.chip()),
        ("firmware", format!("{}, drivers {}", hello.firmware, drivers(hello).join(" "))),
        ("state", state_name(hello.state).to_owned()),
    ];
    if let (Some(generation), Some(hash)) = (hello.generation, &hello.active_hash) {
        lines.push(("generation", format!("{generation}, hash {}", short(hash))));
    }
    if let Some((code, generation)) = hello.rollback {
        let reason = Reason::from_code(code)
            .map_or_else(|| format!("reason {code}"), |reason| reason.name().to_owned());
        let generation =
            generation.map_or_else(String::new, |generation| format!("generation {generation}: "));
        lines.push(("given up", format!("{generation}{reason}")));
    }
    lines
}

fn as_json(hello: &Hello, facts: &[Fact]) -> Value {
    let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let facts: Map<String, Value> = facts.iter().map(|fact| (fact.name.clone(), value(fact))).collect();
    json!({
        "version": 1,
        "device": hello.device,
        "chip": hello.chip(),
        "firmware": hello.firmware,
        "drivers": drivers(hello),
        "state": state_name(hello.state),
        "generation": hello.generation,
        "hash": hello.active_hash.map(hex),
        "given-up": hello.rollback.map(|(code, generation)| json!({
            "reason": Reason::from_code(code).map(Reason::name), "generation": generation,
        })),
        "facts": facts,
    })
}

/// A fact's value in JSON: what is a number on the line is one here.
fn value(fact: &Fact) -> Value {
    match &fact.value {
        None => Value::Null,
        Some(text) if fact.is_text => Value::String(text.clone()),
        Some(text) => serde_json::from_str(text).unwrap_or(Value::Null),
    }
}

fn drivers(hello: &Hello) -> Vec<&'static str> {
    Driver::ALL.iter().filter(|d| hello.drivers.contains(&d.number())).map(|d| d.info().name).collect()
}

/// A state's name for people and in JSON.
pub(super) fn state_name(number: u8) -> &'static str {
    match number {
        state::EMPTY => "empty",
        state::TRIAL => "trial",
        state::CONFIRMED => "confirmed",
        state::SAFE_MODE => "safe-mode",
        _ => "unknown",
    }
}
