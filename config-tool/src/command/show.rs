//! `dunlin show`: a configuration as a file, with every default written out.

use std::path::PathBuf;

use clap::Args;

use super::image_of::{Given, image_of};
use super::{CommandError, Exit, LineArguments};
use crate::compile::show_with;

/// Show a file, an image or a board's configuration as a file, with every default written out
#[derive(Args)]
pub(crate) struct Arguments {
    /// A file or an image; the board's configuration, without it
    source: Option<PathBuf>,
    #[command(flatten)]
    line: LineArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    print!("{}", text(&image_of(arguments.source.as_deref(), &arguments.line)?)?);
    Ok(Exit::Done)
}

/// Returns the file of an image, with a word on what it can't restore.
pub(crate) fn text(given: &Given) -> Result<String, CommandError> {
    let Given { name, image, password, .. } = given;
    let shown = show_with(image, password.as_ref())
        .map_err(|error| CommandError::new(Exit::Refused, format!("{name}: {error}")))?;
    let word = if shown.is_exact {
        "compiles to the same image; comments, variables and includes are not restored"
    } else {
        "compiles to another image than the one it shows: that holds what a file of this version cannot say"
    };
    Ok(format!("# {name}: {word}\n{}", shown.text))
}
