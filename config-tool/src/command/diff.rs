//! `dunlin diff`: what a push would change.

use std::path::{Path, PathBuf};

use clap::Args;
use dunlin_config_format::config::Mqtt;
use serde_json::{Value, json};

use super::image_of::{Given, image_of};
use super::{CommandError, DEFAULT_FILE, Exit, LineArguments};
use crate::compile::{Difference, Line, difference};

/// Tell what changes from a board to a file, or from one file to another, and which retained topics go stale
#[derive(Args)]
pub(crate) struct Arguments {
    /// One file or image: from the board to it (`node.toml` unless named). Two: from the first to the second
    #[arg(num_args = 0..=2, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// End with 1 where there is a difference, and with 2 where none can be told
    #[arg(long)]
    exit_code: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    line: LineArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    compare(arguments).map_err(|error| match error.exit {
        // As with diff and git, 1 says that both could be read.
        Exit::Refused if arguments.exit_code => CommandError { exit: Exit::Device, ..error },
        _ => error,
    })
}

fn compare(arguments: &Arguments) -> Result<Exit, CommandError> {
    let default = Path::new(DEFAULT_FILE);
    let (old, new) = match arguments.files.as_slice() {
        [old, new] => (Some(old.as_path()), new.as_path()),
        [new] => (None, new.as_path()),
        _ => (None, default),
    };
    // A file that is refused needs no board.
    let new = image_of(Some(new), &arguments.line)?;
    let old = image_of(old, &arguments.line)?;
    let changes =
        difference(&old.image, &new.image).map_err(|error| CommandError::new(Exit::Refused, error))?;
    if arguments.json {
        println!("{}", as_json(&old, &new, &changes));
    } else {
        tell(&old, &new, &changes);
    }
    let is_equal = old.image == new.image;
    Ok(if arguments.exit_code && !is_equal { Exit::Refused } else { Exit::Done })
}

fn as_json(old: &Given, new: &Given, changes: &Difference) -> Value {
    let mut table = "";
    let mut lines = Vec::new();
    for line in &changes.lines {
        match line {
            Line::Table(name) => table = name,
            Line::Removed(text) => lines.push(json!({ "table": table, "removed": text })),
            Line::Added(text) => lines.push(json!({ "table": table, "added": text })),
        }
    }
    json!({
        "version": 1, "from": old.name, "to": new.name, "equal": old.image == new.image,
        "lines": lines, "renamed": changes.is_renamed, "stale": changes.stale,
    })
}

fn tell(old: &Given, new: &Given, changes: &Difference) {
    println!("from {} to {}", old.name, new.name);
    if old.image == new.image {
        println!("no difference: the images are the same");
        return;
    }
    let color = super::check::has_color();
    let painted = |code: &str, text: String| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text };
    for line in &changes.lines {
        match line {
            Line::Table(name) => println!("\n{name}"),
            Line::Removed(text) => println!("{}", painted("31", format!("- {text}"))),
            Line::Added(text) => println!("{}", painted("32", format!("+ {text}"))),
        }
    }
    if changes.lines.is_empty() {
        println!("the images differ in what a file does not say");
    }
    if changes.is_renamed {
        println!("\nthe node's own topics get other names; it empties the retained ones when it leaves them");
    }
    if !changes.stale.is_empty() {
        let (host, port) = &changes.broker;
        let host = if host == Mqtt::USB_HOST { "localhost" } else { host };
        println!(
            "\nretained topics that nobody renews any more; empty each with `mosquitto_pub -h {host} -p {port} -r -n -t TOPIC`:"
        );
        for topic in &changes.stale {
            println!("  {topic}");
        }
    }
}
