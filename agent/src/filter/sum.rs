//! Sums of many values without a double: its software would take 5 KB of the chip's flash.

/// A sum that keeps what rounding has taken from it (A. Neumaier, 1974): as exact as one with twice the digits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    high: f32,
    low: f32,
}

/// Sums are kept smaller, so that those of the greatest values are numbers, too: 2 to the power of -32, for a count of 32 bits.
const SCALE: f32 = 1.0 / 4_294_967_296.0;

impl Sum {
    pub(super) fn from_bits(high: u32, low: u32) -> Self {
        Self { high: f32::from_bits(high), low: f32::from_bits(low) }
    }

    pub(super) fn to_bits(self) -> (u32, u32) {
        (self.high.to_bits(), self.low.to_bits())
    }

    pub(super) fn add(self, value: f32) -> Self {
        let value = value * SCALE;
        let high = self.high + value;
        let lost = if self.high.abs() >= value.abs() {
            (self.high - high) + value
        } else {
            (value - high) + self.high
        };
        Self { high, low: self.low + lost }
    }

    /// Returns the mean of the values, of which there are `count`.
    pub(super) fn mean(self, count: u32) -> f32 {
        let mean = (self.high + self.low) / count.max(1) as f32 / SCALE;
        // Rounded up, the mean of the greatest values is none.
        mean.clamp(f32::MIN, f32::MAX)
    }
}
