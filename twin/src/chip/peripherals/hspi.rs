//! SPI1, the user's: command, address and data of one transaction, full duplex or in turns (RTOS SDK `spi_register.h`).
//!
//! Phases are whole bytes, most significant bit first; anything else isn't modelled. The device is selected by CS0 for one
//! transaction, or by any GPIO for as long as the program wants.

use embassy_time::Instant;

use super::super::time::{PER_MICROSECOND, Time};
use super::Refusal;
use crate::devices::spi::{Mode, SpiDevice};

const USR: u32 = 1 << 18;
const DUPLEX: u32 = 1 << 0;
const CLOCK_OUT_EDGE: u32 = 1 << 7;
const MISO: u32 = 1 << 28;
const MOSI: u32 = 1 << 27;
const DUMMY: u32 = 1 << 29;
const ADDRESS: u32 = 1 << 30;
const COMMAND: u32 = 1 << 31;
/// What USER may say: setup and hold of the select line and the edge of the input only move bits inside their time.
const USER_MODELLED: u32 = DUPLEX | CLOCK_OUT_EDGE | 7 << 4 | MISO | MOSI | DUMMY | ADDRESS | COMMAND;
/// PIN: CS0 is off, and the clock idles high.
const CS0_OFF: u32 = 1 << 0;
const IDLES_HIGH: u32 = 1 << 29;
/// SLAVE: a transaction is done, and that is an interrupt.
const DONE: u32 = 1 << 4;
const DONE_ENABLE: u32 = 1 << 9;
/// CTRL: bits go out or come in with the least significant first.
const LEAST_FIRST: u32 = 3 << 25;
/// CLOCK: the clock is that of the peripherals.
const UNDIVIDED: u32 = 1 << 31;

struct Attached {
    device: Box<dyn SpiDevice>,
    /// The pin that selects it; CS0 otherwise.
    pin: Option<u8>,
    is_selected: bool,
}

/// The controller, and what is connected to it.
#[derive(Default)]
pub struct Hspi {
    address: u32,
    ctrl: u32,
    clock: u32,
    user: u32,
    user1: u32,
    user2: u32,
    pin: u32,
    slave: u32,
    words: [u32; 16],
    attached: Vec<Attached>,
    idle_at: Time,
    /// A transaction goes on.
    is_busy: bool,
}

impl Hspi {
    /// Connects a device, which a GPIO selects, or CS0.
    pub fn attach(&mut self, device: Box<dyn SpiDevice>, pin: Option<u8>) {
        self.attached.push(Attached { device, pin, is_selected: false });
    }

    /// The chip is reset: registers have their defaults.
    pub(super) fn reset(&mut self) {
        let attached = std::mem::take(&mut self.attached);
        *self = Hspi { attached, user: COMMAND, clock: UNDIVIDED, ..Hspi::default() };
    }

    /// Returns the pins that select a device.
    pub(super) fn selecting(&self) -> impl Iterator<Item = u8> + '_ {
        self.attached.iter().filter_map(|attached| attached.pin)
    }

    /// A pin is high or low now.
    pub(super) fn select(&mut self, pin: u8, is_high: bool, now: Instant) {
        for attached in self.attached.iter_mut().filter(|attached| attached.pin == Some(pin)) {
            match (std::mem::replace(&mut attached.is_selected, !is_high), !is_high) {
                (false, true) => attached.device.select(now),
                (true, false) => attached.device.deselect(now),
                _ => {}
            }
        }
    }

    /// Returns when the transaction ends.
    pub(super) fn next_event(&self) -> Option<Time> {
        self.is_busy.then_some(self.idle_at)
    }

    pub(super) fn advance(&mut self, now: Time) {
        if self.is_busy && self.idle_at <= now {
            self.is_busy = false;
            self.slave |= DONE;
        }
    }

    /// Returns whether interrupt 2 is raised.
    pub(super) fn is_raised(&self) -> bool {
        self.slave & DONE != 0 && self.slave & DONE_ENABLE != 0
    }

    pub(super) fn read(&self, offset: u32) -> Result<u32, Refusal> {
        Ok(match offset {
            0x00 => u32::from(self.is_busy) * USR,
            0x04 => self.address,
            0x08 => self.ctrl,
            0x18 => self.clock,
            0x1c => self.user,
            0x20 => self.user1,
            0x24 => self.user2,
            0x2c => self.pin,
            0x30 => self.slave,
            0x40..=0x7c if self.is_busy => return Err(Refusal::Unmodelled),
            0x40..=0x7c => self.words.get((offset as usize - 0x40) / 4).copied().unwrap_or(0),
            0xf8 => u32::from(self.is_busy),
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(
        &mut self,
        offset: u32,
        value: u32,
        now: Time,
        apb: u64,
        world: Instant,
    ) -> Result<(), Refusal> {
        // Whatever changes under a transaction that goes on changes it in a way that nobody knows.
        if self.is_busy && offset != 0x30 {
            return Err(Refusal::Unmodelled);
        }
        match offset {
            0x00 if value == USR => return self.transact(now, apb, world),
            0x00 if value == 0 => {}
            0x04 => self.address = value,
            0x08 if value & LEAST_FIRST == 0 => self.ctrl = value,
            0x18 => self.clock = value,
            0x1c if value & !USER_MODELLED == 0 => self.user = value,
            0x20 => self.user1 = value,
            0x24 => self.user2 = value,
            0x2c => self.pin = value,
            // A slave that answers isn't modelled.
            0x30 if value >> 31 == 0 => self.slave = value,
            0x40..=0x7c => {
                if let Some(word) = self.words.get_mut((offset as usize - 0x40) / 4) {
                    *word = value;
                }
            }
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }

    /// The phases of a transaction in bytes, where `bits` are that many less one.
    fn phase(&self, is_on: u32, bits: u32) -> Result<usize, Refusal> {
        match (self.user & is_on != 0, (bits + 1) % 8) {
            (false, _) => Ok(0),
            (true, 0) => Ok((bits as usize + 1) / 8),
            (true, _) => Err(Refusal::Unmodelled),
        }
    }

    fn transact(&mut self, now: Time, apb: u64, world: Instant) -> Result<(), Refusal> {
        let command = self.phase(COMMAND, self.user2 >> 28)?;
        let address = self.phase(ADDRESS, self.user1 >> 26)?;
        let dummy = self.phase(DUMMY, self.user1 & 0xff)?;
        let out = self.phase(MOSI, self.user1 >> 17 & 0x1ff)?;
        let is_duplex = self.user & DUPLEX != 0;
        // What goes out in duplex brings back as much, whatever the phase of input says (Arduino core, `SPIClass`).
        let back = if is_duplex { out } else { self.phase(MISO, self.user1 >> 8 & 0x1ff)? };
        if out > 64 || back > 64 || command > 1 || address > 4 {
            return Err(Refusal::Unmodelled);
        }
        let sent: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut sent: Vec<u8> = sent.into_iter().take(out).collect();
        let total = if is_duplex { out } else { out + back };
        sent.resize(total, 0);
        let mut frame = vec![self.user2 as u8; command];
        frame.extend(self.address.to_be_bytes().iter().take(address));
        frame.resize(frame.len() + dummy, 0);
        let first = frame.len() + if is_duplex { 0 } else { out };
        frame.extend(sent);
        let answer = self.exchange(&frame, now, apb, world);
        for (index, byte) in answer.iter().skip(first).take(back).enumerate() {
            if let Some(word) = self.words.get_mut(index / 4) {
                *word = *word & !(0xff << (8 * (index % 4))) | u32::from(*byte) << (8 * (index % 4));
            }
        }
        Ok(())
    }

    /// Clocks bytes through whatever is selected. Without a device the input is low, as a pad without a pull-up mostly is.
    fn exchange(&mut self, frame: &[u8], now: Time, apb: u64, world: Instant) -> Vec<u8> {
        let byte = 8 * self.bit(apb);
        let idles_high = self.pin & IDLES_HIGH != 0;
        // With an idle level of high the output's edge says the contrary (Arduino core, `SPIClass::setDataMode`).
        let mode = Mode { idles_high, takes_late: (self.user & CLOCK_OUT_EDGE != 0) != idles_high };
        let has_cs0 = self.pin & CS0_OFF == 0;
        let at =
            |count: usize| world + embassy_time::Duration::from_micros(count as u64 * byte / PER_MICROSECOND);
        let mut answer = vec![0; frame.len()];
        for attached in &mut self.attached {
            let by_cs0 = attached.pin.is_none() && has_cs0;
            if by_cs0 {
                attached.device.select(at(0));
            }
            if by_cs0 || attached.is_selected {
                for (index, (sent, answer)) in frame.iter().zip(&mut answer).enumerate() {
                    *answer |= attached.device.exchange(*sent, mode, at(index + 1));
                }
            }
            if by_cs0 {
                attached.device.deselect(at(frame.len()));
            }
        }
        self.is_busy = true;
        self.idle_at = Time(now.0 + frame.len() as u64 * byte);
        answer
    }

    /// Units of time in a bit.
    fn bit(&self, apb: u64) -> u64 {
        let (prescale, divider) = (u64::from(self.clock >> 18 & 0x1fff), u64::from(self.clock >> 12 & 0x3f));
        if self.clock & UNDIVIDED != 0 { apb } else { apb * (prescale + 1) * (divider + 1) }
    }
}
