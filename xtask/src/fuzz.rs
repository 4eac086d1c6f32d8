//! Inputs that nobody meant, to everything that parses, for as long as one likes.

use std::process::Command;

use crate::routine::run;

/// `fuzz MINUTES` feeds inputs from a new seed; `fuzz --replay STRING` repeats the one whose string a failure has printed.
pub(crate) fn fuzz(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [minutes] if minutes.parse::<u32>().is_ok() => {
            run(test("long_run").env("DUNLIN_FUZZ_MINUTES", minutes))
        }
        [flag, string] if flag == "--replay" => run(test("replay").env("DUNLIN_FUZZ_REPLAY", string)),
        _ => Err("write `cargo xtask fuzz MINUTES` or `cargo xtask fuzz --replay STRING`".to_owned()),
    }
}

fn test(name: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--quiet", "--package", "dunlin", "--test", "fuzz"]);
    command.args(["--", "--exact", name, "--ignored", "--nocapture"]);
    command
}
