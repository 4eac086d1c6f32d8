//! `dunlin compile`: writes the image of a file.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, DEFAULT_FILE, Exit, check};
use crate::compile::compile;

/// Write the image of a file; it holds no secret
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file; `node.toml` unless named
    #[arg(default_value = DEFAULT_FILE)]
    file: PathBuf,
    /// Where the image goes; beside the file unless named
    #[arg(short, long, value_name = "FILE.dunlin")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let source = check::read(&arguments.file)?;
    let compiled = compile(&source);
    for problem in &compiled.diagnostics {
        eprintln!("{}", problem.human(&source, false));
    }
    let Some(image) = compiled.image else { return Ok(Exit::Refused) };
    let output = arguments.output.clone().unwrap_or_else(|| arguments.file.with_extension("dunlin"));
    let shown = output.display();
    std::fs::write(&output, &image)
        .map_err(|error| CommandError::new(Exit::Device, format!("`{shown}`: {error}")))?;
    println!(
        "{}: device `{}`, {} bytes in `{shown}`",
        source.name,
        compiled.device.unwrap_or_default(),
        image.len()
    );
    Ok(Exit::Done)
}
