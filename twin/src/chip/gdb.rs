//! GDB's remote serial protocol for a chip: bytes in, bytes out.
//!
//! Registers are numbered as GDB's configuration for the LX106 has them (QEMU, `core-lx106/gdb-config`): a0 to a15, pc, then
//! special registers; all of them make up the `g` packet, as they do in QEMU's stub.

use std::convert::Infallible;

use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::Signal;
use gdbstub::conn::Connection;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{GdbStub, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{Breakpoints, BreakpointsOps, SwBreakpoint, SwBreakpointOps};
use gdbstub::target::{Target, TargetError, TargetResult};

use super::Chip;
use super::debug::Halt;

/// GDB's registers.
const REGISTERS: usize = PC + 1 + SPECIAL.len();
/// GDB's number of the program counter.
const PC: usize = 16;
/// The special register that stands for each of GDB's numbers from [`PC`] + 1 on.
const SPECIAL: [u8; 33] = [
    3, 5, 176, 208, 230, 89, 96, 104, 128, 144, 160, 177, 178, 179, 192, 194, 195, 209, 210, 211, 226, 226,
    227, 228, 231, 232, 233, 234, 235, 236, 237, 238, 240,
];

/// The LX106 as GDB knows it.
#[derive(Debug)]
pub enum Lx106 {}

/// One of GDB's registers, by its number.
#[derive(Clone, Copy, Debug)]
pub struct RegisterNumber(usize);

impl RegId for RegisterNumber {
    fn from_raw_id(id: usize) -> Option<(Self, Option<std::num::NonZeroUsize>)> {
        (id < REGISTERS).then_some((RegisterNumber(id), std::num::NonZeroUsize::new(4)))
    }

    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// The registers of a `g` packet. One that is not modelled is unknown to GDB.
#[derive(Clone, Debug, PartialEq)]
pub struct AllRegisters([Option<u32>; REGISTERS]);

impl Default for AllRegisters {
    fn default() -> Self {
        AllRegisters([None; REGISTERS])
    }
}

impl Registers for AllRegisters {
    type ProgramCounter = u32;

    fn pc(&self) -> u32 {
        self.0[PC].unwrap_or(0)
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for register in self.0 {
            let bytes = register.map(u32::to_le_bytes);
            for index in 0..4 {
                write_byte(bytes.map(|bytes| bytes[index]));
            }
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (words, rest) = bytes.as_chunks::<4>();
        if words.len() > REGISTERS || !rest.is_empty() {
            return Err(());
        }
        for (register, word) in self.0.iter_mut().zip(words) {
            *register = Some(u32::from_le_bytes(*word));
        }
        Ok(())
    }
}

impl Arch for Lx106 {
    type Usize = u32;
    type Registers = AllRegisters;
    type BreakpointKind = usize;
    type RegId = RegisterNumber;
}

impl Chip {
    fn register(&mut self, number: usize) -> Option<u32> {
        match number {
            0..PC => self.core.registers.get(number).copied(),
            PC => Some(self.core.pc),
            _ => self.core.special.read(*SPECIAL.get(number - PC - 1)?),
        }
    }

    fn set_register(&mut self, number: usize, value: u32) -> Option<()> {
        match number {
            0..PC => *self.core.registers.get_mut(number)? = value,
            PC => self.core.pc = value,
            _ => self.core.special.write(*SPECIAL.get(number - PC - 1)?, value)?,
        }
        Some(())
    }
}

impl Target for Chip {
    type Arch = Lx106;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Lx106, Infallible> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadBase for Chip {
    fn read_registers(&mut self, registers: &mut AllRegisters) -> TargetResult<(), Self> {
        for (number, register) in registers.0.iter_mut().enumerate() {
            *register = self.register(number);
        }
        Ok(())
    }

    fn write_registers(&mut self, registers: &AllRegisters) -> TargetResult<(), Self> {
        for (number, register) in registers.0.iter().enumerate() {
            // GDB sends back what it was told, unknown ones as 0.
            let _ = register.and_then(|value| self.set_register(number, value));
        }
        Ok(())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, (), Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, address: u32, bytes: &mut [u8]) -> TargetResult<usize, Self> {
        match self.peek(address, bytes) {
            0 => Err(TargetError::NonFatal),
            count => Ok(count),
        }
    }

    fn write_addrs(&mut self, address: u32, bytes: &[u8]) -> TargetResult<(), Self> {
        if self.poke(address, bytes) { Ok(()) } else { Err(TargetError::NonFatal) }
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<()> for Chip {
    fn read_register(
        &mut self,
        (): (),
        register: RegisterNumber,
        bytes: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let value = self.register(register.0).ok_or(TargetError::NonFatal)?;
        let target = bytes.get_mut(..4).ok_or(TargetError::NonFatal)?;
        target.copy_from_slice(&value.to_le_bytes());
        Ok(4)
    }

    fn write_register(&mut self, (): (), register: RegisterNumber, bytes: &[u8]) -> TargetResult<(), Self> {
        let value = bytes.try_into().map(u32::from_le_bytes).map_err(|_| TargetError::NonFatal)?;
        self.set_register(register.0, value).ok_or(TargetError::NonFatal)
    }
}

impl SingleThreadResume for Chip {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Infallible> {
        Chip::resume(self, false);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Chip {
    fn step(&mut self, _: Option<Signal>) -> Result<(), Infallible> {
        Chip::resume(self, true);
        Ok(())
    }
}

impl Breakpoints for Chip {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Chip {
    fn add_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        self.set_breakpoint(address, true);
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u32, _: usize) -> TargetResult<bool, Self> {
        Ok(self.set_breakpoint(address, false))
    }
}

/// Bytes for GDB.
#[derive(Debug, Default)]
struct Outgoing(Vec<u8>);

impl Connection for Outgoing {
    type Error = Infallible;

    fn write(&mut self, byte: u8) -> Result<(), Infallible> {
        self.0.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

type Stub = GdbStubStateMachine<'static, Chip, Outgoing>;

/// A GDB that has connected. Whoever owns it calls [`step`](Self::step) whenever the chip has run.
pub struct Gdb {
    /// None once GDB has gone, or has said what is no packet.
    stub: Option<Stub>,
    /// What the stub wrote before it ended.
    rest: Vec<u8>,
}

impl Gdb {
    /// Halts the chip for a GDB that has connected.
    pub fn attach(chip: &mut Chip) -> Self {
        chip.halt();
        // What halted it is told when GDB asks.
        chip.take_halt();
        Gdb { stub: GdbStub::new(Outgoing::default()).run_state_machine(chip).ok(), rest: Vec::new() }
    }

    /// Takes bytes from GDB.
    pub fn receive(&mut self, chip: &mut Chip, bytes: &[u8]) {
        for byte in bytes {
            self.with(|stub| match stub {
                GdbStubStateMachine::Idle(stub) => stub.incoming_data(chip, *byte).ok(),
                GdbStubStateMachine::Running(stub) => stub.incoming_data(chip, *byte).ok(),
                stub => Some(stub),
            });
            self.with(|stub| match stub {
                GdbStubStateMachine::CtrlCInterrupt(stub) => {
                    chip.halt();
                    chip.take_halt();
                    let reason = SingleThreadStopReason::Signal(Signal::SIGINT);
                    stub.interrupt_handled(chip, Some(reason)).ok()
                }
                stub => Some(stub),
            });
        }
        if self.is_over() {
            chip.release();
        }
    }

    /// Tells GDB what has halted the chip.
    pub fn step(&mut self, chip: &mut Chip) {
        if !matches!(self.stub, Some(GdbStubStateMachine::Running(_))) {
            return;
        }
        let Some(halt) = chip.take_halt() else { return };
        let reason = match halt {
            Halt::Breakpoint => SingleThreadStopReason::SwBreak(()),
            Halt::Stepped => SingleThreadStopReason::DoneStep,
            Halt::Asked => SingleThreadStopReason::Signal(Signal::SIGINT),
            Halt::Stopped(_) => SingleThreadStopReason::Signal(Signal::SIGILL),
        };
        self.with(|stub| match stub {
            GdbStubStateMachine::Running(stub) => stub.report_stop(chip, reason).ok(),
            stub => Some(stub),
        });
    }

    /// Takes bytes for GDB.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.rest);
        self.with(|mut stub| {
            bytes.append(outgoing(&mut stub));
            Some(stub)
        });
        bytes
    }

    /// Returns whether GDB has gone: it has detached, killed the program, or said what is no packet.
    pub fn is_over(&self) -> bool {
        matches!(self.stub, None | Some(GdbStubStateMachine::Disconnected(_)))
    }

    /// Replaces the stub by what becomes of it. What an ended one has written is kept.
    fn with(&mut self, change: impl FnOnce(Stub) -> Option<Stub>) {
        let Some(mut stub) = self.stub.take() else { return };
        self.rest.append(outgoing(&mut stub));
        self.stub = change(stub);
    }
}

fn outgoing(stub: &mut Stub) -> &mut Vec<u8> {
    match stub {
        GdbStubStateMachine::Idle(stub) => &mut stub.borrow_conn().0,
        GdbStubStateMachine::Running(stub) => &mut stub.borrow_conn().0,
        GdbStubStateMachine::CtrlCInterrupt(stub) => &mut stub.borrow_conn().0,
        GdbStubStateMachine::Disconnected(stub) => &mut stub.borrow_conn().0,
    }
}
