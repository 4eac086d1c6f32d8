//! What a receiver of one speed makes of bytes sent at another.

/// Returns the bytes that a receiver at `to` bits per second makes of `bytes` sent without pause at `from`.
///
/// The waveform (8N1, least significant bit first, idle high) is sampled as a UART does it: a falling edge begins a byte, each
/// bit is taken in its middle, and a stop bit that is low is ignored, as a receiver that does not report framing errors does.
pub fn resample(bytes: &[u8], from: u32, to: u32) -> Vec<u8> {
    if from == to {
        return bytes.to_vec();
    }
    let wave = Wave { bytes, from: f64::from(from) };
    let (bit, end) = (1.0 / f64::from(to), 10.0 * bytes.len() as f64 / f64::from(from));
    let step = bit / 16.0;
    let mut heard = Vec::new();
    let mut at = 0.0;
    while at < end {
        if wave.is_high(at) {
            at += step;
            continue;
        }
        let byte = (0..8).fold(0, |byte, index| {
            let middle = at + (1.5 + f64::from(index)) * bit;
            byte | (u8::from(wave.is_high(middle)) << index)
        });
        heard.push(byte);
        at += 9.5 * bit;
        // A low stop bit: the next byte begins at the next falling edge, not in the middle of this level.
        while at < end && !wave.is_high(at) {
            at += step;
        }
    }
    heard
}

/// The level of the line over time.
struct Wave<'a> {
    bytes: &'a [u8],
    from: f64,
}

impl Wave<'_> {
    fn is_high(&self, seconds: f64) -> bool {
        let bit = (seconds * self.from) as usize;
        let Some(byte) = self.bytes.get(bit / 10) else { return true };
        match bit % 10 {
            0 => false,
            9 => true,
            data => byte >> (data - 1) & 1 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::resample;

    #[test]
    fn equal_speeds_change_nothing() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(resample(&all, 115_200, 115_200), all);
    }

    #[test]
    fn speeds_within_two_per_cent_understand_each_other() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(resample(&all, 115_200, 117_000), all);
        assert_eq!(resample(&all, 115_200, 113_500), all);
    }

    #[test]
    fn the_boot_message_at_another_speed_is_rubbish_without_end() {
        let message = b"\r\n ets Jan  8 2013,rst cause:2, boot mode:(3,6)\r\n";
        let heard = resample(message, 74_880, 115_200);
        assert_ne!(heard, message);
        assert!(heard.len() >= message.len() / 2 && heard.len() <= message.len() * 2, "{}", heard.len());
    }
}
