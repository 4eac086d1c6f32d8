//! The memory of the chip and what it refuses (fact sheet of the ESP8266, sections on the map and on traps).
//!
//! Data RAM takes 8, 16 and 32 bits; instruction RAM, ROM and the flash window take 32 bits only (EXCCAUSE 3); misaligned
//! accesses raise EXCCAUSE 9; the first 512 MiB raise 28, 29 and 20. All else isn't modelled and stops the run.

use rand_core::Rng;

use super::core::bus::{Bus, Refusal, Width};

const DATA_START: u32 = 0x3FFE_8000;
const DATA_SIZE: usize = 0x1_8000;
const ROM_START: u32 = 0x4000_0000;
const ROM_SIZE: usize = 0x1_0000;
const INSTRUCTION_START: u32 = 0x4010_0000;
const INSTRUCTION_SIZE: usize = 0x1_0000;
const WINDOW_START: u32 = 0x4020_0000;
const WINDOW_SIZE: usize = 0x10_0000;

const INSTRUCTION_FETCH_PROHIBITED: u8 = 20;
const LOAD_STORE_ERROR: u8 = 3;
const LOAD_STORE_ALIGNMENT: u8 = 9;
const LOAD_PROHIBITED: u8 = 28;
const STORE_PROHIBITED: u8 = 29;

/// RAM, ROM and the flash window of an ESP8266 with 64 KiB of instruction RAM, of which the cache takes its share.
pub struct Memory {
    data: Vec<u8>,
    rom: Vec<u8>,
    instruction: Vec<u8>,
    flash: Vec<u8>,
}

impl Memory {
    /// Returns cleared RAM and ROM above `flash`, whose first MiB the window shows. Bytes past its end read as erased.
    pub fn new(mut flash: Vec<u8>) -> Self {
        flash.resize(flash.len().max(WINDOW_SIZE), 0xFF);
        Memory {
            data: vec![0; DATA_SIZE],
            rom: vec![0; ROM_SIZE],
            instruction: vec![0; INSTRUCTION_SIZE],
            flash,
        }
    }

    /// Fills both RAMs with what `random` gives, as power-on does: nobody may rely on zeros.
    pub fn scramble(&mut self, random: &mut impl Rng) {
        random.fill_bytes(&mut self.data);
        random.fill_bytes(&mut self.instruction);
    }

    /// Returns the bytes of the data RAM, 0x3FFE8000 to 0x3FFFFFFF.
    pub fn data_ram_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Returns the bytes of the instruction RAM, 0x40100000 to 0x4010FFFF.
    pub fn instruction_ram_mut(&mut self) -> &mut [u8] {
        &mut self.instruction
    }

    /// Loads from data RAM; none where the address is not there, or is not aligned.
    #[inline(always)]
    pub(super) fn load_data(&self, address: u32, width: Width) -> Option<u32> {
        let offset = address.wrapping_sub(DATA_START) as usize;
        if !offset.is_multiple_of(width as usize) {
            return None;
        }
        match width {
            Width::Byte => self.data.get(offset).map(|byte| u32::from(*byte)),
            Width::Half => {
                let bytes = self.data.get(offset..)?.first_chunk()?;
                Some(u32::from(u16::from_le_bytes(*bytes)))
            }
            Width::Word => Some(u32::from_le_bytes(*self.data.get(offset..)?.first_chunk()?)),
        }
    }

    /// Stores to data RAM; none where the address is not there, or is not aligned.
    #[inline(always)]
    pub(super) fn store_data(&mut self, address: u32, width: Width, value: u32) -> Option<()> {
        let offset = address.wrapping_sub(DATA_START) as usize;
        if !offset.is_multiple_of(width as usize) {
            return None;
        }
        match width {
            Width::Byte => *self.data.get_mut(offset)? = value as u8,
            Width::Half => *self.data.get_mut(offset..)?.first_chunk_mut()? = (value as u16).to_le_bytes(),
            Width::Word => *self.data.get_mut(offset..)?.first_chunk_mut()? = value.to_le_bytes(),
        }
        Some(())
    }

    /// Returns the bytes of the region, which takes words only and may hold code, the offset in it, and whether it can be written.
    fn region(&mut self, address: u32) -> Option<(&mut [u8], usize, bool)> {
        let offset = |start: u32, size: usize| {
            let offset = address.wrapping_sub(start) as usize;
            (offset < size).then_some(offset)
        };
        if let Some(offset) = offset(INSTRUCTION_START, INSTRUCTION_SIZE) {
            return Some((&mut self.instruction, offset, true));
        }
        if let Some(offset) = offset(WINDOW_START, WINDOW_SIZE) {
            return Some((&mut self.flash, offset, false));
        }
        offset(ROM_START, ROM_SIZE).map(|offset| (&mut self.rom[..], offset, false))
    }
}

impl Bus for Memory {
    fn fetch(&mut self, address: u32) -> Result<u32, Refusal> {
        if address < 0x2000_0000 {
            return Err(Refusal::Exception(INSTRUCTION_FETCH_PROHIBITED));
        }
        let (bytes, offset, _) = self.region(address).ok_or(Refusal::Unmodelled)?;
        Ok((0..3).fold(0, |word, index| {
            word | u32::from(bytes.get(offset + index).copied().unwrap_or(0)) << (8 * index)
        }))
    }

    fn load(&mut self, address: u32, width: Width) -> Result<u32, Refusal> {
        if let Some(value) = self.load_data(address, width) {
            return Ok(value);
        }
        let size = width as usize;
        if !(address as usize).is_multiple_of(size) {
            return Err(Refusal::Exception(LOAD_STORE_ALIGNMENT));
        }
        if address < 0x2000_0000 {
            return Err(Refusal::Exception(LOAD_PROHIBITED));
        }
        let (bytes, offset, _) = self.region(address).ok_or(Refusal::Unmodelled)?;
        if width != Width::Word {
            return Err(Refusal::Exception(LOAD_STORE_ERROR));
        }
        let bytes = &bytes[offset..offset + size];
        Ok(bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal> {
        if self.store_data(address, width, value).is_some() {
            return Ok(());
        }
        let size = width as usize;
        if !(address as usize).is_multiple_of(size) {
            return Err(Refusal::Exception(LOAD_STORE_ALIGNMENT));
        }
        if address < 0x2000_0000 {
            return Err(Refusal::Exception(STORE_PROHIBITED));
        }
        let (bytes, offset, writable) = self.region(address).ok_or(Refusal::Unmodelled)?;
        if width != Width::Word {
            return Err(Refusal::Exception(LOAD_STORE_ERROR));
        }
        if !writable {
            return Err(Refusal::Unmodelled);
        }
        bytes[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(())
    }

    fn holds_code(&self, address: u32) -> bool {
        address >= ROM_START
    }
}
