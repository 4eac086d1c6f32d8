//! `dunlin pull`: reads the running configuration from a board.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::image_of::of_board;
use super::{CommandError, Exit, LineArguments, Outcome, not_written, show};

/// Read the running configuration from a board, as an image or as a file. It holds no secret
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// File to write: an image, or with `.toml` a file; the device's name with `.dunlin` unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(path) = arguments.output.as_deref().filter(|path| !arguments.force && path.exists()) {
        return Err(is_there(path));
    }
    let given = of_board(&arguments.line)?;
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.dunlin", given.device)));
    let is_text = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let bytes = if is_text { show::text(&given)?.into_bytes() } else { given.image };
    write(&path, &bytes, arguments.force)?;
    println!("{}: {}", path.display(), given.name);
    Ok(Exit::Done)
}

fn write(path: &Path, bytes: &[u8], force: bool) -> Result<(), CommandError> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(force).create(force).create_new(!force);
    options.open(path).and_then(|mut file| file.write_all(bytes)).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => is_there(path),
        _ => not_written(path, &error),
    })
}

fn is_there(path: &Path) -> CommandError {
    let shown = path.display();
    let text = format!(
        "`{shown}` is there already, and may be written by hand: name another file with `-o`, or add `--force` to replace it"
    );
    CommandError::new(Exit::Usage, text)
}
