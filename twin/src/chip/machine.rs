//! What the core sees: memory, the window on flash, and the peripherals, each with its rules.

use rand_core::SeedableRng;
use rand_pcg::Pcg32;

use super::core::bus::{Bus, Refusal, Width};
use super::memory::Memory;
use super::peripherals::Peripherals;
use super::peripherals::rtc::Cause;
use super::peripherals::spi_flash::WINDOW_SIZE;
use super::rom;
use super::time::Time;
use super::trace::Access;

/// Where instruction RAM begins; the window on flash lies behind it.
pub(super) const INSTRUCTION_RAM: u32 = 0x4010_0000;
const WINDOW: u32 = 0x4020_0000;
const LOAD_STORE_ERROR: u8 = 3;
const LOAD_STORE_ALIGNMENT: u8 = 9;

/// Memory and peripherals.
pub(super) struct Machine {
    pub(super) memory: Memory,
    pub(super) peripherals: Peripherals,
    /// The moment, at the latest access to anything that depends on it or when the core came back.
    pub(super) now: Time,
    /// A register was touched: what happens next has to be planned anew.
    pub(super) is_touched: bool,
    /// Accesses to registers, while somebody wants to know.
    pub(super) accesses: Option<Vec<Access>>,
    /// The core's cycle at the moment `now`, and in the access that goes on.
    since: u64,
    cycle: u64,
    /// Units of time in a cycle.
    length: u64,
    /// What RAM holds at power-on.
    power_on_contents: Pcg32,
}

impl Machine {
    pub(super) fn new(peripherals: Peripherals, seed: u64) -> Self {
        Machine {
            memory: Memory::new(Vec::new()),
            peripherals,
            now: Time(0),
            is_touched: true,
            accesses: None,
            since: 0,
            cycle: 0,
            length: 0,
            power_on_contents: Pcg32::seed_from_u64(seed ^ 0x52_414d),
        }
    }

    /// Resets everything around the core. Without power RAM loses what it held.
    pub(super) fn reset(&mut self, cause: Cause) {
        self.peripherals.reset(self.now, cause);
        if cause == Cause::PowerOn {
            self.memory.scramble(&mut self.power_on_contents);
        }
    }

    /// The core is about to run, and is in this cycle now.
    pub(super) fn begin(&mut self, cycle: u64) {
        (self.since, self.cycle, self.length) = (cycle, cycle, self.peripherals.cycle());
    }

    /// The core has come in this cycle, or has come back in it.
    pub(super) fn catch_up(&mut self, cycle: u64) {
        self.now.0 += (cycle - self.since) * self.length;
        (self.since, self.cycle) = (cycle, cycle);
    }

    fn tell(&mut self, access: Access) {
        if let Some(accesses) = &mut self.accesses {
            accesses.push(access);
        }
    }

    fn is_window(address: u32) -> bool {
        (address.wrapping_sub(WINDOW) as usize) < WINDOW_SIZE
    }

    fn is_register(address: u32) -> bool {
        matches!(address >> 16, 0x3ff0 | 0x3ff2 | 0x6000)
    }

    /// Returns whether an address of instruction RAM belongs to the cache now.
    fn is_cache_bank(&self, address: u32) -> bool {
        let offset = address.wrapping_sub(INSTRUCTION_RAM);
        offset < 0x1_0000 && offset >= self.peripherals.instruction_ram()
    }

    /// Returns a word of the window from any byte on.
    fn window(&mut self, address: u32) -> Result<u32, Refusal> {
        let offset = (address - WINDOW) as usize;
        if let Some(word) = self.peripherals.spi.cached_word(offset) {
            return Ok(word);
        }
        self.catch_up(self.cycle);
        let bytes = self.peripherals.spi.window(offset, self.now)?;
        Ok(bytes.iter().take(4).rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    /// Loads from anything but data RAM.
    fn load_elsewhere(&mut self, address: u32, width: Width) -> Result<u32, Refusal> {
        if Self::is_window(address) {
            return match (width, address % 4) {
                (Width::Word, 0) => self.window(address),
                (Width::Word, _) => Err(Refusal::Exception(LOAD_STORE_ALIGNMENT)),
                (Width::Half, 1 | 3) => Err(Refusal::Exception(LOAD_STORE_ALIGNMENT)),
                _ => Err(Refusal::Exception(LOAD_STORE_ERROR)),
            };
        }
        if Self::is_register(address) {
            if width != Width::Word || !address.is_multiple_of(4) {
                return Err(Refusal::Unmodelled);
            }
            self.is_touched = true;
            self.catch_up(self.cycle);
            let value = self.peripherals.load(address, self.now)?;
            self.tell(Access { address, value, is_store: false });
            return Ok(value);
        }
        if self.is_cache_bank(address) {
            return Err(Refusal::Unmodelled);
        }
        self.memory.load(address, width)
    }

    /// Stores to anything but data RAM.
    fn store_elsewhere(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal> {
        if Self::is_register(address) {
            if width != Width::Word || !address.is_multiple_of(4) {
                return Err(Refusal::Unmodelled);
            }
            self.is_touched = true;
            self.catch_up(self.cycle);
            self.tell(Access { address, value, is_store: true });
            return self.peripherals.store(address, value, self.now);
        }
        if self.is_cache_bank(address) {
            return Err(Refusal::Unmodelled);
        }
        self.memory.store(address, width, value)
    }
}

impl Bus for Machine {
    fn fetch(&mut self, address: u32) -> Result<u32, Refusal> {
        // The facade carries out the ROM's functions.
        if rom::contains(address) {
            return Err(Refusal::Unmodelled);
        }
        if Self::is_window(address) {
            return self.window(address);
        }
        if self.is_cache_bank(address) {
            return Err(Refusal::Unmodelled);
        }
        self.memory.fetch(address)
    }

    #[inline]
    fn load(&mut self, address: u32, width: Width) -> Result<u32, Refusal> {
        match self.memory.load_data(address, width) {
            Some(value) => Ok(value),
            None => self.load_elsewhere(address, width),
        }
    }

    #[inline]
    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal> {
        match self.memory.store_data(address, width, value) {
            Some(()) => Ok(()),
            None => self.store_elsewhere(address, width, value),
        }
    }

    #[inline(always)]
    fn at(&mut self, cycle: u64) {
        self.cycle = cycle;
    }

    #[inline(always)]
    fn attention(&self) -> bool {
        self.is_touched
    }

    #[inline(always)]
    fn holds_code(&self, address: u32) -> bool {
        self.memory.holds_code(address)
    }
}
