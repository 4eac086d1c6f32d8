//! `dunlin info`: who a board is and how it is.

use std::path::{Path, PathBuf};

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::state;
use dunlin_config_format::reason::Reason;
use serde_json::{Map, Value, json};

use super::node::{self, NodeArguments};
use super::{CommandError, Exit, Outcome, short};
use crate::crash::{self, Program};
use crate::device::{Fact, Hello, InfoTask};

/// Tell who a board is and how it is
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// The program that was built with the board's image: names the places of a crash. `dunlin.elf` here, or what `cargo xtask
    /// firmware` has built, unless named
    #[arg(long, value_name = "FILE")]
    elf: Option<PathBuf>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Facts that the lines before them tell already.
const TOLD: &[&str] = &["device", "firmware", "chip", "hash", "generation", "state", "rollback"];

/// Programs that are taken where none is named, if they are the board's.
const PROGRAMS: [&str; 2] = ["dunlin.elf", "target/firmware/dunlin.elf"];

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let named = arguments.elf.as_deref().map(read_program).transpose()?;
    if let Some(mut remote) = arguments.node.remote()? {
        let text = remote.ask("info", "").map_err(|error| CommandError::new(Exit::Device, error))?;
        let birth = node::answer(&text)?;
        // A birth does not tell which image runs: a program that is named is taken at its word.
        let report = birth.get("crash").and_then(Value::as_str);
        let crash = report.map(|report| crash::explain(report, named.as_ref())).unwrap_or_default();
        if arguments.json {
            println!(
                "{}",
                json!({ "version": 1, "device": birth.get("device"), "facts": birth, "crash": crash })
            );
        } else {
            for (name, value) in birth.iter().filter(|(_, value)| !value.is_null()) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                println!("{name:<20} {}", with_unit(name, &value));
                print_lines(if name == "crash" { &crash } else { &[] });
            }
        }
        return Ok(Exit::Done);
    }
    let (mut connection, hello) = arguments.node.line.meet(None)?;
    let facts = connection.run(&mut InfoTask::new()?)?;
    let crash = explain(&facts, named)?;
    if arguments.json {
        println!("{}", as_json(&hello, &facts, &crash));
    } else {
        for (name, value) in about(&hello) {
            println!("{name:<20} {value}");
        }
        for fact in facts.iter().filter(|fact| !TOLD.contains(&fact.name.as_str())) {
            let Some(value) = &fact.value else { continue };
            println!("{:<20} {}", fact.name, with_unit(&fact.name, value));
            print_lines(if fact.name == "crash" { &crash } else { &[] });
        }
    }
    Ok(Exit::Done)
}

/// A value for people: with its unit, and no more decimals than mean something.
fn with_unit(name: &str, value: &str) -> String {
    let number = |unit: &str| {
        value.parse::<f64>().map_or_else(|_| value.to_owned(), |number| format!("{number:.1} {unit}"))
    };
    if name == "uptime" {
        number("s")
    } else if name.ends_with("-percent") {
        number("%")
    } else if name.ends_with("-ms") {
        format!("{value} ms")
    } else {
        value.to_owned()
    }
}

/// Prints what explains the line before.
fn print_lines(lines: &[String]) {
    for line in lines {
        println!("{:<20} {line}", "");
    }
}

fn read_program(path: &Path) -> Result<Program, CommandError> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| CommandError::new(Exit::Usage, format!("`{shown}` can't be read: {error}")))?;
    Program::read(&bytes).ok_or_else(|| {
        let text = format!("`{shown}` is no program with names: `cargo xtask firmware` builds `dunlin.elf`");
        CommandError::new(Exit::Usage, text)
    })
}

/// Explains the crash that a board tells, with the names of the program that it runs: the one that is named, or one that is
/// there and is the board's.
fn explain(facts: &[Fact], named: Option<Program>) -> Result<Vec<String>, CommandError> {
    let fact =
        |name: &str| facts.iter().find(|fact| fact.name == name).and_then(|fact| fact.value.as_deref());
    let image = fact("image");
    let is_boards = |program: &Program| image == Some(&format!("{:08x}", program.checksum()));
    if let (Some(program), Some(image)) = (&named, image)
        && !is_boards(program)
    {
        let text = format!(
            "the program that --elf names is not the board's: its code has the CRC-32 `{:08x}`, the board's has `{image}`; \
             name the ELF that was built with the board's image",
            program.checksum()
        );
        return Err(CommandError::new(Exit::Refused, text));
    }
    let Some(report) = fact("crash") else { return Ok(Vec::new()) };
    let found = || {
        let programs = PROGRAMS.iter().filter_map(|path| Program::read(&std::fs::read(path).ok()?));
        programs.into_iter().find(is_boards)
    };
    let program = named.or_else(found);
    let mut lines = crash::explain(report, program.as_ref());
    if program.is_none() && report.contains(" at 0x") {
        lines.push(
            "its places have names with `--elf FILE`: the `dunlin.elf` that was built with the image"
                .to_owned(),
        );
    }
    Ok(lines)
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
        lines.push(("given-up", format!("{generation}{reason}")));
    }
    lines
}

fn as_json(hello: &Hello, facts: &[Fact], crash: &[String]) -> Value {
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
        "crash": crash,
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

#[cfg(test)]
mod tests {
    use super::with_unit;

    #[test]
    fn numbers_have_their_units() {
        for (name, value, shown) in [
            ("uptime", "8.302", "8.3 s"),
            ("asleep-percent", "99.125", "99.1 %"),
            ("lateness-p99-ms", "4", "4 ms"),
            ("published", "12", "12"),
            ("waits-for", "broker-silent", "broker-silent"),
        ] {
            assert_eq!(with_unit(name, value), shown);
        }
    }
}
