//! What `push` brings to a board, from what the user has: a file with a configuration.

use std::fmt;
use std::path::Path;

use dunlin_config_format::config::Config;
use dunlin_config_format::image::{HeaderError, Image, ImageError, MAGIC};

use crate::device::Package;

/// Why a file can't be pushed. Shown to people as it is.
#[derive(Debug)]
pub struct PackageError(String);

impl std::error::Error for PackageError {}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a file and makes a package of it.
///
/// # Errors
/// [`PackageError`] where the file can't be read or is not a configuration.
pub fn load(path: &Path) -> Result<Package, PackageError> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            PackageError(format!("`{shown}` does not exist: name the file to push"))
        }
        _ => PackageError(format!("`{shown}` can't be read: {error}")),
    })?;
    if bytes.starts_with(&MAGIC.to_le_bytes()) {
        return from_image(bytes, Vec::new()).map_err(|error| PackageError(format!("`{shown}`: {error}")));
    }
    Err(PackageError(format!("`{shown}` is no image: it does not begin with `DNLN`")))
}

/// Makes a package of an image and the secrets that it names. Secrets that are left out stay as they are on the board.
///
/// # Errors
/// [`PackageError`] where the bytes are not a valid image.
pub fn from_image(bytes: Vec<u8>, secrets: Vec<(String, Vec<u8>)>) -> Result<Package, PackageError> {
    let image = Image::parse(&bytes).map_err(refuse)?;
    let config = Config::decode(image.body)
        .map_err(|error| PackageError(format!("its body is not valid: {error:?}")))?;
    let mut drivers: Vec<(u8, String)> = config
        .sensors
        .iter()
        .map(|sensor| (sensor.driver.number(), sensor.driver.info().name.to_owned()))
        .collect();
    drivers.sort_unstable();
    drivers.dedup();
    Ok(Package {
        hash: image.header.hash,
        device: config.device.name.to_owned(),
        schema: image.header.lowest_reader,
        drivers,
        secrets,
        image: bytes,
    })
}

fn refuse(error: ImageError) -> PackageError {
    PackageError(match error {
        ImageError::Header(HeaderError::TooNew { lowest_reader }) => {
            format!(
                "the image has format {lowest_reader}, which this tool does not read: use a newer `dunlin`"
            )
        }
        error => format!("the image is damaged ({error:?}): compile or pull it again"),
    })
}
