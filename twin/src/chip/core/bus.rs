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
}
