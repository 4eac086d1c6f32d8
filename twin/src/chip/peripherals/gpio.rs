//! The pins: output and open drain, the pads' multiplexer, and I2C buses that are wired to them.
//!
//! A bus is the same as the native board's ([`Wiring`]); here its bytes come from levels.

use embassy_time::Instant;

use super::Refusal;
use crate::devices::i2c::{Lines, Wiring};

const PINS: usize = 16;
/// Pins whose levels at a reset say how the boot ROM starts, lowest bit first, and where resistors of a board pull them.
const STRAPS: [(u8, bool); 3] = [(2, true), (0, true), (15, false)];
const OPEN_DRAIN: u32 = 1 << 2;
const PULL_UP: u32 = 1 << 7;
/// Word of IO_MUX for each pin, and the function that makes it a GPIO (`pin_mux_register.h`).
const PADS: [(usize, u32); PINS] = [
    (13, 0),
    (6, 3),
    (14, 0),
    (5, 3),
    (15, 0),
    (16, 0),
    (7, 3),
    (8, 3),
    (9, 3),
    (10, 3),
    (11, 3),
    (12, 3),
    (1, 3),
    (2, 3),
    (3, 3),
    (4, 3),
];

/// A bus that is wired to two pins.
struct Wire {
    sda: u8,
    scl: u8,
    lines: Lines,
}

/// The pins.
pub struct Gpio {
    out: u32,
    enable: u32,
    pins: [u32; PINS],
    mux: [u32; 17],
    status: u32,
    /// What is connected to each pin drives it high or low, or doesn't drive it.
    external: [Option<bool>; PINS],
    /// Levels after the latest change, for edges.
    seen: u32,
    /// The straps as they were at the latest reset: bits 18:16 of the input register.
    straps: u32,
    wires: Vec<Wire>,
    wiring: Wiring,
    /// A pin that drives a bus line high, which an open-drain bus forbids (UM10204, section 3.1.1).
    pub conflict: Option<u8>,
}

impl Gpio {
    /// Returns the pins of a chip after reset, on a board with this wiring.
    pub fn new(wiring: Wiring) -> Self {
        let mut gpio = Gpio {
            out: 0,
            enable: 0,
            pins: [0; PINS],
            mux: [0; 17],
            status: 0,
            external: [None; PINS],
            seen: 0,
            straps: 0,
            wires: Vec::new(),
            wiring,
            conflict: None,
        };
        gpio.reset(Instant::from_ticks(0), true);
        gpio
    }

    /// Every register has its default, and no pin pulls at its line. The straps are looked at.
    pub fn reset(&mut self, now: Instant, is_power_on: bool) {
        (self.out, self.enable, self.status) = (0, 0, 0);
        self.pins = [0; PINS];
        self.mux = [0; 17];
        for (index, value) in [(1, 0x80), (2, 0x80), (3, 0x80), (4, 0x80), (5, 0x80), (13, 0x80), (14, 0xa0)]
        {
            self.mux[index] = value;
        }
        for index in 7..13 {
            self.mux[index] = 0x10;
        }
        if is_power_on {
            self.wires.iter_mut().for_each(|wire| wire.lines = Lines::new());
        }
        self.drive(now);
        let levels = self.input(now);
        self.straps = 0;
        for (index, (pin, pulled)) in STRAPS.into_iter().enumerate() {
            let is_wired = self.wires.iter().any(|wire| wire.sda == pin || wire.scl == pin);
            let external = self.external(pin);
            let is_high = if is_wired { levels >> pin & 1 != 0 } else { external.unwrap_or(pulled) };
            self.straps |= u32::from(is_high) << index;
        }
    }

    /// Returns the boot mode that the straps said at the latest reset: GPIO15, GPIO0, GPIO2, highest bit first.
    pub fn straps(&self) -> u32 {
        self.straps
    }

    /// Wires a bus to two pins; one that uses either of them for something else is unwired.
    pub fn wire(&mut self, sda: u8, scl: u8) {
        if self.wires.iter().any(|wire| (wire.sda, wire.scl) == (sda, scl)) {
            return;
        }
        let is_free = |pin: u8| pin != sda && pin != scl;
        self.wires.retain(|wire| is_free(wire.sda) && is_free(wire.scl));
        self.wires.push(Wire { sda, scl, lines: Lines::new() });
    }

    /// Something outside drives a pin high or low, or lets it go. Not for the pins of a bus.
    pub fn drive_pin(&mut self, pin: u8, level: Option<bool>, now: Instant) {
        if let Some(external) = self.external.get_mut(usize::from(pin)) {
            *external = level;
        }
        self.watch(now);
    }

    /// Returns what drives a pin from outside.
    pub fn external(&self, pin: u8) -> Option<bool> {
        self.external.get(usize::from(pin)).copied().flatten()
    }

    /// Returns what the chip does with a pin: drives it high or low, or doesn't drive it.
    pub fn driven(&self, pin: u8) -> Option<bool> {
        let bit = 1_u32.checked_shl(pin.into())?;
        if self.enable & bit == 0 || !self.is_gpio(pin) {
            return None;
        }
        let is_high = self.out & bit != 0;
        (!is_high || !self.is_open_drain(pin)).then_some(is_high)
    }

    /// Returns whether interrupt 4 is raised.
    pub fn is_raised(&self) -> bool {
        self.status != 0
    }

    fn is_open_drain(&self, pin: u8) -> bool {
        self.pins.get(usize::from(pin)).is_some_and(|pin| pin & OPEN_DRAIN != 0)
    }

    /// Latches the interrupts of edges since the last call, and of levels.
    fn watch(&mut self, now: Instant) {
        let levels = self.input(now);
        let (rose, fell) = (levels & !self.seen, self.seen & !levels);
        self.seen = levels;
        for (index, pin) in self.pins.iter().enumerate() {
            let bit = 1 << index;
            let is_met = match pin >> 7 & 7 {
                1 => rose & bit != 0,
                2 => fell & bit != 0,
                3 => (rose | fell) & bit != 0,
                4 => levels & bit == 0,
                5 => levels & bit != 0,
                _ => false,
            };
            self.status |= if is_met { bit } else { 0 };
        }
    }

    fn is_gpio(&self, pin: u8) -> bool {
        let Some(&(word, function)) = PADS.get(usize::from(pin)) else { return false };
        let pad = self.mux.get(word).copied().unwrap_or(0);
        (pad >> 4 & 3 | pad >> 6 & 4) == function
    }

    /// Whether the pin lets its line go; a pin that drives it high is a conflict.
    fn lets_go(&mut self, pin: u8) -> bool {
        let driven = self.driven(pin);
        if driven == Some(true) {
            self.conflict = Some(pin);
        }
        driven != Some(false)
    }

    /// Lets the buses see what the pins do.
    fn drive(&mut self, now: Instant) {
        let mut wires = std::mem::take(&mut self.wires);
        for wire in &mut wires {
            let (sda, scl) = (self.lets_go(wire.sda), self.lets_go(wire.scl));
            self.wiring.with_bus(wire.sda, wire.scl, |bus| wire.lines.drive(bus, sda, scl, now));
        }
        self.wires = wires;
    }

    fn input(&mut self, now: Instant) -> u32 {
        let mut levels = self.straps << 16;
        for pin in 0..PINS {
            let pulled =
                PADS.get(pin).and_then(|&(word, _)| self.mux.get(word)).is_some_and(|pad| pad & PULL_UP != 0);
            let external = self.external(pin as u8);
            let is_high = self.driven(pin as u8).or(external).unwrap_or(pulled);
            levels |= u32::from(is_high) << pin;
        }
        for wire in &mut self.wires {
            let (sda, scl) = self.wiring.with_bus(wire.sda, wire.scl, |bus| wire.lines.levels(bus, now));
            for (pin, is_high) in [(wire.sda, sda), (wire.scl, scl)] {
                levels = levels & !(1 << pin) | u32::from(is_high) << pin;
            }
        }
        levels
    }

    pub(super) fn read(&mut self, offset: u32, now: Instant) -> Result<u32, Refusal> {
        Ok(match offset {
            0x00 => self.out,
            0x0c => self.enable,
            0x18 => self.input(now),
            0x1c => self.status,
            0x28..=0x64 => self.pins.get((offset as usize - 0x28) / 4).copied().unwrap_or(0),
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now: Instant) -> Result<(), Refusal> {
        match offset {
            0x00 => self.out = value & 0xffff,
            0x04 => self.out |= value & 0xffff,
            0x08 => self.out &= !value,
            0x0c => self.enable = value & 0xffff,
            0x10 => self.enable |= value & 0xffff,
            0x14 => self.enable &= !value,
            0x20 => self.status |= value & 0xffff,
            0x24 => self.status &= !value,
            0x28..=0x64 => {
                if let Some(pin) = self.pins.get_mut((offset as usize - 0x28) / 4) {
                    *pin = value;
                }
            }
            _ => return Err(Refusal::Unmodelled),
        }
        self.drive(now);
        self.watch(now);
        Ok(())
    }

    pub(super) fn mux(&mut self, offset: u32, value: Option<u32>, now: Instant) -> Result<u32, Refusal> {
        let word = self.mux.get_mut(offset as usize / 4).ok_or(Refusal::Unmodelled)?;
        if let Some(value) = value {
            *word = value & 0x1ff;
            let value = *word;
            self.drive(now);
            self.watch(now);
            return Ok(value);
        }
        Ok(*word)
    }
}
