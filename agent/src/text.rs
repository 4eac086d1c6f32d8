//! Text into a byte buffer, without `core::fmt`: numbers, strings, and flat JSON (RFC 8259).
//!
//! A writer never fails on the way: what does not fit sets a flag, and [`Text::finish`] tells.

/// The buffer was too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// Writes text into a buffer.
#[derive(Debug)]
pub struct Text<'a> {
    buffer: &'a mut [u8],
    len: usize,
    overflow: bool,
}

impl<'a> Text<'a> {
    /// Starts at the buffer's beginning.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Text { buffer, len: 0, overflow: false }
    }

    /// Returns the length of what was written, in bytes.
    ///
    /// # Errors
    /// [`Overflow`] where not all of it fitted.
    pub fn finish(self) -> Result<usize, Overflow> {
        if self.overflow { Err(Overflow) } else { Ok(self.len) }
    }

    /// Returns what fitted: the beginning of what was written, up to the last whole character.
    pub fn written(&self) -> &str {
        let written = self.buffer.get(..self.len).unwrap_or_default();
        let valid = match core::str::from_utf8(written) {
            Ok(text) => return text,
            Err(error) => error.valid_up_to(),
        };
        core::str::from_utf8(written.get(..valid).unwrap_or_default()).unwrap_or_default()
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let rest = self.buffer.get_mut(self.len..).unwrap_or_default();
        let count = bytes.len().min(rest.len());
        for (target, byte) in rest.iter_mut().zip(bytes) {
            *target = *byte;
        }
        self.len += count;
        self.overflow |= count < bytes.len();
    }

    /// Appends a string as it is.
    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends a whole number in decimal.
    pub fn integer(&mut self, value: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        let mut rest = value;
        loop {
            start -= 1;
            if let Some(digit) = digits.get_mut(start) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes(digits.get(start..).unwrap_or_default());
    }

    /// Appends a number as the shortest decimal that reads back to the same `f32`, without an exponent; whole numbers
    /// without a point. A number that is not finite becomes `null`.
    pub fn float(&mut self, value: f32) {
        if !value.is_finite() {
            return self.str("null");
        }
        let mut shortest = ryu::Buffer::new();
        let text = shortest.format_finite(value);
        let (text, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        if exponent == "0" {
            self.str(if value == 0.0 { "" } else { sign });
            self.str(whole);
            self.str(if fraction.is_empty() { "" } else { "." });
            return self.str(fraction);
        }
        // The digits are `whole` and `fraction`, the point behind `point` of them.
        let point = i32::try_from(whole.len()).unwrap_or(0) + exponent.parse().unwrap_or(0);
        self.str(if value == 0.0 { "" } else { sign });
        if point <= 0 {
            self.str("0.");
            (point..0).for_each(|_| self.str("0"));
            self.str(whole);
            return self.str(fraction);
        }
        let mut digits = whole.bytes().chain(fraction.bytes());
        for _ in 0..point {
            self.bytes(&[digits.next().unwrap_or(b'0')]);
        }
        let mut separator = ".";
        for digit in digits {
            self.str(core::mem::take(&mut separator));
            self.bytes(&[digit]);
        }
    }

    /// Appends a fixed-point number: `value` thousandths.
    pub fn thousandths(&mut self, value: u64) {
        self.integer(value / 1000);
        let rest = value % 1000;
        self.bytes(&[b'.', b'0' + (rest / 100) as u8]);
        if !rest.is_multiple_of(100) {
            self.bytes(&[b'0' + (rest / 10 % 10) as u8]);
            if !rest.is_multiple_of(10) {
                self.bytes(&[b'0' + (rest % 10) as u8]);
            }
        }
    }

    /// Appends bytes in lower-case hexadecimal.
    pub fn hex(&mut self, bytes: &[u8]) {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        for byte in bytes {
            self.bytes(&[digit(byte >> 4), digit(byte & 15)]);
        }
    }

    /// Appends a JSON string, escaped (RFC 8259, section 7).
    pub fn quoted(&mut self, text: &str) {
        self.str("\"");
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.bytes(&[b'\\', byte]),
                0..0x20 => {
                    self.str("\\u00");
                    self.hex(&[byte]);
                }
                _ => self.bytes(&[byte]),
            }
        }
        self.str("\"");
    }

    /// Appends a JSON object whose members `fill` writes.
    pub fn object(&mut self, fill: impl FnOnce(&mut Object<'_, 'a>)) {
        self.str("{");
        fill(&mut Object { text: self, first: true });
        self.str("}");
    }
}

/// The members of a JSON object that is being written.
#[derive(Debug)]
pub struct Object<'t, 'a> {
    text: &'t mut Text<'a>,
    first: bool,
}

impl<'a> Object<'_, 'a> {
    /// Starts a member; the caller writes exactly one value.
    pub fn key(&mut self, key: &str) -> &mut Text<'a> {
        if !core::mem::take(&mut self.first) {
            self.text.str(",");
        }
        self.text.quoted(key);
        self.text.str(":");
        self.text
    }

    /// Starts a member whose key is `first.second`; both are identifiers.
    pub fn compound_key(&mut self, first: &str, second: &str) -> &mut Text<'a> {
        let text = self.key(first);
        if !text.overflow {
            // Back before the quotation mark and the colon that end the key.
            text.len = text.len.saturating_sub(2);
        }
        text.str(".");
        text.str(second);
        text.str("\":");
        text
    }

    /// Writes a string.
    pub fn string(&mut self, key: &str, value: &str) {
        self.key(key).quoted(value);
    }

    /// Writes a whole number.
    pub fn integer(&mut self, key: &str, value: impl Into<u64>) {
        self.key(key).integer(value.into());
    }

    /// Writes bytes as a string in lower-case hexadecimal.
    pub fn hex(&mut self, key: &str, bytes: &[u8]) {
        let text = self.key(key);
        text.str("\"");
        text.hex(bytes);
        text.str("\"");
    }

    /// Writes `null`.
    pub fn null(&mut self, key: &str) {
        self.key(key).str("null");
    }

    /// Writes a value, or `null` where there is none.
    pub fn float(&mut self, key: &str, value: Option<f32>) {
        self.key(key).float(value.unwrap_or(f32::NAN));
    }

    /// Writes an array of strings.
    pub fn strings<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s str>) {
        let text = self.key(key);
        text.str("[");
        for (index, value) in values.enumerate() {
            if index > 0 {
                text.str(",");
            }
            text.quoted(value);
        }
        text.str("]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};

    extern crate std;

    fn written(write: impl FnOnce(&mut Text<'_>)) -> String {
        let mut buffer = [0xa5; 400];
        let mut text = Text::new(&mut buffer);
        write(&mut text);
        let len = text.finish().unwrap();
        core::str::from_utf8(&buffer[..len]).unwrap().to_string()
    }

    #[test]
    fn numbers_have_no_exponent() {
        let float = |value: f32| written(|text| text.float(value));
        assert_eq!(float(284.1312), "284.1312");
        assert_eq!(float(0.0), "0");
        assert_eq!(float(-0.0), "0");
        assert_eq!(float(-3.5), "-3.5");
        assert_eq!(float(1e10), "10000000000");
        assert_eq!(float(1.5e-7), "0.00000015");
        assert_eq!(float(0.1), "0.1");
        assert_eq!(float(16_777_216.0), "16777216");
        assert_eq!(float(f32::NAN), "null");
        assert_eq!(written(|text| text.thousandths(624_000)), "624.0");
        assert_eq!(written(|text| text.thousandths(1_050)), "1.05");
        assert_eq!(written(|text| text.integer(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn an_object_is_flat_json() {
        let text = written(|text| {
            text.object(|object| {
                object.string("a", "x\"\\\n");
                object.integer("n", 3u32);
                object.float("none", None);
                object.strings("list", ["p", "q"].into_iter());
            });
        });
        assert_eq!(text, r#"{"a":"x\"\\\u000a","n":3,"none":null,"list":["p","q"]}"#);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut buffer = [0; 3];
        let mut text = Text::new(&mut buffer);
        text.str("four");
        assert_eq!(text.finish(), Err(Overflow));
    }

    proptest! {
        #[test]
        fn every_float_reads_back(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let text = written(|text| text.float(value));
            if value.is_finite() {
                prop_assert!(!text.contains('e') && !text.ends_with('.'));
                prop_assert_eq!(text.parse::<f32>().unwrap(), value);
            } else {
                prop_assert_eq!(text, "null");
            }
        }
    }
}
