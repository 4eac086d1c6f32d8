//! The registers of the TSL2591 and what the end of an integration cycle does to them.

/// Register addresses (data sheet, register description).
pub(super) mod address {
    pub(in super::super) const ENABLE: u8 = 0x00;
    pub(in super::super) const CONTROL: u8 = 0x01;
    /// First of the eight threshold registers, AILTL to NPAIHTH.
    pub(in super::super) const AILTL: u8 = 0x04;
    pub(in super::super) const NPAIHTH: u8 = 0x0b;
    pub(in super::super) const PERSIST: u8 = 0x0c;
    pub(in super::super) const PID: u8 = 0x11;
    pub(in super::super) const ID: u8 = 0x12;
    pub(in super::super) const STATUS: u8 = 0x13;
    pub(in super::super) const C0DATAL: u8 = 0x14;
    pub(in super::super) const C0DATAH: u8 = 0x15;
    pub(in super::super) const C1DATAL: u8 = 0x16;
    pub(in super::super) const C1DATAH: u8 = 0x17;
}

const ENABLE_NPIEN: u8 = 1 << 7;
const ENABLE_SAI: u8 = 1 << 6;
const ENABLE_AIEN: u8 = 1 << 4;
const ENABLE_AEN: u8 = 1 << 1;
const ENABLE_PON: u8 = 1 << 0;
const ENABLE_WRITABLE: u8 = ENABLE_NPIEN | ENABLE_SAI | ENABLE_AIEN | ENABLE_AEN | ENABLE_PON;

pub(super) const CONTROL_SRESET: u8 = 1 << 7;
pub(super) const CONTROL_ATIME: u8 = 0b111;
pub(super) const CONTROL_WRITABLE: u8 = 0b0011_0111;
/// The longest integration time, 600 ms; larger values are reserved.
pub(super) const ATIME_MAX: u8 = 5;

const STATUS_NPINTR: u8 = 1 << 5;
const STATUS_AINT: u8 = 1 << 4;
const STATUS_AVALID: u8 = 1 << 0;

const PACKAGE_ID: u8 = 0x00;
const DEVICE_ID: u8 = 0x50;

/// Cycles outside the thresholds until AINT is set, by the PERSIST field (data sheet, PERSIST register). With 0 every
/// cycle sets it.
const PERSIST_CYCLES: [u8; 16] = [0, 1, 2, 3, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60];

/// What a special function command does (data sheet, page 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpecialFunction {
    SetInterrupt,
    ClearAls,
    ClearBoth,
    ClearNoPersist,
}

impl SpecialFunction {
    pub(super) fn from_field(field: u8) -> Option<Self> {
        match field {
            0b00100 => Some(Self::SetInterrupt),
            0b00110 => Some(Self::ClearAls),
            0b00111 => Some(Self::ClearBoth),
            0b01010 => Some(Self::ClearNoPersist),
            _ => None,
        }
    }
}

/// Everything that a master can read or write. The default is the state after power-on.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    pub(super) enable: u8,
    pub(super) control: u8,
    thresholds: [u8; 8],
    persist: u8,
    status: u8,
    data: [u16; 2],
    /// High bytes latched by a read of the low byte.
    shadow: [u8; 2],
    /// Consecutive cycles outside the persistent thresholds.
    outside_count: u8,
    /// Asleep after an interrupt (SAI).
    asleep: bool,
}

impl Registers {
    /// Returns whether integration cycles run.
    pub(super) fn integrating(&self) -> bool {
        self.enable & (ENABLE_AEN | ENABLE_PON) == ENABLE_AEN | ENABLE_PON && !self.asleep
    }

    /// Returns the steps of a cycle, 1 to 6. *Choice of this model*: a reserved ATIME counts as the longest.
    pub(super) fn steps(&self) -> u8 {
        (self.control & CONTROL_ATIME).min(ATIME_MAX) + 1
    }

    /// Returns the gain setting, 0 (low) to 3 (maximum).
    pub(super) fn gain_index(&self) -> usize {
        usize::from(self.control >> 4 & 0b11)
    }

    pub(super) fn interrupt_pin_low(&self) -> bool {
        self.status & STATUS_AINT != 0 && self.enable & ENABLE_AIEN != 0
            || self.status & STATUS_NPINTR != 0 && self.enable & ENABLE_NPIEN != 0
    }

    /// Returns whether further cycles can change nothing but the data: both interrupts are set, and none puts to sleep.
    pub(super) fn interrupts_settled(&self) -> bool {
        self.status & (STATUS_AINT | STATUS_NPINTR) == STATUS_AINT | STATUS_NPINTR
            && self.enable & ENABLE_SAI == 0
    }

    /// Writes ENABLE. AVALID says whether a cycle ended "since the AEN bit was asserted" (STATUS register).
    pub(super) fn write_enable(&mut self, value: u8) {
        if value & !self.enable & ENABLE_AEN != 0 {
            self.status &= !STATUS_AVALID;
        }
        self.enable = value & ENABLE_WRITABLE;
        self.asleep &= self.interrupt_pin_low();
    }

    /// A cycle ended with these counts.
    pub(super) fn cycle_ended(&mut self, counts: [u16; 2]) {
        self.data = counts;
        self.status |= STATUS_AVALID;
        let outside = |low: u16, high: u16| counts[0] < low || counts[0] > high;
        let [low, high, no_persist_low, no_persist_high] = self.threshold_words();
        if outside(no_persist_low, no_persist_high) {
            self.status |= STATUS_NPINTR;
        }
        self.outside_count = if outside(low, high) { self.outside_count.saturating_add(1) } else { 0 };
        let needed = PERSIST_CYCLES[usize::from(self.persist & 0x0f)];
        if self.outside_count >= needed {
            self.status |= STATUS_AINT;
        }
        if self.enable & ENABLE_SAI != 0 && self.interrupt_pin_low() {
            self.asleep = true;
        }
    }

    fn threshold_words(&self) -> [u16; 4] {
        let t = self.thresholds;
        [[t[0], t[1]], [t[2], t[3]], [t[4], t[5]], [t[6], t[7]]].map(u16::from_le_bytes)
    }

    pub(super) fn special(&mut self, function: SpecialFunction) {
        match function {
            SpecialFunction::SetInterrupt => self.status |= STATUS_AINT | STATUS_NPINTR,
            SpecialFunction::ClearAls => self.clear(STATUS_AINT),
            SpecialFunction::ClearBoth => self.clear(STATUS_AINT | STATUS_NPINTR),
            SpecialFunction::ClearNoPersist => self.clear(STATUS_NPINTR),
        }
    }

    fn clear(&mut self, flags: u8) {
        self.status &= !flags;
        // Choice of this model: clearing AINT starts the count of cycles anew.
        if flags & STATUS_AINT != 0 {
            self.outside_count = 0;
        }
        self.asleep &= self.interrupt_pin_low();
    }

    /// Writes a register without side effects on the converter; returns whether the register is one.
    pub(super) fn write(&mut self, register: u8, value: u8) -> bool {
        match register {
            address::AILTL..=address::NPAIHTH => {
                self.thresholds[usize::from(register - address::AILTL)] = value;
                true
            }
            address::PERSIST => {
                self.persist = value & 0x0f;
                true
            }
            _ => false,
        }
    }

    /// Reads a register. A low data byte latches its high byte, so that both belong to one cycle. Reserved ones are 0.
    pub(super) fn read(&mut self, register: u8) -> u8 {
        match register {
            address::ENABLE => self.enable,
            address::CONTROL => self.control,
            address::AILTL..=address::NPAIHTH => self.thresholds[usize::from(register - address::AILTL)],
            address::PERSIST => self.persist,
            address::PID => PACKAGE_ID,
            address::ID => DEVICE_ID,
            address::STATUS => self.status,
            address::C0DATAL => self.read_low(0),
            address::C0DATAH => self.shadow[0],
            address::C1DATAL => self.read_low(1),
            address::C1DATAH => self.shadow[1],
            _ => 0,
        }
    }

    fn read_low(&mut self, channel: usize) -> u8 {
        let [low, high] = self.data[channel].to_le_bytes();
        self.shadow[channel] = high;
        low
    }
}
