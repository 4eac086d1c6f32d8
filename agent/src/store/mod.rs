//! The slot store: configurations and secrets in flash, through power cuts.
//!
//! Two slots hold an image each. A new image is written to the one that is not the newest confirmed; its header comes last,
//! so that a slot is either whole or nothing. Trial and confirmation are flags of single words. Whatever a power cut leaves
//! behind, the next start finds the old configuration or the new one. A failed load never writes.
//!
//! The store knows bytes, not meanings: whether a body can be run is asked of the caller.

mod flash;
mod identity;
mod slots;

pub use flash::FlashFault;
pub use identity::{Secret, SecretError};
pub use slots::{Begin, BeginError, FinishError, Loaded, Store};
