//! A list that is either values in the host's memory or their encoding in a body.

use core::marker::PhantomData;

use minicbor::decode::{self, Decode, Decoder};
use minicbor::encode::{self, Encode, Encoder, Write};

use crate::strict;

/// Values in order, borrowed as they are or as their encoding.
///
/// A device cannot hold 64 decoded reports; it keeps the body and decodes an element whenever it is asked for. A list
/// that was decoded has had every element checked, so reading it again cannot fail.
pub struct List<'a, T>(Source<'a, T>);

enum Source<'a, T> {
    Values(&'a [T]),
    Encoded { elements: &'a [u8], count: usize, element: PhantomData<fn() -> T> },
}

impl<'a, T> List<'a, T> {
    /// Returns the list of `values`.
    pub const fn new(values: &'a [T]) -> Self {
        List(Source::Values(values))
    }

    /// Returns how many elements there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Values(values) => values.len(),
            Source::Encoded { count, .. } => count,
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Copy + Decode<'a, ()>> List<'a, T> {
    /// Returns the elements in order.
    pub fn iter(&self) -> Iter<'a, T> {
        match self.0 {
            Source::Values(values) => Iter::Values(values.iter()),
            Source::Encoded { elements, count, .. } => {
                Iter::Encoded { decoder: Decoder::new(elements), left: count }
            }
        }
    }

    /// Returns the element at `index`. Takes time in proportion to `index`.
    pub fn get(&self, index: usize) -> Option<T> {
        self.iter().nth(index)
    }
}

/// The elements of a [`List`].
#[derive(Clone)]
pub enum Iter<'a, T> {
    /// Over values.
    Values(core::slice::Iter<'a, T>),
    /// Over their encoding.
    Encoded {
        /// What is left of the encoding.
        decoder: Decoder<'a>,
        /// How many elements are left.
        left: usize,
    },
}

impl<'a, T: Copy + Decode<'a, ()>> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Iter::Values(values) => values.next().copied(),
            Iter::Encoded { decoder, left } => {
                *left = left.checked_sub(1)?;
                decoder.decode().ok()
            }
        }
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        List::new(&[])
    }
}

impl<'a, T: Copy + PartialEq + Decode<'a, ()>> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Copy + core::fmt::Debug + Decode<'a, ()>> core::fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, C, T: Copy + Encode<C> + Decode<'a, ()>> Encode<C> for List<'a, T> {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.array(self.len() as u64)?;
        for element in self.iter() {
            element.encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C, T: Decode<'b, C>> Decode<'b, C> for List<'b, T> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        let indefinite = || decode::Error::message("array of indefinite length").at(at);
        let count = d.array()?.ok_or_else(indefinite)?;
        let start = d.position();
        for _ in 0..count {
            strict::known::<C, T>(d, ctx)?;
        }
        let elements = d.input().get(start..d.position()).unwrap_or_default();
        let count = usize::try_from(count).map_err(|_| indefinite())?;
        Ok(List(Source::Encoded { elements, count, element: PhantomData }))
    }
}
