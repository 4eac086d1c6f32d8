//! Writes items one after the other.

use super::{major, simple};

/// Writes items, integers in their shortest form.
///
/// After the first that does not fit it writes no more.
#[derive(Debug)]
pub struct Writer<'w> {
    buffer: &'w mut [u8],
    at: usize,
    is_full: bool,
}

impl<'w> Writer<'w> {
    /// Returns a writer into `buffer`.
    pub fn new(buffer: &'w mut [u8]) -> Self {
        Writer { buffer, at: 0, is_full: false }
    }

    /// Returns how many bytes were written; none where something did not fit.
    pub fn written(&self) -> Option<usize> {
        (!self.is_full).then_some(self.at)
    }

    /// Writes bytes as they are.
    #[inline(never)]
    pub fn put(&mut self, bytes: &[u8]) {
        let place = self.buffer.get_mut(self.at..).and_then(|rest| rest.get_mut(..bytes.len()));
        match place {
            Some(place) if !self.is_full => {
                place.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            _ => self.is_full = true,
        }
    }

    /// Writes a head with the shortest argument (RFC 8949, section 4.2.1).
    #[inline(never)]
    fn head(&mut self, kind: u8, argument: u64) {
        let bytes = argument.to_be_bytes();
        let (info, skipped) = match argument {
            0..24 => (argument as u8, bytes.len()),
            24..0x100 => (24, 7),
            0x100..0x1_0000 => (25, 6),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 0),
        };
        self.put(&[kind << 5 | info]);
        self.put(bytes.get(skipped..).unwrap_or_default());
    }

    /// Writes an unsigned integer.
    #[inline(never)]
    pub fn number(&mut self, number: u32) {
        self.head(major::UNSIGNED, number.into());
    }

    /// Writes an unsigned integer of 64 bits.
    pub fn long(&mut self, number: u64) {
        self.head(major::UNSIGNED, number);
    }

    /// Writes true or false.
    pub fn flag(&mut self, flag: bool) {
        self.simple(if flag { simple::TRUE } else { simple::FALSE });
    }

    /// Writes null.
    pub fn null(&mut self) {
        self.simple(simple::NULL);
    }

    #[inline(never)]
    fn simple(&mut self, value: u8) {
        self.put(&[major::SIMPLE << 5 | value]);
    }

    /// Writes a float of 32 bits.
    #[inline(never)]
    pub fn float(&mut self, float: f32) {
        self.simple(simple::FLOAT);
        self.put(&float.to_be_bytes());
    }

    /// Writes a text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        self.head(major::TEXT, text.len() as u64);
        self.put(text.as_bytes());
    }

    /// Writes a byte string.
    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(major::BYTES, bytes.len() as u64);
        self.put(bytes);
    }

    /// Writes the head of an array.
    #[inline(never)]
    pub fn array(&mut self, count: u64) {
        self.head(major::ARRAY, count);
    }

    /// Writes the head of a map.
    #[inline(never)]
    pub fn map(&mut self, count: u32) {
        self.head(major::MAP, count.into());
    }
}
