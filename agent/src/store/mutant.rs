//! Faults that can be seeded into the store, to see that its tests find them.
//!
//! Without the feature `mutants` there are none, and nothing of them is compiled in.

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Mutant {
    OldestChosen = 1,
    HeaderForgotten = 2,
    ConfirmedErased = 3,
    WordTwice = 4,
    GenerationNotAdvanced = 5,
    FlagBeforeReason = 6,
    ChecksumIgnored = 7,
    SecretInPlace = 8,
    StateNotErased = 9,
}

/// How many there are.
pub const COUNT: u8 = 9;

#[cfg(feature = "mutants")]
static SEEDED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// Seeds the fault with this number for the rest of the process; 0 for none.
#[cfg(feature = "mutants")]
pub fn seed(number: u8) {
    SEEDED.store(number, core::sync::atomic::Ordering::Relaxed);
}

/// Returns whether this fault is seeded.
#[cfg(feature = "mutants")]
pub(super) fn is(mutant: Mutant) -> bool {
    SEEDED.load(core::sync::atomic::Ordering::Relaxed) == mutant as u8
}

/// Returns whether this fault is seeded: never.
#[cfg(not(feature = "mutants"))]
pub(super) const fn is(_: Mutant) -> bool {
    false
}
