//! An I2C master as a sequence of levels on two open-drain lines (NXP UM10204, revision 7).
//!
//! It knows two lines and a counter, nothing of the chip: the same code drives GPIO registers and a simulated bus.

use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource, Operation};

/// Clock pulses of a bus clear (UM10204, section 3.1.16).
const CLEAR_PULSES: u32 = 9;

/// Two open-drain lines and a clock to time them with.
pub trait Lines {
    /// Lets go of the data line (`true`) or pulls it low.
    fn set_sda(&mut self, high: bool);
    /// Lets go of the clock line (`true`) or pulls it low.
    fn set_scl(&mut self, high: bool);
    /// Returns the level of the data line.
    fn sda(&mut self) -> bool;
    /// Returns the level of the clock line.
    fn scl(&mut self) -> bool;
    /// Returns a free-running counter that wraps.
    fn now(&mut self) -> u32;
}

/// Why a transfer ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum I2cError {
    /// No device acknowledged the address.
    AddressNotAcknowledged,
    /// The device did not acknowledge a byte.
    DataNotAcknowledged,
    /// A device holds the data line low, so that no START or STOP is possible.
    DataHeld,
    /// A device held the clock line low for longer than the limit.
    ClockHeld,
    /// The pins can't carry a bus.
    NoSuchPin,
}

impl embedded_hal::i2c::Error for I2cError {
    fn kind(&self) -> ErrorKind {
        match self {
            I2cError::AddressNotAcknowledged => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            I2cError::DataNotAcknowledged => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            I2cError::DataHeld => ErrorKind::Bus,
            I2cError::ClockHeld | I2cError::NoSuchPin => ErrorKind::Other,
        }
    }
}

/// Durations on the wire, in counts of [`Lines::now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The clock line is low at least so long.
    pub low: u32,
    /// The clock line is high at least so long.
    pub high: u32,
    /// Set-up and hold time of START and STOP, and the bus's free time between them.
    pub condition: u32,
    /// Devices may hold the clock line low for so long in a transaction, all in all.
    pub stretch_limit: u32,
}

impl Timing {
    /// Returns the timing of a bus at `frequency_hz`, at most 400 kHz, with a counter of `counter_hz`; `stretch_limit_us`
    /// is in microseconds.
    ///
    /// Above 100 kHz a bit is low for three fifths of its time, as fast mode asks for 1.3 µs of 2.5 µs, and below for half
    /// (UM10204, table 10: t_LOW, t_HIGH, t_HD;STA, t_SU;STA, t_SU;STO, t_BUF).
    pub const fn new(frequency_hz: u32, counter_hz: u32, stretch_limit_us: u32) -> Self {
        let frequency_hz = if frequency_hz > 400_000 {
            400_000
        } else if frequency_hz < 1_000 {
            1_000
        } else {
            frequency_hz
        };
        let period = counter_hz.div_ceil(frequency_hz);
        let (low, condition) = if frequency_hz > 100_000 {
            ((period * 3).div_ceil(5), (period * 3).div_ceil(5))
        } else {
            (period.div_ceil(2), period.div_ceil(2))
        };
        let stretch_limit = (counter_hz / 1_000_000).saturating_mul(stretch_limit_us);
        Timing { low, high: period - low, condition, stretch_limit }
    }
}

/// A master on two lines.
#[derive(Debug)]
pub struct Wire<L> {
    lines: L,
    timing: Timing,
    is_started: bool,
    /// How much longer devices may hold the clock line in this transaction.
    patience: u32,
}

/// What is left of a transaction: whether the address is followed by bytes to the device or from it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Write,
    Read,
}

impl<L: Lines> Wire<L> {
    /// Returns a master. Does not touch the lines.
    pub fn new(lines: L, timing: Timing) -> Self {
        Wire { lines, timing, is_started: false, patience: timing.stretch_limit }
    }

    /// Returns the lines.
    pub fn lines(&mut self) -> &mut L {
        &mut self.lines
    }

    /// Carries out one transaction: adjacent operations of one direction are one transfer, and a change of direction sends a
    /// repeated START. Ends with a STOP, also after an error, where the lines allow it.
    ///
    /// # Errors
    /// [`I2cError`]; the bus is idle then, unless a line is held.
    pub fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        self.patience = self.timing.stretch_limit;
        let done = self.exchange(address, operations);
        if !self.is_started {
            return done;
        }
        let stopped = self.stop();
        done.and(stopped)
    }

    fn exchange(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        let mut rest = operations;
        let mut direction = None;
        if rest.is_empty() {
            return Ok(());
        }
        while let Some((operation, following)) = rest.split_first_mut() {
            let wanted = direction_of(operation);
            if direction != Some(wanted) {
                self.start()?;
                let read_bit = u8::from(wanted == Direction::Read);
                if !self.send(address << 1 | read_bit)? {
                    return Err(I2cError::AddressNotAcknowledged);
                }
                direction = Some(wanted);
            }
            match operation {
                Operation::Write(bytes) => {
                    for byte in bytes.iter() {
                        if !self.send(*byte)? {
                            return Err(I2cError::DataNotAcknowledged);
                        }
                    }
                }
                Operation::Read(buffer) => {
                    // The last byte of the transfer is not acknowledged, so that the device lets go of the data line
                    // (section 3.1.6).
                    let goes_on = following.iter().find_map(|next| match next {
                        Operation::Read(buffer) => (!buffer.is_empty()).then_some(true),
                        Operation::Write(_) => Some(false),
                    });
                    let mut left = buffer.len();
                    for byte in buffer.iter_mut() {
                        left -= 1;
                        *byte = self.receive(left > 0 || goes_on == Some(true))?;
                    }
                }
            }
            rest = following;
        }
        Ok(())
    }

    /// Frees the data line of a device that holds it: up to nine clock pulses, then a STOP. Returns whether both lines are
    /// high afterwards.
    pub fn clear(&mut self) -> bool {
        self.patience = self.timing.stretch_limit;
        self.lines.set_sda(true);
        if self.raise_clock().is_err() {
            return false;
        }
        for _ in 0..CLEAR_PULSES {
            let is_free = self.lines.sda();
            self.lower_clock();
            // A device that stands in a byte may put a zero on the line now, against the STOP: then that was a pulse, too.
            match if is_free { self.stop() } else { self.raise_clock() } {
                Ok(()) if is_free => return self.lines.scl(),
                Err(I2cError::ClockHeld) => return false,
                _ => self.wait(self.timing.high),
            }
        }
        self.lower_clock();
        self.stop().is_ok() && self.lines.scl()
    }

    /// Sends a START, or a repeated one within a transaction.
    fn start(&mut self) -> Result<(), I2cError> {
        self.lines.set_sda(true);
        if self.is_started {
            self.wait(self.timing.low);
        }
        self.raise_clock()?;
        if !self.lines.sda() {
            return Err(I2cError::DataHeld);
        }
        self.wait(self.timing.condition);
        self.lines.set_sda(false);
        self.wait(self.timing.condition);
        self.lines.set_scl(false);
        self.is_started = true;
        Ok(())
    }

    /// Sends a STOP; the clock line is low before.
    fn stop(&mut self) -> Result<(), I2cError> {
        self.is_started = false;
        self.lines.set_sda(false);
        self.wait(self.timing.low);
        let raised = self.raise_clock();
        self.wait(self.timing.condition);
        self.lines.set_sda(true);
        raised?;
        self.wait(self.timing.condition);
        if self.lines.sda() { Ok(()) } else { Err(I2cError::DataHeld) }
    }

    /// Sends a byte; returns whether it was acknowledged.
    fn send(&mut self, byte: u8) -> Result<bool, I2cError> {
        for bit in (0..8).rev() {
            self.clock_bit(byte >> bit & 1 == 1)?;
        }
        Ok(!self.clock_bit(true)?)
    }

    /// Receives a byte, and acknowledges it if another one is wanted.
    fn receive(&mut self, acknowledge: bool) -> Result<u8, I2cError> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.clock_bit(true)?);
        }
        self.clock_bit(!acknowledge)?;
        Ok(byte)
    }

    /// Clocks one bit, from low to low: puts `level` on the data line, returns what it was while the clock was high.
    fn clock_bit(&mut self, level: bool) -> Result<bool, I2cError> {
        self.lines.set_sda(level);
        self.wait(self.timing.low);
        self.raise_clock()?;
        let seen = self.lines.sda();
        self.wait(self.timing.high);
        self.lines.set_scl(false);
        Ok(seen)
    }

    fn lower_clock(&mut self) {
        self.lines.set_scl(false);
        self.wait(self.timing.low);
    }

    /// Lets go of the clock line and waits until it is high: a device may hold it (section 3.1.9).
    fn raise_clock(&mut self) -> Result<(), I2cError> {
        self.lines.set_scl(true);
        if self.lines.scl() {
            return Ok(());
        }
        let from = self.lines.now();
        while !self.lines.scl() {
            let held = self.lines.now().wrapping_sub(from);
            if held > self.patience {
                self.patience = 0;
                return Err(I2cError::ClockHeld);
            }
        }
        let held = self.lines.now().wrapping_sub(from);
        self.patience = self.patience.saturating_sub(held);
        Ok(())
    }

    fn wait(&mut self, counts: u32) {
        let from = self.lines.now();
        while self.lines.now().wrapping_sub(from) < counts {}
    }
}

fn direction_of(operation: &Operation<'_>) -> Direction {
    match operation {
        Operation::Read(_) => Direction::Read,
        Operation::Write(_) => Direction::Write,
    }
}
