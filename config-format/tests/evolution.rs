//! Readers and writers of different versions: what an old one wrote is read for ever, what a new one adds is skipped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use dunlin_config_format::Config;
use dunlin_config_format::image::{HEADER_SIZE, Header, Image};
use minicbor::data::Type;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};

type Writer = Encoder<Cursor<[u8; 4096]>>;

/// Images of the examples, as the first version wrote them. They are never written anew: a board may hold them.
fn images() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/images");
    let mut images: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    images.sort();
    assert_eq!(images.len(), 6);
    images
}

#[test]
fn what_the_first_version_wrote_is_read_and_written_alike() {
    for (name, bytes) in images() {
        let image = Image::parse(&bytes).unwrap();
        let config = Config::decode(image.body).unwrap();
        let device = if name == "tutorial" { "esp8266" } else { &name };
        assert_eq!(config.device.name, device);
        let mut again = vec![0; 4096];
        let len = config.encode(&mut again).unwrap();
        assert_eq!(again[..len], *image.body, "{name}");
        assert_eq!(
            Header::new(&again[..len], image.assets),
            Header { generation: 0, ..image.header },
            "{name}"
        );
    }
}

/// Copies an item; the `chosen`th map gets a pair more, with a key that no reader knows and a value of any shape.
fn copy(from: &mut Decoder<'_>, to: &mut Writer, maps: &mut usize, chosen: usize) {
    match from.datatype().unwrap() {
        Type::Map => {
            let pairs = from.map().unwrap().unwrap();
            let is_chosen = *maps == chosen;
            *maps += 1;
            to.map(pairs + u64::from(is_chosen)).unwrap();
            for _ in 0..2 * pairs {
                copy(from, to, maps, chosen);
            }
            if is_chosen {
                to.u16(1000).unwrap().array(3).unwrap().map(1).unwrap().u8(0).unwrap().str("later").unwrap();
                to.bytes(&[1, 2, 3]).unwrap().f32(1.5).unwrap();
            }
        }
        Type::Array => {
            let items = from.array().unwrap().unwrap();
            to.array(items).unwrap();
            for _ in 0..items {
                copy(from, to, maps, chosen);
            }
        }
        Type::U8 | Type::U16 | Type::U32 => {
            to.u32(from.u32().unwrap()).unwrap();
        }
        Type::String => {
            to.str(from.str().unwrap()).unwrap();
        }
        Type::Bytes => {
            to.bytes(from.bytes().unwrap()).unwrap();
        }
        Type::F32 => {
            to.f32(from.f32().unwrap()).unwrap();
        }
        Type::Bool => {
            to.bool(from.bool().unwrap()).unwrap();
        }
        other => panic!("a body has no {other}"),
    }
}

#[test]
fn a_key_that_a_later_version_adds_to_any_table_is_skipped() {
    let mut tables = 0;
    for (name, bytes) in images() {
        let body = &bytes[HEADER_SIZE..];
        let known = Config::decode(body).unwrap();
        for chosen in 0.. {
            let (mut encoder, mut maps) = (Writer::new(Cursor::new([0; 4096])), 0);
            copy(&mut Decoder::new(body), &mut encoder, &mut maps, chosen);
            let written = encoder.into_writer();
            let newer = &written.get_ref()[..written.position()];
            if chosen >= maps {
                assert_eq!(newer, body, "{name}: the copy itself");
                break;
            }
            tables += 1;
            assert_ne!(newer, body);
            assert_eq!(Config::decode(newer).unwrap(), known, "{name}: table {chosen}");
        }
    }
    assert!(tables > 30, "{tables}");
}

#[test]
fn an_image_that_needs_a_later_reader_is_refused_whatever_its_body() {
    for (name, bytes) in images() {
        let header = Header::decode(&bytes).unwrap();
        let later = Header { lowest_reader: header.lowest_reader + 1, ..header }.encode();
        let image = [&later[..], &bytes[HEADER_SIZE..]].concat();
        assert!(Image::parse(&image).is_err(), "{name}");
    }
}
