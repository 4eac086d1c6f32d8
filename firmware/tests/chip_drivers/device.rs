//! A device on a 1-Wire line, from the AC characteristics of the DS18B20's data sheet (Maxim, 19-7487 revision 6): it takes what
//! a device must take and ends the test at what the sheet forbids. Times are nanoseconds.

/// What a device may choose within the limits of the sheet, and how the line rises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// t_PDHIGH, 15 to 60 µs: how long it waits with its presence.
    pub(crate) waits: u64,
    /// t_PDLOW, 60 to 240 µs: how long it is present.
    pub(crate) present: u64,
    /// 15 to 60 µs: when it samples a bit that is written.
    pub(crate) samples: u64,
    /// 15 to 60 µs: how long it holds the line for a zero.
    pub(crate) holds: u64,
    /// How long the line takes to rise.
    pub(crate) rise: u64,
}

pub(crate) const US: u64 = 1000;

/// A device, and the line as it is with the master.
#[derive(Debug)]
pub(crate) struct Device {
    choice: Choice,
    rom: [u8; 8],
    /// Whether there is a device, and whether the line is held low by a fault.
    is_there: bool,
    is_short: bool,
    /// Bytes that were written since the reset.
    pub(crate) written: Vec<u8>,
    bits: u32,
    byte: u8,
    /// Bits still to be sent, the next first.
    to_send: Vec<bool>,
    is_master_low: bool,
    is_reset: bool,
    fell_at: u64,
    rose_at: u64,
    /// The device is low between these.
    low: (u64, u64),
}

impl Device {
    pub(crate) fn new(choice: Choice, rom: [u8; 8]) -> Self {
        Device {
            choice,
            rom,
            is_there: true,
            is_short: false,
            written: Vec::new(),
            bits: 0,
            byte: 0,
            to_send: Vec::new(),
            is_master_low: false,
            is_reset: false,
            fell_at: 0,
            rose_at: 0,
            low: (0, 0),
        }
    }

    /// No device, only a line.
    pub(crate) fn absent(self) -> Self {
        Device { is_there: false, ..self }
    }

    /// A line that a fault holds low.
    pub(crate) fn short(self) -> Self {
        Device { is_short: true, ..self }
    }

    pub(crate) fn is_high(&self, now: u64) -> bool {
        let is_device_low =
            self.is_there && self.low.1 > 0 && now >= self.low.0 && now < self.low.1 + self.choice.rise;
        let has_risen = self.rose_at == 0 || now >= self.rose_at + self.choice.rise;
        !self.is_short && !self.is_master_low && !is_device_low && has_risen
    }

    /// The master pulls the line low or lets it go.
    pub(crate) fn drive(&mut self, now: u64, is_low: bool) {
        match (std::mem::replace(&mut self.is_master_low, is_low), is_low) {
            (false, true) => self.fall(now),
            (true, false) => self.rise(now),
            _ => {}
        }
    }

    fn fall(&mut self, now: u64) {
        if self.is_reset {
            assert!(now - self.rose_at >= 480 * US, "t_RSTH is {} ns", now - self.rose_at);
        } else if self.fell_at > 0 {
            assert!(now - self.fell_at >= 61 * US, "a slot and recovery of {} ns", now - self.fell_at);
            assert!(now - self.rose_at >= US, "t_REC is {} ns", now - self.rose_at);
        }
        self.fell_at = now;
        if self.to_send.first() == Some(&false) {
            self.low = (now, now + self.choice.holds);
        }
    }

    fn rise(&mut self, now: u64) {
        let low = now - self.fell_at;
        self.rose_at = now;
        self.is_reset = low >= 480 * US;
        if self.is_reset {
            (self.bits, self.byte) = (0, 0);
            self.written.clear();
            self.to_send.clear();
            let from = now + self.choice.waits;
            self.low = (from, from + self.choice.present);
            return;
        }
        let is_one = (US..=15 * US).contains(&low);
        assert!(is_one || (60 * US..=120 * US).contains(&low), "low for {low} ns, which is no slot");
        if !self.to_send.is_empty() {
            assert!(is_one, "a read that begins with a low of {low} ns");
            self.to_send.remove(0);
            return;
        }
        self.byte |= u8::from(low < self.choice.samples) << self.bits;
        self.bits += 1;
        if self.bits == 8 {
            self.written.push(self.byte);
            (self.bits, self.byte) = (0, 0);
            // READ ROM: eight bytes, the least significant bit first.
            if self.is_there && self.written == [0x33] {
                self.to_send =
                    self.rom.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 != 0)).collect();
            }
        }
    }
}
