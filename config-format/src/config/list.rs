//! A list that is either values in the host's memory or their encoding in a body.

use core::marker::PhantomData;

use crate::cbor::{Item, Reader, Writer};

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

impl<'a, T: Copy + Item<'a>> List<'a, T> {
    /// Returns the elements in order.
    pub fn iter(&self) -> Iter<'a, T> {
        match self.0 {
            Source::Values(values) => Iter::Values(values.iter()),
            Source::Encoded { elements, count, .. } => {
                Iter::Encoded { elements: Reader::new(elements), left: count }
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
        elements: Reader<'a>,
        /// How many elements are left.
        left: usize,
    },
}

impl<'a, T: Copy + Item<'a>> Iterator for Iter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Iter::Values(values) => values.next().copied(),
            Iter::Encoded { elements, left } => {
                *left = left.checked_sub(1)?;
                Some(T::read(elements))
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

impl<'a, T: Copy + PartialEq + Item<'a>> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Copy + core::fmt::Debug + Item<'a>> core::fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'b, T: Copy + Item<'b>> Item<'b> for List<'b, T> {
    fn read(from: &mut Reader<'b>) -> Self {
        let array = from.array();
        let start = from.position();
        for _ in 0..array.count {
            if from.fault().is_some() {
                break;
            }
            T::read(from);
        }
        // Each element is a byte long or longer: there are not more than bytes.
        let count = usize::try_from(array.count).unwrap_or(0);
        List(Source::Encoded { elements: from.since(start), count, element: PhantomData })
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.array(self.len() as u64);
        for element in self.iter() {
            element.write(to);
        }
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}
