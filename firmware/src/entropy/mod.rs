//! Random numbers, and how good they are.
//!
//! The chip's random number register follows a fixed sequence from reset until the radio is started, which this firmware
//! does not do. What differs from start to start on a real chip is the RC oscillator of the real-time clock against the
//! crystal: the low bits of how many cycles pass between its ticks. They are gathered together with the identifier of the
//! chip and a word that is carried over resets. Good enough for session numbers and sequence numbers; not for keys.
//!
//! Whether they differ by chance is judged by tests that a source of half a bit a tick passes, and one that repeats does not
//! ([`health`]).

mod health;

use crate::mmio::Register;
use crate::{cpu, efuse, rtc};
use health::SAMPLES;

const RANDOM: Register = Register::new(0x3ff2_0e44);
const SLOW_COUNTER: Register = Register::new(0x6000_071c);

/// Longest wait for one of them, in looks at the counter, of at least four cycles each.
const TICK_LIMIT: u32 = 20_000;

/// How good the entropy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// The two oscillators differ by chance.
    Jitter,
    /// They differ in no way, or in one that repeats: in a simulation without noise, or with a broken oscillator.
    Repeating,
}

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Entropy {
    state: u64,
    quality: Quality,
}

impl Entropy {
    /// Gathers entropy, for about 7 ms.
    pub fn gather() -> Self {
        let mut pool = Pool::new();
        pool.add(efuse::chip_id());
        let samples = measure();
        for sample in samples {
            pool.add(sample.into());
        }
        pool.add(RANDOM.read());
        let quality = if health::is_random(&samples) { Quality::Jitter } else { Quality::Repeating };
        pool.add(rtc::exchange_seed(0));
        let mut entropy = Entropy { state: pool.0, quality };
        rtc::exchange_seed(entropy.draw() as u32);
        entropy
    }

    /// Returns how good the entropy is.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// Returns the next 64 random bits.
    pub fn draw(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014), with what the counters say mixed in.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ u64::from(cpu::cycles());
        mix(self.state)
    }
}

/// Returns the low bits of the cycles between ticks. Nothing else is done meanwhile: mixing takes a time that depends on what
/// is mixed, and would look like chance.
fn measure() -> [u8; SAMPLES] {
    let mut samples = [0; SAMPLES];
    wait_for_tick();
    let mut before = cpu::cycles();
    for sample in &mut samples {
        wait_for_tick();
        let at = cpu::cycles();
        *sample = at.wrapping_sub(before) as u8;
        before = at;
    }
    samples
}

/// Waits in a loop as short as can be: what a tick is early or late is lost where it is less than a turn.
fn wait_for_tick() {
    let before = SLOW_COUNTER.read();
    for _ in 0..TICK_LIMIT {
        if SLOW_COUNTER.read() != before {
            return;
        }
    }
}

/// Collects words into 64 bits.
struct Pool(u64);

impl Pool {
    const fn new() -> Self {
        Pool(0x243f_6a88_85a3_08d3)
    }

    fn add(&mut self, word: u32) {
        self.0 = mix(self.0 ^ u64::from(word)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
}

const fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_splitmix64() {
        // The first outputs of the reference implementation for seed 0.
        let mut state = 0u64;
        let expected = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        for number in expected {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            assert_eq!(mix(state), number);
        }
    }

    #[test]
    fn one_bit_anywhere_changes_half_of_the_pool() {
        let pool = |words: [u32; 3]| {
            let mut pool = Pool::new();
            words.iter().for_each(|word| pool.add(*word));
            pool.0
        };
        let plain = pool([1, 2, 3]);
        for bit in 0..96 {
            let mut words = [1, 2, 3];
            words[bit / 32] ^= 1 << (bit % 32);
            let changed = (pool(words) ^ plain).count_ones();
            assert!((12..=52).contains(&changed), "bit {bit}: {changed}");
        }
    }
}
