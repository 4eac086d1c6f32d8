//! A simulated flash chip whose contents outlive the process.
//!
//! Every change is written to the file before the chip goes on, in order: a process that is killed leaves what a power cut
//! would.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use dunlin_twin::devices::nor_flash::{Change, NorFlash, SECTOR_SIZE};

/// Writes the chip's contents to `path` now, and every change from now on.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn keep(flash: &NorFlash, path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    file.write_all_at(&flash.contents(), 0)?;
    flash.watch(move |_, change| {
        let result = match change {
            Change::Erased { address } => file.write_all_at(&[0xff; SECTOR_SIZE], address.into()),
            Change::Programmed { address, bytes } => file.write_all_at(bytes, address.into()),
        };
        if let Err(error) = result {
            eprintln!("the flash file cannot be written: {error}");
        }
    });
    Ok(())
}
