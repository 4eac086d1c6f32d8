//! `dunlin completions`: what a shell needs to complete the command line.

use clap::builder::PossibleValuesParser;
use clap::{Args, Command};
use clap_complete::Shell;

use super::{CommandError, Exit, explain};

/// Write completions for a shell
#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Stands for the ports of the moment, which only the shell can ask for.
const PORTS: &str = "DUNLIN-PORTS";
/// What tells them.
const LIST: &str = "command dunlin ports --names 2>/dev/null";

pub(crate) fn run(arguments: &Arguments, command: &mut Command) -> Result<Exit, CommandError> {
    let mut text = Vec::new();
    let mut command = std::mem::take(command).mut_subcommands(with_words);
    clap_complete::generate(arguments.shell, &mut command, "dunlin", &mut text);
    let ports = match arguments.shell {
        Shell::Fish => format!("({LIST})"),
        _ => format!("$({LIST})"),
    };
    print!("{}", String::from_utf8_lossy(&text).replace(PORTS, &ports));
    if arguments.shell == Shell::Fish {
        // The generator knows words of options only.
        let words = explain::words().join(" ");
        println!("complete -c dunlin -n \"__fish_dunlin_using_subcommand explain\" -f -a \"{words}\"");
    }
    Ok(Exit::Done)
}

/// Adds the words of arguments that take any, so that they are offered.
fn with_words(verb: Command) -> Command {
    let has = |name: &str| verb.get_arguments().any(|argument| argument.get_id() == name);
    if verb.get_name() == "explain" {
        return verb.mut_arg("what", |what| what.value_parser(PossibleValuesParser::new(explain::words())));
    }
    if has("port") { verb.mut_arg("port", |port| port.value_parser([PORTS])) } else { verb }
}
