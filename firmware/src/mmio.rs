//! Registers of the chip, by address. The only place where one is read or written.
//!
//! A [`Register`] lies in one of the two peripheral windows of the memory map, where no Rust object can live, so an access
//! can disturb the chip but not memory safety. Names and addresses are those of Espressif's register headers.

/// A 32-bit register.
#[derive(Clone, Copy, Debug)]
pub struct Register(u32);

impl Register {
    /// Names the register at `address`.
    ///
    /// # Panics
    /// Where `address` is not a word of a peripheral window; registers are constants, so the build fails.
    pub const fn new(address: u32) -> Self {
        let is_inside = (address >= 0x3ff0_0000 && address < 0x3ff3_0000)
            || (address >= 0x6000_0000 && address < 0x6000_2000);
        assert!(is_inside && address.is_multiple_of(4), "not a register");
        Register(address)
    }

    /// Returns the address.
    pub const fn address(self) -> u32 {
        self.0
    }

    /// Reads the register.
    #[inline(always)]
    pub fn read(self) -> u32 {
        // SAFETY: `new` guarantees a word inside a peripheral window, where every read is defined and no object lives.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0 as usize).read_volatile() }
    }

    /// Writes the register.
    #[inline(always)]
    pub fn write(self, value: u32) {
        // SAFETY: as for `read`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0 as usize).write_volatile(value) }
    }

    /// Sets the bits of `mask`. Not atomic: the caller keeps whoever else changes the register away.
    #[inline(always)]
    pub fn set(self, mask: u32) {
        self.write(self.read() | mask);
    }

    /// Clears the bits of `mask`. Not atomic, as [`Register::set`].
    #[inline(always)]
    pub fn clear(self, mask: u32) {
        self.write(self.read() & !mask);
    }
}

/// Whoever reads and writes registers for a driver: the chip, or in tests on a computer the twin's models of its peripherals.
pub trait Access {
    /// Reads a register.
    fn read(&mut self, register: Register) -> u32;
    /// Writes a register.
    fn write(&mut self, register: Register, value: u32);

    /// Clears the bits of `clear` and sets those of `set`. Not atomic: the caller keeps whoever else changes the register away.
    fn change(&mut self, register: Register, clear: u32, set: u32) {
        let value = self.read(register);
        self.write(register, value & !clear | set);
    }
}

/// The chip's own registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mmio;

impl Access for Mmio {
    #[inline(always)]
    fn read(&mut self, register: Register) -> u32 {
        register.read()
    }

    #[inline(always)]
    fn write(&mut self, register: Register, value: u32) {
        register.write(value);
    }
}

/// `COUNT` registers in a row.
#[derive(Clone, Copy, Debug)]
pub struct Registers<const COUNT: u32>(u32);

impl<const COUNT: u32> Registers<COUNT> {
    /// Names the registers from `address` on.
    ///
    /// # Panics
    /// As [`Register::new`], for the first and the last of them.
    pub const fn new(address: u32) -> Self {
        Register::new(address);
        Register::new(address + 4 * (COUNT - 1));
        Registers(address)
    }

    /// Returns the register of this index; of one that does not exist, the last.
    #[inline(always)]
    pub const fn at(self, index: u32) -> Register {
        Register(self.0 + 4 * if index < COUNT { index } else { COUNT - 1 })
    }
}
