//! `dunlin check`: every mistake of a file at once, and what the node will need.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{CommandError, DEFAULT_FILE, Exit, STANDARD};
use crate::compile::{Budget, Compiled, FILE_SIZE, Severity, Source, budget, compile, more};
use crate::package::{missing_secrets, not_there};
use crate::terminal::{columns, wrapped};

/// How problems are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With the line and a caret
    Human,
    /// One line each
    Short,
    /// One JSON object a line
    Json,
}

/// Tell every mistake of a file at once, and what the node will need
#[derive(Args)]
pub(crate) struct Arguments {
    /// Files; `-` is the standard input, `node.toml` where none is named
    files: Vec<PathBuf>,
    /// How problems are told
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Refuse files with warnings
    #[arg(long)]
    deny_warnings: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let default = [PathBuf::from(DEFAULT_FILE)];
    let files = if arguments.files.is_empty() { &default[..] } else { &arguments.files };
    let mut exit = Exit::Done;
    let mut nodes = Vec::new();
    for file in files {
        let source = match read(file) {
            Ok(source) => source,
            Err(error) => {
                unreadable(file, &error.text, arguments.format);
                exit = Exit::Refused;
                continue;
            }
        };
        let mut compiled = compile(&source);
        compiled.compare(&source, &mut nodes);
        let missing =
            if compiled.is_refused() { Vec::new() } else { missing_secrets(file, &compiled.secrets) };
        let warned = compiled.diagnostics.iter().any(|problem| problem.severity == Severity::Warning);
        let refused = compiled.is_refused() || (arguments.deny_warnings && warned);
        tell(&source, &compiled, &missing, refused, arguments.format);
        if refused {
            exit = Exit::Refused;
        }
    }
    Ok(exit)
}

/// Tells of a file that can't be read; the others are checked all the same.
fn unreadable(file: &Path, error: &str, format: Format) {
    let name = file.display().to_string();
    match format {
        Format::Human => println!("error: {error}"),
        Format::Short => println!("{name}: error: {error}"),
        Format::Json => {
            let problem =
                serde_json::json!({ "version": 1, "file": name, "severity": "error", "message": error });
            println!("{problem}");
        }
    }
}

/// Returns how wide the lines for people may be; none where a program reads them.
fn terminal_columns() -> Option<usize> {
    std::io::stdout().is_terminal().then(columns).flatten()
}

/// Returns whether colours are wanted: at a terminal, unless `NO_COLOR` is set and not empty (no-color.org).
pub(crate) fn has_color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Tells of a secret that only a push needs.
pub(super) fn note(secret: &str) -> String {
    format!("note: {secret}; `dunlin push` needs it, an image holds its name only")
}

/// A number of things, in words: `1 error`, `2 errors`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Reads a file, or the standard input for `-`.
pub(crate) fn read(file: &Path) -> Result<Source, CommandError> {
    let shown = file.display();
    let refused = |text: String| CommandError::new(Exit::Refused, text);
    // One byte more than a file may have is enough to refuse it.
    let most = FILE_SIZE as u64 + 1;
    let bytes = if file.as_os_str() == STANDARD {
        let mut bytes = Vec::new();
        let read = std::io::stdin().take(most).read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        std::fs::File::open(file).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(most).read_to_end(&mut bytes).map(|_| bytes)
        })
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refused(not_there(file)),
        _ => refused(format!("`{shown}` can't be read: {error}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        refused(format!(
            "`{shown}` is not text (byte {}): is it the right file? If so, save it as UTF-8",
            error.utf8_error().valid_up_to()
        ))
    })?;
    // Editors on Windows put a mark in front; TOML has no use for it.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Source {
        name: if shown.to_string() == STANDARD { "<stdin>".to_owned() } else { shown.to_string() },
        text,
    })
}

fn tell(source: &Source, compiled: &Compiled, missing: &[String], refused: bool, format: Format) {
    let (color, columns) = (has_color(), terminal_columns());
    let say = |line: String, indent| println!("{}", wrapped(&line, indent, columns));
    if format == Format::Human {
        let device = compiled.device.as_deref().unwrap_or("unnamed");
        println!("{}: device `{device}`", source.name);
    }
    for problem in &compiled.diagnostics {
        match format {
            Format::Human => println!("\n{}", problem.human_in(source, color, columns).trim_end()),
            Format::Short => println!("{}", problem.short(source)),
            Format::Json => println!("{}", problem.json(source)),
        }
    }
    if format == Format::Json {
        println!("{}", summary(source, compiled, missing, refused));
    } else if let Some(more) = more(source, compiled.untold) {
        println!("{more}");
    }
    if format == Format::Short {
        missing.iter().for_each(|secret| println!("{}: {}", source.name, note(secret)));
    }
    if format != Format::Human {
        return;
    }
    let count = |severity| compiled.diagnostics.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match &compiled.image {
        None => {
            println!();
            let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
            say(format!("refused: {counts}; `dunlin explain CODE` tells more"), 2);
        }
        Some(image) => {
            let budget = budget(image);
            println!(
                "{}",
                match (warnings, refused) {
                    (0, _) => "fine".to_owned(),
                    (_, false) => format!("\nfine, with {}", counted(warnings, "warning")),
                    (_, true) => format!("\nrefused: {}, and --deny-warnings", counted(warnings, "warning")),
                }
            );
            for (name, value) in budget {
                say(format!("  {name:<16} {value}"), 19);
            }
            missing.iter().for_each(|secret| say(note(secret), 2));
        }
    }
}

/// The verdict on a file as a JSON object: it follows the objects of its problems.
fn summary(source: &Source, compiled: &Compiled, missing: &[String], refused: bool) -> serde_json::Value {
    let budget = compiled.image.as_deref().and_then(Budget::of);
    serde_json::json!({
        "version": 1,
        "file": source.name,
        "device": compiled.device,
        "refused": refused,
        "untold": compiled.untold,
        "missing-secrets": missing,
        "budget": budget.map(|budget| budget.json()),
    })
}
