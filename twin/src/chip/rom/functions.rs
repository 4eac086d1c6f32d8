//! Functions of the ROM, by address: those that this firmware and esptool's stub call.

use std::collections::BTreeMap;

use embedded_storage::nor_flash::{NorFlash as _, ReadNorFlash as _};
use md5::{Digest as _, Md5};

use super::super::core::Core;
use super::super::core::bus::{Bus, Width};
use super::super::machine::Machine;
use super::super::peripherals::spi_flash::STATUS_WRITE_US;
use super::super::time::Time;
use crate::devices::nor_flash::{PAGE_SIZE, SECTOR_SIZE};

/// What the ROM's functions keep, in memory that programs don't look into.
#[derive(Default)]
pub(in super::super) struct State {
    /// MD5 sums under way, by the address of the caller's context.
    sums: BTreeMap<u32, Md5>,
    /// Handlers of interrupts: address and argument.
    pub(super) handlers: [(u32, u32); 15],
    /// Registers of the programs that an interrupt's handler has stopped.
    pub(super) stopped: Vec<super::interrupts::Stopped>,
}

/// Bytes of the largest transfer that a program may ask for; more is a mistake.
const MOST: u32 = 0x10_0000;
/// Where the ROM keeps the MHz that `ets_delay_us` reckons with.
pub(super) const MHZ: u32 = 0x3fff_c704;

/// What a function returns: nothing, a word, or none where it isn't one of these.
type Returned = Result<Option<Option<u32>>, String>;

/// Carries out the function at `address` with the arguments in `a2` to `a5`. What time it takes passes on the cycle counter, too.
pub(super) fn call(core: &mut Core, machine: &mut Machine, state: &mut State, address: u32) -> Returned {
    let before = machine.now;
    let returned = carry_out(core, machine, state, address);
    let cycle = machine.peripherals.cycle();
    // Some tens of instructions.
    let cycles = 32 + (machine.now.0 - before.0).div_ceil(cycle);
    machine.now = Time(before.0 + cycles * cycle);
    core.idle(cycles);
    returned
}

fn carry_out(core: &mut Core, machine: &mut Machine, state: &mut State, address: u32) -> Returned {
    let [_, _, a2, a3, a4, a5, ..] = core.registers;
    let now = machine.now;
    let nothing = Ok(Some(None));
    let word = |word: u32| Ok(Some(Some(word)));
    match address {
        // ets_isr_attach(number, handler, argument)
        0x4000_0f88 => {
            if let Some(handler) = state.handlers.get_mut(a2 as usize) {
                *handler = (a3, a4);
            }
            nothing
        }
        // ets_isr_mask(mask), ets_isr_unmask(mask)
        0x4000_0f98 => {
            core.special.intenable &= !a2;
            nothing
        }
        0x4000_0fa8 => {
            core.special.intenable |= a2;
            nothing
        }
        // ets_memcpy, memcpy, memmove
        0x4000_18b4 | 0x4000_df48 | 0x4000_e04c => {
            let bytes = load(machine, a3, a4)?;
            store(machine, a2, &bytes)?;
            word(a2)
        }
        // ets_memset, memset
        0x4000_18a4 | 0x4000_e190 => {
            let bytes = vec![a3 as u8; a4.min(MOST) as usize];
            store(machine, a2, &bytes)?;
            word(a2)
        }
        // software_reset
        0x4000_264c => {
            let _ = machine.peripherals.store(0x6000_0700, 1 << 31, now);
            nothing
        }
        // ets_delay_us(us)
        0x4000_2ecc => {
            let mhz = data(machine, MHZ)?;
            machine.now.0 += u64::from(a2.wrapping_mul(mhz)) * machine.peripherals.cycle();
            nothing
        }
        // ets_update_cpu_frequency(mhz), ets_get_cpu_frequency()
        0x4000_2f04 => {
            store(machine, MHZ, &a2.to_le_bytes())?;
            nothing
        }
        0x4000_2f0c => {
            let mhz = data(machine, MHZ)?;
            word(mhz)
        }
        // uart_div_modify(uart, divider): what waits in the FIFOs is lost
        0x4000_39d8 => {
            let base = if a2 == 0 { 0x6000_0000 } else { 0x6000_0f00 };
            for (offset, value) in [(0x14, a3), (0x20, 0x1c | 3 << 17), (0x20, 0x1c)] {
                let _ = machine.peripherals.store(base + offset, value, now);
            }
            nothing
        }
        // uart_tx_one_char(byte): waits for room
        0x4000_3b30 => {
            let apb = machine.peripherals.apb();
            let end = machine.peripherals.uarts[0].print(now, a2 as u8, apb);
            let room_at = Time(end.0.saturating_sub(126 * machine.peripherals.uarts[0].character(apb)));
            machine.now = now.max(room_at);
            word(0)
        }
        // uart_rx_one_char(where): 1 where nothing has come
        0x4000_3b8c => {
            machine.peripherals.advance(now);
            if machine.peripherals.load(0x6000_001c, now).unwrap_or(0) & 0xff == 0 {
                return word(1);
            }
            let byte = machine.peripherals.load(0x6000_0000, now).unwrap_or(0) as u8;
            store(machine, a2, &[byte])?;
            word(0)
        }
        // SelectSpiFunction, spi_flash_attach, SPIParamCfg: the model's flash is attached
        0x4000_3f58 | 0x4000_4644 | 0x4000_4c2c => word(0),
        // Wait_SPI_Idle
        0x4000_448c => {
            wait(machine);
            word(0)
        }
        // SPI_write_enable
        0x4000_443c => {
            wait(machine);
            machine.peripherals.spi.enable_write(true);
            word(0)
        }
        // SPIUnlock
        0x4000_4878 => {
            wait(machine);
            machine.peripherals.spi.unprotect();
            machine.peripherals.spi.enable_write(false);
            machine.now.0 += Time::from_micros(STATUS_WRITE_US).0;
            word(0)
        }
        // rom_i2c_writeReg(block, host, register, value)
        0x4000_72d8 => {
            machine.peripherals.write_analog(now, a2, a3, a4, a5 as u8);
            nothing
        }
        0x4000_4678 => {
            let enabled = machine.peripherals.enable_cache(a2, a3, a4 != 0);
            enabled.map_err(|_| "Cache_Read_Enable of another MiB than the first".to_owned())?;
            nothing
        }
        0x4000_47f0 => {
            machine.peripherals.disable_cache();
            nothing
        }
        // SPIEraseSector(number), SPIEraseBlock(number), SPIEraseChip()
        0x4000_4a00 => erase(machine, a2.wrapping_mul(SECTOR_SIZE as u32), SECTOR_SIZE as u32),
        0x4000_49b4 => erase(machine, a2.wrapping_mul(0x1_0000), 0x1_0000),
        0x4000_4984 => {
            let size = machine.peripherals.spi.flash().capacity() as u32;
            erase(machine, 0, size)
        }
        // SPIWrite(address, from, len), SPIRead(address, to, len)
        0x4000_4a4c => program(machine, a2, a3, a4),
        0x4000_4b1c => {
            let mut bytes = vec![0xff; a4.next_multiple_of(4).min(MOST) as usize];
            wait(machine);
            let read = machine.peripherals.spi.flash().clone().read(a2, &mut bytes);
            machine.now.0 += bytes.len() as u64 * Time::from_micros(1).0;
            store(machine, a3, &bytes)?;
            word(u32::from(read.is_err()))
        }
        // MD5Init(context), MD5Update(context, from, len), MD5Final(to, context)
        0x4000_9818 => {
            state.sums.insert(a2, Md5::new());
            nothing
        }
        0x4000_9834 => {
            let bytes = load(machine, a3, a4)?;
            state.sums.entry(a2).or_default().update(bytes);
            nothing
        }
        0x4000_9900 => {
            let sum = state.sums.remove(&a3).unwrap_or_default().finalize();
            store(machine, a2, &sum)?;
            nothing
        }
        // __udivsi3, __umodsi3; by zero the ROM's loop gives 0
        0x4000_e21c => word(a2.checked_div(a3).unwrap_or(0)),
        0x4000_e268 => word(a2.checked_rem(a3).unwrap_or(0)),
        _ => Ok(None),
    }
}

/// Waits until the flash chip has done what it is at.
fn wait(machine: &mut Machine) {
    machine.now = machine.now.max(machine.peripherals.spi.busy_until());
}

/// Opens the flash chip's latch and closes it behind the operation; whether the chip takes it.
fn may_change(machine: &mut Machine) -> bool {
    wait(machine);
    machine.peripherals.spi.enable_write(false);
    machine.peripherals.spi.protection() == 0
}

/// Returns a word of the ROM's data.
fn data(machine: &mut Machine, address: u32) -> Result<u32, String> {
    machine.load(address, Width::Word).map_err(|_| format!("the ROM's data at {address:#x} is out of reach"))
}

/// Reads memory byte by byte, as the ROM's copies read it, whatever is aligned.
fn load(machine: &mut Machine, address: u32, len: u32) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for at in (0..len.min(MOST)).map(|offset| address.wrapping_add(offset)) {
        let word = machine.load(at & !3, Width::Word);
        let word =
            word.map_err(|_| format!("a function of the ROM reads {at:#x}, where there is no memory"))?;
        bytes.push((word >> (8 * (at & 3))) as u8);
    }
    machine.now.0 += u64::from(len.min(MOST)) * machine.peripherals.cycle();
    Ok(bytes)
}

fn store(machine: &mut Machine, address: u32, bytes: &[u8]) -> Result<(), String> {
    for (at, byte) in
        bytes.iter().enumerate().map(|(offset, byte)| (address.wrapping_add(offset as u32), byte))
    {
        let refused = |_| format!("a function of the ROM writes {at:#x}, where there is no RAM");
        let word = machine.load(at & !3, Width::Word).map_err(refused)?;
        let shift = 8 * (at & 3);
        let word = word & !(0xff << shift) | u32::from(*byte) << shift;
        machine.store(at & !3, Width::Word, word).map_err(refused)?;
    }
    machine.now.0 += bytes.len() as u64 * machine.peripherals.cycle();
    Ok(())
}

/// Erases sectors; 1 where that failed. A protected chip does nothing, and the ROM doesn't notice.
pub(super) fn erase(machine: &mut Machine, address: u32, len: u32) -> Returned {
    if !may_change(machine) {
        return Ok(Some(Some(0)));
    }
    let erased = machine.peripherals.spi.flash().clone().erase(address, address.saturating_add(len));
    let us = machine.peripherals.spi.timing().erase.as_micros() * u64::from(len / SECTOR_SIZE as u32);
    machine.now.0 += Time::from_micros(us).0;
    Ok(Some(Some(u32::from(erased.is_err()))))
}

fn program(machine: &mut Machine, address: u32, from: u32, len: u32) -> Returned {
    let bytes = load(machine, from, len)?;
    Ok(Some(Some(u32::from(!write(machine, address, &bytes)))))
}

/// Programs bytes page by page; returns whether that went well. A protected chip does nothing, and the ROM doesn't notice.
pub(super) fn write(machine: &mut Machine, address: u32, bytes: &[u8]) -> bool {
    if !may_change(machine) {
        return true;
    }
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0xff);
    let (mut at, mut rest) = (address, bytes.as_slice());
    let mut flash = machine.peripherals.spi.flash().clone();
    let mut is_well = true;
    while !rest.is_empty() {
        let room = PAGE_SIZE - at as usize % PAGE_SIZE;
        let (now, later) = rest.split_at(room.min(rest.len()));
        is_well &= flash.write(at, now).is_ok();
        machine.now.0 += Time::from_micros(machine.peripherals.spi.timing().program.as_micros()).0;
        at = at.wrapping_add(now.len() as u32);
        rest = later;
    }
    is_well
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::peripherals::Peripherals;
    use crate::chip::peripherals::rtc::Cause;
    use crate::devices::i2c::Wiring;
    use crate::devices::nor_flash::{NorFlash, Timing};
    use embassy_time::Instant;

    const RAM: u32 = 0x3ffe_8000;

    struct Bench {
        core: Core,
        machine: Machine,
        state: State,
        flash: NorFlash,
    }

    impl Bench {
        fn new() -> Self {
            let flash = NorFlash::new(1 << 20);
            let origin = Instant::from_ticks(0);
            let mut peripherals =
                Peripherals::new(flash.clone(), Timing::default(), Wiring::new(), 1, 1, origin);
            peripherals.reset(Time(0), Cause::PowerOn);
            let mut machine = Machine::new(peripherals, 1);
            super::super::prepare(&mut machine);
            Bench { core: Core::new(0), machine, state: State::default(), flash }
        }

        /// Calls a function; returns what is in `a2` afterwards.
        fn call(&mut self, address: u32, arguments: [u32; 4]) -> Option<u32> {
            self.core.registers[2..6].copy_from_slice(&arguments);
            call(&mut self.core, &mut self.machine, &mut self.state, address).unwrap().unwrap()
        }

        fn put(&mut self, offset: u32, bytes: &[u8]) {
            store(&mut self.machine, RAM + offset, bytes).unwrap();
        }

        fn get(&mut self, offset: u32, len: u32) -> Vec<u8> {
            load(&mut self.machine, RAM + offset, len).unwrap()
        }

        fn us(&self) -> u64 {
            self.machine.now.micros()
        }
    }

    #[test]
    fn copies_and_fills_work_on_any_byte() {
        for copy in [0x4000_18b4, 0x4000_df48, 0x4000_e04c] {
            let mut bench = Bench::new();
            bench.put(1, b"abcdefg");
            assert_eq!(bench.call(copy, [RAM + 18, RAM + 1, 7, 0]), Some(RAM + 18));
            assert_eq!(bench.get(17, 9), b"\0abcdefg\0");
        }
        for fill in [0x4000_18a4, 0x4000_e190] {
            let mut bench = Bench::new();
            assert_eq!(bench.call(fill, [RAM + 3, 0x1ff, 6, 0]), Some(RAM + 3));
            assert_eq!(bench.get(2, 8), [0, 255, 255, 255, 255, 255, 255, 0]);
        }
        let mut bench = Bench::new();
        bench.core.registers[2..5].copy_from_slice(&[0, RAM, 4]);
        assert!(call(&mut bench.core, &mut bench.machine, &mut bench.state, 0x4000_df48).is_err());
    }

    #[test]
    fn division_is_unsigned() {
        let mut bench = Bench::new();
        assert_eq!(bench.call(0x4000_e21c, [0xffff_fffe, 10, 0, 0]), Some(429_496_729));
        assert_eq!(bench.call(0x4000_e268, [0xffff_fffe, 10, 0, 0]), Some(4));
        assert_eq!(bench.call(0x4000_e21c, [5, 0, 0, 0]), Some(0));
    }

    #[test]
    fn flash_is_erased_programmed_and_read_in_its_time() {
        let mut bench = Bench::new();
        bench.flash.poke(0x3000, &[0; 16]);
        assert_eq!(bench.call(0x4000_4a00, [3, 0, 0, 0]), Some(0));
        assert!((45_000..45_002).contains(&bench.us()), "{}", bench.us());
        let bytes: Vec<u8> = (0..=255).collect();
        bench.put(0, &bytes);
        assert_eq!(bench.call(0x4000_4a4c, [0x30f0, RAM, 256, 0]), Some(0));
        assert_eq!(bench.flash.contents()[0x30f0..0x31f0], bytes);
        assert_eq!(bench.call(0x4000_4b1c, [0x30f4, RAM + 512, 8, 0]), Some(0));
        assert_eq!(bench.get(512, 8), bytes[4..12]);
        let before = bench.us();
        assert_eq!(bench.call(0x4000_49b4, [0, 0, 0, 0]), Some(0));
        assert!(bench.us() - before >= 16 * 45_000 && bench.flash.contents()[0x30f4] == 0xff);
        bench.flash.poke(0xf_0000, &[1]);
        assert_eq!(bench.call(0x4000_4984, [0; 4]), Some(0));
        assert_eq!(bench.flash.contents()[0xf_0000], 0xff);
        for harmless in [0x4000_3f58, 0x4000_4644, 0x4000_4c2c] {
            assert_eq!(bench.call(harmless, [0; 4]), Some(0));
        }
    }

    #[test]
    fn a_busy_chip_is_waited_for_and_a_protected_one_keeps_what_it_has() {
        let mut bench = Bench::new();
        bench.flash.poke(0x3000, &[0; 16]);
        bench.machine.peripherals.spi.protect(0x1c);
        bench.put(0, &[0x55; 16]);
        assert_eq!(bench.call(0x4000_4a00, [3, 0, 0, 0]), Some(0));
        assert_eq!(bench.call(0x4000_4a4c, [0x4000, RAM, 16, 0]), Some(0));
        assert_eq!((bench.flash.contents()[0x3000], bench.flash.contents()[0x4000]), (0, 0xff));
        assert!(bench.us() < 1000);
        assert_eq!(bench.call(0x4000_4878, [0; 4]), Some(0));
        assert!(bench.us() >= 10_000, "a status takes its time");
        assert_eq!(bench.call(0x4000_4a4c, [0x4000, RAM, 16, 0]), Some(0));
        assert_eq!(bench.flash.contents()[0x4000], 0x55);
        // A chip whose protection can't be taken away keeps it, and neither function notices.
        bench.machine.peripherals.spi.lock();
        assert_eq!(bench.call(0x4000_4878, [0; 4]), Some(0));
        assert_eq!(bench.machine.peripherals.spi.protection(), 0x3c);
        assert_eq!(bench.call(0x4000_4a00, [4, 0, 0, 0]), Some(0));
        assert_eq!(bench.call(0x4000_4a4c, [0x5000, RAM, 16, 0]), Some(0));
        assert_eq!((bench.flash.contents()[0x4000], bench.flash.contents()[0x5000]), (0x55, 0xff));
        let mut bench = Bench::new();
        bench.flash.poke(0x3000, &[0; 16]);
        // SPI_write_enable opens the latch for a command by registers, which leaves the chip busy.
        let command = |bench: &mut Bench, bit: u32| {
            let now = bench.machine.now;
            bench.machine.peripherals.store(0x6000_0204, 0x3000, now).unwrap();
            bench.machine.peripherals.store(0x6000_0200, 1 << bit, now).unwrap();
        };
        command(&mut bench, 24);
        assert_eq!(bench.flash.contents()[0x3000], 0, "the latch is closed");
        assert_eq!(bench.call(0x4000_443c, [0; 4]), Some(0));
        let before = bench.us();
        command(&mut bench, 24);
        assert_eq!(bench.call(0x4000_448c, [0; 4]), Some(0));
        assert!(bench.us() - before >= 45_000 && bench.flash.contents()[0x3000] == 0xff);
    }

    #[test]
    fn every_function_has_a_test() {
        let (code, tests) = include_str!("functions.rs").split_once("mod tests {").unwrap();
        let addresses = code.split("0x4000_").skip(1).map(|rest| &rest[..4]);
        let missing: Vec<&str> =
            addresses.filter(|each| !tests.contains(&format!("0x4000_{each}"))).collect();
        assert!(missing.is_empty(), "{missing:?} are in no test");
    }

    #[test]
    fn md5_is_that_of_the_rfc() {
        let mut bench = Bench::new();
        bench.put(0, b"message digest");
        bench.call(0x4000_9818, [RAM + 64, 0, 0, 0]);
        bench.call(0x4000_9834, [RAM + 64, RAM, 7, 0]);
        bench.call(0x4000_9834, [RAM + 64, RAM + 7, 7, 0]);
        bench.call(0x4000_9900, [RAM + 200, RAM + 64, 0, 0]);
        // RFC 1321, section A.5
        let sum = 0xf96b_697d_7cb7_938d_525a_2f31_aaf1_61d0_u128;
        assert_eq!(bench.get(200, 16), sum.to_be_bytes());
    }

    #[test]
    fn the_line_takes_and_gives_characters() {
        let mut bench = Bench::new();
        assert_eq!(bench.call(0x4000_3b8c, [RAM, 0, 0, 0]), Some(1), "nothing has come");
        bench.call(0x4000_39d8, [0, 451, 0, 0]);
        bench.machine.peripherals.uarts[0].arrive(bench.machine.now, b'x');
        assert_eq!(bench.call(0x4000_3b8c, [RAM, 0, 0, 0]), Some(0));
        assert_eq!(bench.get(0, 1), b"x");
        for _ in 0..200 {
            assert_eq!(bench.call(0x4000_3b30, [0x41, 0, 0, 0]), Some(0));
        }
        // 200 characters of 86.7 us, of which 126 still wait.
        assert!((6_000..8_000).contains(&bench.us()), "{}", bench.us());
        let sent: Vec<_> = bench.machine.peripherals.uarts[0].take_sent().collect();
        assert_eq!((sent.len(), sent[199].rate), (200, 115_299));
    }

    #[test]
    fn time_interrupts_and_reset() {
        let mut bench = Bench::new();
        bench.call(0x4000_2ecc, [1000, 0, 0, 0]);
        assert_eq!(bench.core.special.ccount, 80_000 + 32);
        bench.call(0x4000_2f04, [52, 0, 0, 0]);
        assert_eq!(bench.call(0x4000_2f0c, [0; 4]), Some(52));
        let before = (bench.us(), bench.core.special.ccount);
        bench.call(0x4000_2ecc, [1000, 0, 0, 0]);
        assert_eq!(bench.core.special.ccount - before.1, 52_032);
        assert!((1000..=1001).contains(&(bench.us() - before.0)));
        let before = bench.core.special.ccount;
        bench.call(0x4000_4a00, [3, 0, 0, 0]);
        assert!(bench.core.special.ccount - before >= 45_000 * 52, "an erase takes cycles");
        bench.call(0x4000_0f88, [5, 0x4010_0000, 7, 0]);
        bench.call(0x4000_0fa8, [0x21, 0, 0, 0]);
        bench.call(0x4000_0f98, [0x01, 0, 0, 0]);
        assert_eq!((bench.state.handlers[5], bench.core.special.intenable), ((0x4010_0000, 7), 0x20));
        bench.call(0x4000_264c, [0; 4]);
        let now = bench.machine.now;
        bench.machine.peripherals.advance(now);
        assert_eq!(bench.machine.peripherals.reset_cause(), Some(Cause::Software));
    }

    #[test]
    fn the_pll_and_the_cache() {
        let mut bench = Bench::new();
        assert_eq!(bench.machine.peripherals.cycle(), 40);
        bench.call(0x4000_72d8, [103, 4, 2, 0x91]);
        assert_eq!(bench.machine.peripherals.cycle(), 26);
        bench.call(0x4000_4678, [0, 0, 1, 0]);
        assert!(bench.machine.peripherals.spi.is_mapped());
        assert_eq!(bench.machine.peripherals.instruction_ram(), 0x8000);
        bench.call(0x4000_47f0, [0; 4]);
        assert!(!bench.machine.peripherals.spi.is_mapped());
        assert_eq!(bench.core.registers[1], 0);
        let unknown = call(&mut bench.core, &mut bench.machine, &mut bench.state, 0x4000_24cc);
        assert_eq!(unknown, Ok(None));
    }
}
