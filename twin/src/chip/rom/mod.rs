//! The mask ROM: its loader, and its functions by address.
//!
//! The ROM's code isn't ours to ship, so what it does is done by the host: a call into its address range carries out the
//! function and returns. Addresses are those of the vendor's `eagle.rom.addr.v6.ld`, behaviour that of the ROM's
//! disassembly as public sources describe it.

mod functions;
mod interrupts;
mod loader;

use embedded_storage::nor_flash::ReadNorFlash as _;

pub(super) use functions::State;
pub(super) use loader::Loader;

use super::core::Core;
use super::core::bus::{Bus, Width};
use super::machine::Machine;
use super::peripherals::rtc::Cause;
use super::time::Time;

/// First address of the ROM, and its size.
const START: u32 = 0x4000_0000;
const SIZE: u32 = 0x1_0000;
/// The stack of a program that the loader starts.
const STACK: u32 = 0x4000_0000;
const IMAGE_MAGIC: u8 = 0xe9;
const CHECKSUM: u8 = 0xef;
const PS_UM: u32 = 0x20;
/// Where the ROM keeps a pointer to its idea of the flash chip, which follows.
const FLASH_CHIP: u32 = 0x3fff_c714;

/// Functions that aren't emulated, so that a program that calls one can be told which.
const NAMES: &[(u32, &str)] = &[
    (0x4000_0454, "_xtos_set_exception_handler"),
    (0x4000_048c, "_xtos_l1int_handler"),
    (0x4000_0598, "_xtos_c_wrapper_handler"),
    (0x4000_05f0, "srand"),
    (0x4000_0600, "rand"),
    (0x4000_0650, "__muldi3"),
    (0x4000_0dd0, "ets_task"),
    (0x4000_0e04, "ets_run"),
    (0x4000_0e24, "ets_post"),
    (0x4000_0f74, "ets_intr_lock"),
    (0x4000_0f80, "ets_intr_unlock"),
    (0x4000_10a8, "the return of a program that the loader has started"),
    (0x4000_18c4, "ets_memmove"),
    (0x4000_18d4, "ets_memcmp"),
    (0x4000_1dcc, "ets_uart_putc1"),
    (0x4000_1f00, "ets_vprintf"),
    (0x4000_24cc, "ets_printf"),
    (0x4000_25e0, "rtc_get_reset_reason"),
    (0x4000_2668, "rtc_set_sleep_mode"),
    (0x4000_27b8, "ets_enter_sleep"),
    (0x4000_2c48, "ets_timer_setfn"),
    (0x4000_2cc4, "ets_timer_arm"),
    (0x4000_2d40, "ets_timer_disarm"),
    (0x4000_2e68, "ets_timer_init"),
    (0x4000_2fa0, "ets_wdt_enable"),
    (0x4000_30f0, "ets_wdt_disable"),
    (0x4000_3158, "ets_wdt_restore"),
    (0x4000_383c, "uartAttach"),
    (0x4000_3a14, "Uart_Init"),
    (0x4000_43c8, "SPI_read_status"),
    (0x4000_48a8, "SPILock"),
    (0x4000_48ec, "SPIReadModeCnfig"),
    (0x4000_4b44, "SPIEraseArea"),
    (0x4000_6738, "rom_sar_init"),
    (0x4000_6b10, "rom_ana_inf_gating_en"),
    (0x4000_7268, "rom_i2c_readReg"),
    (0x4000_729c, "rom_i2c_readReg_Mask"),
    (0x4000_730c, "rom_i2c_writeReg_Mask"),
    (0x4000_b584, "SHA1Init"),
    (0x4000_b5a8, "SHA1Update"),
    (0x4000_b648, "SHA1Final"),
    (0x4000_bdc8, "strcmp"),
    (0x4000_bec8, "strcpy"),
    (0x4000_bf4c, "strlen"),
    (0x4000_bfa8, "strncmp"),
    (0x4000_c0a0, "strncpy"),
    (0x4000_c180, "__addsf3"),
    (0x4000_c268, "__subsf3"),
    (0x4000_c3dc, "__mulsf3"),
    (0x4000_c4c4, "__fixunssfsi"),
    (0x4000_c538, "__adddf3"),
    (0x4000_c688, "__subdf3"),
    (0x4000_c8f0, "__muldf3"),
    (0x4000_cb94, "__divdf3"),
    (0x4000_ccb8, "__fixdfsi"),
    (0x4000_cd00, "__fixunsdfsi"),
    (0x4000_cd5c, "__truncdfsf2"),
    (0x4000_cdfc, "__extendsfdf2"),
    (0x4000_ce60, "__divdi3"),
    (0x4000_d310, "__udivdi3"),
    (0x4000_d770, "__umoddi3"),
    (0x4000_dbf8, "a spill of register windows"),
    (0x4000_dbfc, "a spill of register windows"),
    (0x4000_dc88, "__divsi3"),
    (0x4000_dea8, "memcmp"),
    (0x4000_e1e0, "strstr"),
    (0x4000_e2a4, "__floatunsisf"),
    (0x4000_e2ac, "__floatsisf"),
    (0x4000_e2e8, "__floatunsidf"),
    (0x4000_e2f0, "__floatsidf"),
    (0x4000_e320, "a spill of register windows"),
    (0x4000_e324, "a spill of register windows"),
];

/// Returns whether an address is in the ROM.
pub(super) fn contains(address: u32) -> bool {
    address.wrapping_sub(START) < SIZE
}

/// Carries out the function at the core's program counter and returns to its caller; the function's name where it isn't
/// emulated.
pub(super) fn call(core: &mut Core, machine: &mut Machine, state: &mut State) -> Result<(), String> {
    machine.is_touched = true;
    if interrupts::take(core, state)? {
        return Ok(());
    }
    let address = core.pc;
    let Some(returned) = functions::call(core, machine, state, address)? else {
        let name = NAMES.iter().find(|(known, _)| *known == address).map_or("unknown", |(_, name)| name);
        return Err(format!("the ROM's function at {address:#x} ({name}) isn't emulated"));
    };
    if let Some(word) = returned {
        core.registers[2] = word;
    }
    core.pc = core.registers[0];
    Ok(())
}

/// Why the loader starts nothing. What a board would do is told in words, because a board tells nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted(pub String);

/// Does what the straps say: waits for esptool, with the loader that is returned, or starts what is in flash.
///
/// # Errors
/// Nothing is started: the straps say so, or the image is none.
pub(super) fn start(
    core: &mut Core,
    machine: &mut Machine,
    cause: Cause,
) -> Result<Option<Loader>, NotStarted> {
    prepare(machine);
    core.reset(START + 0x80);
    let (number, mode) = (cause as u32, machine.peripherals.gpio.straps());
    let wdt = if cause == Cause::Watchdog { "\nwdt reset\n" } else { "" };
    print(machine, &format!("\r\n ets Jan  8 2013,rst cause:{number}, boot mode:({mode},6)\r\n{wdt}\r\n"));
    // A reset by software goes on to the image, whatever the straps say.
    let what = match mode {
        _ if cause == Cause::Software => return boot(core, machine).map(|()| None),
        1 => return Ok(Some(Loader::start(machine))),
        3 => return boot(core, machine).map(|()| None),
        0 => "waits for an SDIO host for ever",
        2 => "jumps to 0x40100000 without loading anything",
        _ => "waits for an SDIO host as its slave",
    };
    Err(NotStarted(format!(
        "boot mode {mode}: a board {what}; for a start from flash, GPIO0 and GPIO2 have to be high and GPIO15 low at the reset"
    )))
}

/// Loads the image at flash address 0 and starts it.
///
/// A reset does not end what the flash chip is at. That the ROM waits for it is a guess, from what its functions do before
/// each erasure and each page.
fn boot(core: &mut Core, machine: &mut Machine) -> Result<(), NotStarted> {
    machine.now = machine.now.max(machine.peripherals.spi.busy_until());
    let entry = load(machine).map_err(|fault| {
        let Fault { text, is_found } = fault;
        if is_found {
            print(machine, "ets_main.c 181 \r\n");
            return NotStarted(format!("{text}; a board prints `ets_main.c 181` and waits for ever"));
        }
        NotStarted(format!(
            "{text}; a board doesn't find that: it goes on with what it reads, and starts nothing"
        ))
    })?;
    core.pc = entry;
    core.registers = [0; 16];
    core.registers[1] = STACK;
    core.special.ps = PS_UM;
    core.special.intenable = 0;
    core.special.vecbase = START;
    machine.is_touched = true;
    Ok(())
}

/// Puts data where the ROM has it: what it takes the flash chip for, which esptool's stub looks at and changes, and the MHz of
/// its delays.
fn prepare(machine: &mut Machine) {
    let words = [0x3fff_c718, 0x16_40ef, 0x40_0000, 0x1_0000, 0x1000, 0x100, 0xffff];
    for (address, word) in (FLASH_CHIP..).step_by(4).zip(words) {
        // There is RAM.
        let _ = machine.store(address, Width::Word, word);
    }
    let _ = machine.store(functions::MHZ, Width::Word, 80);
}

/// Prints on UART0, whose FIFO the ROM waits for; time passes meanwhile.
fn print(machine: &mut Machine, text: &str) {
    let apb = machine.peripherals.apb();
    for byte in text.bytes() {
        let end = machine.peripherals.uarts[0].print(machine.now, byte, apb);
        // The last 128 characters are still in the FIFO when the ROM goes on; the model lets it wait for one.
        machine.now = Time(end.0.max(machine.now.0));
    }
}

/// What is wrong with an image.
struct Fault {
    text: String,
    /// Whether the ROM finds it.
    is_found: bool,
}

impl Fault {
    fn found(text: String) -> Self {
        Fault { text, is_found: true }
    }

    fn missed(text: String) -> Self {
        Fault { text, is_found: false }
    }
}

/// Bytes that the ROM reads at a time.
const ROOM: u32 = 16;

/// Loads the image's segments; returns its entry point.
fn load(machine: &mut Machine) -> Result<u32, Fault> {
    let mut at = 0_u32;
    let mut header = [0; 8];
    read(machine, &mut at, &mut header)?;
    let [magic, segments, _, _, entry @ ..] = header;
    if magic == 0xff {
        let text = "the flash chip is empty: `dunlin flash` puts the firmware on a board";
        return Err(Fault::found(text.to_owned()));
    }
    if magic != IMAGE_MAGIC {
        return Err(Fault::found(format!(
            "flash begins with {magic:#04x} and not with 0xe9: that is no image of an ESP8266"
        )));
    }
    let mut checksum = CHECKSUM;
    for number in 0..segments {
        segment(machine, &mut at, number, &mut checksum)?;
    }
    let mut last = [0];
    let mut place = at | (ROOM - 1);
    read(machine, &mut place, &mut last)?;
    if last != [checksum] {
        print(machine, "csum err\r\n");
        return Err(Fault::found(format!(
            "the image's checksum is {:#04x}, its bytes give {checksum:#04x}: it is damaged or cut short",
            last[0]
        )));
    }
    print(machine, &format!("csum {checksum:#04x}\r\n"));
    Ok(u32::from_le_bytes(entry))
}

/// Loads a segment, and tells of it as the ROM does.
fn segment(machine: &mut Machine, at: &mut u32, number: u8, checksum: &mut u8) -> Result<(), Fault> {
    let mut words = [0; 8];
    read(machine, at, &mut words)?;
    let [a, b, c, d, len @ ..] = words;
    let (address, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(len));
    // What is left of the bytes that were read last.
    let room = ROOM - *at % ROOM;
    print(machine, &format!("load {address:#010x}, len {}, room {room} \r\n", len as i32));
    if len > 0x1_8000 || !len.is_multiple_of(4) {
        return Err(Fault::missed(format!(
            "segment {number} of the image has {len} bytes: the image is damaged or cut short"
        )));
    }
    let mut bytes = vec![0; len as usize];
    read(machine, at, &mut bytes)?;
    for (offset, word) in (0_u32..).step_by(4).zip(bytes.chunks_exact(4)) {
        *checksum = word.iter().fold(*checksum, |sum, byte| sum ^ byte);
        let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        machine.store(address.wrapping_add(offset), Width::Word, word).map_err(|_| {
            Fault::missed(format!(
                "segment {number} of the image goes to {address:#x}, where there is no RAM"
            ))
        })?;
    }
    let tail = len.saturating_sub(room) % ROOM;
    print(machine, &format!("tail {tail}\r\nchksum {checksum:#04x}\r\n"));
    Ok(())
}

fn read(machine: &mut Machine, at: &mut u32, bytes: &mut [u8]) -> Result<(), Fault> {
    let mut flash = machine.peripherals.spi.flash().clone();
    flash
        .read(*at, bytes)
        .map_err(|_| Fault::found("the image goes on behind the end of the flash chip".to_owned()))?;
    *at += bytes.len() as u32;
    // The ROM reads with a clock of 13 MHz, one bit at a time.
    machine.now.0 += bytes.len() as u64 * Time::from_micros(1).0;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::peripherals::Peripherals;
    use crate::devices::i2c::Wiring;
    use crate::devices::nor_flash::{NorFlash, Timing};
    use embassy_time::Instant;

    /// What is told of a program that goes on at an address of the ROM.
    fn told(address: u32) -> Result<(), String> {
        let origin = Instant::from_ticks(0);
        let flash = NorFlash::new(1 << 20);
        let mut peripherals = Peripherals::new(flash, Timing::default(), Wiring::new(), 1, 1, origin);
        peripherals.reset(Time(0), Cause::PowerOn);
        let mut machine = Machine::new(peripherals, 1);
        call(&mut Core::new(address), &mut machine, &mut State::default())
    }

    #[test]
    fn what_is_not_emulated_is_told_by_its_name_or_as_unknown() {
        let printf = "the ROM's function at 0x400024cc (ets_printf) isn't emulated";
        assert_eq!(told(0x4000_24cc), Err(printf.to_owned()));
        let nobody = "the ROM's function at 0x40004321 (unknown) isn't emulated";
        assert_eq!(told(0x4000_4321), Err(nobody.to_owned()));
        // The middle of a function that is emulated isn't that function.
        let middle = "the ROM's function at 0x40002ece (unknown) isn't emulated";
        assert_eq!(told(0x4000_2ece), Err(middle.to_owned()));
        assert_eq!(told(0x4000_2ecc), Ok(()));
    }

    #[test]
    fn a_function_is_emulated_or_named_and_the_names_are_in_order() {
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
        for (address, name) in NAMES {
            assert!(contains(*address));
            let told = told(*address).unwrap_err();
            assert!(told.contains(name), "{address:#x} is emulated and named: {told}");
        }
    }
}
