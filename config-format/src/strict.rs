//! What this crate asks of CBOR beyond the derived decoders: maps of definite length whose keys are unsigned and rise, and
//! numbers that are known.
//!
//! Of two equal keys the derived decoders take the last, and other readers the first: such a map is refused.

use minicbor::data::Type;
use minicbor::decode::{Decode, Decoder, Error};

/// Reads the next item and checks the maps and arrays in it, `depth` levels of them; what is deeper is skipped.
///
/// # Errors
/// An error at the offset of the first key, map or array that breaks the rule.
pub(crate) fn check_keys(decoder: &mut Decoder<'_>, depth: u8) -> Result<(), Error> {
    let at = decoder.position();
    let kind = decoder.datatype()?;
    let count = match kind {
        _ if depth == 0 => return decoder.skip(),
        Type::Map | Type::MapIndef => decoder.map()?,
        Type::Array | Type::ArrayIndef => decoder.array()?,
        _ => return decoder.skip(),
    };
    let mut least = 0;
    for _ in 0..count.ok_or_else(|| Error::message("indefinite length").at(at))? {
        if kind == Type::Map {
            let at = decoder.position();
            let key = u64::from(decoder.u32()?);
            if key < least {
                return Err(Error::message("keys do not rise").at(at));
            }
            least = key + 1;
        }
        check_keys(decoder, depth - 1)?;
    }
    Ok(())
}

/// Returns whether the bytes are one map that keeps the rule, and nothing behind it; what its values hold is not looked at.
pub(crate) fn is_one_map(bytes: &[u8]) -> bool {
    let mut decoder = Decoder::new(bytes);
    check_keys(&mut decoder, 1).is_ok() && decoder.position() == bytes.len()
}

/// Decodes a value in which no number may be unknown.
///
/// Where a field has a default, the derived decoders take that for a number that they do not know, and skip an item more than
/// there is. What such a number stands for must not be left out.
///
/// # Errors
/// That of the value; one at the number where it is unknown.
pub(crate) fn known<'b, C, T: Decode<'b, C>>(decoder: &mut Decoder<'b>, ctx: &mut C) -> Result<T, Error> {
    let at = decoder.position();
    T::decode(decoder, ctx).map_err(|error| refused(error, at))
}

/// Apart from what decodes, which is there once for each type.
#[cold]
#[inline(never)]
fn refused(error: Error, start: usize) -> Error {
    if !error.is_unknown_variant() {
        return error;
    }
    Error::message("unknown number").at(error.position().unwrap_or(start))
}
