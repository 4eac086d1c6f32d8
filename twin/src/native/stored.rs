//! What an agent would run of a flash chip.

use dunlin_agent::store::{Loaded, Store};
use dunlin_config_format::Reason;
use dunlin_config_format::flash_map::{Region, SLOTS};
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
    load(&mut Store::new(flash.clone())).map(|(_, stored)| stored)
}

fn load(store: &mut Store<NorFlash>) -> Option<(Loaded, Stored)> {
    let mut body = Box::new([0; BODY_SIZE]);
    let loaded = store.load(&mut body)?;
    let stored = Stored { hash: loaded.hash, body: body.get(..loaded.body_len)?.to_vec() };
    Some((loaded, stored))
}

/// Returns the configuration that an agent on this chip would be left with if what is on trial failed; else what it would run.
/// Nothing is written.
pub fn proven(flash: &NorFlash) -> Option<Stored> {
    let (loaded, stored) = load(&mut Store::new(flash.clone()))?;
    if loaded.confirmed || !loaded.has_fallback {
        return Some(stored);
    }
    // On a copy that is dropped: what comes of it is only looked at.
    let mut copy = Store::new(NorFlash::with_contents(flash.contents()));
    copy.load(&mut Box::new([0; BODY_SIZE]))?;
    copy.roll_back(Reason::BrokerUnreachable).ok()?;
    load(&mut copy).map(|(_, stored)| stored)
}

/// Returns whether a slot begins as an image does, whether or not it can be run.
pub fn holds_images(flash: &NorFlash) -> bool {
    SLOTS.iter().any(|slot| header(flash, slot).is_some())
}

/// Returns the header of the image in a slot.
pub(crate) fn header(flash: &NorFlash, slot: &Region) -> Option<Header> {
    let mut header = [0; HEADER_SIZE];
    flash.clone().read(slot.address, &mut header).ok()?;
    Header::decode(&header).ok()
}

/// Stores a secret for the configuration that is stored next, as a push does before it; returns whether it could be.
pub fn put_secret(flash: &NorFlash, name: &str, value: &[u8]) -> bool {
    Store::new(flash.clone()).put_secret(name, value).is_ok()
}
