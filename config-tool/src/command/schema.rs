//! `dunlin schema`: the JSON Schema of a file.

use clap::Args;

use super::{CommandError, Exit};

/// Write the JSON Schema of a file, for editors that complete and check TOML
#[derive(Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<Exit, CommandError> {
    println!("{:#}", crate::compile::schema());
    Ok(Exit::Done)
}
