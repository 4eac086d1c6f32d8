//! A ring of bytes between an interrupt and a future.

/// A ring of `SIZE` bytes; `SIZE` is a power of two.
#[derive(Debug)]
pub struct Ring<const SIZE: usize> {
    bytes: [u8; SIZE],
    /// Bytes ever put in and taken out; their difference is what is inside.
    put: usize,
    taken: usize,
}

impl<const SIZE: usize> Ring<SIZE> {
    const MASK: usize = {
        assert!(SIZE.is_power_of_two());
        SIZE - 1
    };

    /// Returns an empty ring.
    pub const fn new() -> Self {
        Ring { bytes: [0; SIZE], put: 0, taken: 0 }
    }

    /// Returns how many bytes are inside.
    pub const fn len(&self) -> usize {
        self.put.wrapping_sub(self.taken)
    }

    /// Returns whether nothing is inside.
    pub const fn is_empty(&self) -> bool {
        self.put == self.taken
    }

    /// Returns how many bytes can be put in.
    pub const fn room(&self) -> usize {
        SIZE - self.len()
    }

    /// Puts a byte in; returns whether there was room.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.room() == 0 {
            return false;
        }
        if let Some(place) = self.bytes.get_mut(self.put & Self::MASK) {
            *place = byte;
        }
        self.put = self.put.wrapping_add(1);
        true
    }

    /// Takes the oldest byte.
    pub fn pop(&mut self) -> Option<u8> {
        if self.is_empty() {
            return None;
        }
        let byte = self.bytes.get(self.taken & Self::MASK).copied();
        self.taken = self.taken.wrapping_add(1);
        byte
    }

    /// Takes as many of the oldest bytes as `buffer` holds; returns how many.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        for place in buffer {
            let Some(byte) = self.pop() else { break };
            *place = byte;
            count += 1;
        }
        count
    }

    /// Puts in as many of `bytes` as there is room for; returns how many.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        bytes.iter().take_while(|byte| self.push(**byte)).count()
    }

    /// Forgets what is inside.
    pub fn clear(&mut self) {
        self.taken = self.put;
    }
}

impl<const SIZE: usize> Default for Ring<SIZE> {
    fn default() -> Self {
        Ring::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn it_is_a_queue_of_bounded_length_also_where_its_counts_wrap() {
        let mut ring = Ring::<8>::new();
        (ring.put, ring.taken) = (usize::MAX - 20, usize::MAX - 20);
        let mut model = VecDeque::new();
        let mut number = 1u32;
        for step in 0..10_000u32 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if number >> 31 == 0 {
                let room = model.len() < 8;
                assert_eq!(ring.push(step as u8), room);
                if room {
                    model.push_back(step as u8);
                }
            } else {
                assert_eq!(ring.pop(), model.pop_front());
            }
            assert_eq!((ring.len(), ring.room()), (model.len(), 8 - model.len()));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut ring = Ring::<4>::new();
        assert_eq!(ring.put(b"abcdef"), 4);
        let mut buffer = [0; 3];
        assert_eq!((ring.take(&mut buffer), &buffer), (3, b"abc"));
        assert_eq!(ring.put(b"xyz!"), 3);
        let mut rest = [0; 8];
        assert_eq!((ring.take(&mut rest), &rest[..4]), (4, &b"dxyz"[..]));
    }
}
