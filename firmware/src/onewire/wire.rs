//! A 1-Wire master as a sequence of levels on one open-drain line (Maxim's data sheet of the DS18B20, 19-7487 revision 6, and
//! its application note 126).
//!
//! It knows a line and a counter, nothing of the chip. Interrupts are held where a level may not last longer than it says, at
//! most 68 µs at a time; everywhere else the line waits at a level that may last as long as it likes.

/// An open-drain line and a clock to time it with.
pub trait Line {
    /// Lets go of the line (`true`) or pulls it low.
    fn set(&mut self, high: bool);
    /// Returns the line's level.
    fn is_high(&mut self) -> bool;
    /// Returns a free-running counter that wraps.
    fn now(&mut self) -> u32;
    /// Does something with interrupts held.
    fn undisturbed<T>(&mut self, action: impl FnOnce(&mut Self) -> T) -> T;
}

/// Why there is nothing on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneWireError {
    /// No device answered the reset.
    NoDevice,
    /// The line is held low.
    LineHeld,
}

/// A reset is low for so long, t_RSTL at least 480 µs, and its time after that, t_RSTH as much.
const RESET_LOW_US: u32 = 500;
const RESET_HIGH_US: u32 = 490;
/// Devices wait 15 to 60 µs after the reset and are then low for 60 to 240 µs: each is low from 60 to 75 µs.
const PRESENCE_US: u32 = 66;
/// Low of a one, t_LOW1 1 to 15 µs, and of a zero, t_LOW0 60 to 120 µs.
const ONE_LOW_US: u32 = 5;
const ZERO_LOW_US: u32 = 63;
/// Low that begins a read, at least 1 µs, and when its bit is taken: it is valid until 15 µs (t_RDV).
const READ_LOW_US: u32 = 2;
const READ_US: u32 = 12;
/// A slot, at least 60 µs, with a recovery of at least 1 µs after a zero.
const SLOT_US: u32 = 70;
/// A line that was let go rises in much less than this.
const RISE_US: u32 = 100;

/// A master on a line.
#[derive(Debug)]
pub struct Wire<L> {
    line: L,
    counts_per_us: u32,
}

impl<L: Line> Wire<L> {
    /// Returns a master whose line counts `counts_per_us` in a microsecond. Does not touch the line.
    pub fn new(line: L, counts_per_us: u32) -> Self {
        Wire { line, counts_per_us }
    }

    /// Resets every device on the line.
    ///
    /// # Errors
    /// [`OneWireError`] where none answers or the line is held.
    pub fn reset(&mut self) -> Result<(), OneWireError> {
        self.line.set(true);
        let from = self.line.now();
        loop {
            // The time before the level: an interrupt in between makes nobody late.
            let is_late = self.line.now().wrapping_sub(from) > RISE_US * self.counts_per_us;
            match (self.line.is_high(), is_late) {
                (true, _) => break,
                (false, true) => return Err(OneWireError::LineHeld),
                (false, false) => {}
            }
        }
        self.line.set(false);
        // An interrupt may come before or after: the line is low for so long all the same.
        let from = self.line.now();
        self.wait(from, RESET_LOW_US);
        let (from, is_present) = self.let_go_and_look();
        self.wait(from, RESET_HIGH_US);
        match (is_present, self.line.is_high()) {
            (_, false) => Err(OneWireError::LineHeld),
            (false, true) => Err(OneWireError::NoDevice),
            (true, true) => Ok(()),
        }
    }

    /// Sends bytes, the least significant bit first.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            for bit in 0..8 {
                self.write_bit(byte >> bit & 1 != 0);
            }
        }
    }

    /// Takes bytes; where no device sends, ones.
    pub fn read(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = (0..8).fold(0, |byte, bit| byte | u8::from(self.read_bit()) << bit);
        }
    }

    /// Sends a bit.
    pub fn write_bit(&mut self, bit: bool) {
        let (from, _) = self.slot(if bit { ONE_LOW_US } else { ZERO_LOW_US }, 0);
        self.wait(from, SLOT_US);
    }

    /// Takes a bit.
    pub fn read_bit(&mut self) -> bool {
        let (from, bit) = self.slot(READ_LOW_US, READ_US);
        self.wait(from, SLOT_US);
        bit
    }

    fn wait(&mut self, from: u32, us: u32) {
        wait(&mut self.line, from, us * self.counts_per_us);
    }

    /// Pulls the line low, lets it go, and looks at it; returns when it began and the level. In IRAM: a line that the cache has
    /// to fetch takes as long as the whole of a one.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.onewire_slot"))]
    fn slot(&mut self, low_us: u32, look_us: u32) -> (u32, bool) {
        let (low, look) = (low_us * self.counts_per_us, look_us * self.counts_per_us);
        self.line.undisturbed(|line| {
            let from = line.now();
            line.set(false);
            wait(line, from, low);
            line.set(true);
            wait(line, from, look);
            (from, line.is_high())
        })
    }

    /// Ends a reset and looks for the presence of a device.
    #[inline(never)]
    #[cfg_attr(target_arch = "xtensa", unsafe(link_section = ".iram.text.onewire_presence"))]
    fn let_go_and_look(&mut self) -> (u32, bool) {
        let look = PRESENCE_US * self.counts_per_us;
        self.line.undisturbed(|line| {
            let from = line.now();
            line.set(true);
            wait(line, from, look);
            (from, !line.is_high())
        })
    }
}

#[inline(always)]
fn wait<L: Line>(line: &mut L, from: u32, counts: u32) {
    while line.now().wrapping_sub(from) < counts {}
}
