//! The steps of a flash operation, over the controller that carries them out.
//!
//! Everything here runs while the flash chip is not to be executed from: each function is inlined into one that lies in
//! IRAM, calls nothing but the controller, divides nothing, and takes its data from the stack. Commands and status bits are
//! those that every 25-series chip has (W25Q32FV data sheet, sections 7.1 and 8.2).

/// The controller's commands, as bits of its command register.
pub mod command {
    /// Reads bytes into the data words.
    pub const READ: u32 = 1 << 31;
    /// Sets the write enable latch.
    pub const WRITE_ENABLE: u32 = 1 << 30;
    /// Reads the chip's identifier into the first data word.
    pub const READ_ID: u32 = 1 << 28;
    /// Reads the chip's status register.
    pub const READ_STATUS: u32 = 1 << 27;
    /// Writes the chip's status register.
    pub const WRITE_STATUS: u32 = 1 << 26;
    /// Programs bytes of a page from the data words.
    pub const PROGRAM: u32 = 1 << 25;
    /// Erases a sector of 4096 bytes.
    pub const ERASE_SECTOR: u32 = 1 << 24;
}

/// Status bit: an operation is under way.
const STATUS_BUSY: u32 = 1 << 0;
/// Status bit: the write enable latch is set.
const STATUS_WRITE_ENABLED: u32 = 1 << 1;
/// Status bits: parts of the chip are protected.
const STATUS_PROTECTION: u32 = 0x3c;

/// Words that one operation moves: half of the controller's buffer, because reading all of it hangs the controller.
pub const CHUNK_WORDS: usize = 8;
/// The same in bytes.
pub const CHUNK_SIZE: u32 = 4 * CHUNK_WORDS as u32;
/// Erasing a sector takes at most 400 ms by the data sheets; in counts of 0.2 µs, five times as long.
const ERASE_LIMIT: u32 = 2_000_000 * 5;
/// Programming takes at most 3 ms, writing the status register 15 ms; in counts of 0.2 µs, generously.
const PROGRAM_LIMIT: u32 = 100_000 * 5;
/// A command takes microseconds.
const COMMAND_LIMIT: u32 = 10_000 * 5;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The address lies outside of what may be changed, or is not aligned.
    Refused,
    /// The controller or the chip does not come to an end.
    Timeout,
    /// The chip does not take the write enable: it is protected, or not there.
    NotEnabled,
    /// What the chip holds is not what was programmed.
    Verify,
}

/// What the steps need of the SPI controller.
pub trait Controller {
    /// Starts a command; see [`command`].
    fn start(&mut self, command: u32);
    /// Returns whether a command is under way.
    fn is_busy(&mut self) -> bool;
    /// Sets the flash address, bits 23:0, and the count of bytes, bits 31:24.
    fn set_address(&mut self, address: u32);
    /// Returns what READ_STATUS read.
    fn status(&mut self) -> u32;
    /// Sets what READ_STATUS adds to, or WRITE_STATUS writes.
    fn set_status(&mut self, status: u32);
    /// Returns a data word, `index` below [`CHUNK_WORDS`].
    fn word(&mut self, index: usize) -> u32;
    /// Sets a data word, `index` below [`CHUNK_WORDS`].
    fn set_word(&mut self, index: usize, word: u32);
    /// Returns a counter of 5 MHz that wraps.
    fn count(&mut self) -> u32;
    /// Feeds the watchdog: an operation may take long, but never for ever.
    fn feed(&mut self);
}

/// Carries out one command of the controller.
#[inline(always)]
fn run(controller: &mut impl Controller, command: u32) -> Result<(), Fault> {
    wait_ended(controller)?;
    controller.start(command);
    wait_ended(controller)
}

/// Waits until no command is under way.
#[inline(always)]
fn wait_ended(controller: &mut impl Controller) -> Result<(), Fault> {
    let from = controller.count();
    while controller.is_busy() {
        if controller.count().wrapping_sub(from) > COMMAND_LIMIT {
            return Err(Fault::Timeout);
        }
    }
    Ok(())
}

#[inline(always)]
fn status(controller: &mut impl Controller) -> Result<u32, Fault> {
    controller.set_status(0);
    run(controller, command::READ_STATUS)?;
    Ok(controller.status())
}

/// Waits until the chip is idle.
#[inline(always)]
fn wait_idle(controller: &mut impl Controller, limit: u32) -> Result<(), Fault> {
    let from = controller.count();
    while status(controller)? & STATUS_BUSY != 0 {
        if controller.count().wrapping_sub(from) > limit {
            return Err(Fault::Timeout);
        }
        controller.feed();
    }
    Ok(())
}

/// Sets the write enable latch, which the chip drops after every operation, and sees that it is set.
#[inline(always)]
fn enable(controller: &mut impl Controller) -> Result<(), Fault> {
    wait_idle(controller, ERASE_LIMIT)?;
    run(controller, command::WRITE_ENABLE)?;
    if status(controller)? & STATUS_WRITE_ENABLED == 0 {
        return Err(Fault::NotEnabled);
    }
    Ok(())
}

/// Erases the sector at `address` and waits for it.
///
/// # Errors
/// [`Fault::Timeout`], [`Fault::NotEnabled`].
#[inline(always)]
pub fn erase_sector(controller: &mut impl Controller, address: u32) -> Result<(), Fault> {
    enable(controller)?;
    controller.set_address(address & 0x00ff_f000);
    run(controller, command::ERASE_SECTOR)?;
    wait_idle(controller, ERASE_LIMIT)
}

/// Programs the first `count` words at `address`, which do not cross a page, and compares what the chip holds then.
///
/// # Errors
/// [`Fault::Timeout`], [`Fault::NotEnabled`], [`Fault::Verify`].
#[inline(always)]
pub fn program(
    controller: &mut impl Controller,
    address: u32,
    words: &[u32; CHUNK_WORDS],
    count: usize,
) -> Result<(), Fault> {
    enable(controller)?;
    controller.set_address(address & 0x00ff_ffff | (count as u32 * 4) << 24);
    let mut index = 0;
    while index < count
        && let Some(word) = words.get(index)
    {
        controller.set_word(index, *word);
        index += 1;
    }
    run(controller, command::PROGRAM)?;
    wait_idle(controller, PROGRAM_LIMIT)?;
    index = 0;
    while index < count {
        controller.set_word(index, 0);
        index += 1;
    }
    controller.set_address(address & 0x00ff_ffff | (count as u32 * 4) << 24);
    run(controller, command::READ)?;
    let mut is_same = true;
    index = 0;
    while index < count
        && let Some(word) = words.get(index)
    {
        is_same &= controller.word(index) == *word;
        index += 1;
    }
    if is_same { Ok(()) } else { Err(Fault::Verify) }
}

/// Takes the protection off a chip that came with one; leaves every other chip as it is.
///
/// # Errors
/// [`Fault::Timeout`], [`Fault::NotEnabled`] where the protection stays.
#[inline(always)]
pub fn unprotect(controller: &mut impl Controller) -> Result<(), Fault> {
    wait_idle(controller, ERASE_LIMIT)?;
    if status(controller)? & STATUS_PROTECTION == 0 {
        return Ok(());
    }
    enable(controller)?;
    controller.set_status(0);
    run(controller, command::WRITE_STATUS)?;
    wait_idle(controller, PROGRAM_LIMIT)?;
    if status(controller)? & STATUS_PROTECTION == 0 { Ok(()) } else { Err(Fault::NotEnabled) }
}

/// Returns the identifier of a chip that is idle: maker, type, and capacity in bits 23:16 (JEDEC; W25Q32FV data sheet, section 8.2.27).
///
/// # Errors
/// [`Fault::Timeout`].
#[inline(always)]
pub fn read_id(controller: &mut impl Controller) -> Result<u32, Fault> {
    controller.set_word(0, 0);
    run(controller, command::READ_ID)?;
    Ok(controller.word(0) & 0x00ff_ffff)
}

/// Returns the size in bytes that an identifier tells; none where its capacity is no code that chips of such boards use
/// (esptool, `DETECTED_FLASH_SIZES`).
pub const fn size_of(id: u32) -> Option<u32> {
    match id >> 16 {
        code @ 0x10..=0x1c => Some(1 << code),
        code @ 0x30..=0x3c => Some(1 << (code - 0x20)),
        _ => None,
    }
}

/// Returns how many bytes of a program operation go in one step: to the end of a chunk at most, so that none crosses a page.
#[inline(always)]
pub const fn step_len(address: u32, left: u32) -> u32 {
    let to_boundary = CHUNK_SIZE - address % CHUNK_SIZE;
    if left < to_boundary { left } else { to_boundary }
}
