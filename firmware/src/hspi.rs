//! SPI1, the user's: GPIO14 is the clock, GPIO13 goes to the device and GPIO12 comes from it.
//!
//! Both directions at once, 64 bytes in a transaction, most significant bit first. Devices are selected by a pin of the user's
//! ([`gpio::Output`](crate::gpio::Output)), so that an exchange may be longer than a transaction.

use embedded_hal::spi::{Error, ErrorKind, ErrorType, Mode, Phase, Polarity, SpiBus};

use crate::clock;
use crate::gpio::Pin;
use crate::mmio::{Access, Register, Registers};

const CMD: Register = Register::new(0x6000_0100);
const CTRL: Register = Register::new(0x6000_0108);
const CLOCK: Register = Register::new(0x6000_0118);
const USER: Register = Register::new(0x6000_011c);
const USER1: Register = Register::new(0x6000_0120);
const PIN: Register = Register::new(0x6000_012c);
const DATA: Registers<16> = Registers::new(0x6000_0140);
/// Pads' common settings: bit 9 would give this controller the undivided clock.
const PADS: Register = Register::new(0x6000_0800);

const CMD_USER: u32 = 1 << 18;
const USER_DUPLEX: u32 = 1 << 0;
const USER_CK_IN_EDGE: u32 = 1 << 6;
const USER_CK_OUT_EDGE: u32 = 1 << 7;
const USER_MOSI: u32 = 1 << 27;
/// CS0 to CS2 are off.
const PIN_NO_SELECT: u32 = 7;
const PIN_IDLES_HIGH: u32 = 1 << 29;
const PADS_UNDIVIDED: u32 = 1 << 9;
/// The pads' function for this controller.
const FUNCTION: u32 = 2;
const PINS: [Option<Pin>; 3] = [Pin::new(12), Pin::new(13), Pin::new(14)];

/// The clock that the bus is divided from, in Hz.
const SOURCE_HZ: u32 = 80_000_000;
/// Bytes in a transaction.
const CHUNK: usize = 64;

/// A transaction does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout;

impl Error for Timeout {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The bus.
#[derive(Debug)]
pub struct Hspi<A> {
    access: A,
    /// A whole transaction takes so long at most, in microseconds.
    limit_us: u32,
}

impl<A: Access> Hspi<A> {
    /// Sets the bus up, at the highest frequency that is not above `frequency_hz`: 153 Hz to 40 MHz.
    pub fn start(mut access: A, frequency_hz: u32, mode: Mode) -> Self {
        for pin in PINS.into_iter().flatten() {
            pin.set_function(&mut access, FUNCTION, false);
        }
        critical_section::with(|_| access.change(PADS, PADS_UNDIVIDED, 0));
        let divider = Divider::of(frequency_hz);
        let idles_high = mode.polarity == Polarity::IdleHigh;
        let takes_late = mode.phase == Phase::CaptureOnSecondTransition;
        // The edge of the output changes its meaning with the level at rest.
        let edge = if takes_late != idles_high { USER_CK_OUT_EDGE } else { 0 };
        access.write(CTRL, 0);
        access.write(CLOCK, divider.word());
        access.write(USER, USER_MOSI | USER_DUPLEX | USER_CK_IN_EDGE | edge);
        access.write(PIN, PIN_NO_SELECT | if idles_high { PIN_IDLES_HIGH } else { 0 });
        let bits = 8 * CHUNK as u32;
        Hspi { access, limit_us: bits * divider.total().div_ceil(SOURCE_HZ / 1_000_000) + 1_000 }
    }

    /// Exchanges at most [`CHUNK`] bytes: `sent` gives each and `take` gets what came in its place.
    fn exchange(
        &mut self,
        len: usize,
        sent: impl Fn(usize) -> u8,
        mut take: impl FnMut(usize, u8),
    ) -> Result<(), Timeout> {
        for index in 0..len.div_ceil(4) {
            let bytes = [0, 1, 2, 3].map(|byte| 4 * index + byte);
            let word = u32::from_le_bytes(bytes.map(|at| if at < len { sent(at) } else { 0 }));
            self.access.write(DATA.at(index as u32), word);
        }
        let bits = 8 * len as u32 - 1;
        self.access.write(USER1, bits << 17 | bits << 8);
        self.access.write(CMD, CMD_USER);
        if !clock::wait_for(&mut self.access, self.limit_us, |access| access.read(CMD) & CMD_USER == 0) {
            return Err(Timeout);
        }
        for index in 0..len.div_ceil(4) {
            let word = self.access.read(DATA.at(index as u32));
            for (at, byte) in (4 * index..len).zip(word.to_le_bytes()) {
                take(at, byte);
            }
        }
        Ok(())
    }
}

impl<A> ErrorType for Hspi<A> {
    type Error = Timeout;
}

impl<A: Access> SpiBus for Hspi<A> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), Timeout> {
        self.transfer(words, &[])
    }

    fn write(&mut self, words: &[u8]) -> Result<(), Timeout> {
        self.transfer(&mut [], words)
    }

    /// Sends zeros where `write` is the shorter, and drops what comes where `read` is.
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Timeout> {
        let total = read.len().max(write.len());
        for from in (0..total).step_by(CHUNK) {
            let sent = |at: usize| write.get(from + at).copied().unwrap_or(0);
            self.exchange((total - from).min(CHUNK), sent, |at, byte| {
                if let Some(place) = read.get_mut(from + at) {
                    *place = byte;
                }
            })?;
        }
        Ok(())
    }

    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Timeout> {
        for chunk in words.chunks_mut(CHUNK) {
            let mut answer = [0; CHUNK];
            let sent = |at: usize| chunk.get(at).copied().unwrap_or(0);
            self.exchange(chunk.len(), sent, |at, byte| {
                if let Some(place) = answer.get_mut(at) {
                    *place = byte;
                }
            })?;
            for (place, byte) in chunk.iter_mut().zip(answer) {
                *place = byte;
            }
        }
        Ok(())
    }

    /// Nothing is under way after any of the others.
    fn flush(&mut self) -> Result<(), Timeout> {
        Ok(())
    }
}

/// The clock's divider: 1 to 8,192, and 2 to 64 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Divider {
    first: u32,
    second: u32,
}

impl Divider {
    /// Returns the smallest divider whose frequency is not above this one.
    const fn of(frequency_hz: u32) -> Self {
        let total = if frequency_hz == 0 { u32::MAX } else { SOURCE_HZ.div_ceil(frequency_hz) };
        let first = if total.div_ceil(64) < 8_192 { total.div_ceil(64) } else { 8_192 };
        let second = total.div_ceil(first);
        Divider {
            first,
            second: if second < 2 {
                2
            } else if second > 64 {
                64
            } else {
                second
            },
        }
    }

    const fn total(self) -> u32 {
        self.first * self.second
    }

    /// The register: low for as long as high, or one count longer.
    const fn word(self) -> u32 {
        let last = self.second - 1;
        (self.first - 1) << 18 | last << 12 | (self.second / 2 - 1) << 6 | last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_never_faster_than_wished_and_close_to_it() {
        for (wished, divider) in [
            (80_000_000, (1, 2)),
            (40_000_000, (1, 2)),
            (39_999_999, (1, 3)),
            (1_000_000, (2, 40)),
            (0, (8_192, 64)),
        ] {
            assert_eq!(Divider::of(wished), Divider { first: divider.0, second: divider.1 }, "{wished} Hz");
        }
        for wished in (153..40_000_000).step_by(7_919) {
            let found = f64::from(SOURCE_HZ) / f64::from(Divider::of(wished).total());
            assert!(found <= f64::from(wished) && found > f64::from(wished) * 0.6, "{found} for {wished} Hz");
        }
    }

    #[test]
    fn the_registers_are_those_of_the_fact_sheet() {
        // 80 MHz / 2 / 40: prescale 1, N 39, H 19, L 39.
        assert_eq!(Divider::of(1_000_000).word(), 1 << 18 | 39 << 12 | 19 << 6 | 39);
        assert_eq!(Divider::of(40_000_000).word(), 1 << 12 | 1);
    }
}
