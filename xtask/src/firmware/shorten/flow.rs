//! Which way a function's instructions are run through, and which registers are still wanted where.

use std::collections::BTreeMap;
use std::ops::Range;

use super::instruction::{Line, Registers};

/// A function's blocks: runs of lines that are entered at their first and left at their last one.
pub(super) struct Flow {
    pub(super) blocks: Vec<Block>,
}

pub(super) struct Block {
    pub(super) lines: Range<usize>,
    /// The blocks that may follow. Where control leaves the function in a way that isn't understood, all registers count.
    pub(super) successors: Vec<usize>,
    /// The block behind it, where its last instruction lets control pass.
    pub(super) falls_to: Option<usize>,
    /// The block that its last instruction names, if that is a jump or branch within the function.
    pub(super) jumps_to: Option<usize>,
    leaves: bool,
}

impl Flow {
    /// Takes a function apart. `is_indirect` tells the labels that a table of jumps names.
    pub(super) fn of(lines: &[Line], is_indirect: impl Fn(&str) -> bool) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let mut at: BTreeMap<&str, usize> = BTreeMap::new();
        let mut start = 0;
        let mut finish = |end: usize, start: &mut usize| {
            if *start < end {
                blocks.push(Block {
                    lines: *start..end,
                    successors: Vec::new(),
                    falls_to: None,
                    jumps_to: None,
                    leaves: false,
                });
                *start = end;
            }
        };
        for (index, line) in lines.iter().enumerate() {
            match line {
                Line::Label(_) => {
                    let is_first =
                        !matches!(index.checked_sub(1).map(|before| &lines[before]), Some(Line::Label(_)));
                    if is_first {
                        finish(index, &mut start);
                    }
                }
                Line::Instruction(instruction) if instruction.ends() || instruction.is_branch() => {
                    finish(index + 1, &mut start);
                }
                _ => {}
            }
        }
        finish(lines.len(), &mut start);
        for (number, block) in blocks.iter().enumerate() {
            for line in &lines[block.lines.clone()] {
                if let Line::Label(label) = line {
                    at.insert(label, number);
                }
            }
        }
        let indirect: Vec<usize> =
            at.iter().filter(|(label, _)| is_indirect(label)).map(|(_, &block)| block).collect();
        let count = blocks.len();
        for (number, block) in blocks.iter_mut().enumerate() {
            let last = lines[block.lines.clone()].iter().rev().find_map(Line::instruction);
            let falls = !last.is_some_and(|last| last.ends());
            if falls && number + 1 < count {
                block.falls_to = Some(number + 1);
                block.successors.push(number + 1);
            }
            block.leaves = falls && number + 1 == count;
            if let Some(last) = last {
                match last.target().map(|target| at.get(target)) {
                    Some(Some(&to)) => {
                        block.jumps_to = Some(to);
                        block.successors.push(to);
                    }
                    Some(None) => block.leaves = true,
                    None if last.name == "jx" => {
                        block.leaves = indirect.is_empty();
                        block.successors.extend(&indirect);
                    }
                    None => {}
                }
            }
        }
        Self { blocks }
    }

    /// Returns the registers that are wanted at the end of each block.
    pub(super) fn wanted(&self, lines: &[Line]) -> Vec<Registers> {
        // What a block reads before it writes it, and what it writes.
        let own: Vec<(Registers, Registers)> = self
            .blocks
            .iter()
            .map(|block| {
                lines[block.lines.clone()].iter().rev().filter_map(Line::instruction).fold(
                    (0, 0),
                    |(reads, writes), one| {
                        let effects = one.effects();
                        (effects.before(reads), writes | effects.writes)
                    },
                )
            })
            .collect();
        let mut starts = vec![0; self.blocks.len()];
        let mut ends = vec![0; self.blocks.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for (number, block) in self.blocks.iter().enumerate().rev() {
                let leaving = if block.leaves { Registers::MAX } else { 0 };
                let end = block.successors.iter().fold(leaving, |set, &next| set | starts[next]);
                let start = end & !own[number].1 | own[number].0;
                changed |= start != starts[number];
                (starts[number], ends[number]) = (start, end);
            }
        }
        ends
    }
}
