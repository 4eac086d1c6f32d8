//! A simulated flash chip whose contents outlive the process.
//!
//! Every change is written to the file before the chip goes on, in order: a process that is killed leaves what a power cut
//! would. A change that cannot be written ends the run, and the chip loses power before it says that the change is done. One
//! process at a time has the file.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use dunlin_twin::devices::nor_flash::{Change, NorFlash, SECTOR_SIZE};
use rustix::fs::{FlockOperation, flock};

use super::super::{CommandError, Exit};
use crate::simulate::FLASH_SIZE;

/// An open flash file, which no other process has.
pub(super) struct FlashFile {
    file: File,
    shown: String,
    contents: Vec<u8>,
    failure: Rc<RefCell<Option<String>>>,
}

impl FlashFile {
    /// Opens a flash file, or begins a new one unless it `must_exist`.
    ///
    /// # Errors
    /// What is wrong with the file, or that another process has it.
    pub(super) fn open(path: &Path, must_exist: bool) -> Result<Self, CommandError> {
        let shown = path.display().to_string();
        let usage = |text: String| CommandError::new(Exit::Usage, text);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound if must_exist => usage(format!(
                "there is no flash file `{shown}`, and --as-stored runs what one holds: without it, one is made"
            )),
            _ => usage(format!("the flash file `{shown}`: {error}")),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(!must_exist)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(usage(format!("`{shown}` is no flash file: name an ordinary file")));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let text =
                format!("another simulation uses the flash file `{shown}`: stop it, or name another file");
            CommandError::new(Exit::Device, text)
        })?;
        let mut contents = Vec::new();
        // One byte more, so that a file that is too long is noticed.
        (&mut file).take(FLASH_SIZE as u64 + 1).read_to_end(&mut contents).map_err(failed)?;
        if !contents.is_empty() && contents.len() != FLASH_SIZE {
            let len = file.metadata().map_err(failed)?.len();
            return Err(usage(format!(
                "`{shown}` is no flash file: it has {len} bytes, not {FLASH_SIZE}; name another file, and it is made"
            )));
        }
        Ok(FlashFile { file, shown, contents, failure: Rc::default() })
    }

    /// Returns a chip that holds what the file does; an erased one for a new file.
    pub(super) fn chip(&self) -> NorFlash {
        if self.contents.is_empty() {
            NorFlash::new(FLASH_SIZE)
        } else {
            NorFlash::with_contents(self.contents.clone())
        }
    }

    /// Writes the chip's contents to the file now, and every change from now on; returns where a failure to do so is noted.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn keep(self, flash: &NorFlash) -> Result<Rc<RefCell<Option<String>>>, CommandError> {
        let FlashFile { file, shown, contents, failure } = self;
        let failed = move |error: io::Error| format!("the flash file `{shown}` can't be written: {error}");
        let now = flash.contents();
        if now != contents {
            file.write_all_at(&now, 0).map_err(|error| CommandError::new(Exit::Device, failed(error)))?;
        }
        let noted = Rc::clone(&failure);
        flash.watch(move |_, change| {
            let result = match change {
                Change::Erased { address } => file.write_all_at(&[0xff; SECTOR_SIZE], address.into()),
                Change::Programmed { address, bytes } => file.write_all_at(bytes, address.into()),
            };
            let is_kept = result.is_ok();
            if let Err(error) = result {
                noted.borrow_mut().get_or_insert_with(|| failed(error));
            }
            is_kept
        });
        Ok(failure)
    }
}
