//! What the core sees of the chip: loads, stores and fetches that may be refused.

/// The width of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Half = 2,
    /// 32 bits.
    Word = 4,
}

/// Why an access didn't happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The core takes an exception of this EXCCAUSE.
    Exception(u8),
    /// No real behaviour is known or modelled: the run stops.
    Unmodelled,
}

/// Memory and registers by address.
pub trait Bus {
    /// Returns the three bytes from `address`, which may be odd, lowest byte first.
    ///
    /// # Errors
    /// The access is refused as the chip refuses it, or isn't modelled.
    fn fetch(&mut self, address: u32) -> Result<u32, Refusal>;

    /// Loads `width` from `address`, zero-extended.
    ///
    /// # Errors
    /// The access is refused as the chip refuses it, or isn't modelled.
    fn load(&mut self, address: u32, width: Width) -> Result<u32, Refusal>;

    /// Stores the low bits of `value` at `address`.
    ///
    /// # Errors
    /// The access is refused as the chip refuses it, or isn't modelled.
    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal>;

    /// The load or store that follows happens in this cycle of the core. A bus with registers that depend on time keeps it.
    fn at(&mut self, cycle: u64) {
        let _ = cycle;
    }

    /// Returns whether [`Core::run`](super::Core::run) is to come back before the next instruction, because what was
    /// accessed last may raise an interrupt, change the clock, or end the run.
    fn attention(&self) -> bool {
        false
    }

    /// Returns whether instructions may be fetched from `address`: a store there makes the core forget what it decoded.
    fn holds_code(&self, address: u32) -> bool {
        let _ = address;
        true
    }
}
