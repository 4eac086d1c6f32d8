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

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLER: u32 = 0x4010_0100;
    const PROGRAM: u32 = 0x4010_0203;
    const PS_UM: u32 = 0x20;

    /// A core that an interrupt among `lines` has just brought to the ROM's vector.
    fn interrupted(lines: u32) -> Core {
        let mut core = Core::new(USER_VECTOR);
        core.registers = std::array::from_fn(|index| 0x3fff_0000 + index as u32 * 4);
        let special = &mut core.special;
        (special.exccause, special.interrupt, special.intenable) = (LEVEL_1_INTERRUPT, lines, 0x7fff);
        (special.epc[0], special.ps, special.sar) = (PROGRAM, PS_UM | PS_EXCM, 13);
        core
    }

    #[test]
    fn the_handler_of_the_highest_line_runs_and_the_program_goes_on() {
        let mut core = interrupted(1 << 5 | 1 << 9);
        let mut state = State::default();
        (state.handlers[5], state.handlers[9]) = ((1, 2), (HANDLER, 77));
        let before = core.registers;
        assert_eq!(take(&mut core, &mut state), Ok(true));
        assert_eq!((core.pc, core.registers[0], core.registers[2]), (HANDLER, RETURN, 77));
        assert!(core.registers[1] <= before[1] - FRAME && core.registers[1].is_multiple_of(16));
        assert_eq!(core.special.ps, PS_UM | 1, "interrupts wait, and exceptions may come");
        assert_eq!(core.special.interrupt, 1 << 5, "an edge is over, a level isn't");
        // The handler may change every register.
        (core.registers, core.special.sar, core.pc) = ([9; 16], 3, RETURN);
        assert_eq!(take(&mut core, &mut state), Ok(true));
        assert_eq!((core.registers, core.special.sar, core.pc), (before, 13, PROGRAM));
        assert_eq!(core.special.ps, PS_UM);
        core.pc = RETURN;
        assert_eq!(take(&mut core, &mut state), Ok(false), "nobody is interrupted");
    }

    #[test]
    fn what_nobody_handles_is_told() {
        let mut core = interrupted(1 << 3);
        assert_eq!(take(&mut core, &mut State::default()), Err("interrupt 3 has no handler".to_owned()));
        (core.special.exccause, core.special.excvaddr) = (29, 4);
        let told = take(&mut core, &mut State::default()).unwrap_err();
        assert_eq!(told, "Fatal exception (29): epc1 0x40100203, excvaddr 0x00000004");
        core.pc = PROGRAM;
        assert_eq!(take(&mut core, &mut State::default()), Ok(false), "no place of the ROM");
    }
}
