//! Good inputs, made worse.

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

/// Longest input.
const LONGEST: usize = 20_000;
/// Bytes at which parsers stumble.
const NASTY: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'[', b'{', b'=', b'\n'];

/// A source of inputs that is the same for equal seeds.
pub(crate) struct Mutator {
    random: Pcg32,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    pub(crate) fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Mutator { random: Pcg32::seed_from_u64(seed), corpus }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.next_u32() as usize % end.max(1)
    }

    fn piece(&mut self) -> Vec<u8> {
        let index = self.below(self.corpus.len());
        let other = self.corpus.get(index).cloned().unwrap_or_default();
        let from = self.below(other.len() + 1);
        let len = self.below(other.len() - from + 1).min(64);
        other[from..from + len].to_vec()
    }

    /// Returns the next input: one of the corpus with a few changes, or noise.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        if self.below(32) == 0 {
            let mut noise = vec![0; self.below(300)];
            self.random.fill_bytes(&mut noise);
            return noise;
        }
        let index = self.below(self.corpus.len());
        let mut input = self.corpus.get(index).cloned().unwrap_or_default();
        for _ in 0..1 + self.below(6) {
            let at = self.below(input.len() + 1);
            match self.below(8) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.random.next_u32() as u8,
                2 if at < input.len() => input[at] = NASTY[self.below(NASTY.len())],
                3 => input.truncate(at),
                4 => {
                    let end = (at + self.below(20)).min(input.len());
                    input.drain(at..end);
                }
                5 => {
                    let piece = self.piece();
                    input.splice(at..at, piece);
                }
                6 => {
                    let end = (at + self.below(40)).min(input.len());
                    let copy = input[at..end].to_vec();
                    for _ in 0..self.below(20) {
                        input.splice(at..at, copy.iter().copied());
                    }
                }
                _ => input.insert(at, NASTY[self.below(NASTY.len())]),
            }
            input.truncate(LONGEST);
        }
        input
    }
}
