//! The command line: which verbs there are and how they are told. What a verb does is in its file under `command/`.

use std::ffi::OsString;
use std::num::{IntErrorKind, ParseIntError};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::{
    Exit, bridge, check, compile, completions, diff, erase, explain, flash, info, monitor, new, ports, probe,
    pull, push, read, restart, rollback, schema, show, simulate,
};
use crate::terminal;

/// The verbs by what they are for; clap can't group subcommands itself. A test compares it with the verbs there are.
const VERBS: &str = "\
Write:
  new          write a file to begin with
  check        tell every mistake of a file at once, and what the node will need
  explain      explain a key, a driver, a filter, a topic, a fault or a diagnostic
  schema       write the schema of a file, for editors
Try:
  simulate     run a node on this computer, with simulated sensors and a broker
Board:
  flash        put the firmware on a board, once
  push         bring a configuration to a board and wait for the verdict
  pull         read the running configuration from a board
  diff         tell what a push would change
  show         show a file, an image or a board's configuration, defaults written out
  info         tell who a board is and how it is
  monitor      show readings, health and log lines as they come
  read         measure a sensor now
  probe        tell which addresses of an I2C bus answer
  rollback     return to the configuration before
  erase        erase what is stored on a board
  restart      restart a board
  ports        list serial ports, without opening any
Network:
  bridge       carry the network of a board over its cable
Further:
  compile      write the image of a file
  completions  write completions for a shell

Ends with 0: done; 1: the file is refused; 2: the board or the line failed, or a push has no good verdict; 64: the command line is wrong.
";

/// Turns a TOML file into a sensor node.
#[derive(Parser)]
#[command(
    name = "dunlin",
    version,
    about,
    help_template = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}\n"
)]
#[command(subcommand_required = false)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand)]
enum Verb {
    New(new::Arguments),
    Check(check::Arguments),
    Explain(explain::Arguments),
    Schema(schema::Arguments),
    Compile(compile::Arguments),
    Completions(completions::Arguments),
    Simulate(simulate::Arguments),
    Flash(flash::Arguments),
    Push(push::Arguments),
    Pull(pull::Arguments),
    Diff(diff::Arguments),
    Show(show::Arguments),
    Info(info::Arguments),
    Monitor(monitor::Arguments),
    Bridge(bridge::Arguments),
    Read(read::Arguments),
    Probe(probe::Arguments),
    Rollback(rollback::Arguments),
    Erase(erase::Arguments),
    Restart(restart::Arguments),
    Ports(ports::Arguments),
}

/// Runs the command line: the program's name and its arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = Cli::command().after_help(verbs(terminal::columns()));
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            print(&error);
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let result = match cli.verb {
        None => {
            welcome();
            Ok(Exit::Done)
        }
        Some(Verb::New(arguments)) => new::run(&arguments),
        Some(Verb::Check(arguments)) => check::run(&arguments),
        Some(Verb::Explain(arguments)) => explain::run(&arguments),
        Some(Verb::Schema(arguments)) => schema::run(&arguments),
        Some(Verb::Compile(arguments)) => compile::run(&arguments),
        Some(Verb::Completions(arguments)) => completions::run(&arguments, &mut Cli::command()),
        Some(Verb::Simulate(arguments)) => simulate::run(&arguments),
        Some(Verb::Flash(arguments)) => flash::run(&arguments),
        Some(Verb::Push(arguments)) => push::run(&arguments),
        Some(Verb::Pull(arguments)) => pull::run(&arguments),
        Some(Verb::Diff(arguments)) => diff::run(&arguments),
        Some(Verb::Show(arguments)) => show::run(&arguments),
        Some(Verb::Info(arguments)) => info::run(&arguments),
        Some(Verb::Monitor(arguments)) => monitor::run(&arguments),
        Some(Verb::Bridge(arguments)) => bridge::run(&arguments),
        Some(Verb::Read(arguments)) => read::run(&arguments),
        Some(Verb::Probe(arguments)) => probe::run(&arguments),
        Some(Verb::Rollback(arguments)) => rollback::run(&arguments),
        Some(Verb::Erase(arguments)) => erase::run(&arguments),
        Some(Verb::Restart(arguments)) => restart::run(&arguments),
        Some(Verb::Ports(arguments)) => ports::run(&arguments),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("error: {}", error.text);
            error.exit.into()
        }
    }
}

/// Prints why the command line is wrong, or the help. What is wrong with a number is told in words that are not a
/// programmer's.
fn print(error: &clap::Error) {
    let number = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ParseIntError>());
    let Some(number) = number else {
        let _ = error.print();
        return;
    };
    let words = match number.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "the number is too large",
        _ => "write a whole number, such as 7",
    };
    eprint!("{}", error.render().to_string().replace(&number.to_string(), words));
}

/// Returns the list of verbs for a terminal with so many columns: what a verb does stays beside it.
fn verbs(columns: Option<usize>) -> String {
    let indent = |line: &str| if line.starts_with(' ') { 15 } else { 0 };
    VERBS.lines().map(|line| terminal::wrapped(line, indent(line), columns) + "\n").collect()
}

/// What `dunlin` alone says: at most 15 lines, no port opened.
fn welcome() {
    println!("Dunlin turns a TOML file into a sensor node on an ESP8266.\n");
    let ports: Vec<String> =
        crate::line::candidates().into_iter().filter(|p| p.is_usb).map(|p| p.port).collect();
    if std::path::Path::new(command_file()).exists() {
        println!("  here: {}", command_file());
    }
    if !ports.is_empty() {
        println!("  here: {}", ports.join(", "));
    }
    let first = if std::path::Path::new(command_file()).exists() {
        "dunlin check     tell what is wrong with the file"
    } else {
        "dunlin new       write a file to begin with"
    };
    println!("  next: {first}");
    println!("        dunlin simulate  run it here, without hardware");
    println!("        dunlin push      bring it to a board; `dunlin --help` lists every command");
}

fn command_file() -> &'static str {
    crate::command::DEFAULT_FILE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_verbs_is_the_verbs() {
        let listed: Vec<&str> =
            VERBS.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).collect();
        let mut command = Cli::command();
        command.build();
        let verbs: Vec<&str> =
            command.get_subcommands().map(clap::Command::get_name).filter(|name| *name != "help").collect();
        for verb in &verbs {
            assert!(listed.contains(verb), "`{verb}` is missing in the list of verbs");
        }
        for verb in listed {
            assert!(verbs.contains(&verb), "`{verb}` is listed and does not exist");
        }
    }

    #[test]
    fn what_a_verb_does_stays_beside_it_on_a_narrow_terminal() {
        assert_eq!(verbs(None), VERBS);
        let narrow = verbs(Some(40));
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(narrow.contains("\n  read         measure a sensor now\n"), "{narrow}");
        assert!(narrow.contains("\n  new          write a file to begin\n               with\n"), "{narrow}");
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
