//! The CBOR (RFC 8949) that bodies and messages are made of, and no other: lengths are definite, and the keys of maps are
//! unsigned and rise.
//!
//! Of two equal keys some readers take the first and others the last; here such a map does not exist. Decoders that return at
//! the first value that does not fit, as derives make them, took a seventh of the image: [`Reader`] and [`Writer`] remember
//! that something did not fit instead, and go on with nothing in hand.

mod item;
mod reader;
mod writer;

pub use reader::{Array, Kind, Reader};
pub use writer::Writer;

/// A value that is stored or sent.
pub trait Item<'b>: Sized {
    /// Reads it. Where it does not fit, the reader remembers that, and what is returned means nothing.
    fn read(from: &mut Reader<'b>) -> Self;

    /// Writes it. Where it does not fit, the writer remembers that.
    fn write(&self, to: &mut Writer<'_>);

    /// Returns whether a writer leaves out a key whose value this is, where the key may be left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Major types (RFC 8949, section 3.1).
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const ARRAY: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
    pub(super) const SIMPLE: u8 = 7;
}

/// Arguments of the major type [`SIMPLE`](major::SIMPLE) (RFC 8949, section 3.3).
mod simple {
    pub(super) const FALSE: u8 = 20;
    pub(super) const TRUE: u8 = 21;
    pub(super) const NULL: u8 = 22;
    pub(super) const FLOAT: u8 = 26;
}

/// Makes a structure an [`Item`]: a map, each field behind its key, keys rising. An `optional` field that a map does not have is
/// the default of its type, and is left out where it [is absent](Item::is_absent).
macro_rules! map {
    ($name:ident $(<$life:lifetime>)? { $($key:literal $field:ident $(: $optional:ident)?),* $(,)? }) => {
        impl<'b> $crate::cbor::Item<'b> for $crate::cbor::map!(@type $name $($life)?) {
            fn read(from: &mut $crate::cbor::Reader<'b>) -> Self {
                let map = &mut $name { $($field: Default::default()),* };
                let needed = 0 $(| $crate::cbor::map!(@bit $key $($optional)?))*;
                from.map(needed, &mut |from, key| match key {
                    $($key => map.$field = $crate::cbor::Item::read(from),)*
                    _ => from.skip(),
                });
                *map
            }

            fn write(&self, to: &mut $crate::cbor::Writer<'_>) {
                to.map(0 $(+ u32::from($crate::cbor::map!(@written self $field $($optional)?)))*);
                $(if $crate::cbor::map!(@written self $field $($optional)?) {
                    to.number($key);
                    $crate::cbor::Item::write(&self.$field, to);
                })*
            }

            fn is_absent(&self) -> bool {
                !(false $(|| $crate::cbor::map!(@written self $field $($optional)?))*)
            }
        }
    };
    (@type $name:ident) => { $name };
    (@type $name:ident $life:lifetime) => { $name<'b> };
    (@bit $key:literal) => { 1 << $key };
    (@bit $key:literal optional) => { 0 };
    (@written $self:ident $field:ident) => { true };
    (@written $self:ident $field:ident optional) => { !$crate::cbor::Item::is_absent(&$self.$field) };
}

/// Makes a structure an [`Item`]: an array of its fields in this order.
macro_rules! array {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl<'b> $crate::cbor::Item<'b> for $name {
            fn read(from: &mut $crate::cbor::Reader<'b>) -> Self {
                const KNOWN: u64 = $crate::cbor::array!(@count $($field)*);
                let array = from.array();
                from.require(array, KNOWN);
                let value = $name { $($field: $crate::cbor::Item::read(from)),* };
                from.leave(array, KNOWN);
                value
            }

            fn write(&self, to: &mut $crate::cbor::Writer<'_>) {
                to.array($crate::cbor::array!(@count $($field)*));
                $($crate::cbor::Item::write(&self.$field, to);)*
            }
        }
    };
    (@count $($field:ident)*) => { 0 $(+ { let _ = stringify!($field); 1 })* };
}

/// Makes an enumeration an [`Item`]: an array of the variant's number and its fields in this order. Its constant `UNKNOWN` is what
/// a number that is refused is read as.
macro_rules! variants {
    ($name:ident { $($number:literal $variant:ident { $($field:ident),* }),* $(,)? }) => {
        impl<'b> $crate::cbor::Item<'b> for $name {
            fn read(from: &mut $crate::cbor::Reader<'b>) -> Self {
                let array = from.array();
                from.require(array, 1);
                let start = from.position();
                let (known, value) = match from.number(u8::MAX.into()) {
                    $($number => {
                        let known = 1 + $crate::cbor::array!(@count $($field)*);
                        from.require(array, known);
                        (known, $name::$variant { $($field: $crate::cbor::Item::read(from)),* })
                    })*
                    _ => {
                        from.refuse(start);
                        (1, $name::UNKNOWN)
                    }
                };
                from.leave(array, known);
                value
            }

            fn write(&self, to: &mut $crate::cbor::Writer<'_>) {
                match self {
                    $($name::$variant { $($field),* } => {
                        to.array(1 + $crate::cbor::array!(@count $($field)*));
                        to.number($number);
                        $($crate::cbor::Item::write($field, to);)*
                    })*
                }
            }
        }
    };
}

/// Makes an enumeration an [`Item`]: the number of its variant. The variants are given in the order of their numbers, from 0;
/// the first is the default.
macro_rules! number {
    ($name:ident { $first:ident $(, $variant:ident)* $(,)? }) => {
        impl $crate::cbor::Item<'_> for $name {
            fn read(from: &mut $crate::cbor::Reader<'_>) -> Self {
                from.one_of(&[$name::$first $(, $name::$variant)*], $name::$first)
            }

            fn write(&self, to: &mut $crate::cbor::Writer<'_>) {
                to.number(*self as u32);
            }

            fn is_absent(&self) -> bool {
                *self == $name::$first
            }
        }
    };
}

pub(crate) use {array, map, number, variants};

/// Returns the item that `bytes` are.
///
/// # Errors
/// [`Fault`].
pub(crate) fn read<'b, T: Item<'b>>(bytes: &'b [u8]) -> Result<T, Fault> {
    let mut reader = Reader::new(bytes);
    let item = T::read(&mut reader);
    match reader.fault() {
        Some(offset) => Err(Fault::Malformed { offset }),
        None if reader.position() < bytes.len() => Err(Fault::Trailing { offset: reader.position() }),
        None => Ok(item),
    }
}

/// Why bytes are not an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What is at an offset does not fit.
    Malformed {
        /// Offset of the first byte that does not fit.
        offset: usize,
    },
    /// Bytes follow.
    Trailing {
        /// Offset of the first of them.
        offset: usize,
    },
}

/// Writes `item` into `buffer` and returns its length; none where the buffer is too small.
pub(crate) fn write<'b>(item: &impl Item<'b>, buffer: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(buffer);
    item.write(&mut writer);
    writer.written()
}
