//! Images with random contents of random sizes, each of them a configuration that a node can read.

use std::rc::Rc;

use dunlin_config_format::config::{Device, Link, List, Mqtt};
use dunlin_config_format::image::{HASH_SIZE, Header};
use dunlin_config_format::limits::{ASSETS_SIZE, BODY_SIZE};
use dunlin_config_format::{Config, flash_map};
use rand_core::Rng;
use rand_pcg::Pcg32;

/// An image file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) file: Vec<u8>,
    pub(crate) hash: [u8; HASH_SIZE],
}

impl Payload {
    /// Returns an image; most are small, some as large as can be.
    pub(crate) fn random(random: &mut Pcg32) -> Rc<Self> {
        let (padding, assets) = match random.next_u32() % 64 {
            0 => (below(random, BODY_SIZE - 100), below(random, ASSETS_SIZE + 1)),
            1 | 2 => (below(random, 400), below(random, 2000)),
            3..=15 => (below(random, 600), below(random, 200)),
            _ => (below(random, 150), 0),
        };
        let padding = bytes(random, padding);
        let assets = bytes(random, assets);
        Self::new(&body(&padding), &assets)
    }

    /// Returns the image of a body and assets.
    pub(crate) fn new(body: &[u8], assets: &[u8]) -> Rc<Self> {
        let header = Header::new(body, assets);
        Rc::new(Payload { file: [&header.encode(), body, assets].concat(), hash: header.hash })
    }

    pub(crate) fn pages(&self) -> usize {
        self.file.len().div_ceil(flash_map::PAGE_SIZE as usize)
    }
}

/// Returns the body of a small configuration that carries `padding` under a key which no reader knows, and so skips.
pub(crate) fn body(padding: &[u8]) -> Vec<u8> {
    let config = Config {
        device: Device { name: "torture", label: None },
        mqtt: Mqtt { has_password: true, ..Mqtt::at("10.0.0.1") },
        link: Link::default(),
        i2c: List::new(&[]),
        sensors: List::new(&[]),
        reports: List::new(&[]),
    };
    let mut body = vec![0xa5; BODY_SIZE];
    let len = config.encode(&mut body).unwrap();
    body.truncate(len);
    // The map gets one pair more (RFC 8949, section 3.1): key 1000, a byte string.
    body[0] += 1;
    body.extend([0x19, 0x03, 0xe8, 0x59]);
    body.extend((padding.len() as u16).to_be_bytes());
    body.extend(padding);
    assert!(Config::decode(&body).is_ok());
    body
}

/// Returns a number below `end`.
pub(crate) fn below(random: &mut Pcg32, end: usize) -> usize {
    random.next_u32() as usize % end.max(1)
}

pub(crate) fn bytes(random: &mut Pcg32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    random.fill_bytes(&mut bytes);
    bytes
}
