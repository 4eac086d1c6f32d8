//! What a chip does, step by step, for whoever looks for a fault in a program.

use super::core::{Core, Pause, Stop};
use super::machine::Machine;
use super::time::Time;

/// Something that the chip does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The instruction at this address is executed next.
    Instruction {
        /// Its address.
        pc: u32,
    },
    /// A peripheral's register was read.
    Load {
        /// The instruction's address.
        pc: u32,
        /// The register's.
        address: u32,
        /// What it gave.
        value: u32,
    },
    /// A peripheral's register was written.
    Store {
        /// The instruction's address.
        pc: u32,
        /// The register's.
        address: u32,
        /// What was written.
        value: u32,
    },
    /// An interrupt is taken before the instruction at `pc`.
    Interrupt {
        /// 1, or 3 for the NMI.
        level: u32,
        /// The lines that are raised and let through, by number.
        lines: u32,
        /// Where the program was.
        pc: u32,
    },
    /// The instruction at `pc` raised an exception.
    Exception {
        /// EXCCAUSE.
        cause: u32,
        /// EXCVADDR, which only exceptions of memory set.
        address: u32,
        /// The instruction's address.
        pc: u32,
    },
    /// A function of the boot ROM is called.
    Rom {
        /// Its address.
        address: u32,
        /// Where it returns to.
        caller: u32,
    },
}

/// Who is told, and of when.
pub type Tracer = Box<dyn FnMut(Time, Event)>;

/// An access to a register.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) address: u32,
    pub(super) value: u32,
    pub(super) is_store: bool,
}

/// Executes one instruction and tells what it did.
pub(super) fn step(core: &mut Core, machine: &mut Machine, tracer: &mut Tracer) -> Result<Pause, Stop> {
    let now = machine.now;
    let lines = core.special.interrupt & (core.special.intenable | 1 << 14);
    let from = core.pc;
    if let Some(level) = core.take_interrupt() {
        tracer(now, Event::Interrupt { level, lines, pc: from });
    }
    let pc = core.pc;
    if !super::rom::contains(pc) {
        tracer(now, Event::Instruction { pc });
    }
    machine.accesses = Some(Vec::new());
    let result = core.step(machine);
    for Access { address, value, is_store } in machine.accesses.take().unwrap_or_default() {
        let event =
            if is_store { Event::Store { pc, address, value } } else { Event::Load { pc, address, value } };
        tracer(now, event);
    }
    let special = &core.special;
    let is_vector = [0x30, 0x50, 0x70].contains(&core.pc.wrapping_sub(special.vecbase));
    if is_vector && (special.epc[0] == pc || special.depc == pc) {
        tracer(now, Event::Exception { cause: special.exccause, address: special.excvaddr, pc });
    }
    result.map(|()| Pause::Reached)
}
