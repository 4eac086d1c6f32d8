//! `dunlin check`: every mistake of a file at once, and what the node will need.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CommandError, DEFAULT_FILE, Exit};
use crate::compile::{Compiled, FILE_SIZE, Severity, Source, compile};

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
    for file in files {
        let source = read(file)?;
        let compiled = compile(&source);
        tell(&source, &compiled, arguments.format);
        let warned = compiled.diagnostics.iter().any(|problem| problem.severity == Severity::Warning);
        if compiled.is_refused() || (arguments.deny_warnings && warned) {
            exit = Exit::Refused;
        }
    }
    Ok(exit)
}

/// Reads a file, or the standard input for `-`.
pub(crate) fn read(file: &std::path::Path) -> Result<Source, CommandError> {
    let shown = file.display();
    let refused = |text: String| CommandError::new(Exit::Refused, text);
    // One byte more than a file may have is enough to refuse it.
    let most = FILE_SIZE as u64 + 1;
    let bytes = if file.as_os_str() == "-" {
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
        std::io::ErrorKind::NotFound => {
            refused(format!("`{shown}` does not exist: `dunlin new` writes a `{DEFAULT_FILE}` to begin with"))
        }
        _ => refused(format!("`{shown}` can't be read: {error}")),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        refused(format!(
            "`{shown}` is not text (byte {}): is it the right file?",
            error.utf8_error().valid_up_to()
        ))
    })?;
    // Editors on Windows put a mark in front; TOML has no use for it.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Source { name: if shown.to_string() == "-" { "<stdin>".to_owned() } else { shown.to_string() }, text })
}

fn tell(source: &Source, compiled: &Compiled, format: Format) {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if format == Format::Human {
        let device = compiled.device.as_deref().unwrap_or("unnamed");
        println!("{}: device `{device}`", source.name);
    }
    for problem in &compiled.diagnostics {
        match format {
            Format::Human => println!("\n{}", problem.human(source, color).trim_end()),
            Format::Short => println!("{}", problem.short(source)),
            Format::Json => println!("{}", problem.json(source)),
        }
    }
    if format != Format::Human {
        return;
    }
    let count = |severity| compiled.diagnostics.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match &compiled.image {
        None => println!("\nrefused: {errors} errors, {warnings} warnings; `dunlin explain CODE` tells more"),
        Some(image) => {
            let budget = crate::compile::budget(image);
            println!(
                "{}",
                if warnings > 0 { format!("\nfine, with {warnings} warnings") } else { "fine".to_owned() }
            );
            for (name, value) in budget {
                println!("  {name:<16} {value}");
            }
        }
    }
}
