//! Filters over the last values. State: how many values there have been, and the last of them in a ring.

use super::sum::Sum;
use dunlin_config_format::limits::WINDOW;

/// Adds a value to the ring and returns the values that it holds, in no particular order.
fn add(state: &mut [u32], value: f32) -> &[u32] {
    let Some((count, ring)) = state.split_first_mut() else { return &[] };
    let size = ring.len().max(1);
    if let Some(place) = ring.get_mut(*count as usize % size) {
        *place = value.to_bits();
    }
    // Counts on behind the first round, without a wrap that would change the place.
    *count = if *count as usize + 1 == 2 * size { size as u32 } else { *count + 1 };
    ring.get(..(*count as usize).min(size)).unwrap_or_default()
}

/// Returns the middle value of the last values, the mean of the middle two where their number is even.
pub(super) fn median(state: &mut [u32], value: f32) -> f32 {
    let held = add(state, value);
    let mut sorted = [0.0f32; WINDOW as usize];
    let Some(sorted) = sorted.get_mut(..held.len()) else { return value };
    for (target, bits) in sorted.iter_mut().zip(held) {
        *target = f32::from_bits(*bits);
    }
    sorted.sort_unstable_by(f32::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(value);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = sorted.get(middle.wrapping_sub(1)).copied().unwrap_or(upper);
    lower * 0.5 + upper * 0.5
}

/// Returns the arithmetic mean of the last values.
pub(super) fn mean(state: &mut [u32], value: f32) -> f32 {
    let held = add(state, value);
    held.iter().fold(Sum::default(), |sum, &bits| sum.add(f32::from_bits(bits))).mean(held.len() as u32)
}
