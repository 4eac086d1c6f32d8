//! What an agent would run of a flash chip.

use dunlin_agent::store::Store;
use dunlin_config_format::limits::BODY_SIZE;

use crate::devices::nor_flash::NorFlash;

/// A configuration in flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The hash of its image.
    pub hash: [u8; 32],
    /// Its body.
    pub body: Vec<u8>,
}

/// Returns the configuration that an agent on this chip would run, chosen by the agent's own store; none where there is none
/// that can be run. Nothing is written.
pub fn stored(flash: &NorFlash) -> Option<Stored> {
    let mut body = Box::new([0; BODY_SIZE]);
    let loaded = Store::new(flash.clone()).load(&mut body)?;
    Some(Stored { hash: loaded.hash, body: body.get(..loaded.body_len)?.to_vec() })
}

/// Stores a secret for the configuration that is stored next, as a push does before it; returns whether it could be.
pub fn put_secret(flash: &NorFlash, name: &str, value: &[u8]) -> bool {
    Store::new(flash.clone()).put_secret(name, value).is_ok()
}
