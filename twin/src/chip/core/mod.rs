//! The LX106: Xtensa LX3, little-endian, call0 ABI, code density, MUL16, MULL, NSA, one interrupt level and an NMI.
//!
//! An interpreter over a [`Bus`]. It knows nothing of the ESP8266 around it. An instruction outside the core's
//! configuration, and an access that the bus doesn't model, stop the run and say where.

pub mod bus;
mod cache;
pub mod decode;
mod execute;
mod special;

use bus::{Bus, Refusal};
use cache::DecodeCache;
use decode::{Instruction, Operation, decode};
use execute::Fault;
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

/// Why [`Core::run`] came back although the run can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The cycle that was asked for is reached.
    Reached,
    /// The bus asked for attention.
    Attention,
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
    /// Cycles since the start: one for each instruction, and those that passed in [`idle`](Core::idle).
    pub cycle: u64,
    cache: DecodeCache,
}

impl Core {
    /// Returns a core about to execute its first instruction at `pc`, with the special registers as after reset.
    pub fn new(pc: u32) -> Self {
        let special = SpecialRegisters::default();
        Core { registers: [0; 16], pc, special, executed: 0, cycle: 0, cache: DecodeCache::new() }
    }

    /// Resets registers, special registers and `pc`, and begins to count instructions anew. The count of cycles goes on.
    pub fn reset(&mut self, pc: u32) {
        self.executed = 0;
        self.registers = [0; 16];
        self.special = SpecialRegisters::default();
        self.pc = pc;
        self.forget_instructions();
    }

    /// Has to be called when memory that instructions were fetched from has changed other than by this core's stores: a
    /// loader wrote it, or another part of a flash is shown there.
    pub fn forget_instructions(&mut self) {
        self.cache.forget_all();
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

    /// Sets what drives the level lines among `mask` at once; edge lines and the timer keep their state.
    pub fn drive_levels(&mut self, mask: u32, raised: u32) {
        let mask = mask & !special::EDGE;
        self.special.interrupt = (self.special.interrupt & !mask) | (raised & mask);
    }

    /// Returns whether an interrupt would be taken before the next instruction.
    pub fn interrupt_pending(&self) -> bool {
        self.pending_interrupt().is_some()
    }

    /// Returns the cycles until CCOUNT equals CCOMPARE: 1 to 2^32.
    pub fn cycles_to_compare(&self) -> u64 {
        u64::from(self.special.ccompare.wrapping_sub(self.special.ccount).wrapping_sub(1)) + 1
    }

    /// Lets `cycles` pass without an instruction, as behind `waiti`.
    pub fn idle(&mut self, cycles: u64) {
        self.cycle += cycles;
        self.special.advance(cycles);
    }

    /// Executes instructions until `cycle` is reached or the bus asks for attention.
    ///
    /// # Errors
    /// The run can't go on, see [`Stop`]. The state is that before the instruction, unless the variant says otherwise.
    pub fn run(&mut self, bus: &mut impl Bus, cycle: u64) -> Result<Pause, Stop> {
        while self.cycle < cycle {
            self.take_interrupt();
            // Nothing else raises an interrupt or lets one through within a burst.
            let cycles = self.cycles_to_compare().min(cycle - self.cycle);
            self.burst(bus, cycles)?;
            if bus.attention() {
                return Ok(Pause::Attention);
            }
        }
        Ok(Pause::Reached)
    }

    /// Takes a pending interrupt if there is one, then executes one instruction; counts one cycle.
    ///
    /// # Errors
    /// The run can't go on, see [`Stop`]. The state is that before the instruction, unless the variant says otherwise.
    pub fn step(&mut self, bus: &mut impl Bus) -> Result<(), Stop> {
        self.take_interrupt();
        self.burst(bus, 1)
    }

    /// Counts instructions that were executed, the next of which is at `pc`.
    fn pass(&mut self, instructions: u64, pc: u32) {
        self.pc = pc;
        self.executed += instructions;
        self.idle(instructions);
    }

    /// Fetches and decodes.
    #[cold]
    fn fetch(&mut self, pc: u32, cycle: u64, bus: &mut impl Bus) -> Result<Instruction, Fault> {
        bus.at(cycle);
        let bytes = bus.fetch(pc).map_err(|refusal| Fault::Refused { refusal, address: pc })? & 0xFF_FFFF;
        let instruction = decode(bytes).ok_or(Fault::Instruction { bytes })?;
        self.cache.insert(pc, instruction);
        Ok(instruction)
    }

    /// Takes the exception of the instruction at `pc`, behind others that were executed, or stops there.
    #[cold]
    fn fault(&mut self, executed: u64, pc: u32, fault: Fault) -> Result<(), Stop> {
        self.pass(executed, pc);
        match fault {
            Fault::Refused { refusal: Refusal::Exception(cause), address } => {
                self.special.excvaddr = address;
                self.pass(1, pc);
                self.exception(cause, pc);
                Ok(())
            }
            Fault::Refused { refusal: Refusal::Unmodelled, address } => Err(Stop::Access { pc, address }),
            Fault::Instruction { bytes } => Err(Stop::Instruction { address: pc, bytes }),
        }
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

    /// Goes to the vector of a pending interrupt, if there is one; returns its level, 1 or 3. [`step`](Core::step) does so
    /// by itself.
    #[inline(always)]
    pub fn take_interrupt(&mut self) -> Option<u32> {
        if self.special.interrupt & (self.special.intenable | 1 << NMI) == 0 {
            return None;
        }
        let level = self.pending_interrupt()?;
        match level {
            1 => self.exception(LEVEL_1_INTERRUPT, self.pc),
            level => self.enter_level(level),
        }
        Some(level)
    }

    /// Returns the level of the interrupt that is taken next, 1 or 3.
    fn pending_interrupt(&self) -> Option<u32> {
        let special = &self.special;
        let level = special.ps & 15;
        if special.interrupt & 1 << NMI != 0 && level < 3 {
            return Some(3);
        }
        let pending = special.interrupt & special.intenable & !(1 << NMI) != 0;
        (pending && level < 1 && special.ps & PS_EXCM == 0).then_some(1)
    }

    /// Enters the vector of the NMI, which is an edge (ISA manual, section 4.4.4).
    fn enter_level(&mut self, level: u32) {
        let special = &mut self.special;
        special.interrupt &= !(1 << NMI);
        special.epc[2] = self.pc;
        special.eps[1] = special.ps;
        special.ps = (special.ps & !15) | level | PS_EXCM;
        self.pc = special.vecbase + 0x20;
    }

    /// The part of execution that changes the flow by state: exceptions, returns from them, waiting.
    fn control(&mut self, operation: Operation, level: u8, next: u32) -> Result<(), Stop> {
        let pc = self.pc;
        if operation == Operation::Break {
            return Err(Stop::Break(pc));
        }
        self.pass(1, next);
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
                return Err(Stop::Waiting);
            }
            _ => return Err(Stop::Simcall),
        }
        Ok(())
    }
}
