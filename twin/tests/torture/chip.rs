//! A chip that is only as large as the slots and the identity, at their addresses, and a record of what is done to it.

use std::cell::RefCell;

use dunlin_config_format::flash_map::{RESERVED, SLOTS};
use dunlin_twin::devices::nor_flash::{FlashError, NorFlash};
use embedded_storage::nor_flash::{ErrorType, NorFlash as NorFlashTrait, ReadNorFlash};

/// Address of the first byte.
const BASE: u32 = SLOTS[0].address;
/// Bytes from the first slot to the end of the identity.
pub(crate) const SIZE: usize = (RESERVED.address - BASE) as usize;

/// An operation that changes the chip.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Erase(u32, u32),
    Program(u32, Vec<u8>),
}

impl Change {
    /// Returns how many words it touches.
    pub(crate) fn words(&self) -> usize {
        match self {
            Change::Erase(from, to) => (to - from) as usize / 4,
            Change::Program(_, bytes) => bytes.len() / 4,
        }
    }

    /// Does it again; a cut that is planned happens.
    pub(crate) fn repeat(&self, window: &Window) {
        let mut chip = window.chip.clone();
        let _ = match self {
            Change::Erase(from, to) => chip.erase(*from, *to),
            Change::Program(address, bytes) => chip.write(*address, bytes),
        };
    }
}

/// The chip as the store sees it.
#[derive(Clone)]
pub(crate) struct Window {
    pub(crate) chip: NorFlash,
}

impl Window {
    pub(crate) fn new(contents: &[u8]) -> Self {
        Window { chip: NorFlash::with_contents(contents.to_vec()) }
    }

    /// Returns what `run` does to a copy of the chip.
    pub(crate) fn record(&self, run: impl FnOnce()) -> Vec<Change> {
        RECORD.with(|record| record.borrow_mut().replace(Vec::new()));
        run();
        RECORD.with(|record| record.borrow_mut().take()).unwrap_or_default()
    }
}

thread_local! {
    static RECORD: RefCell<Option<Vec<Change>>> = const { RefCell::new(None) };
}

/// Returns a chip with these contents.
pub(crate) fn chip_of(contents: &[u8]) -> Window {
    Window { chip: NorFlash::with_contents(contents.to_vec()) }
}

fn note(change: Change) {
    RECORD.with(|record| {
        if let Some(record) = record.borrow_mut().as_mut() {
            record.push(change);
        }
    });
}

impl ErrorType for Window {
    type Error = FlashError;
}

impl ReadNorFlash for Window {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.chip.read(offset - BASE, bytes)
    }

    fn capacity(&self) -> usize {
        SIZE
    }
}

impl NorFlashTrait for Window {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        note(Change::Erase(from - BASE, to - BASE));
        self.chip.erase(from - BASE, to - BASE)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        note(Change::Program(offset - BASE, bytes.to_vec()));
        self.chip.write(offset - BASE, bytes)
    }
}
