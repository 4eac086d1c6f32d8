//! The ROM's serial loader, which esptool speaks to: SLIP packets with commands (esptool's documentation, "Serial Protocol").

use super::super::core::Core;
use super::super::core::bus::{Bus, Width};
use super::super::machine::Machine;
use super::super::time::Time;
use super::{PS_UM, STACK, START, functions};

/// What the loader's auto-baud finds for 115,200 baud at 52 MHz.
const DIVIDER: u32 = 52_000_000 / 115_200;
const SECTOR: u32 = 4096;
const END: u8 = 0xc0;
const ESCAPE: u8 = 0xdb;
const CHECKSUM: u8 = 0xef;
/// The word at 0x40001000 by which esptool knows an ESP8266.
const CHIP_MAGIC: (u32, u32) = (0x4000_1000, 0xfff0_c101);
/// What the ROM answers to SYNC.
const SYNC_VALUE: u32 = 0x2012_0707;
/// Answers to one SYNC.
const SYNC_ANSWERS: usize = 8;
/// Longest packet that is taken: a block of 0x4000 bytes, escaped, and its header.
const LONGEST: usize = 0x1_0000;
/// Errors (esptool's documentation): a command that isn't known, a failure, a wrong checksum.
const INVALID: u8 = 0x05;
const FAILED: u8 = 0x06;
const BAD_CHECKSUM: u8 = 0x07;

/// The loader, waiting for a packet.
#[derive(Default)]
pub(in super::super) struct Loader {
    packet: Vec<u8>,
    is_inside: bool,
    is_escaped: bool,
    /// Where the next block of memory goes.
    address: u32,
    block_size: u32,
}

/// An answer: the value, the status and the error.
type Answer = Result<u32, u8>;

impl Loader {
    /// Starts the loader: the line runs at the host's rate from its first packet on.
    pub(in super::super) fn start(machine: &mut Machine) -> Self {
        let now = machine.now;
        let _ = machine.peripherals.store(0x6000_0014, DIVIDER, now);
        Loader::default()
    }

    /// Takes what has come over the line; whether the core runs a program from now on.
    pub(in super::super) fn step(&mut self, core: &mut Core, machine: &mut Machine) -> bool {
        let now = machine.now;
        machine.peripherals.advance(now);
        while machine.peripherals.load(0x6000_001c, now).unwrap_or(0) & 0xff != 0 {
            let byte = machine.peripherals.load(0x6000_0000, now).unwrap_or(0) as u8;
            match byte {
                END if !self.is_inside || self.packet.is_empty() => self.is_inside = true,
                END => {
                    self.is_inside = false;
                    let packet = std::mem::take(&mut self.packet);
                    if self.take(&packet, core, machine) {
                        return true;
                    }
                }
                ESCAPE => self.is_escaped = true,
                _ if self.is_inside && self.packet.len() < LONGEST => {
                    let plain = match (std::mem::take(&mut self.is_escaped), byte) {
                        (true, 0xdc) => END,
                        (true, 0xdd) => ESCAPE,
                        _ => byte,
                    };
                    self.packet.push(plain);
                }
                _ => {}
            }
        }
        false
    }

    /// Carries out a command and answers; whether a program was started.
    fn take(&mut self, packet: &[u8], core: &mut Core, machine: &mut Machine) -> bool {
        let [0, command, _, _, sum, _, _, _, data @ ..] = packet else { return false };
        let word = |index: usize| {
            let bytes = data.get(4 * index..4 * index + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or(INVALID)
        };
        let mut entry = None;
        let answer = match command {
            // SYNC; a value that isn't 0 tells the ROM from a stub
            0x08 => Ok(SYNC_VALUE),
            // READ_REG(address)
            0x0a => word(0).and_then(|address| Self::read(machine, address)),
            // WRITE_REG(address, value, mask, delay)
            0x09 => word(0).and_then(|address| {
                let (value, delay_us) = (word(1)?, word(3).unwrap_or(0));
                machine.now.0 += Time::from_micros(delay_us.into()).0;
                machine.store(address, Width::Word, value).map(|()| 0).map_err(|_| FAILED)
            }),
            // FLASH_BEGIN(size, blocks, block size, address)
            0x02 => word(0).and_then(|size| {
                (self.address, self.block_size) = (word(3)?, word(2)?);
                let end = self.address.saturating_add(size).next_multiple_of(SECTOR);
                functions::erase(machine, self.address & !(SECTOR - 1), end - (self.address & !(SECTOR - 1)))
                    .map(|_| 0)
                    .map_err(|_| FAILED)
            }),
            // FLASH_DATA(size, number, 0, 0, bytes)
            0x03 => Self::block(data, *sum).and_then(|(number, bytes)| {
                let at = self.address.wrapping_add(number.wrapping_mul(self.block_size));
                if functions::write(machine, at, bytes) { Ok(0) } else { Err(FAILED) }
            }),
            // FLASH_END(stay)
            0x04 => Ok(0),
            // MEM_BEGIN(size, blocks, block size, address)
            0x05 => word(3).and_then(|address| {
                (self.address, self.block_size) = (address, word(2)?);
                Ok(0)
            }),
            // MEM_DATA(size, number, 0, 0, bytes)
            0x07 => self.memory(data, *sum, machine),
            // MEM_END(stay, entry)
            0x06 => word(1).inspect(|&address| entry = (word(0) == Ok(0)).then_some(address)).map(|_| 0),
            _ => Err(INVALID),
        };
        let answers = if *command == 0x08 { SYNC_ANSWERS } else { 1 };
        for _ in 0..answers {
            Self::answer(machine, *command, answer);
        }
        let Some(entry) = entry else { return false };
        core.reset(entry);
        core.registers[1] = STACK;
        core.registers[0] = START + 0x10a8;
        core.special.ps = PS_UM;
        core.special.vecbase = START;
        true
    }

    fn read(machine: &mut Machine, address: u32) -> Answer {
        if address == CHIP_MAGIC.0 {
            return Ok(CHIP_MAGIC.1);
        }
        machine.load(address, Width::Word).map_err(|_| FAILED)
    }

    /// Takes a block apart: its number and its bytes.
    fn block(data: &[u8], sum: u8) -> Result<(u32, &[u8]), u8> {
        let bytes = data.get(16..).ok_or(INVALID)?;
        let number =
            data.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes).ok_or(INVALID)?;
        let is_whole = bytes.iter().fold(CHECKSUM, |sum, byte| sum ^ byte) == sum;
        if is_whole { Ok((number, bytes)) } else { Err(BAD_CHECKSUM) }
    }

    fn memory(&mut self, data: &[u8], sum: u8, machine: &mut Machine) -> Answer {
        let (number, bytes) = Self::block(data, sum)?;
        let start = self.address.wrapping_add(number.wrapping_mul(self.block_size));
        for (offset, word) in (0_u32..).step_by(4).zip(bytes.chunks(4)) {
            let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            machine.store(start.wrapping_add(offset), Width::Word, word).map_err(|_| FAILED)?;
        }
        Ok(0)
    }

    /// Puts an answer on the line: direction 1, command, two bytes of data, the value, status and error.
    fn answer(machine: &mut Machine, command: u8, answer: Answer) {
        let (value, status, error) = match answer {
            Ok(value) => (value, 0, 0),
            Err(error) => (0, 1, error),
        };
        let mut packet = vec![1, command, 2, 0];
        packet.extend(value.to_le_bytes());
        packet.extend([status, error]);
        let escaped = packet.iter().flat_map(|byte| match *byte {
            END => vec![ESCAPE, 0xdc],
            ESCAPE => vec![ESCAPE, 0xdd],
            byte => vec![byte],
        });
        let apb = machine.peripherals.apb();
        for byte in [END].into_iter().chain(escaped).chain([END]) {
            machine.peripherals.uarts[0].print(machine.now, byte, apb);
        }
    }
}
