//! Takes out what computes a value that nobody reads, and computes a value where it is wanted instead of copying it there.

use super::branches::branch_on_bits;
use super::flow::Flow;
use super::instruction::{GONE, Line, Registers, register};

/// Does it to a function; returns whether anything changed.
pub(super) fn take_out(lines: &mut [Line], flow: &Flow) -> bool {
    let ends = flow.wanted(lines);
    let mut changed = false;
    for (block, end) in flow.blocks.iter().zip(ends) {
        let lines = &mut lines[block.lines.clone()];
        changed |= branch_on_bits(lines, end);
        let mut wanted = end;
        for index in (0..lines.len()).rev() {
            let Some(instruction) = lines[index].instruction() else { continue };
            let effects = instruction.effects();
            if effects.is_pure && effects.writes & wanted == 0 || is_copy_to_itself(&lines[index]) {
                lines[index] = GONE;
                changed = true;
                continue;
            }
            if move_result(lines, index, wanted) {
                changed = true;
                continue;
            }
            wanted = effects.before(wanted);
        }
    }
    changed
}

fn is_copy_to_itself(line: &Line) -> bool {
    line.instruction().is_some_and(|one| one.name == "mov" && one.operands[0] == one.operands[1])
}

/// Where the copy at `index` is the last use of a value, lets the instruction that computes it write where the copy goes.
fn move_result(lines: &mut [Line], index: usize, wanted: Registers) -> bool {
    let Some(copy) = lines[index].instruction().filter(|one| one.name == "mov") else { return false };
    let (to, from) = (copy.operands[0].clone(), copy.operands[1].clone());
    let (Some(to_register), Some(from_register)) = (register(&to), register(&from)) else { return false };
    let (to_bit, from_bit) = (1 << to_register, 1 << from_register);
    if wanted & from_bit != 0 {
        return false;
    }
    // The instruction that computes it. What reads it on the way is to read the other register, which nothing uses there.
    let mut renamed = Vec::new();
    for before in (0..index).rev() {
        let Line::Instruction(instruction) = &lines[before] else {
            if matches!(lines[before], Line::Label(_)) {
                return false;
            }
            continue;
        };
        let effects = instruction.effects();
        let mut instruction = instruction.clone();
        let computes = effects.writes == from_bit;
        if computes {
            instruction.operands[0].clone_from(&to);
        } else if (effects.writes | effects.reads) & to_bit != 0
            || effects.writes & from_bit != 0
            || !instruction.read_instead(from_register, &to)
        {
            return false;
        }
        renamed.push((before, instruction));
        if computes {
            for (at, instruction) in renamed {
                lines[at] = Line::Instruction(instruction);
            }
            lines[index] = GONE;
            return true;
        }
    }
    false
}
