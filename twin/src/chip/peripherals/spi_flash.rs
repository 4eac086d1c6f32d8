//! SPI0 and the flash chip behind it, and the cache through which the processor sees the flash.
//!
//! The chip is the native board's [`NorFlash`], with its cuts; here it also has a write-enable latch, takes its time while the
//! processor goes on, and wraps inside a page (W25Q32FV data sheet, sections 7.1 and 8.2). The cache never forgets a line by
//! itself, so whoever changes flash and doesn't flush it always sees the old bytes.

use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};

use super::super::time::Time;
use super::Refusal;
use crate::devices::nor_flash::{NorFlash, PAGE_SIZE, SECTOR_SIZE, Timing};

/// Bytes of the window on flash.
pub const WINDOW_SIZE: usize = 0x10_0000;
const LINE: usize = 32;
/// CTRL: the cache may use the bus.
const AHB: u32 = 1 << 17;
/// CTRL without what is modelled: reads over two or four wires, the order of bits, a status of two bytes.
const CTRL_UNMODELLED: u32 = 1 << 14 | 1 << 16 | 1 << 20 | 0x3ff << 22;
/// CLOCK, USER, USER1, USER2: what a transaction of the program's own is made of.
const TRANSACTION: [u32; 4] = [0x18, 0x1c, 0x20, 0x24];
/// Largest transfer that a READ does; one of 64 bytes hangs.
const READ_MOST: usize = 60;
const PROGRAM_MOST: usize = 64;
/// CMD: the transaction that USER describes.
const USER: u32 = 1 << 18;
/// Time of a status register's write: data sheet, section 9.6, typically 10 ms.
pub(in super::super) const STATUS_WRITE_US: u64 = 10_000;
/// Bits of the status that protect blocks (data sheet, section 7.1).
const PROTECTION: u32 = 0x3c;
/// A flash chip by Winbond, as RDID tells it; its capacity follows as a power of two.
const JEDEC_ID: u32 = 0x40ef;

/// The controller, the chip's latches, and the cache.
pub struct SpiFlash {
    flash: NorFlash,
    timing: Timing,
    address: u32,
    ctrl: u32,
    plain: [u32; 64],
    words: [u32; 16],
    status_read: u32,
    status_to_write: u32,
    write_enabled: bool,
    protection: u32,
    is_locked: bool,
    busy_until: Time,
    cache_enabled: bool,
    cache: Vec<u8>,
    valid: Vec<bool>,
    window_changed: bool,
}

impl SpiFlash {
    /// Returns a controller in front of `flash`, whose operations take their time of `timing`.
    pub fn new(flash: NorFlash, timing: Timing) -> Self {
        SpiFlash {
            flash,
            timing,
            address: 0,
            ctrl: 0,
            plain: [0; 64],
            words: [0; 16],
            status_read: 0,
            status_to_write: 0,
            write_enabled: false,
            protection: 0,
            is_locked: false,
            busy_until: Time(0),
            cache_enabled: false,
            cache: vec![0; WINDOW_SIZE],
            valid: vec![false; WINDOW_SIZE / LINE],
            window_changed: false,
        }
    }

    /// Returns the flash chip.
    pub fn flash(&self) -> &NorFlash {
        &self.flash
    }

    /// Protects the whole chip, with a status register that takes no write (its pin /WP is low).
    pub fn lock(&mut self) {
        (self.protection, self.is_locked) = (PROTECTION, true);
    }

    /// Sets the chip's protection, bits 5:2 of its status, as a program before may have left it.
    pub fn protect(&mut self, bits: u32) {
        self.protection = bits & PROTECTION;
    }

    /// Takes the protection away, as a status of 0 does; a locked chip keeps it.
    pub fn unprotect(&mut self) {
        if !self.is_locked {
            self.protection = 0;
        }
    }

    /// Returns the chip's protection, bits 5:2 of its status. Anything but 0 refuses every erase and program here.
    pub fn protection(&self) -> u32 {
        self.protection
    }

    /// Returns when the operation that is under way ends.
    pub fn busy_until(&self) -> Time {
        self.busy_until
    }

    /// Opens or closes the write-enable latch.
    pub fn enable_write(&mut self, is_enabled: bool) {
        self.write_enabled = is_enabled;
    }

    /// Returns how long operations take.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The chip is reset, or gets power.
    pub fn reset(&mut self, is_power_on: bool) {
        self.ctrl = 0;
        self.cache_enabled = false;
        self.flush();
        if is_power_on {
            self.write_enabled = false;
            self.busy_until = Time(0);
        }
    }

    /// The cache forgets everything.
    pub fn flush(&mut self) {
        self.window_changed = true;
        self.valid.fill(false);
    }

    /// Switches the cache; `bit` is bit 8 of DPORT's register 0x0c.
    pub fn enable_cache(&mut self, bit: bool) {
        self.cache_enabled = bit;
        self.window_changed = true;
    }

    /// Returns whether the window shows something else than when this was asked last: other bytes, or nothing.
    pub fn take_window_change(&mut self) -> bool {
        std::mem::take(&mut self.window_changed)
    }

    /// Lets the cache use the bus, or not: bit 17 of CTRL.
    pub fn allow_cache(&mut self, is_allowed: bool) {
        self.ctrl = if is_allowed { self.ctrl | AHB } else { self.ctrl & !AHB };
        self.window_changed = true;
    }

    /// Returns whether the window shows flash.
    pub fn is_mapped(&self) -> bool {
        self.cache_enabled && self.ctrl & AHB != 0
    }

    /// Returns an aligned word of the window if the cache has it.
    pub fn cached_word(&self, offset: usize) -> Option<u32> {
        if !self.is_mapped() || !offset.is_multiple_of(4) || !*self.valid.get(offset / LINE)? {
            return None;
        }
        Some(u32::from_le_bytes(*self.cache.get(offset..)?.first_chunk()?))
    }

    /// Returns bytes of the window from `offset` on: the cached line is filled where it isn't valid.
    ///
    /// # Errors
    /// The cache is off, or the flash chip is busy.
    pub fn window(&mut self, offset: usize, now: Time) -> Result<&[u8], Refusal> {
        if !self.is_mapped() {
            return Err(Refusal::Unmodelled);
        }
        for line in [offset / LINE, (offset + 3) / LINE] {
            let Some(valid) = self.valid.get_mut(line).filter(|valid| !**valid) else { continue };
            if now < self.busy_until {
                // A chip that erases answers nothing.
                return Err(Refusal::Unmodelled);
            }
            *valid = true;
            let at = line * LINE;
            let place = at as u32 % self.flash.capacity().max(1) as u32;
            if let Some(bytes) = self.cache.get_mut(at..at + LINE)
                && self.flash.read(place, bytes).is_err()
            {
                bytes.fill(0xff);
            }
        }
        self.cache.get(offset..).ok_or(Refusal::Unmodelled)
    }

    pub(super) fn read(&self, offset: u32) -> Result<u32, Refusal> {
        Ok(match offset {
            // A command has ended when its register is read.
            0x00 => 0,
            0x04 => self.address,
            0x08 => self.ctrl,
            0x10 => self.status_read,
            0x28 => self.status_to_write,
            0x40..=0x7c => self.words.get((offset as usize - 0x40) / 4).copied().unwrap_or(0),
            // The state machine is idle.
            0xf8 => 0,
            _ if TRANSACTION.contains(&offset) => {
                self.plain.get(offset as usize / 4).copied().ok_or(Refusal::Unmodelled)?
            }
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), Refusal> {
        match offset {
            0x00 => return self.command(value, now),
            0x04 => self.address = value,
            0x08 if value & CTRL_UNMODELLED != 0 => return Err(Refusal::Unmodelled),
            0x08 => {
                self.window_changed |= (self.ctrl ^ value) & AHB != 0;
                self.ctrl = value;
            }
            0x10 => self.status_read = value,
            0x28 => self.status_to_write = value,
            0x40..=0x7c => {
                if let Some(word) = self.words.get_mut((offset as usize - 0x40) / 4) {
                    *word = value;
                }
            }
            _ if TRANSACTION.contains(&offset) => {
                *self.plain.get_mut(offset as usize / 4).ok_or(Refusal::Unmodelled)? = value;
            }
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    fn id(&self) -> u32 {
        JEDEC_ID | self.flash.capacity().max(1).ilog2() << 16
    }

    /// Returns the place of an address: the chip has no more address bits than its size needs.
    fn place(&self, address: u32) -> u32 {
        address % self.flash.capacity().max(1) as u32
    }

    fn status(&self, now: Time) -> u32 {
        u32::from(now < self.busy_until) | u32::from(self.write_enabled) << 1 | self.protection
    }

    fn command(&mut self, command: u32, now: Time) -> Result<(), Refusal> {
        // The processor and the cache share one bus: a command while the cache may use it corrupts both.
        if self.is_mapped() {
            return Err(Refusal::Unmodelled);
        }
        let is_busy = now < self.busy_until;
        match command {
            0 => {}
            0x0800_0000 => self.status_read = self.status(now),
            // Of everything else, a busy chip hears nothing.
            _ if is_busy => {}
            0x4000_0000 => self.write_enabled = true,
            0x2000_0000 => self.write_enabled = false,
            0x1000_0000 => self.words[0] = self.id(),
            0x8000_0000 => self.fetch()?,
            0x0400_0000 => {
                let protection =
                    if self.is_locked { self.protection } else { self.status_to_write & PROTECTION };
                self.change(now, STATUS_WRITE_US, |this| this.protection = protection);
            }
            0x0200_0000 => {
                let us = self.timing.program.as_micros();
                self.change(now, us, Self::program);
            }
            0x0100_0000 => {
                let us = self.timing.erase.as_micros();
                self.change(now, us, |this| this.erase(SECTOR_SIZE));
            }
            0x0080_0000 => {
                let us = 3 * self.timing.erase.as_micros();
                self.change(now, us, |this| this.erase(0x1_0000));
            }
            USER => self.transact(now)?,
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    /// A transaction of the program's own: command, address, bytes in or out (USER, USER1, USER2).
    fn transact(&mut self, now: Time) -> Result<(), Refusal> {
        let plain = |offset: usize| self.plain.get(offset / 4).copied().unwrap_or(0);
        let (user, user2) = (plain(0x1c), plain(0x24));
        if user >> 31 == 0 {
            return Err(Refusal::Unmodelled);
        }
        let status = self.status(now);
        match user2 & 0xff {
            // RDID, RDSR, RDSR2
            0x9f => self.words[0] = self.id(),
            0x05 => self.words[0] = status,
            0x35 => self.words[0] = 0,
            // RDSFDP: a chip without the table
            0x5a => self.words = [u32::MAX; 16],
            // Reset, and release from power-down
            0x66 | 0x99 | 0xab => {}
            0x06 => self.write_enabled = true,
            0x04 => self.write_enabled = false,
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    /// Carries out what needs the write-enable latch, which is open for one operation only.
    fn change(&mut self, now: Time, us: u64, operation: impl FnOnce(&mut Self)) {
        if std::mem::take(&mut self.write_enabled) {
            operation(self);
            self.busy_until = Time(now.0 + Time::from_micros(us).0);
        }
    }

    fn fetch(&mut self) -> Result<(), Refusal> {
        let len = (self.address >> 24) as usize;
        if len > READ_MOST {
            return Err(Refusal::Unmodelled);
        }
        let mut bytes = [0xff; 64];
        let taken = bytes.get_mut(..len.next_multiple_of(4)).unwrap_or_default();
        for (address, byte) in (self.address & 0xff_ffff..).zip(taken) {
            let place = self.place(address);
            let _ = self.flash.read(place, std::slice::from_mut(byte));
        }
        for (word, bytes) in self.words.iter_mut().zip(bytes.chunks_exact(4)).take(len.div_ceil(4)) {
            *word = u32::from_le_bytes(bytes.try_into().unwrap_or([0xff; 4]));
        }
        Ok(())
    }

    fn program(&mut self) {
        let len = ((self.address >> 24) as usize).min(PROGRAM_MOST);
        let address = self.place(self.address & 0xff_ffff) as usize;
        if self.protection != 0 || len == 0 {
            return;
        }
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect();
        bytes.resize(len.next_multiple_of(4), 0xff);
        // What goes past the end of the page begins it again.
        let room = PAGE_SIZE - address % PAGE_SIZE;
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        for (at, part) in [(address, first), (address - address % PAGE_SIZE, rest)] {
            if !part.is_empty() {
                let _ = self.flash.write(at as u32, part);
            }
        }
    }

    fn erase(&mut self, size: usize) {
        let from = self.place(self.address & 0xff_ffff) & !(size as u32 - 1);
        if self.protection == 0 {
            let _ = self.flash.erase(from, from + size as u32);
        }
    }
}
