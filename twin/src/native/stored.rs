//! What an agent would run of a flash chip.

use dunlin_agent::store::Store;
use dunlin_config_format::Reason;
use dunlin_config_format::flash_map::SLOTS;
use dunlin_config_format::image::{HEADER_SIZE, Header};
use dunlin_config_format::limits::BODY_SIZE;
use embedded_storage::nor_flash::ReadNorFlash as _;

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

/// Returns the configuration that an agent on this chip would be left with if what is on trial failed; else what it would run.
/// Nothing is written.
pub fn proven(flash: &NorFlash) -> Option<Stored> {
    let mut body = Box::new([0; BODY_SIZE]);
    let loaded = Store::new(flash.clone()).load(&mut body)?;
    if loaded.confirmed || !loaded.has_fallback {
        return stored(flash);
    }
    // On a copy that is dropped: what comes of it is only looked at.
    let copy = NorFlash::with_contents(flash.contents());
    let mut store = Store::new(copy.clone());
    store.load(&mut body)?;
    store.roll_back(Reason::BrokerUnreachable).ok()?;
    stored(&copy)
}

/// Returns whether a slot begins as an image does, whether or not it can be run.
pub fn holds_images(flash: &NorFlash) -> bool {
    SLOTS.iter().any(|slot| {
        let mut header = [0; HEADER_SIZE];
        flash.clone().read(slot.address, &mut header).is_ok() && Header::decode(&header).is_ok()
    })
}

/// Stores a secret for the configuration that is stored next, as a push does before it; returns whether it could be.
pub fn put_secret(flash: &NorFlash, name: &str, value: &[u8]) -> bool {
    Store::new(flash.clone()).put_secret(name, value).is_ok()
}
