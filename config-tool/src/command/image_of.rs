//! The image that a command looks at: of a file, of an image file, or of a board.

use std::path::Path;

use dunlin_config_format::image::{Header, Image, MAGIC};

use super::{CommandError, Exit, LineArguments, check, short};
use crate::compile::{SecretSource, compile, told};
use crate::device::PullTask;
use crate::package;

/// An image, and where it is from, for people.
pub(crate) struct Given {
    pub(crate) name: String,
    /// The device's name, where a board told it; else that of the file.
    pub(crate) device: String,
    pub(crate) image: Vec<u8>,
    /// Where its password comes from; an image does not tell.
    pub(crate) password: Option<SecretSource>,
}

/// Returns the image of `path`, or without it that of the board.
pub(crate) fn image_of(path: Option<&Path>, line: &LineArguments) -> Result<Given, CommandError> {
    let Some(path) = path else { return of_board(line) };
    let name = path.display().to_string();
    if let Ok(image) = std::fs::read(path)
        && image.starts_with(&MAGIC.to_le_bytes())
    {
        Image::parse(&image).map_err(|error| {
            CommandError::new(Exit::Refused, format!("`{name}`: {}", package::damage(error)))
        })?;
        return Ok(Given { device: name.clone(), name, image, password: None });
    }
    let source = check::read(path)?;
    let compiled = compile(&source);
    if compiled.is_refused() {
        told(&source, &compiled.diagnostics, compiled.untold)
            .iter()
            .for_each(|problem| eprintln!("{problem}"));
    }
    let device = compiled.device.unwrap_or_default();
    let password = compiled.secrets.into_iter().next().map(|(_, source)| source);
    let image =
        compiled.image.ok_or_else(|| CommandError::new(Exit::Refused, format!("`{name}` is refused")))?;
    Ok(Given { name, device, image, password })
}

/// Reads the running configuration's image from the board.
pub(crate) fn of_board(line: &LineArguments) -> Result<Given, CommandError> {
    let (mut connection, hello) = line.meet(None)?;
    let pulled = connection.run(&mut PullTask::new()?)?;
    let image = Image::parse(&pulled.bytes).map_err(|error| {
        CommandError::new(Exit::Device, format!("what the device sent: {}", package::damage(error)))
    })?;
    if image.header.hash.get(..8) != Some(&pulled.hash_prefix) {
        return Err(CommandError::new(
            Exit::Device,
            "what the device sent does not have the hash that it told",
        ));
    }
    let device = hello.device.clone().unwrap_or_else(|| hello.chip());
    let hash = short(&image.header.hash);
    // An image counts no generation. The board may have got another one since HELLO.
    let generation = hello.generation.filter(|_| hello.active_hash == Some(image.header.hash));
    let generation = generation.map_or_else(String::new, |number| format!(" generation {number},"));
    let name = format!("device {device},{generation} hash {hash}");
    Ok(Given { name, device, image: as_file(&image), password: None })
}

/// An image file counts no generation: the device does.
fn as_file(image: &Image<'_>) -> Vec<u8> {
    let header = Header { generation: 0, ..image.header };
    [&header.encode(), image.body, image.assets].concat()
}
