//! What registers are known to hold at each place of a function.

use std::collections::BTreeMap;

use super::flow::Flow;
use super::instruction::{COUNT, Instruction, Line, Register};

/// The values of literals, by their labels.
pub(super) type Literals = BTreeMap<String, String>;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(i32),
    /// The address of something, by its name.
    Address(String),
    /// A number of so many bits, without sign.
    Bits(u32),
    NotZero,
}

/// What is known of all registers at a place.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Known {
    values: [Option<Value>; COUNT],
    /// A register holds what another holds, and so much more.
    sums: [Option<(Register, i32)>; COUNT],
}

impl Value {
    /// Returns how many bits it has at most.
    fn bits(&self) -> Option<u32> {
        match self {
            Self::Number(number) if *number >= 0 => Some(32 - number.leading_zeros()),
            Self::Bits(bits) => Some(*bits),
            _ => None,
        }
    }

    pub(super) fn is_not_zero(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0,
            Self::NotZero => true,
            Self::Address(_) | Self::Bits(_) => false,
        }
    }

    /// Returns what is true of both.
    fn or(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(self.clone());
        }
        if self.is_not_zero() && other.is_not_zero() {
            return Some(Self::NotZero);
        }
        let bits = self.bits()?.max(other.bits()?);
        (bits <= 16).then_some(Self::Bits(bits))
    }
}

impl Known {
    pub(super) fn value(&self, register: Register) -> Option<&Value> {
        self.values[usize::from(register)].as_ref()
    }

    pub(super) fn number(&self, register: Register) -> Option<i32> {
        if let Some(Value::Number(number)) = self.value(register) { Some(*number) } else { None }
    }

    pub(super) fn bits(&self, register: Register) -> u32 {
        self.value(register).and_then(Value::bits).unwrap_or(32)
    }

    /// Returns which register it is the sum of, and a number; a copy is a sum with 0.
    pub(super) fn sum(&self, register: Register) -> Option<(Register, i32)> {
        self.sums[usize::from(register)]
    }

    /// Returns the number in an operand, or in its register.
    pub(super) fn operand(&self, instruction: &Instruction, operand: usize) -> Option<i32> {
        match instruction.register(operand) {
            Some(register) => self.number(register),
            None => instruction.number(operand),
        }
    }

    fn forget(&mut self, register: Register) {
        self.values[usize::from(register)] = None;
        self.sums[usize::from(register)] = None;
        for sum in &mut self.sums {
            if sum.is_some_and(|(of, _)| of == register) {
                *sum = None;
            }
        }
    }

    /// Takes over what an instruction does.
    pub(super) fn run(&mut self, instruction: &Instruction, literals: &Literals) {
        let value = self.value_of(instruction, literals);
        let sum = self.sum_of(instruction);
        let writes = instruction.effects().writes;
        for register in (0..COUNT as Register).filter(|register| writes & 1 << register != 0) {
            self.forget(register);
        }
        if let Some(register) = instruction.register(0).filter(|register| writes == 1 << register) {
            self.values[usize::from(register)] = value;
            self.sums[usize::from(register)] = sum.filter(|&(of, _)| of != register);
        }
    }

    /// Returns what is known of the value that an instruction makes.
    pub(super) fn value_of(&self, instruction: &Instruction, literals: &Literals) -> Option<Value> {
        let read = |operand| instruction.register(operand);
        let number = |operand| self.operand(instruction, operand);
        let bits = |operand| read(operand).map_or(32, |register| self.bits(register));
        let narrow = |bits: u32| (bits <= 16).then_some(Value::Bits(bits));
        let two = |compute: fn(i32, i32) -> i32| Some(Value::Number(compute(number(1)?, number(2)?)));
        match instruction.name.as_str() {
            "movi" => instruction.number(1).map(Value::Number),
            "mov" => self.value(read(1)?).cloned(),
            "l32r" => {
                let literal = literals.get(instruction.operands.get(1)?)?;
                Some(match literal.parse::<i64>() {
                    // The assembler takes numbers with and without sign.
                    Ok(number) => Value::Number(number as i32),
                    Err(_) => Value::Address(literal.clone()),
                })
            }
            "l8ui" => Some(Value::Bits(8)),
            "l16ui" => Some(Value::Bits(16)),
            "addi" | "addmi" | "add" => two(i32::wrapping_add),
            "sub" => two(i32::wrapping_sub),
            "and" => two(|one, other| one & other).or_else(|| narrow(bits(1).min(bits(2)))),
            "or" => two(|one, other| one | other).or_else(|| narrow(bits(1).max(bits(2)))),
            "xor" => two(|one, other| one ^ other).or_else(|| narrow(bits(1).max(bits(2)))),
            "extui" => {
                let (shift, width) = (instruction.number(2)?, instruction.number(3)?);
                let width = u32::try_from(width).ok()?.min(bits(1).saturating_sub(shift as u32));
                match number(1) {
                    Some(of) => {
                        Some(Value::Number((of as u32 >> shift) as i32 & ((1_i64 << width) - 1) as i32))
                    }
                    None => narrow(width),
                }
            }
            "srli" => narrow(bits(1).saturating_sub(instruction.number(2)? as u32)),
            "slli" => {
                let shift = instruction.number(2)? as u32;
                number(1).map(|of| Value::Number(of.wrapping_shl(shift))).or_else(|| narrow(bits(1) + shift))
            }
            _ => None,
        }
    }

    /// Returns which sum an instruction makes.
    pub(super) fn sum_of(&self, instruction: &Instruction) -> Option<(Register, i32)> {
        let read = instruction.register(1)?;
        let more = match instruction.name.as_str() {
            "mov" => 0,
            "addi" | "addmi" => instruction.number(2)?,
            "add" => self.number(instruction.register(2)?)?,
            _ => return None,
        };
        let (of, less) = self.sum(read).unwrap_or((read, 0));
        Some((of, less.wrapping_add(more)))
    }

    /// Keeps what is true here and there.
    fn meet(&mut self, other: &Self) {
        for register in 0..COUNT {
            self.values[register] = match (&self.values[register], &other.values[register]) {
                (Some(one), Some(other)) => one.or(other),
                _ => None,
            };
            if self.sums[register] != other.sums[register] {
                self.sums[register] = None;
            }
        }
    }

    /// Takes over what a branch tells of a register where it is taken, or where it is not.
    pub(super) fn branch(&mut self, instruction: &Instruction, is_taken: bool) {
        let Some(register) = instruction.register(0) else { return };
        let equal = match instruction.name.as_str() {
            "beqz" => Some((true, 0)),
            "bnez" => Some((false, 0)),
            "beqi" => instruction.number(1).map(|number| (true, number)),
            "bnei" => instruction.number(1).map(|number| (false, number)),
            _ => None,
        };
        if let Some((when, number)) = equal {
            let value = &mut self.values[usize::from(register)];
            if when == is_taken {
                *value = Some(Value::Number(number));
            } else if number == 0 && value.is_none() {
                *value = Some(Value::NotZero);
            }
        }
    }
}

/// Returns what is known at the start of each block; nothing of a block that is never reached.
pub(super) fn at_starts(lines: &[Line], flow: &Flow, literals: &Literals) -> Vec<Option<Known>> {
    let mut starts: Vec<Option<Known>> = vec![None; flow.blocks.len()];
    if let Some(first) = starts.first_mut() {
        *first = Some(Known::default());
    }
    let mut waiting = vec![0];
    while let Some(number) = waiting.pop() {
        let block = &flow.blocks[number];
        let Some(mut known) = starts[number].clone() else { continue };
        let mut last = None;
        for instruction in lines[block.lines.clone()].iter().filter_map(Line::instruction) {
            known.run(instruction, literals);
            last = Some(instruction);
        }
        let branch = last.filter(|last| last.is_branch());
        for &next in &block.successors {
            let mut passed = known.clone();
            // Where both ways lead to one place, nothing is learnt.
            let both = block.successors.iter().filter(|&&other| other == next).count() > 1;
            if let Some(branch) = branch.filter(|_| !both) {
                passed.branch(branch, block.falls_to != Some(next));
            }
            // The function's entry may be jumped to with anything.
            let entered = if next == 0 { Known::default() } else { passed };
            let met = match &starts[next] {
                None => entered,
                Some(before) => {
                    let mut met = before.clone();
                    met.meet(&entered);
                    met
                }
            };
            if starts[next].as_ref() != Some(&met) {
                starts[next] = Some(met);
                waiting.push(next);
            }
        }
    }
    starts
}
