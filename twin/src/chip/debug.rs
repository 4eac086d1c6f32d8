//! What a debugger needs of a chip: to halt it, to step it, to let it run to a breakpoint, and to look into its memory.
//!
//! Nothing here knows a debugger's protocol; that is [`gdb`](super::gdb). A chip that is halted stands outside of time:
//! its timers and its watchdog wait with it.

use std::collections::BTreeSet;

use super::Chip;
use super::core::bus::{Bus, Width};
use super::machine::INSTRUCTION_RAM;

/// Why a chip was halted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The debugger asked for it.
    Asked,
    /// The instruction at a breakpoint comes next.
    Breakpoint,
    /// A single step is done.
    Stepped,
    /// The program did what isn't modelled; it can't go on.
    Stopped(String),
}

/// What a chip with a debugger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Halted,
    Stepping,
    Running,
}

/// The debugger's side of a chip.
#[derive(Debug)]
pub(super) struct Debug {
    breakpoints: BTreeSet<u32>,
    mode: Mode,
    halt: Option<Halt>,
}

impl Debug {
    /// Returns whether the chip stands.
    pub(super) fn is_halted(&self) -> bool {
        self.mode == Mode::Halted
    }

    /// Returns whether the chip has to be looked at after each instruction.
    pub(super) fn is_watching(&self) -> bool {
        self.mode == Mode::Stepping || !self.breakpoints.is_empty()
    }

    /// An instruction was executed; the one at `pc` comes next.
    pub(super) fn executed(&mut self, pc: u32) {
        if self.breakpoints.contains(&pc) {
            self.halt(Halt::Breakpoint);
        } else if self.mode == Mode::Stepping {
            self.halt(Halt::Stepped);
        }
    }

    pub(super) fn halt(&mut self, halt: Halt) {
        self.mode = Mode::Halted;
        self.halt = Some(halt);
    }
}

impl Chip {
    /// Halts the chip, which a debugger has from now on until [`release`](Self::release).
    pub fn halt(&mut self) {
        let debug = Debug { breakpoints: BTreeSet::new(), mode: Mode::Halted, halt: None };
        self.debug.get_or_insert(debug).halt(Halt::Asked);
    }

    /// Lets a halted chip go on: for one instruction, or until it is halted again.
    pub fn resume(&mut self, is_step: bool) {
        if let Some(debug) = &mut self.debug {
            debug.mode = if is_step { Mode::Stepping } else { Mode::Running };
            debug.halt = None;
        }
    }

    /// Takes the debugger away: the chip goes on, and no breakpoint halts it any more.
    pub fn release(&mut self) {
        self.debug = None;
    }

    /// Returns whether the chip is halted.
    pub fn is_halted(&self) -> bool {
        self.debug.as_ref().is_some_and(Debug::is_halted)
    }

    /// Returns why the chip was halted, once.
    pub fn take_halt(&mut self) -> Option<Halt> {
        self.debug.as_mut()?.halt.take()
    }

    /// Sets a breakpoint, or removes it; false where there was one already, or none.
    pub fn set_breakpoint(&mut self, address: u32, is_set: bool) -> bool {
        let Some(debug) = &mut self.debug else { return false };
        if is_set { debug.breakpoints.insert(address) } else { debug.breakpoints.remove(&address) }
    }

    /// Reads memory or registers from `address` on; returns how many bytes there are. Reading a register does what the
    /// program's reading it does.
    pub fn peek(&mut self, address: u32, bytes: &mut [u8]) -> usize {
        let mut count = 0;
        for (at, byte) in (address..=u32::MAX).zip(bytes) {
            let Ok(word) = self.machine.load(at & !3, Width::Word) else { break };
            *byte = word.to_le_bytes()[at as usize % 4];
            count += 1;
        }
        count
    }

    /// Writes RAM or registers, a word at a time; false where that is refused. Flash is not written.
    pub fn poke(&mut self, address: u32, bytes: &[u8]) -> bool {
        for (at, byte) in (address..=u32::MAX).zip(bytes) {
            let Ok(word) = self.machine.load(at & !3, Width::Word) else { return false };
            let shift = 8 * (at % 4);
            let word = word & !(0xff << shift) | u32::from(*byte) << shift;
            if self.machine.store(at & !3, Width::Word, word).is_err() {
                return false;
            }
            if at >= INSTRUCTION_RAM {
                self.core.forget_instructions();
            }
        }
        true
    }
}
