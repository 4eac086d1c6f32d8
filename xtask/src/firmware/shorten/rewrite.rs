//! Says in a shorter way what an instruction does, given what the registers hold.

use super::branches::branch;
use super::flow::Flow;
use super::instruction::{GONE, Instruction, Line, Register, Registers, STACK, register};
use super::known::{Known, Literals, Value, at_starts};

/// Does it to a function; returns whether anything changed.
pub(super) fn rewrite(lines: &mut [Line], flow: &Flow, literals: &Literals) -> bool {
    let starts = at_starts(lines, flow, literals);
    let ends = flow.wanted(lines);
    let mut changed = false;
    for (number, block) in flow.blocks.iter().enumerate() {
        let lines = &mut lines[block.lines.clone()];
        let Some(known) = &starts[number] else {
            // It is never reached.
            for line in lines.iter_mut().filter(|line| line.instruction().is_some()) {
                *line = GONE;
                changed = true;
            }
            continue;
        };
        let mut known = known.clone();
        let wanted = wanted_behind(lines, ends[number]);
        for (line, wanted) in lines.iter_mut().zip(wanted) {
            let Line::Instruction(instruction) = line else { continue };
            let before = instruction.clone();
            read_originals(instruction, &known);
            let place = Place { known: &known, wanted, literals };
            let is_needless = place.is_needless(instruction);
            if let Some(shorter) = place.shorter(instruction) {
                *instruction = shorter;
            }
            // What is known follows from what it did before as well.
            known.run(&before, literals);
            changed |= is_needless || *instruction != before;
            if is_needless {
                *line = GONE;
            }
        }
    }
    changed
}

/// Returns the registers wanted behind each line of a block.
fn wanted_behind(lines: &[Line], end: Registers) -> Vec<Registers> {
    let mut wanted = end;
    let mut behind: Vec<Registers> = lines
        .iter()
        .rev()
        .map(|line| {
            let here = wanted;
            if let Some(instruction) = line.instruction() {
                let effects = instruction.effects();
                wanted = effects.before(wanted);
            }
            here
        })
        .collect();
    behind.reverse();
    behind
}

/// Lets an instruction read what a copy was made of, so that nobody may need the copy.
fn read_originals(instruction: &mut Instruction, known: &Known) {
    let effects = instruction.effects();
    for copy in (0..16).filter(|copy| effects.reads & 1 << copy != 0 && *copy != STACK) {
        if let Some((of, 0)) = known.sum(copy) {
            instruction.read_instead(copy, &name(of));
        }
    }
}

fn name(register: Register) -> String {
    format!("a{register}")
}

struct Place<'a> {
    known: &'a Known,
    wanted: Registers,
    literals: &'a Literals,
}

impl Place<'_> {
    /// Tells whether the register that is written holds that already.
    fn is_needless(&self, instruction: &Instruction) -> bool {
        let Some(to) = instruction.register(0) else { return false };
        self.is_same(instruction, to)
    }

    /// Tells whether a register holds what an instruction would write.
    fn is_same(&self, instruction: &Instruction, holder: Register) -> bool {
        let Some(of) = self.result(instruction) else { return false };
        match of {
            Result::Value(value) => self.known.value(holder) == Some(&value),
            Result::Sum(of, more) => self.known.sum(holder) == Some((of, more)) || of == holder && more == 0,
        }
    }

    /// Returns what an instruction that only makes a number, an address, a copy or a sum will have made.
    fn result(&self, instruction: &Instruction) -> Option<Result> {
        match instruction.name.as_str() {
            "movi" | "l32r" => self.known.value_of(instruction, self.literals).map(Result::Value),
            "mov" | "addi" => self.known.sum_of(instruction).map(|(of, more)| Result::Sum(of, more)),
            _ => None,
        }
    }

    /// Tells whether nobody reads the register in an operand behind this.
    fn is_last_use(&self, instruction: &Instruction, operand: usize) -> bool {
        instruction.register(operand).is_some_and(|register| self.wanted & 1 << register == 0)
    }

    fn shorter(&self, instruction: &Instruction) -> Option<Instruction> {
        let name = instruction.name.as_str();
        match name {
            "movi" | "l32r" | "addi" => self.constant(instruction).or_else(|| self.sum(instruction)),
            "and" | "or" | "add" | "sub" | "xor" | "extui" | "slli" | "srli" | "mov" => {
                self.computed(instruction).or_else(|| self.with_number(instruction))
            }
            "callx0" => match self.known.value(instruction.register(0)?)? {
                Value::Address(function) => Some(Instruction::new("call0", [function])),
                _ => None,
            },
            "l32i" | "s32i" | "l16ui" | "s16i" | "l8ui" | "s8i" => self.access(instruction),
            _ if instruction.is_branch() => branch(instruction, self.known),
            _ => None,
        }
    }

    /// What another register holds already is copied where that is shorter.
    fn constant(&self, instruction: &Instruction) -> Option<Instruction> {
        if instruction.size() <= 2 {
            return None;
        }
        if instruction.name == "l32r"
            && let Some(Result::Value(Value::Number(number))) = self.result(instruction)
            && (-2048..2048).contains(&number)
        {
            return Some(Instruction::new("movi", [&instruction.operands[0], &number.to_string()]));
        }
        let holder = (0..16).find(|&register| self.is_same(instruction, register))?;
        Some(Instruction::new("mov", [&instruction.operands[0], &name(holder)]))
    }

    /// A sum of a sum is a sum of the first.
    fn sum(&self, instruction: &Instruction) -> Option<Instruction> {
        let from = instruction.register(1)?;
        let Result::Sum(of, more) = self.result(instruction)? else { return None };
        let sum = if more == 0 {
            Instruction::new("mov", [&instruction.operands[0], &name(of)])
        } else {
            (-128..128).contains(&more).then_some(())?;
            Instruction::new("addi", [&instruction.operands[0], &name(of), &more.to_string()])
        };
        (of != from && (sum.size() <= instruction.size() || self.is_last_use(instruction, 1))).then_some(sum)
    }

    /// What comes out as a number is made as one, if that isn't longer.
    fn computed(&self, instruction: &Instruction) -> Option<Instruction> {
        let mut after = self.known.clone();
        after.run(instruction, self.literals);
        let to = instruction.register(0)?;
        if let Some(number) = after.number(to)
            && (-2048..2048).contains(&number)
        {
            let made = Instruction::new("movi", [&instruction.operands[0], &number.to_string()]);
            if made.size() <= instruction.size() {
                return Some(made);
            }
        }
        if let Some((of, more)) = after.sum(to)
            && instruction.name != "mov"
        {
            let to = &instruction.operands[0];
            return match more {
                0 => Some(Instruction::new("mov", [to, &name(of)])),
                _ if (-128..128).contains(&more) => {
                    let sum = Instruction::new("addi", [to, &name(of), &more.to_string()]);
                    (sum.size() <= instruction.size()
                        || self.is_last_use(instruction, 1)
                        || self.is_last_use(instruction, 2))
                    .then_some(sum)
                }
                _ => None,
            };
        }
        None
    }

    /// An operand that is a known number goes into the instruction.
    fn with_number(&self, instruction: &Instruction) -> Option<Instruction> {
        let (to, one) = (&instruction.operands[0], instruction.operands.get(1)?);
        if instruction.name == "extui" {
            let (shift, width) = (instruction.number(2)?, instruction.number(3)?);
            let is_whole = shift == 0 && self.known.bits(register(one)?) <= width as u32;
            return is_whole.then(|| Instruction::new("mov", [to, one]));
        }
        let other = instruction.operands.get(2)?;
        for (from, with) in [(one, other), (other, one)] {
            let Some(number) = register(with).and_then(|with| self.known.number(with)) else { continue };
            let bits = self.known.bits(register(from)?);
            match instruction.name.as_str() {
                "and" if number >= 0 && (number as u32 + 1).is_power_of_two() => {
                    let width = (number as u32).trailing_ones();
                    if bits <= width {
                        return Some(Instruction::new("mov", [to, from]));
                    }
                    if (1..=16).contains(&width) {
                        return Some(Instruction::new("extui", [to, from, "0", &width.to_string()]));
                    }
                }
                // Nothing of it is in what is known to be 0.
                "or" if number > 0
                    && let Some((STACK, at)) = self.known.sum(register(from)?)
                    && number < 4
                    && at % 4 == 0
                    && (-128..128).contains(&(at + number)) =>
                {
                    return Some(Instruction::new("addi", [to, &name(STACK), &(at + number).to_string()]));
                }
                "sub" if from == one && (-128..128).contains(&-number) && number != 0 => {
                    return Some(Instruction::new("addi", [to, from, &(-number).to_string()]));
                }
                "or" | "xor" if number == 0 => return Some(Instruction::new("mov", [to, from])),
                _ => {}
            }
        }
        None
    }

    /// An access through a sum goes through what it is the sum of.
    fn access(&self, instruction: &Instruction) -> Option<Instruction> {
        let base = instruction.register(1)?;
        let at = instruction.number(2)?;
        let (of, more) = self.known.sum(base)?;
        let at = at.checked_add(more)?;
        let unit = instruction.unit()?;
        let [value, _, _] = instruction.operands()?;
        // Whatever stands near enough will do: best what it is the sum of, then what serves for others, too.
        let rank = |register, more| if register == of { 0 } else { 1 + i32::from(more % 256 != 0) };
        let own = rank(base, more);
        let others = (0..16).filter_map(|other| Some((other, self.known.sum(other)?)));
        let near = others.filter(|&(other, (also, _))| also == of && other != base);
        [(of, 0)]
            .into_iter()
            .chain(near.map(|(other, (_, more))| (other, more)))
            .filter_map(|(other, more)| Some((other, rank(other, more), at.checked_sub(more)?)))
            .filter(|&(_, _, at)| at >= 0 && at % unit == 0 && at / unit < 256)
            .map(|(other, rank, at)| {
                (rank, Instruction::new(&instruction.name, [value, &name(other), &at.to_string()]))
            })
            .filter(|(rank, direct)| {
                let is_worth_it = direct.size() <= instruction.size() || self.is_last_use(instruction, 1);
                *rank < own && is_worth_it || *rank == own && direct.size() < instruction.size()
            })
            .min_by_key(|(rank, direct)| (direct.size(), *rank))
            .map(|(_, direct)| direct)
    }
}

enum Result {
    Value(Value),
    Sum(Register, i32),
}
