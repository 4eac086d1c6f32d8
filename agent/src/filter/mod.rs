//! Filters: from a reading to the values that are worth a message.
//!
//! A chain is stepped with each good value. What travels along it is the value and whether a filter has silenced it: a
//! `heartbeat` behind a `delta` can let the newest value pass again. State lives in an arena of words, in the order of the
//! configuration, so that its size is known before a configuration is sent. The next filter joins here and in
//! `config-format/src/config/filter.rs`.

mod sum;
mod window;

use dunlin_config_format::config::{Filter, List};
use dunlin_config_format::limits::{FILTERS, WINDOW};
use embassy_time::Instant;
use sum::Sum;

/// A value on its way through a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// The value.
    pub value: f32,
    /// Whether a filter holds it back.
    pub silent: bool,
}

/// Returns the words that a chain needs.
pub fn words(chain: &List<'_, Filter>) -> usize {
    chain.iter().map(|filter| usize::from(filter.words())).sum()
}

/// Steps a chain with a value; returns what comes out of it, if anything.
///
/// `state` is the chain's own part of the arena, all zero at first.
pub fn step(chain: &List<'_, Filter>, state: &mut [u32], value: f32, now: Instant) -> Option<f32> {
    let mut signal = Signal { value, silent: false };
    let mut rest = state;
    for filter in chain.iter() {
        let (own, others) = rest.split_at_mut_checked(usize::from(filter.words()))?;
        signal = apply(&filter, own, signal, now);
        rest = others;
    }
    (!signal.silent && signal.value.is_finite()).then_some(signal.value)
}

/// Returns what a chain would let pass now, and leaves its state as it is.
pub fn peek(chain: &List<'_, Filter>, state: &[u32], value: f32, now: Instant) -> Option<f32> {
    let mut copy = [0; FILTERS * (1 + WINDOW as usize)];
    let copy = copy.get_mut(..state.len())?;
    copy.copy_from_slice(state);
    step(chain, copy, value, now)
}

/// Forgets what the chain remembers: windows, last values and times. The next good value passes.
pub fn clear(state: &mut [u32]) {
    state.fill(0);
}

fn apply(filter: &Filter, state: &mut [u32], signal: Signal, now: Instant) -> Signal {
    let Signal { value, silent } = signal;
    match *filter {
        Filter::Median { .. } if !silent => Signal { value: window::median(state, value), silent },
        Filter::Mean { .. } if !silent => Signal { value: window::mean(state, value), silent },
        Filter::Median { .. } | Filter::Mean { .. } => signal,
        Filter::MeanEvery { every_ms } => mean_every(state, signal, every_ms, now),
        Filter::Delta { change } => delta(state, signal, |_| change),
        Filter::DeltaPercent { percent } => delta(state, signal, |last| last.abs() * percent / 100.0),
        Filter::Throttle { every_ms } => {
            let passes = !silent && span_is_over(state, every_ms, now);
            if passes {
                start_span(state, now);
            }
            Signal { value, silent: !passes }
        }
        Filter::Heartbeat { every_ms } => {
            let passes = !silent || span_is_over(state, every_ms, now);
            if passes {
                start_span(state, now);
            }
            Signal { value, silent: !passes }
        }
        Filter::Round { decimals } => Signal { value: round(value, decimals), silent },
        Filter::Calibrate { slope, offset } => Signal { value: slope * value + offset, silent },
        Filter::Clamp { min, max } => Signal { value: value.clamp(min, max), silent },
    }
}

/// Passes a value that differs enough from the last one passed. State: whether there is one, and which.
fn delta(state: &mut [u32], signal: Signal, change: impl Fn(f32) -> f32) -> Signal {
    let [known, last] = state else { return signal };
    let last_value = f32::from_bits(*last);
    let differs = *known == 0 || (signal.value - last_value).abs() >= change(last_value);
    let passes = !signal.silent && differs;
    if passes {
        (*known, *last) = (1, signal.value.to_bits());
    }
    Signal { silent: !passes, ..signal }
}

/// Gives the mean of each span at the first value behind its end. State: count, sum, start of the span.
fn mean_every(state: &mut [u32], signal: Signal, every_ms: u32, now: Instant) -> Signal {
    let [count, high, low, start_low, start_high] = state else { return signal };
    let now_ms = now.as_millis();
    if *count == 0 {
        (*start_low, *start_high) = halves(now_ms);
    }
    let so_far = Sum::from_bits(*high, *low);
    let started_ms = joined(*start_low, *start_high);
    let is_over = *count > 0 && now_ms.saturating_sub(started_ms) >= u64::from(every_ms);
    let mean = if *count > 0 { so_far.mean(*count) } else { signal.value };
    if is_over {
        // Spans follow each other without gaps, however late the value is that ends one.
        let spans = now_ms.saturating_sub(started_ms) / u64::from(every_ms.max(1));
        (*start_low, *start_high) = halves(started_ms + spans * u64::from(every_ms));
        *count = 0;
    }
    if !signal.silent {
        let before = if *count == 0 { Sum::default() } else { so_far };
        (*high, *low) = before.add(signal.value).to_bits();
        *count += 1;
    }
    Signal { value: mean, silent: !is_over }
}

/// Whether a span is over, or none has started. State: whether one has, and when.
fn span_is_over(state: &[u32], every_ms: u32, now: Instant) -> bool {
    let [started, low, high] = state else { return true };
    *started == 0 || now.as_millis().saturating_sub(joined(*low, *high)) >= u64::from(every_ms)
}

fn start_span(state: &mut [u32], now: Instant) {
    if let [started, low, high] = state {
        *started = 1;
        (*low, *high) = halves(now.as_millis());
    }
}

/// Rounds half away from zero, exactly. Values beyond the precision of an `f32` have no decimals to round.
fn round(value: f32, decimals: u8) -> f32 {
    let factor = (0..decimals).fold(1_u32, |factor, _| factor.saturating_mul(10));
    // IEEE 754, binary32: 24 digits, the first of which is not written, and how far the point is from their right.
    let bits = value.to_bits();
    let exponent = bits >> 23 & 0xff;
    let digits = bits & 0x007f_ffff | u32::from(exponent > 0) << 23;
    let behind = 150_u32.saturating_sub(exponent.max(1));
    if behind == 0 {
        return value;
    }
    let scaled = u64::from(digits) * u64::from(factor);
    let whole = scaled
        .checked_add(1 << (behind - 1).min(63))
        .and_then(|half_up| half_up.checked_shr(behind))
        .unwrap_or(0);
    match u32::try_from(whole) {
        Ok(whole @ 0..0x0100_0000) if value < 0.0 && whole > 0 => -(whole as f32 / factor as f32),
        Ok(whole @ 0..0x0100_0000) => whole as f32 / factor as f32,
        _ => value,
    }
}

fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests;
