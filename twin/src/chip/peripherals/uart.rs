//! A UART: two FIFOs of 128 bytes, thresholds, time-out, and bytes that take their bit times (RTOS SDK `uart_register.h`).

use std::collections::VecDeque;

use super::super::time::Time;
use super::Refusal;

const FIFO_SIZE: usize = 128;
const RX_FULL: u32 = 1 << 0;
const TX_EMPTY: u32 = 1 << 1;
const FRAME_ERROR: u32 = 1 << 3;
const OVERRUN: u32 = 1 << 4;
const BREAK: u32 = 1 << 7;
const RX_TIMEOUT: u32 = 1 << 8;
/// CONF0: what is sent is received.
const LOOPBACK: u32 = 1 << 14;
/// CONF0 without what is modelled: 8N1, loopback and the resets of both FIFOs; the rest would change what is on the wire.
const CONF0_UNMODELLED: u32 = !(0x1c | LOOPBACK | 3 << 17);
/// CONF1: the receiver stops the other end.
const FLOW_CONTROL: u32 = 1 << 23;
/// AUTOBAUD: the widths of pulses are measured.
const AUTOBAUD: u32 = 1;
/// Bits of a character: start, eight, stop.
const CHARACTER_BITS: u64 = 10;

/// A byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentByte {
    /// When its stop bit ends.
    pub at: Time,
    /// The byte.
    pub byte: u8,
    /// Bits per second.
    pub rate: u32,
}

/// What comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    Byte(u8),
    /// The line has been low for longer than a character.
    Break,
}

/// The registers of a UART and what is in its FIFOs.
#[derive(Debug)]
pub struct Uart {
    received: VecDeque<u8>,
    received_at: Time,
    /// Bytes on their way here, with the ends of their stop bits.
    arriving: VecDeque<(Time, Arrival)>,
    /// When each byte that waits leaves the FIFO for the wire.
    sending: VecDeque<Time>,
    free_at: Time,
    sent: VecDeque<SentByte>,
    raw: u32,
    enabled: u32,
    divider: u32,
    conf0: u32,
    conf1: u32,
    autobaud: u32,
    timeout_told: bool,
    /// Bytes that have found the FIFO full and nobody has asked for.
    lost: u64,
}

impl Uart {
    /// Returns a UART as the boot ROM leaves it.
    pub fn new() -> Self {
        Uart {
            received: VecDeque::new(),
            received_at: Time(0),
            arriving: VecDeque::new(),
            sending: VecDeque::new(),
            free_at: Time(0),
            sent: VecDeque::new(),
            raw: 0,
            enabled: 1,
            divider: 694,
            conf0: 0x1c,
            conf1: 1,
            autobaud: 0x1000,
            timeout_told: true,
            lost: 0,
        }
    }

    /// Starts anew after a reset; what is on the wire towards the chip is lost.
    pub fn reset(&mut self, now: Time) {
        let (sent, lost) = (std::mem::take(&mut self.sent), self.lost);
        *self = Uart { lost, ..Uart::new() };
        self.sent = sent.into_iter().filter(|byte| byte.at <= now).collect();
    }

    /// A byte will have come in at `at`.
    pub fn arrive(&mut self, at: Time, byte: u8) {
        self.arriving.push_back((at, Arrival::Byte(byte)));
    }

    /// The line will have been low for longer than a character at `at`: a zero without a stop bit.
    pub fn arrive_break(&mut self, at: Time) {
        self.arriving.push_back((at, Arrival::Break));
    }

    /// Takes the bytes that are on the wire, those that are not complete yet as well.
    pub fn take_sent(&mut self) -> impl Iterator<Item = SentByte> + '_ {
        self.sent.drain(..)
    }

    /// Takes the count of bytes that have found the FIFO full.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Bits per second, with a peripheral clock of `apb_hz`.
    pub fn rate(&self, apb_hz: u64) -> u32 {
        (apb_hz / u64::from(self.divider.max(1))) as u32
    }

    /// Puts a byte on the wire, as the ROM does, which waits for room.
    pub fn print(&mut self, now: Time, byte: u8, apb: u64) -> Time {
        self.send(now, byte, apb);
        self.free_at
    }

    fn send(&mut self, now: Time, byte: u8, apb: u64) {
        let start = self.free_at.max(now);
        self.sending.push_back(start);
        self.free_at = Time(start.0 + CHARACTER_BITS * u64::from(self.divider.max(1)) * apb);
        let rate =
            (super::super::time::PER_MICROSECOND * 1_000_000 / (u64::from(self.divider.max(1)) * apb)) as u32;
        if self.conf0 & LOOPBACK != 0 {
            self.arrive(self.free_at, byte);
        } else {
            self.sent.push_back(SentByte { at: self.free_at, byte, rate });
        }
    }

    /// Returns the units of time of a character.
    pub fn character(&self, apb: u64) -> u64 {
        CHARACTER_BITS * u64::from(self.divider.max(1)) * apb
    }

    /// Catches up with `now`. `apb` is the length of a cycle of the peripheral clock.
    pub fn advance(&mut self, now: Time, apb: u64) {
        while let Some(&(at, arrival)) = self.arriving.front().filter(|(at, _)| *at <= now) {
            self.arriving.pop_front();
            let byte = match arrival {
                Arrival::Byte(byte) => byte,
                Arrival::Break => {
                    self.raw |= BREAK | FRAME_ERROR;
                    0
                }
            };
            self.received_at = at;
            self.timeout_told = false;
            if self.received.len() < FIFO_SIZE {
                self.received.push_back(byte);
            } else {
                self.raw |= OVERRUN;
                self.lost += 1;
            }
        }
        while self.sending.front().is_some_and(|start| *start <= now) {
            self.sending.pop_front();
        }
        if self.timeout_at(apb).is_some_and(|at| at <= now) {
            self.raw |= RX_TIMEOUT;
            self.timeout_told = true;
        }
    }

    /// When the line will have been quiet for the time-out with bytes waiting.
    fn timeout_at(&self, apb: u64) -> Option<Time> {
        let characters = u64::from(self.conf1 >> 24 & 0x7f);
        let is_on = self.conf1 >> 31 != 0 && !self.timeout_told && !self.received.is_empty();
        is_on.then(|| Time(self.received_at.0 + characters * self.character(apb)))
    }

    /// Returns when something will change that an interrupt may tell.
    pub fn next_event(&self, apb: u64) -> Option<Time> {
        let arrival = self.arriving.front().map(|&(at, _)| at);
        let threshold = (self.conf1 >> 8 & 0x7f) as usize;
        let low =
            self.sending.len().checked_sub(threshold + 1).and_then(|index| self.sending.get(index).copied());
        [arrival, self.timeout_at(apb), low].into_iter().flatten().min()
    }

    /// Returns the interrupts that are raised and enabled.
    pub fn interrupts(&self) -> u32 {
        self.raw_interrupts() & self.enabled
    }

    fn raw_interrupts(&self) -> u32 {
        let full = self.received.len() >= (self.conf1 & 0x7f).max(1) as usize;
        let low = self.sending.len() <= (self.conf1 >> 8 & 0x7f) as usize;
        self.raw | if full { RX_FULL } else { 0 } | if low { TX_EMPTY } else { 0 }
    }

    pub(super) fn read(&mut self, offset: u32) -> Result<u32, Refusal> {
        Ok(match offset {
            0x00 => self.received.pop_front().map_or(0, u32::from),
            0x04 => self.raw_interrupts(),
            0x08 => self.interrupts(),
            0x0c => self.enabled,
            0x14 => self.divider,
            0x18 => self.autobaud,
            0x1c => self.received.len() as u32 | (self.sending.len() as u32).min(255) << 16,
            0x20 => self.conf0,
            0x24 => self.conf1,
            0x78 => 0x6_2000,
            0x7c => 0x500,
            _ => return Err(Refusal::Unmodelled),
        })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now: Time, apb: u64) -> Result<(), Refusal> {
        match offset {
            0x00 if self.sending.len() < FIFO_SIZE => self.send(now, value as u8, apb),
            // A full FIFO drops the byte.
            0x00 => {}
            0x0c => self.enabled = value & 0x1ff,
            0x10 => self.raw &= !value,
            0x14 => self.divider = value & 0xf_ffff,
            0x18 if value & AUTOBAUD != 0 => return Err(Refusal::Unmodelled),
            0x18 => self.autobaud = value,
            0x20 if value & CONF0_UNMODELLED != 0 || value & 0x1c != 0x1c => return Err(Refusal::Unmodelled),
            0x20 => {
                self.conf0 = value;
                if value & 1 << 17 != 0 {
                    self.received.clear();
                }
                if value & 1 << 18 != 0 {
                    let left = self.sending.len();
                    self.sending.clear();
                    self.sent.truncate(self.sent.len().saturating_sub(left));
                    self.free_at = self.sent.back().map_or(now, |byte| byte.at);
                }
            }
            0x24 if value & FLOW_CONTROL != 0 => return Err(Refusal::Unmodelled),
            0x24 => self.conf1 = value,
            _ => return Err(Refusal::Unmodelled),
        }
        Ok(())
    }
}

impl Default for Uart {
    fn default() -> Self {
        Uart::new()
    }
}
