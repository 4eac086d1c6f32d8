//! Images: written, read, and damaged.

use dunlin_config_format::image::{HEADER_SIZE, Header, HeaderError, Image, ImageError, MAGIC, checksum};
use proptest::prelude::*;

fn image(body: &[u8], assets: &[u8]) -> Vec<u8> {
    [&Header::new(body, assets).encode(), body, assets].concat()
}

#[test]
fn the_checksum_has_its_check_value() {
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let header = Header { generation: 7, ..Header::new(b"body", b"assets") };
    assert_eq!(Header::decode(&header.encode()), Ok(header));
    assert_eq!(header.encode()[..4], *b"DNLN");
}

#[test]
fn each_malformed_header_has_its_error() {
    let good = Header::new(b"body", b"").encode();
    assert_eq!(Header::decode(&good[..63]), Err(HeaderError::Truncated));
    assert_eq!(Header::decode(&[0xff; HEADER_SIZE]), Err(HeaderError::Erased));
    assert_eq!(Header::decode(&[0; HEADER_SIZE]), Err(HeaderError::Magic { found: 0 }));
    let mut flipped = good;
    flipped[20] ^= 1;
    assert_eq!(Header::decode(&flipped), Err(HeaderError::Checksum));
    let newer = Header { lowest_reader: 2, ..Header::new(b"body", b"") };
    assert_eq!(Header::decode(&newer.encode()), Err(HeaderError::TooNew { lowest_reader: 2 }));
    // A later format that old readers may read is read.
    let later = Header { format_version: 9, ..Header::new(b"body", b"") };
    assert_eq!(Header::decode(&later.encode()), Ok(later));
    let empty = Header { body_len: 0, ..Header::new(b"body", b"") };
    assert_eq!(Header::decode(&empty.encode()), Err(HeaderError::Length));
    let long = Header { body_len: 4097, ..Header::new(b"body", b"") };
    assert_eq!(Header::decode(&long.encode()), Err(HeaderError::Length));
    assert_eq!(MAGIC.to_le_bytes(), *b"DNLN");
}

#[test]
fn each_malformed_image_has_its_error() {
    let good = image(b"body", b"assets");
    assert!(Image::parse(&good).is_ok());
    let expected = good.len() as u32;
    let cut = &good[..good.len() - 1];
    assert_eq!(Image::parse(cut), Err(ImageError::Length { expected, found: cut.len() }));
    let flip = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x80;
        bytes
    };
    assert_eq!(Image::parse(&flip(HEADER_SIZE)), Err(ImageError::Body));
    assert_eq!(Image::parse(&flip(HEADER_SIZE + 4)), Err(ImageError::Assets));
    let header = Header { hash: [0; 32], ..Header::new(b"body", b"") };
    let forged = [&header.encode()[..], b"body"].concat();
    assert_eq!(Image::parse(&forged), Err(ImageError::Hash));
}

#[test]
fn the_hash_does_not_cover_the_generation() {
    let header = Header::new(b"body", b"");
    let counted = Header { generation: 5, ..header };
    let bytes = [&counted.encode()[..], b"body"].concat();
    assert_eq!(Image::parse(&bytes).unwrap().header.hash, header.hash);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Image::parse(&bytes).is_err());
    }

    #[test]
    fn every_single_flip_is_seen(body in prop::collection::vec(any::<u8>(), 1..300), bit in any::<prop::sample::Index>()) {
        let mut bytes = image(&body, b"");
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Image::parse(&bytes).is_err());
    }
}
