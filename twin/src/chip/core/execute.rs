//! What each instruction does (ISA manual, chapter 6), over registers and the bus.
//!
//! [`Core::burst`] is the one place where time is spent: everything that can wait until its end does. Instructions that touch
//! special registers or the flow by state leave it for [`Core::system`].

use super::bus::{Bus, Refusal, Width};
use super::decode::{Instruction, Operation as O, branch_constant};
use super::{Core, Stop};

impl Core {
    #[inline(always)]
    fn get(&self, register: u8) -> u32 {
        self.registers[usize::from(register & 15)]
    }

    #[inline(always)]
    fn set(&mut self, register: u8, value: u32) {
        self.registers[usize::from(register & 15)] = value;
    }

    /// Executes `limit` instructions, or fewer: it ends behind one that may raise an interrupt or let one through, and where
    /// the bus asks for attention.
    ///
    /// # Errors
    /// The run can't go on. The state is that before the instruction, unless the [`Stop`] says otherwise.
    pub(super) fn burst(&mut self, bus: &mut impl Bus, limit: u64) -> Result<(), Stop> {
        let mut pc = self.pc;
        let mut passed = 0;
        while passed < limit {
            let i = match self.cache.get(pc) {
                Some(instruction) => instruction,
                None => match self.fetch(pc, self.cycle + passed, bus) {
                    Ok(instruction) => instruction,
                    Err(fault) => return self.fault(passed, pc, fault),
                },
            };
            let next = pc.wrapping_add(u32::from(i.length));
            let (s, t, sar) = (self.get(i.s), self.get(i.t), self.special.sar);
            let branch = |is_taken: bool| if is_taken { pc.wrapping_add_signed(i.immediate) } else { next };
            let bit = || u32::from(i.t) | u32::from(i.r & 1) << 4;
            let mut target = next;
            match i.operation {
                O::L8ui | O::L16ui | O::L16si | O::L32i | O::L32r | O::S8i | O::S16i | O::S32i => {
                    bus.at(self.cycle + passed);
                    if let Err(fault) = self.access(i, pc, bus) {
                        return self.fault(passed, pc, fault);
                    }
                    if bus.attention() {
                        self.pass(passed + 1, next);
                        return Ok(());
                    }
                }
                O::Movi => self.set(i.t, i.immediate as u32),
                O::Addi => self.set(i.t, s.wrapping_add_signed(i.immediate)),
                O::Add => self.set(i.r, s.wrapping_add(t)),
                O::Addx2 => self.set(i.r, (s << 1).wrapping_add(t)),
                O::Addx4 => self.set(i.r, (s << 2).wrapping_add(t)),
                O::Addx8 => self.set(i.r, (s << 3).wrapping_add(t)),
                O::Sub => self.set(i.r, s.wrapping_sub(t)),
                O::Subx2 => self.set(i.r, (s << 1).wrapping_sub(t)),
                O::Subx4 => self.set(i.r, (s << 2).wrapping_sub(t)),
                O::Subx8 => self.set(i.r, (s << 3).wrapping_sub(t)),
                O::And => self.set(i.r, s & t),
                O::Or => self.set(i.r, s | t),
                O::Xor => self.set(i.r, s ^ t),
                O::Neg => self.set(i.r, t.wrapping_neg()),
                O::Abs => self.set(i.r, (t as i32).wrapping_abs() as u32),
                O::Moveqz if t == 0 => self.set(i.r, s),
                O::Movnez if t != 0 => self.set(i.r, s),
                O::Movltz if (t as i32) < 0 => self.set(i.r, s),
                O::Movgez if t as i32 >= 0 => self.set(i.r, s),
                O::Moveqz | O::Movnez | O::Movltz | O::Movgez | O::Nop => {}
                O::Slli => self.set(i.r, (u64::from(s) << i.immediate) as u32),
                O::Srai => self.set(i.r, (t as i32 >> i.immediate) as u32),
                O::Srli => self.set(i.r, t >> i.immediate),
                O::Src => self.set(i.r, funnel(s, t, sar)),
                O::Srl => self.set(i.r, funnel(0, t, sar)),
                O::Sra => self.set(i.r, funnel((t as i32 >> 31) as u32, t, sar)),
                O::Sll => self.set(i.r, funnel(s, 0, sar)),
                // Field `s` holds the width less one.
                O::Extui => self.set(i.r, (t >> i.immediate) & (u32::MAX >> (31 - u32::from(i.s)))),
                O::Ssr => self.special.sar = s & 31,
                O::Ssl => self.special.sar = 32 - (s & 31),
                O::Ssa8l => self.special.sar = (s & 3) << 3,
                O::Ssa8b => self.special.sar = 32 - ((s & 3) << 3),
                O::Ssai => self.special.sar = i.immediate as u32,
                O::Mul16u => self.set(i.r, (s & 0xFFFF).wrapping_mul(t & 0xFFFF)),
                O::Mul16s => self.set(i.r, (i32::from(s as i16) * i32::from(t as i16)) as u32),
                O::Mull => self.set(i.r, s.wrapping_mul(t)),
                O::Nsau => self.set(i.t, s.leading_zeros()),
                O::Nsa => self.set(i.t, (s ^ (s as i32 >> 31) as u32).leading_zeros().saturating_sub(1)),
                O::Beqz => target = branch(s == 0),
                O::Bnez => target = branch(s != 0),
                O::Bltz => target = branch((s as i32) < 0),
                O::Bgez => target = branch(s as i32 >= 0),
                O::Beqi => target = branch(s as i32 == branch_constant(i.r, false)),
                O::Bnei => target = branch(s as i32 != branch_constant(i.r, false)),
                O::Blti => target = branch((s as i32) < branch_constant(i.r, false)),
                O::Bgei => target = branch(s as i32 >= branch_constant(i.r, false)),
                O::Bltui => target = branch(s < branch_constant(i.r, true) as u32),
                O::Bgeui => target = branch(s >= branch_constant(i.r, true) as u32),
                O::Beq => target = branch(s == t),
                O::Bne => target = branch(s != t),
                O::Blt => target = branch((s as i32) < t as i32),
                O::Bge => target = branch(s as i32 >= t as i32),
                O::Bltu => target = branch(s < t),
                O::Bgeu => target = branch(s >= t),
                O::Bnone => target = branch(s & t == 0),
                O::Bany => target = branch(s & t != 0),
                O::Ball => target = branch(!s & t == 0),
                O::Bnall => target = branch(!s & t != 0),
                O::Bbc => target = branch(s >> (t & 31) & 1 == 0),
                O::Bbs => target = branch(s >> (t & 31) & 1 != 0),
                O::Bbci => target = branch(s >> bit() & 1 == 0),
                O::Bbsi => target = branch(s >> bit() & 1 != 0),
                O::J => target = branch(true),
                O::Jx => target = s,
                O::Ret => target = self.get(0),
                O::Call0 | O::Callx0 => {
                    target =
                        if i.operation == O::Callx0 { s } else { (pc & !3).wrapping_add_signed(i.immediate) };
                    self.set(0, next);
                }
                O::Rfe | O::Rfde | O::Rfi | O::Ill | O::Syscall | O::Waiti | O::Simcall | O::Break => {
                    self.pass(passed, pc);
                    return self.control(i.operation, i.s, next);
                }
                O::Rsr | O::Wsr | O::Xsr | O::Rsil => {
                    self.pass(passed, pc);
                    return self.system(i, next);
                }
            }
            pc = target;
            passed += 1;
        }
        self.pass(passed, pc);
        Ok(())
    }

    /// Loads or stores.
    #[inline(always)]
    fn access(&mut self, i: Instruction, pc: u32, bus: &mut impl Bus) -> Result<(), Fault> {
        let base = if i.operation == O::L32r { pc.wrapping_add(3) & !3 } else { self.get(i.s) };
        let address = base.wrapping_add_signed(i.immediate);
        let width = match i.operation {
            O::L8ui | O::S8i => Width::Byte,
            O::L16ui | O::L16si | O::S16i => Width::Half,
            _ => Width::Word,
        };
        let refused = |refusal| Fault::Refused { refusal, address };
        if matches!(i.operation, O::S8i | O::S16i | O::S32i) {
            bus.store(address, width, self.get(i.t)).map_err(refused)?;
            if bus.holds_code(address) {
                self.cache.forget(address, width);
            }
            return Ok(());
        }
        let value = bus.load(address, width).map_err(refused)?;
        self.set(i.t, if i.operation == O::L16si { value as u16 as i16 as u32 } else { value });
        Ok(())
    }

    /// Reads or writes a special register, which may let an interrupt through.
    fn system(&mut self, i: Instruction, next: u32) -> Result<(), Stop> {
        let new = self.get(i.t);
        if i.operation == O::Rsil {
            self.set(i.t, self.special.ps);
            self.special.ps = (self.special.ps & !15) | u32::from(i.s);
        } else {
            let number = i.immediate as u8;
            let stop = Stop::SpecialRegister { pc: self.pc, number };
            if i.operation != O::Wsr {
                let old = self.special.read(number).ok_or(stop)?;
                self.set(i.t, old);
            }
            if i.operation != O::Rsr {
                self.special.write(number, new).ok_or(stop)?;
            }
        }
        self.pass(1, next);
        Ok(())
    }
}

/// Why an instruction has not come to its end.
pub(super) enum Fault {
    /// The bus refused an access, or the fetch.
    Refused { refusal: Refusal, address: u32 },
    /// The bytes are no instruction.
    Instruction { bytes: u32 },
}

/// Shifts two registers as one to the right, and returns the lower.
#[inline(always)]
fn funnel(high: u32, low: u32, amount: u32) -> u32 {
    ((u64::from(high) << 32 | u64::from(low)) >> amount) as u32
}
