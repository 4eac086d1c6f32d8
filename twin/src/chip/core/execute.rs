//! What each instruction does (ISA manual, chapter 6), over registers and the bus.

use super::bus::{Bus, Refusal, Width};
use super::decode::{Instruction, Operation as O, branch_constant};
use super::{Core, Stop};

type Outcome = Result<Option<Stop>, (Refusal, u32)>;

impl Core {
    fn get(&self, register: u8) -> u32 {
        self.registers[usize::from(register & 15)]
    }

    fn set(&mut self, register: u8, value: u32) {
        self.registers[usize::from(register & 15)] = value;
    }

    pub(super) fn execute(&mut self, i: Instruction, bus: &mut impl Bus) -> Outcome {
        let next = self.pc.wrapping_add(u32::from(i.length));
        match i.operation {
            O::L8ui | O::L16ui | O::L16si | O::L32i | O::L32r | O::S8i | O::S16i | O::S32i => {
                self.access(i, bus)?;
            }
            O::Rfe | O::Rfde | O::Rfi | O::Ill | O::Syscall | O::Waiti | O::Simcall | O::Break => {
                return Ok(self.control(i.operation, i.s, next));
            }
            O::Rsr | O::Wsr | O::Xsr => {
                let number = i.immediate as u8;
                if self.special_access(i.operation, number, i.t).is_none() {
                    return Ok(Some(Stop::SpecialRegister { pc: self.pc, number }));
                }
            }
            O::J | O::Jx | O::Call0 | O::Callx0 | O::Ret => {
                let target = self.get(i.s);
                let relative = self.pc.wrapping_add_signed(i.immediate);
                self.pc = match i.operation {
                    O::J => relative,
                    O::Jx => target,
                    O::Ret => self.get(0),
                    O::Callx0 => target,
                    _ => (self.pc & !3).wrapping_add_signed(i.immediate),
                };
                if matches!(i.operation, O::Call0 | O::Callx0) {
                    self.set(0, next);
                }
                return Ok(None);
            }
            O::Rsil => {
                self.set(i.t, self.special.ps);
                self.special.ps = (self.special.ps & !15) | u32::from(i.s);
            }
            O::Nop => {}
            _ => match self.branch(i) {
                Some(taken) => {
                    self.pc = if taken { self.pc.wrapping_add_signed(i.immediate) } else { next };
                    return Ok(None);
                }
                None => self.compute(i),
            },
        }
        self.pc = next;
        Ok(None)
    }

    fn access(&mut self, i: Instruction, bus: &mut impl Bus) -> Result<(), (Refusal, u32)> {
        let base = if i.operation == O::L32r { self.pc.wrapping_add(3) & !3 } else { self.get(i.s) };
        let address = base.wrapping_add_signed(i.immediate);
        let width = match i.operation {
            O::L8ui | O::S8i => Width::Byte,
            O::L16ui | O::L16si | O::S16i => Width::Half,
            _ => Width::Word,
        };
        bus.at(self.cycle);
        if matches!(i.operation, O::S8i | O::S16i | O::S32i) {
            bus.store(address, width, self.get(i.t)).map_err(|refusal| (refusal, address))?;
            if bus.holds_code(address) {
                self.cache.forget(address, width);
            }
            return Ok(());
        }
        let value = bus.load(address, width).map_err(|refusal| (refusal, address))?;
        self.set(i.t, if i.operation == O::L16si { value as u16 as i16 as u32 } else { value });
        Ok(())
    }

    fn special_access(&mut self, operation: O, number: u8, t: u8) -> Option<()> {
        let new = self.get(t);
        if operation != O::Wsr {
            let old = self.special.read(number)?;
            self.set(t, old);
        }
        if operation != O::Rsr {
            self.special.write(number, new)?;
        }
        Some(())
    }

    /// Returns whether a branch is taken; `None` if it isn't a branch.
    fn branch(&self, i: Instruction) -> Option<bool> {
        let (s, t) = (self.get(i.s), self.get(i.t));
        let bit = u32::from(i.t) | u32::from(i.r & 1) << 4;
        let constant = branch_constant(i.r, false);
        let unsigned = branch_constant(i.r, true) as u32;
        Some(match i.operation {
            O::Beqz => s == 0,
            O::Bnez => s != 0,
            O::Bltz => (s as i32) < 0,
            O::Bgez => s as i32 >= 0,
            O::Beqi => s as i32 == constant,
            O::Bnei => s as i32 != constant,
            O::Blti => (s as i32) < constant,
            O::Bgei => s as i32 >= constant,
            O::Bltui => s < unsigned,
            O::Bgeui => s >= unsigned,
            O::Beq => s == t,
            O::Bne => s != t,
            O::Blt => (s as i32) < t as i32,
            O::Bge => s as i32 >= t as i32,
            O::Bltu => s < t,
            O::Bgeu => s >= t,
            O::Bnone => s & t == 0,
            O::Bany => s & t != 0,
            O::Ball => !s & t == 0,
            O::Bnall => !s & t != 0,
            O::Bbc => s >> (t & 31) & 1 == 0,
            O::Bbs => s >> (t & 31) & 1 != 0,
            O::Bbci => s >> bit & 1 == 0,
            O::Bbsi => s >> bit & 1 != 0,
            _ => return None,
        })
    }

    fn compute(&mut self, i: Instruction) {
        let (s, t, sar) = (self.get(i.s), self.get(i.t), self.special.sar);
        let pair = |high: u32, low: u32| ((u64::from(high) << 32 | u64::from(low)) >> sar) as u32;
        let leading = |value: u32| value.leading_zeros();
        let result = match i.operation {
            O::Ssr => return self.special.sar = s & 31,
            O::Ssl => return self.special.sar = 32 - (s & 31),
            O::Ssa8l => return self.special.sar = (s & 3) << 3,
            O::Ssa8b => return self.special.sar = 32 - ((s & 3) << 3),
            O::Ssai => return self.special.sar = i.immediate as u32,
            O::Movi => return self.set(i.t, i.immediate as u32),
            O::Addi => return self.set(i.t, s.wrapping_add_signed(i.immediate)),
            O::Nsau => return self.set(i.t, leading(s)),
            O::Nsa => return self.set(i.t, leading(s ^ (s as i32 >> 31) as u32).saturating_sub(1)),
            O::Moveqz if t != 0 => return,
            O::Movnez if t == 0 => return,
            O::Movltz if t as i32 >= 0 => return,
            O::Movgez if (t as i32) < 0 => return,
            O::Moveqz | O::Movnez | O::Movltz | O::Movgez => s,
            O::Add => s.wrapping_add(t),
            O::Addx2 => (s << 1).wrapping_add(t),
            O::Addx4 => (s << 2).wrapping_add(t),
            O::Addx8 => (s << 3).wrapping_add(t),
            O::Sub => s.wrapping_sub(t),
            O::Subx2 => (s << 1).wrapping_sub(t),
            O::Subx4 => (s << 2).wrapping_sub(t),
            O::Subx8 => (s << 3).wrapping_sub(t),
            O::And => s & t,
            O::Or => s | t,
            O::Xor => s ^ t,
            O::Neg => t.wrapping_neg(),
            O::Abs => (t as i32).wrapping_abs() as u32,
            O::Slli => s.checked_shl(i.immediate as u32).unwrap_or(0),
            O::Srai => (t as i32 >> i.immediate) as u32,
            O::Srli => t >> i.immediate,
            O::Src => pair(s, t),
            O::Srl => pair(0, t),
            O::Sra => pair((t as i32 >> 31) as u32, t),
            O::Sll => (u64::from(s) << 32).checked_shr(sar).unwrap_or(0) as u32,
            O::Mul16u => (s & 0xFFFF).wrapping_mul(t & 0xFFFF),
            O::Mul16s => (i32::from(s as i16) * i32::from(t as i16)) as u32,
            O::Mull => s.wrapping_mul(t),
            // Extui; field `s` holds the width less one.
            _ => (t >> i.immediate) & (u32::MAX >> (31 - u32::from(i.s))),
        };
        self.set(i.r, result);
    }
}
