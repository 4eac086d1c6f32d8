//! Reaches what lies far behind a pointer through one near it, instead of through a sum made for each access.
//!
//! An offset of more than 1,020 doesn't fit into `l32i`: LLVM loads it (`movi`), adds it (`add`) and accesses that. `addmi` adds
//! multiples of 256 in one instruction; the rest fits into the access. It is kept in a register that is free, for the next.

use super::flow::Flow;
use super::instruction::{Instruction, Line, Register, Registers};
use super::known::{Literals, at_starts};

/// Registers that nobody saves.
const FREE: std::ops::Range<Register> = 2..12;

/// Does it to a function; returns whether anything changed.
pub(super) fn anchor(lines: &mut [Line], flow: &Flow, literals: &Literals) -> bool {
    let starts = at_starts(lines, flow, literals);
    let ends = flow.wanted(lines);
    let mut changed = false;
    for (number, block) in flow.blocks.iter().enumerate() {
        let lines = &mut lines[block.lines.clone()];
        let Some(mut known) = starts[number].clone() else { continue };
        for index in 0..lines.len() {
            let Some(instruction) = lines[index].instruction().cloned() else { continue };
            known.run(&instruction, literals);
            let Some(to) = instruction.register(0).filter(|_| instruction.name == "add") else { continue };
            let Some((of, more)) = known.sum(to) else { continue };
            // The other way to make that sum: the number is in a register.
            let is_made_of = |operand| instruction.register(operand) == Some(of);
            let rest = more.rem_euclid(256);
            let whole = more - rest;
            if !(is_made_of(1) || is_made_of(2)) || !(-32768..32512).contains(&whole) || of == to {
                continue;
            }
            let Some(uses) = accesses(&lines[index + 1..], to, rest, ends[number]) else { continue };
            let last = uses.last().map_or(index, |(at, _)| index + 1 + at);
            let free = free(&lines[index..], last - index, ends[number]);
            let anchor =
                FREE.rev().find(|&register| free & 1 << register != 0 && register != of).unwrap_or(to);
            lines[index] = Line::Instruction(Instruction::new(
                "addmi",
                [&format!("a{anchor}"), &format!("a{of}"), &whole.to_string()],
            ));
            for (at, offset) in uses {
                if let Line::Instruction(access) = &mut lines[index + 1 + at] {
                    access.operands[1] = format!("a{anchor}");
                    access.operands[2] = offset.to_string();
                }
            }
            changed = true;
            // What is known has changed.
            break;
        }
    }
    changed
}

/// Returns the accesses through `base` in these lines with their offsets when `base` is less by `rest`; nothing if it is used
/// otherwise.
fn accesses(lines: &[Line], base: Register, rest: i32, end: Registers) -> Option<Vec<(usize, i32)>> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(instruction) = line.instruction() else { continue };
        let effects = instruction.effects();
        if effects.reads & 1 << base != 0 {
            let unit = instruction.unit()?;
            let is_value = instruction.register(0) == Some(base) && effects.writes == 0;
            let offset = instruction.number(2)? + rest;
            if is_value || instruction.register(1) != Some(base) || offset % unit != 0 || offset / unit > 255
            {
                return None;
            }
            found.push((at, offset));
        }
        if effects.writes & 1 << base != 0 {
            return Some(found);
        }
    }
    (end & 1 << base == 0).then_some(found)
}

/// Returns the registers that nothing reads from here on before it is written, and that nothing writes in the first lines.
fn free(lines: &[Line], first: usize, end: Registers) -> Registers {
    let (mut wanted, mut written) = (end, 0);
    for (at, line) in lines.iter().enumerate().rev() {
        let Some(instruction) = line.instruction() else { continue };
        let effects = instruction.effects();
        wanted = effects.before(wanted);
        if at <= first {
            written |= effects.writes;
        }
    }
    !(wanted | written)
}
