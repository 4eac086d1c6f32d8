//! A value of an [`InfoItem`](super::InfoItem): told by its CBOR type.

use crate::cbor::{Item, Kind, Reader, Writer};

/// A fact's value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value<'b> {
    /// Not known, or none.
    #[default]
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

impl<'b> Item<'b> for Value<'b> {
    fn read(from: &mut Reader<'b>) -> Self {
        match from.kind() {
            Kind::Unsigned => Value::Unsigned(from.long()),
            Kind::Text => Value::Text(from.text()),
            Kind::Bool => Value::Bool(from.flag()),
            Kind::Float => Value::Float(from.float()),
            // A newer device may tell a fact in a type that this side does not know; the others are still of use.
            Kind::Other => {
                from.skip();
                Value::Null
            }
        }
    }

    fn write(&self, to: &mut Writer<'_>) {
        match *self {
            Value::Null => to.null(),
            Value::Bool(value) => to.flag(value),
            Value::Unsigned(value) => to.long(value),
            Value::Float(value) => to.float(value),
            Value::Text(value) => to.text(value),
        }
    }
}
