//! What a bad cable does to bytes, from a seed.

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

/// Damage to a line. Each probability is per byte and direction, in parts per million.
#[derive(Clone, Debug)]
pub struct Noise {
    random: Pcg32,
    flip_ppm: u32,
    drop_ppm: u32,
    double_ppm: u32,
}

impl Noise {
    /// A clean line.
    pub fn none() -> Self {
        Noise::new(0, 0, 0, 0)
    }

    /// A line that flips bits in, drops and doubles so many bytes in a million; equal seeds give equal damage.
    pub fn new(seed: u64, flip_ppm: u32, drop_ppm: u32, double_ppm: u32) -> Self {
        Noise { random: Pcg32::seed_from_u64(seed), flip_ppm, drop_ppm, double_ppm }
    }

    /// Passes a byte; returns what arrives and how often, and counts damage.
    pub(super) fn pass(&mut self, byte: u8, damaged: &mut u64) -> (u8, usize) {
        if self.flip_ppm + self.drop_ppm + self.double_ppm == 0 {
            return (byte, 1);
        }
        let chance = self.random.next_u32() % 1_000_000;
        let (arrives, copies) = if chance < self.flip_ppm {
            (byte ^ (1 << (self.random.next_u32() % 8)), 1)
        } else if chance < self.flip_ppm + self.drop_ppm {
            (byte, 0)
        } else if chance < self.flip_ppm + self.drop_ppm + self.double_ppm {
            (byte, 2)
        } else {
            return (byte, 1);
        };
        *damaged += 1;
        (arrives, copies)
    }
}
