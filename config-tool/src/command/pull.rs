//! `dunlin pull`: reads the running configuration's image from a board.

use std::fs;
use std::path::PathBuf;

use dunlin_config_format::image::{Header, Image};

use super::{CommandError, Exit, LineArguments, Outcome, short};
use crate::device::PullTask;

/// Read the running configuration's image from a board. It holds no secret
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// File to write; the device's name with `.dunlin` unless given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (mut connection, hello) = arguments.line.meet(None)?;
    let pulled = connection.run(&mut PullTask::new()?)?;
    let image = Image::parse(&pulled.bytes).map_err(|error| {
        CommandError::new(Exit::Device, format!("what the device sent is no image: {error:?}; pull again"))
    })?;
    if image.header.hash.get(..8) != Some(&pulled.hash_prefix) {
        return Err(CommandError::new(
            Exit::Device,
            "what the device sent does not have the hash that it told",
        ));
    }
    let name = hello.device.unwrap_or_else(|| format!("{:x}", hello.chip_id));
    let path = arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.dunlin")));
    fs::write(&path, as_file(&image)).map_err(|error| {
        CommandError::new(Exit::Refused, format!("`{}` can't be written: {error}", path.display()))
    })?;
    let generation = image.header.generation;
    println!(
        "{}: device {name}, generation {generation}, hash {}",
        path.display(),
        short(&image.header.hash)
    );
    Ok(Exit::Done)
}

/// An image file counts no generation: the device does.
fn as_file(image: &Image<'_>) -> Vec<u8> {
    let header = Header { generation: 0, ..image.header };
    [&header.encode(), image.body, image.assets].concat()
}
