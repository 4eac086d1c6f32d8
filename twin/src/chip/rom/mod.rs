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
    (0x4000_0dd0, "ets_task"),
    (0x4000_0e04, "ets_run"),
    (0x4000_0e24, "ets_post"),
    (0x4000_0f74, "ets_intr_lock"),
    (0x4000_0f80, "ets_intr_unlock"),
    (0x4000_10a8, "the return of a program that the loader has started"),
    (0x4000_18c4, "ets_memmove"),
    (0x4000_18d4, "ets_memcmp"),
    (0x4000_1dcc, "ets_uart_putc1"),
    (0x4000_24cc, "ets_printf"),
    (0x4000_25e0, "rtc_get_reset_reason"),
    (0x4000_2c48, "ets_timer_setfn"),
    (0x4000_2cc4, "ets_timer_arm"),
    (0x4000_2f04, "ets_update_cpu_frequency"),
    (0x4000_2fa0, "ets_wdt_enable"),
    (0x4000_30f0, "ets_wdt_disable"),
    (0x4000_383c, "uartAttach"),
    (0x4000_3a14, "Uart_Init"),
    (0x4000_43c8, "SPI_read_status"),
    (0x4000_48a8, "SPILock"),
    (0x4000_48ec, "SPIReadModeCnfig"),
    (0x4000_4b44, "SPIEraseArea"),
    (0x4000_6738, "rom_sar_init"),
    (0x4000_7268, "rom_i2c_readReg"),
    (0x4000_bf4c, "strlen"),
    (0x4000_dea8, "memcmp"),
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
    // Some tens of instructions.
    machine.now.0 += 32 * machine.peripherals.cycle();
    core.pc = core.registers[0];
    Ok(())
}

/// Why the loader starts nothing. What a board would do is told in words, because a board tells nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotStarted(pub String);

/// Prints what the ROM prints, loads the image at flash address 0 and starts it.
///
/// # Errors
/// There is no image, or a damaged one: a board prints `ets_main.c 181` and waits for ever.
pub(super) fn boot(core: &mut Core, machine: &mut Machine, cause: Cause) -> Result<(), NotStarted> {
    prepare(machine);
    core.reset(START + 0x80);
    let number = cause as u32;
    let wdt = if cause == Cause::Watchdog { "\nwdt reset\n" } else { "" };
    print(machine, &format!("\r\n ets Jan  8 2013,rst cause:{number}, boot mode:(3,6)\r\n{wdt}\r\n"));
    let entry = match load(machine) {
        Ok(entry) => entry,
        Err(text) => {
            print(machine, "ets_main.c 181 \r\n");
            return Err(NotStarted(text));
        }
    };
    core.pc = entry;
    core.registers = [0; 16];
    core.registers[1] = STACK;
    core.special.ps = PS_UM;
    core.special.intenable = 0;
    core.special.vecbase = START;
    machine.is_touched = true;
    Ok(())
}

/// Puts data where the ROM has it: what it takes the flash chip for, which esptool's stub looks at and changes.
fn prepare(machine: &mut Machine) {
    let words = [0x3fff_c718, 0x16_40ef, 0x40_0000, 0x1_0000, 0x1000, 0x100, 0xffff];
    for (address, word) in (FLASH_CHIP..).step_by(4).zip(words) {
        // There is RAM.
        let _ = machine.store(address, Width::Word, word);
    }
}

/// Starts the serial loader, as the straps for a download do.
pub(super) fn download(core: &mut Core, machine: &mut Machine, cause: Cause) -> Loader {
    prepare(machine);
    *core = Core::new(START + 0x80);
    print(machine, &format!("\r\n ets Jan  8 2013,rst cause:{}, boot mode:(1,6)\r\n\r\n", cause as u32));
    Loader::start(machine)
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

/// Loads the image's segments; returns its entry point.
fn load(machine: &mut Machine) -> Result<u32, String> {
    let mut at = 0_u32;
    let mut header = [0; 8];
    read(machine, &mut at, &mut header)?;
    let [magic, segments, _, _, entry @ ..] = header;
    if magic == 0xff {
        return Err("the flash chip is empty: `dunlin flash` puts the firmware on a board".to_owned());
    }
    if magic != IMAGE_MAGIC {
        return Err(format!(
            "flash begins with {magic:#04x} and not with 0xe9: that is no image of an ESP8266"
        ));
    }
    let mut checksum = CHECKSUM;
    for number in 0..segments {
        let mut words = [0; 8];
        read(machine, &mut at, &mut words)?;
        let [a, b, c, d, len @ ..] = words;
        let (address, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes(len));
        if len > 0x1_8000 || !len.is_multiple_of(4) {
            return Err(format!("segment {number} of the image has {len} bytes: the image is damaged"));
        }
        print(machine, &format!("load {address:#010x}, len {len}, room 16 \r\n"));
        let mut bytes = vec![0; len as usize];
        read(machine, &mut at, &mut bytes)?;
        for (offset, word) in (0_u32..).step_by(4).zip(bytes.chunks_exact(4)) {
            checksum = word.iter().fold(checksum, |sum, byte| sum ^ byte);
            let word = word.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            machine
                .store(address.wrapping_add(offset), Width::Word, word)
                .map_err(|_| format!("segment {number} goes to {address:#x}, where there is no RAM"))?;
        }
    }
    let mut last = [0];
    let mut place = at | 15;
    read(machine, &mut place, &mut last)?;
    print(machine, &format!("chksum {checksum:#04x}\r\n"));
    if last != [checksum] {
        print(machine, "csum err\r\n");
        return Err(format!(
            "the image's checksum is {:#04x}, its bytes give {checksum:#04x}: it is damaged",
            last[0]
        ));
    }
    print(machine, &format!("csum {checksum:#04x}\r\n"));
    Ok(u32::from_le_bytes(entry))
}

fn read(machine: &mut Machine, at: &mut u32, bytes: &mut [u8]) -> Result<(), String> {
    let mut flash = machine.peripherals.spi.flash().clone();
    flash.read(*at, bytes).map_err(|_| "the image goes on behind the end of the flash chip".to_owned())?;
    *at += bytes.len() as u32;
    // The ROM reads with a clock of 13 MHz, one bit at a time.
    machine.now.0 += bytes.len() as u64 * Time::from_micros(1).0;
    Ok(())
}
