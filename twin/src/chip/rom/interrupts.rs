//! The ROM's own vectors: a program that leaves VECBASE alone has its interrupts handled here.

use super::super::core::Core;
use super::functions::State;

/// Where a handler returns to: no function begins here.
const RETURN: u32 = 0x4000_0054;
/// Offset of the user vector, which the ROM's programs use.
const USER_VECTOR: u32 = 0x4000_0050;
const LEVEL_1_INTERRUPT: u32 = 4;
const PS_EXCM: u32 = 1 << 4;
/// What a handler may do with the stack of the program that it stops.
const FRAME: u32 = 256;

/// Registers of a program that an interrupt has stopped.
pub(super) struct Stopped {
    registers: [u32; 16],
    sar: u32,
    ps: u32,
    pc: u32,
}

/// Takes an exception at the ROM's user vector, or the return of a handler; whether it was one of both.
///
/// # Errors
/// An exception that the ROM prints and stops at.
pub(super) fn take(core: &mut Core, state: &mut State) -> Result<bool, String> {
    match core.pc {
        USER_VECTOR => {}
        RETURN => {
            let Some(stopped) = state.stopped.pop() else { return Ok(false) };
            core.registers = stopped.registers;
            core.special.sar = stopped.sar;
            core.special.ps = stopped.ps & !PS_EXCM;
            core.pc = stopped.pc;
            return Ok(true);
        }
        _ => return Ok(false),
    }
    let cause = core.special.exccause;
    if cause != LEVEL_1_INTERRUPT {
        return Err(format!(
            "Fatal exception ({cause}): epc1 {:#010x}, excvaddr {:#010x}",
            core.special.epc[0], core.special.excvaddr
        ));
    }
    let pending = core.special.interrupt & core.special.intenable;
    let number = pending.checked_ilog2().unwrap_or(0);
    let (handler, argument) = state.handlers.get(number as usize).copied().unwrap_or((0, 0));
    if handler == 0 {
        return Err(format!("interrupt {number} has no handler"));
    }
    let special = &mut core.special;
    state.stopped.push(Stopped {
        registers: core.registers,
        sar: special.sar,
        ps: special.ps,
        pc: special.epc[0],
    });
    special.interrupt &= !(1 << number & 0x3f80);
    // The handler runs with interrupts held and exceptions possible.
    special.ps = special.ps & !(PS_EXCM | 15) | 1;
    core.registers[0] = RETURN;
    core.registers[1] = core.registers[1].wrapping_sub(FRAME) & !15;
    core.registers[2] = argument;
    core.pc = handler;
    Ok(true)
}
