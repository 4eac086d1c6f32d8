//! The reader and the writer of CBOR beside minicbor, which knows nothing of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dunlin_config_format::cbor::{Item, Reader, Writer};
use minicbor::data::Type;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};
use proptest::prelude::*;

/// What a reader makes of one item, and how far it went; none where the item does not fit.
fn reads<'b, T: Item<'b>>(bytes: &'b [u8]) -> Option<(T, usize)> {
    let mut reader = Reader::new(bytes);
    let item = T::read(&mut reader);
    reader.fault().is_none().then(|| (item, reader.position()))
}

/// What minicbor makes of it.
fn decodes<'b, T>(
    bytes: &'b [u8],
    decode: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
) -> Option<(T, usize)> {
    let mut decoder = Decoder::new(bytes);
    let item = decode(&mut decoder).ok()?;
    Some((item, decoder.position()))
}

fn skips(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    reader.skip();
    reader.fault().is_none().then(|| reader.position())
}

/// Whether an item that minicbor takes has anything of indefinite length in it.
fn is_definite(bytes: &[u8]) -> bool {
    let mut tokens = Decoder::new(bytes);
    while tokens.position() < bytes.len() {
        let skipped = match tokens.datatype().unwrap() {
            Type::ArrayIndef | Type::MapIndef | Type::BytesIndef | Type::StringIndef | Type::Break => {
                return false;
            }
            Type::Array => tokens.array().map(drop),
            Type::Map => tokens.map().map(drop),
            Type::Tag => tokens.tag().map(drop),
            _ => tokens.skip(),
        };
        skipped.unwrap();
    }
    true
}

/// Bytes of which many are items: each head is likely to have what it announces behind it.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let item = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u64>().prop_map(|number| encoded(|to| to.u64(number >> (number % 60)).map(drop))),
        ".{0,30}".prop_map(|text| encoded(|to| to.str(&text).map(drop))),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| encoded(|to| to.bytes(&bytes).map(drop))),
        any::<f32>().prop_map(|float| encoded(|to| to.f32(float).map(drop))),
        any::<bool>().prop_map(|flag| encoded(|to| to.bool(flag).map(drop))),
        (0u8..5).prop_map(|count| vec![0x80 | count]),
        (0u8..5).prop_map(|count| vec![0xa0 | count]),
        prop::sample::select(vec![0xf6, 0xf7, 0xc1, 0x9f, 0xbf, 0x5f, 0x7f, 0xff])
            .prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(item, 1..20).prop_map(|items| items.concat())
}

type To<'t> = Encoder<Cursor<&'t mut [u8]>>;

fn encoded(
    encode: impl FnOnce(&mut To<'_>) -> Result<(), minicbor::encode::Error<minicbor::encode::write::EndOfSlice>>,
) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut encoder = Encoder::new(Cursor::new(&mut buffer[..]));
    encode(&mut encoder).unwrap();
    let len = encoder.writer().position();
    buffer[..len].to_vec()
}

fn written<'b>(item: &impl Item<'b>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer);
    item.write(&mut writer);
    let len = writer.written().unwrap();
    // Whatever has less room says so, and writes nothing behind it.
    for room in 0..len {
        let mut small = [0xa5; 257];
        let mut writer = Writer::new(&mut small[..room]);
        item.write(&mut writer);
        assert_eq!(writer.written(), None);
        assert!(small[room..].iter().all(|byte| *byte == 0xa5));
    }
    buffer[..len].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whatever_is_read_is_what_minicbor_reads(bytes in likely_bytes()) {
        prop_assert_eq!(reads::<u8>(&bytes), decodes(&bytes, Decoder::u8));
        prop_assert_eq!(reads::<u16>(&bytes), decodes(&bytes, Decoder::u16));
        prop_assert_eq!(reads::<u32>(&bytes), decodes(&bytes, Decoder::u32));
        prop_assert_eq!(reads::<u64>(&bytes), decodes(&bytes, Decoder::u64));
        prop_assert_eq!(reads::<bool>(&bytes), decodes(&bytes, Decoder::bool));
        prop_assert_eq!(reads::<&str>(&bytes), decodes(&bytes, Decoder::str));
        prop_assert_eq!(reads::<&[u8]>(&bytes), decodes(&bytes, Decoder::bytes));
        let bits = |found: Option<(f32, usize)>| found.map(|(float, at)| (float.to_bits(), at));
        prop_assert_eq!(bits(reads(&bytes)), bits(decodes(&bytes, Decoder::f32)));
        let four = decodes(&bytes, Decoder::bytes).and_then(|(four, at)| Some((four.try_into().ok()?, at)));
        prop_assert_eq!(reads::<[u8; 4]>(&bytes), four);
    }

    #[test]
    fn whatever_is_skipped_is_one_item_of_definite_length(bytes in likely_bytes()) {
        let expected = decodes(&bytes, Decoder::skip).map(|((), at)| at).filter(|at| is_definite(&bytes[..*at]));
        prop_assert_eq!(skips(&bytes), expected);
    }

    #[test]
    fn what_is_written_is_what_minicbor_writes(
        number in any::<u64>(),
        shift in 0u32..64,
        text in ".{0,60}",
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        float in any::<f32>(),
        flag in any::<bool>(),
    ) {
        let number = number >> shift;
        prop_assert_eq!(written(&number), encoded(|to| to.u64(number).map(drop)));
        prop_assert_eq!(written(&(number as u32)), encoded(|to| to.u32(number as u32).map(drop)));
        prop_assert_eq!(written(&text.as_str()), encoded(|to| to.str(&text).map(drop)));
        prop_assert_eq!(written(&bytes.as_slice()), encoded(|to| to.bytes(&bytes).map(drop)));
        prop_assert_eq!(written(&float), encoded(|to| to.f32(float).map(drop)));
        prop_assert_eq!(written(&flag), encoded(|to| to.bool(flag).map(drop)));
        prop_assert_eq!(written(&None::<u8>), encoded(|to| to.null().map(drop)));
    }
}
