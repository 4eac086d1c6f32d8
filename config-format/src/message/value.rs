//! A value of an [`InfoItem`](super::InfoItem): told by its CBOR type.

use minicbor::data::Type;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// A fact's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    /// Not known, or none.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A count.
    Unsigned(u64),
    /// A measured value.
    Float(f32),
    /// Text.
    Text(&'b str),
}

impl<C> Encode<C> for Value<'_> {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        match self {
            Value::Null => encoder.null()?,
            Value::Bool(value) => encoder.bool(*value)?,
            Value::Unsigned(value) => encoder.u64(*value)?,
            Value::Float(value) => encoder.f32(*value)?,
            Value::Text(value) => encoder.str(value)?,
        };
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Value<'b> {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let kind = decoder.datatype()?;
        Ok(match kind {
            Type::Bool => Value::Bool(decoder.bool()?),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::Unsigned(decoder.u64()?),
            Type::F32 => Value::Float(decoder.f32()?),
            Type::String => Value::Text(decoder.str()?),
            // A newer device may tell a fact in a type that this side does not know; the others are still of use.
            _ => {
                decoder.skip()?;
                Value::Null
            }
        })
    }
}
