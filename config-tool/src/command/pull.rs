//! `dunlin pull`: reads the running configuration from a board.

use std::fs;
use std::path::PathBuf;

use super::image_of::of_board;
use super::{CommandError, Exit, LineArguments, Outcome, show};

/// Read the running configuration from a board, as an image or as a file. It holds no secret
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// File to write: an image, or with `.toml` a file; the device's name with `.dunlin` unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let given = of_board(&arguments.line)?;
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.dunlin", given.device)));
    let is_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let bytes = if is_text { show::text(&given.name, &given.image)?.into_bytes() } else { given.image };
    fs::write(&path, bytes).map_err(|error| {
        CommandError::new(Exit::Refused, format!("`{}` can't be written: {error}", path.display()))
    })?;
    println!("{}: {}", path.display(), given.name);
    Ok(Exit::Done)
}
