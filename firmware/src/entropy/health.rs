//! Whether samples of a noise source look as if chance had a part in them: the start-up health tests of NIST SP 800-90B,
//! section 4.4, and one against sequences that repeat, which those let pass.
//!
//! Half a bit of entropy is claimed for a sample, and one start in a million may be judged wrongly (alpha of 2^-20).

/// Samples of a start: at least so many are to be tested (section 4.3, item 4).
pub(super) const SAMPLES: usize = 1024;
/// Samples of a window of the adaptive proportion test, for sources of more than two values (section 4.4.2).
const WINDOW: usize = 512;
/// So many equal samples in a row are too many: 1 + 20 / 0.5 (section 4.4.1).
const REPETITIONS: usize = 41;
/// So many samples of one value in a window are too many (section 4.4.2).
const PROPORTION: usize = 410;
/// Longest period that is looked for: more than what two clocks and the loop that compares them have in common.
const LONGEST_PERIOD: usize = 64;
/// So many samples of a window that are as a period before are too many: 7/8, far beyond chance and short of a disturbed period.
const PERIODIC: usize = WINDOW / 8 * 7;

/// Returns whether the samples pass all tests.
pub(super) fn is_random(samples: &[u8; SAMPLES]) -> bool {
    !repeats(samples)
        && samples.chunks(WINDOW).all(|window| !is_one_sided(window))
        && (1..=LONGEST_PERIOD).all(|period| !has_period(samples, period))
}

/// The repetition count test.
fn repeats(samples: &[u8]) -> bool {
    let (mut last, mut count) = (None, 0);
    samples.iter().any(|sample| {
        count = if last == Some(sample) { count + 1 } else { 1 };
        last = Some(sample);
        count >= REPETITIONS
    })
}

/// The adaptive proportion test on one window.
fn is_one_sided(window: &[u8]) -> bool {
    window.iter().filter(|sample| window.first() == Some(*sample)).count() >= PROPORTION
}

/// Returns whether a window of samples is that of `period` samples before it, but for a few.
fn has_period(samples: &[u8], period: usize) -> bool {
    let equal = samples.iter().zip(samples.iter().skip(period)).take(WINDOW);
    equal.filter(|(before, after)| before == after).count() >= PERIODIC
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples that a function makes of their index and a random number (SplitMix64).
    fn samples(seed: u64, mut sample: impl FnMut(usize, u64) -> u8) -> [u8; SAMPLES] {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        core::array::from_fn(|index| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            sample(index, super::super::mix(state))
        })
    }

    #[test]
    fn what_repeats_is_not_random() {
        for seed in 0..3 {
            assert!(!is_random(&samples(seed, |_, _| 21)), "always the same");
            for period in 2..=LONGEST_PERIOD {
                let pattern = samples(seed, |_, random| random as u8);
                assert!(!is_random(&samples(0, |index, _| pattern[index % period])), "a period of {period}");
            }
            // 533 and 534 cycles, as 80 MHz and 150 kHz have it.
            assert!(!is_random(&samples(0, |index, _| 21 + u8::from(index % 3 == 0))));
            // A period that one sample in 50 leaves.
            let torn = |index: usize, random: u64| {
                if random.is_multiple_of(50) { random as u8 } else { (index % 7) as u8 }
            };
            assert!(!is_random(&samples(seed, torn)));
            // An oscillator that stands for a while, and one that hardly ever differs: 0.15 bits.
            assert!(!is_random(&samples(seed, |index, random| if index < 50 { 0 } else { random as u8 })));
            assert!(!is_random(&samples(seed, |_, random| u8::from(random % 10 == 0))));
        }
    }

    #[test]
    fn what_differs_by_chance_is_random() {
        for seed in 0..60 {
            assert!(is_random(&samples(seed, |_, random| random as u8)), "8 bits, seed {seed}");
            assert!(is_random(&samples(seed, |_, random| 21 + (random % 2) as u8)), "1 bit, seed {seed}");
            // The likelier value comes in 65 of 100: 0.62 bits.
            assert!(
                is_random(&samples(seed, |_, random| u8::from(random % 100 < 35))),
                "0.62 bits, seed {seed}"
            );
        }
    }

    #[test]
    fn the_proportion_is_that_of_the_standard() {
        // 1 + CRITBINOM(512, 2^-0.5, 1 - 2^-20), with the binomial distribution summed from its upper end.
        let p = 0.5_f64.sqrt();
        let mut probability = p.powi(WINDOW as i32);
        let (mut tail, mut count) = (0.0, WINDOW);
        while tail + probability <= 0.5_f64.powi(20) {
            tail += probability;
            probability *= count as f64 / (WINDOW - count + 1) as f64 * (1.0 - p) / p;
            count -= 1;
        }
        assert_eq!(PROPORTION, count + 1);
        assert_eq!(REPETITIONS, 1 + (20.0 / 0.5) as usize);
    }
}
