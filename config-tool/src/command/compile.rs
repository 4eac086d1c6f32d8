//! `dunlin compile`: writes the image of a file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CommandError, DEFAULT_FILE, Exit, STANDARD, check, not_written};
use crate::compile::{compile, told};
use crate::package::missing_secrets;

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
    let output = output(arguments)?;
    let source = check::read(&arguments.file)?;
    let compiled = compile(&source);
    for problem in told(&source, &compiled.diagnostics, compiled.untold) {
        eprintln!("{problem}");
    }
    let Some(image) = compiled.image else { return Ok(Exit::Refused) };
    for secret in missing_secrets(&arguments.file, &compiled.secrets) {
        eprintln!("{}", check::note(&secret));
    }
    let shown = output.display();
    std::fs::write(&output, &image).map_err(|error| not_written(&output, &error))?;
    println!(
        "{}: device `{}`, {} bytes in `{shown}`",
        source.name,
        compiled.device.unwrap_or_default(),
        image.len()
    );
    Ok(Exit::Done)
}

/// Returns where the image goes: never over the user's text.
fn output(arguments: &Arguments) -> Result<PathBuf, CommandError> {
    let refuse = |text: String| Err(CommandError::new(Exit::Usage, text));
    let file = &arguments.file;
    let Some(output) = &arguments.output else {
        if file.as_os_str() == STANDARD {
            return refuse(
                "the standard input has no name to give the image: add `-o FILE.dunlin`".to_owned(),
            );
        }
        let output = file.with_extension("dunlin");
        if output == *file {
            return refuse(format!(
                "`{}` would be written over itself: add `-o FILE.dunlin`",
                file.display()
            ));
        }
        return Ok(output);
    };
    let shown = output.display();
    let is_text = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    if is_text || (real(output).is_some() && real(output) == real(file)) {
        return refuse(format!(
            "`{shown}` is a file's text, and an image would replace it: write `-o FILE.dunlin`"
        ));
    }
    Ok(output.clone())
}
