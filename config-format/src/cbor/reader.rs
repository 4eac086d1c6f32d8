//! Reads items one after the other.

use super::{major, simple};

/// Reads items.
///
/// After the first that does not fit it stands at the end, and whatever it is asked for is nothing.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Offset of what did not fit.
    fault: Option<usize>,
}

/// An array that is being read.
#[derive(Clone, Copy, Debug)]
pub struct Array {
    start: usize,
    /// How many elements it has; each is a byte long or longer.
    pub count: u64,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unsigned integer.
    Unsigned,
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// A float of 32 bits.
    Float,
    /// Something else, or nothing.
    Other,
}

const FALSE: u8 = major::SIMPLE << 5 | simple::FALSE;
const TRUE: u8 = major::SIMPLE << 5 | simple::TRUE;
const NULL: u8 = major::SIMPLE << 5 | simple::NULL;
const FLOAT: u8 = major::SIMPLE << 5 | simple::FLOAT;

/// A head that fits nowhere.
const NONE: (u8, u64) = (u8::MAX, 0);

impl<'b> Reader<'b> {
    /// Returns a reader of `bytes`.
    pub fn new(bytes: &'b [u8]) -> Self {
        Reader { bytes, at: 0, fault: None }
    }

    /// Returns the offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns the offset of the first value that did not fit.
    pub fn fault(&self) -> Option<usize> {
        self.fault
    }

    /// Returns the bytes from `start` to here.
    pub fn since(&self, start: usize) -> &'b [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Remembers that what is at `offset` does not fit.
    #[cold]
    #[inline(never)]
    pub fn refuse(&mut self, offset: usize) {
        self.fault.get_or_insert(offset);
        self.at = self.bytes.len();
    }

    /// Returns the next byte, without passing it.
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Passes `len` bytes and returns them.
    fn pass(&mut self, len: usize) -> &'b [u8] {
        let Some((bytes, _)) = self.bytes.get(self.at..).and_then(|rest| rest.split_at_checked(len)) else {
            // They are cut off.
            self.refuse(self.bytes.len());
            return &[];
        };
        self.at += len;
        bytes
    }

    /// Passes an unsigned integer that is in its head, as most are.
    fn short(&mut self) -> Option<u32> {
        let first = self.peek().filter(|first| *first < 24)?;
        self.at += 1;
        Some(first.into())
    }

    /// Reads a head: its major type and its argument (RFC 8949, section 3).
    #[inline(never)]
    fn head(&mut self) -> (u8, u64) {
        let start = self.at;
        let [first] = *self.pass(1) else { return NONE };
        let (major, info) = (first >> 5, first & 31);
        let len = match info {
            0..24 => return (major, info.into()),
            24..28 => 1 << (info - 24),
            // Reserved, or of indefinite length.
            _ => {
                self.refuse(start);
                return NONE;
            }
        };
        let argument = self.pass(len).iter().fold(0, |argument, byte| argument << 8 | u64::from(*byte));
        if self.fault.is_some() { NONE } else { (major, argument) }
    }

    /// Reads a head of a major type and returns its argument.
    #[inline(never)]
    fn argument(&mut self, expected: u8) -> u64 {
        let start = self.at;
        match self.peek() {
            // The type is told first: what is of another one does not fit, wherever its argument is cut off.
            Some(first) if first >> 5 != expected => {
                self.refuse(start);
                0
            }
            // Most of them.
            Some(first) if first & 31 < 24 => {
                self.at += 1;
                (first & 31).into()
            }
            _ => self.head().1,
        }
    }

    /// Returns what the next item is, without passing it.
    pub fn kind(&self) -> Kind {
        match self.peek() {
            Some(FALSE | TRUE) => Kind::Bool,
            Some(FLOAT) => Kind::Float,
            Some(first) if first >> 5 == major::UNSIGNED => Kind::Unsigned,
            Some(first) if first >> 5 == major::TEXT => Kind::Text,
            _ => Kind::Other,
        }
    }

    /// Reads an unsigned integer of 64 bits.
    pub fn long(&mut self) -> u64 {
        self.argument(major::UNSIGNED)
    }

    /// Reads an unsigned integer that is at most `max`.
    #[inline(never)]
    pub fn number(&mut self, max: u32) -> u32 {
        let start = self.at;
        if let Some(number) = self.short().filter(|number| *number <= max) {
            return number;
        }
        self.at = start;
        match u32::try_from(self.argument(major::UNSIGNED)) {
            Ok(number) if number <= max => number,
            _ => {
                self.refuse(start);
                0
            }
        }
    }

    /// Reads the number of one of `values`.
    pub fn one_of<T: Copy>(&mut self, values: &[T], other: T) -> T {
        let start = self.at;
        let number = self.number(u8::MAX.into()) as usize;
        values.get(number).copied().unwrap_or_else(|| {
            self.refuse(start);
            other
        })
    }

    /// Reads true or false.
    #[inline(never)]
    pub fn flag(&mut self) -> bool {
        let start = self.at;
        match *self.pass(1) {
            [FALSE] => false,
            [TRUE] => true,
            _ => {
                self.refuse(start);
                false
            }
        }
    }

    /// Reads a float of 32 bits.
    #[inline(never)]
    pub fn float(&mut self) -> f32 {
        let start = self.at;
        if self.peek().is_some_and(|first| first != FLOAT) {
            self.refuse(start);
        }
        f32::from_bits(self.head().1 as u32)
    }

    /// Reads a text.
    #[inline(never)]
    pub fn text(&mut self) -> &'b str {
        let start = self.at;
        let bytes = self.string(major::TEXT);
        core::str::from_utf8(bytes).unwrap_or_else(|_| {
            self.refuse(start);
            ""
        })
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> &'b [u8] {
        self.string(major::BYTES)
    }

    /// Reads a byte string of the length of `bytes`.
    #[inline(never)]
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let start = self.at;
        let found = self.bytes();
        if found.len() == bytes.len() {
            bytes.copy_from_slice(found);
        } else {
            self.refuse(start);
        }
    }

    #[inline(never)]
    fn string(&mut self, kind: u8) -> &'b [u8] {
        let len = self.argument(kind);
        self.pass(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// Returns whether null is next, and passes it.
    #[inline(never)]
    pub fn is_null(&mut self) -> bool {
        let is_null = self.peek() == Some(NULL);
        self.at += usize::from(is_null);
        is_null
    }

    /// Enters an array.
    pub fn array(&mut self) -> Array {
        let start = self.at;
        Array { start, count: self.argument(major::ARRAY) }
    }

    /// Says that an array must have so many elements.
    #[inline(never)]
    pub fn require(&mut self, array: Array, count: u64) {
        if array.count < count {
            self.refuse(array.start);
        }
    }

    /// Leaves an array whose first `known` elements were read.
    #[inline(never)]
    pub fn leave(&mut self, array: Array, known: u64) {
        for _ in known..array.count {
            if self.fault.is_some() {
                return;
            }
            self.skip();
        }
    }

    /// Reads a map: `value` is told each key, and reads the value behind it. Bit K of `needed` says that key K must be there.
    #[inline(never)]
    pub fn map(&mut self, needed: u32, value: &mut dyn FnMut(&mut Self, u32)) {
        let start = self.at;
        let (mut least, mut seen) = (0, 0);
        for _ in 0..self.argument(major::MAP) {
            let at = self.at;
            let key = self.short().unwrap_or_else(|| self.number(u32::MAX));
            if u64::from(key) < least {
                self.refuse(at);
            }
            if self.fault.is_some() {
                return;
            }
            least = u64::from(key) + 1;
            seen |= 1u32.checked_shl(key).unwrap_or(0);
            value(self, key);
        }
        if needed & !seen != 0 {
            self.refuse(start);
        }
    }

    /// Skips an item of any kind, however deep it is.
    #[inline(never)]
    pub fn skip(&mut self) {
        let mut left: u64 = 1;
        while left > 0 && self.fault.is_none() {
            let start = self.at;
            let (kind, argument) = self.head();
            let inside = match kind {
                major::TEXT => {
                    self.at = start;
                    self.text();
                    0
                }
                major::BYTES => {
                    self.pass(usize::try_from(argument).unwrap_or(usize::MAX));
                    0
                }
                major::ARRAY => argument,
                major::MAP => argument.saturating_mul(2),
                major::TAG => 1,
                _ => 0,
            };
            left = (left - 1).saturating_add(inside);
        }
    }
}
