//! The LX106: Xtensa LX3, little-endian, call0 ABI, code density, MUL16, MULL, NSA, one interrupt level and an NMI.
//!
//! An interpreter over a [`Bus`]. It knows nothing of the ESP8266 around it. An instruction outside the core's
//! configuration, and an access that the bus doesn't model, stop the run and say where.

pub mod bus;
pub mod decode;
mod execute;
mod special;

use bus::{Bus, Refusal};
use decode::{Operation, decode};
pub use special::SpecialRegisters;

/// Why [`Core::step`] can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The bytes at `address` aren't an instruction of this core that is implemented.
    Instruction {
        /// Where.
        address: u32,
        /// The three bytes, lowest first.
        bytes: u32,
    },
    /// An access that the bus doesn't model.
    Access {
        /// The instruction's address.
        pc: u32,
        /// What it wanted.
        address: u32,
    },
    /// A special register that this core doesn't have or that isn't implemented.
    SpecialRegister {
        /// The instruction's address.
        pc: u32,
        /// The register's number.
        number: u8,
    },
    /// `simcall`, which silicon doesn't define: a semihosting call of the program. `pc` is behind it.
    Simcall,
    /// `break` at this address; there is no debugger to take it.
    Break(u32),
    /// `waiti`: nothing to do until an interrupt is raised. `pc` is behind it.
    Waiting,
}

/// EXCCAUSE of `ill`.
const ILLEGAL_INSTRUCTION: u8 = 0;
/// EXCCAUSE of `syscall`.
const SYSCALL: u8 = 1;
/// EXCCAUSE of a level-1 interrupt.
const LEVEL_1_INTERRUPT: u8 = 4;
/// The number of the non-maskable interrupt.
const NMI: u32 = 14;
const PS_EXCM: u32 = 1 << 4;
const PS_UM: u32 = 1 << 5;

/// The processor's state.
#[derive(Clone, Debug)]
pub struct Core {
    /// The address registers, `a0` to `a15`.
    pub registers: [u32; 16],
    /// The address of the next instruction.
    pub pc: u32,
    /// The special registers.
    pub special: SpecialRegisters,
    /// Instructions executed since the start.
    pub executed: u64,
}

impl Core {
    /// Returns a core about to execute its first instruction at `pc`, with the special registers as after reset.
    pub fn new(pc: u32) -> Self {
        Core { registers: [0; 16], pc, special: SpecialRegisters::default(), executed: 0 }
    }

    /// Sets or clears what drives interrupt line `number`, 0–14. Edge lines keep a set state until INTCLEAR.
    pub fn set_interrupt(&mut self, number: u32, raised: bool) {
        let bit = 1_u32.checked_shl(number).unwrap_or(0);
        if raised {
            self.special.interrupt |= bit;
        } else if bit & special::EDGE == 0 {
            self.special.interrupt &= !bit;
        }
    }

    /// Returns whether an interrupt would be taken before the next instruction.
    pub fn interrupt_pending(&self) -> bool {
        let pending = self.special.interrupt & (self.special.intenable | 1 << NMI);
        let level = self.special.ps & 15;
        let is_nmi = pending & 1 << NMI != 0 && level < 3;
        is_nmi || pending & !(1 << NMI) != 0 && level < 1 && self.special.ps & PS_EXCM == 0
    }

    /// Lets `cycles` pass without an instruction, as behind `waiti`.
    pub fn idle(&mut self, cycles: u64) {
        self.special.advance(cycles);
    }

    /// Takes a pending interrupt if there is one, then executes one instruction; counts one cycle.
    ///
    /// # Errors
    /// The run can't go on, see [`Stop`]. The state is that before the instruction, unless the variant says otherwise.
    pub fn step(&mut self, bus: &mut impl Bus) -> Result<(), Stop> {
        self.take_interrupt();
        let pc = self.pc;
        let word = match bus.fetch(pc) {
            Ok(word) => word & 0xFF_FFFF,
            Err(Refusal::Exception(cause)) => {
                self.special.excvaddr = pc;
                self.exception(cause, pc);
                return Ok(());
            }
            Err(Refusal::Unmodelled) => return Err(Stop::Access { pc, address: pc }),
        };
        let Some(instruction) = decode(word) else {
            return Err(Stop::Instruction { address: pc, bytes: word });
        };
        let result = match self.execute(instruction, bus) {
            Err((Refusal::Exception(cause), address)) => {
                self.special.excvaddr = address;
                self.exception(cause, pc);
                Ok(())
            }
            Err((Refusal::Unmodelled, address)) => return Err(Stop::Access { pc, address }),
            Ok(Some(stop @ (Stop::SpecialRegister { .. } | Stop::Break(_)))) => return Err(stop),
            Ok(Some(stop)) => Err(stop),
            Ok(None) => Ok(()),
        };
        self.executed += 1;
        self.special.tick();
        result
    }

    /// Enters the exception vector of this state (ISA manual, section 4.4.1): EPC1, or DEPC within an exception.
    fn exception(&mut self, cause: u8, pc: u32) {
        let special = &mut self.special;
        special.exccause = u32::from(cause);
        let offset = if special.ps & PS_EXCM != 0 {
            special.depc = pc;
            0x70
        } else {
            special.epc[0] = pc;
            if special.ps & PS_UM != 0 { 0x50 } else { 0x30 }
        };
        special.ps |= PS_EXCM;
        self.pc = special.vecbase + offset;
    }

    fn take_interrupt(&mut self) {
        let pending = self.special.interrupt & (self.special.intenable | 1 << NMI);
        if pending == 0 {
            return;
        }
        let level = self.special.ps & 15;
        if pending & 1 << NMI != 0 && level < 3 {
            self.special.interrupt &= !(1 << NMI);
            self.special.epc[2] = self.pc;
            self.special.eps[1] = self.special.ps;
            self.special.ps = (self.special.ps & !15) | 3 | PS_EXCM;
            self.pc = self.special.vecbase + 0x20;
        } else if pending & !(1 << NMI) != 0 && level < 1 && self.special.ps & PS_EXCM == 0 {
            self.exception(LEVEL_1_INTERRUPT, self.pc);
        }
    }

    /// The part of execution that changes the flow by state: exceptions, returns from them, waiting.
    fn control(&mut self, operation: Operation, level: u8, next: u32) -> Option<Stop> {
        let pc = self.pc;
        self.pc = next;
        match operation {
            Operation::Rfe => {
                self.special.ps &= !PS_EXCM;
                self.pc = self.special.epc[0];
            }
            Operation::Rfde => self.pc = self.special.depc,
            Operation::Rfi => {
                self.pc = self.special.epc[usize::from(level.clamp(2, 3)) - 1];
                self.special.ps = self.special.eps[usize::from(level.clamp(2, 3)) - 2];
            }
            Operation::Ill => self.exception(ILLEGAL_INSTRUCTION, pc),
            Operation::Syscall => self.exception(SYSCALL, pc),
            Operation::Waiti => {
                self.special.ps = (self.special.ps & !15) | u32::from(level);
                return Some(Stop::Waiting);
            }
            Operation::Simcall => return Some(Stop::Simcall),
            _ => {
                self.pc = pc;
                return Some(Stop::Break(pc));
            }
        }
        None
    }
}
