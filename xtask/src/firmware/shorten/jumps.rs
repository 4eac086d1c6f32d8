//! Jumps where a jump ends up, without the stops on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::branches::{opposite, outcome};
use super::flow::Flow;
use super::instruction::{GONE, Instruction, Line};
use super::known::{Known, Literals, at_starts};

/// Does it to a function; returns whether anything changed.
pub(super) fn thread(lines: &mut Vec<Line>, flow: &Flow, literals: &Literals) -> bool {
    let starts = at_starts(lines, flow, literals);
    let mut fresh = Fresh::of(lines);
    let mut changed = false;
    // Labels to come in front of lines.
    let mut labels: BTreeMap<usize, String> = BTreeMap::new();
    for (number, block) in flow.blocks.iter().enumerate() {
        let Some(at) = block.lines.clone().rev().find(|&at| lines[at].instruction().is_some()) else {
            continue;
        };
        let Some(jump) = lines[at].instruction().filter(|jump| jump.target().is_some()).cloned() else {
            continue;
        };
        let Some(next) = block.jumps_to else { continue };
        let Some(mut known) = starts[number].clone() else { continue };
        for instruction in lines[block.lines.clone()].iter().filter_map(Line::instruction) {
            known.run(instruction, literals);
        }
        if jump.is_branch() && block.falls_to != Some(next) {
            known.branch(&jump, true);
        }
        let Some(end) = follow(lines, flow, next, &known) else { continue };
        if end == next {
            continue;
        }
        let start = flow.blocks[end].lines.start;
        let target = match &lines[start] {
            Line::Label(label) => label.clone(),
            _ => labels.entry(start).or_insert_with(|| fresh.next()).clone(),
        };
        if let Line::Instruction(jump) = &mut lines[at] {
            jump.aim(&target);
            changed = true;
        }
    }
    for (at, label) in labels.into_iter().rev() {
        lines.insert(at, Line::Label(label));
    }
    changed
}

/// Returns the block where a jump to `block` ends up, past blocks that do nothing but jump or branch in a known way.
fn follow(lines: &[Line], flow: &Flow, mut block: usize, known: &Known) -> Option<usize> {
    // A loop without an end has one here.
    let mut passed = BTreeSet::new();
    while passed.insert(block) {
        let mut instructions = lines[flow.blocks[block].lines.clone()].iter().filter_map(Line::instruction);
        let (Some(only), None) = (instructions.next(), instructions.next()) else { break };
        let is_taken = if only.name == "j" {
            Some(true)
        } else {
            only.is_branch().then(|| outcome(only, known)).flatten()
        };
        let next = match is_taken {
            Some(true) => flow.blocks[block].jumps_to,
            Some(false) => flow.blocks[block].falls_to,
            None => break,
        };
        block = next?;
    }
    Some(block)
}

/// Turns a branch around a jump into the opposite branch, and takes out a jump to what follows.
pub(super) fn branch_once(lines: &mut [Line]) -> bool {
    let mut changed = false;
    for index in 0..lines.len() {
        let Some(jump) = lines[index].instruction() else { continue };
        let Some(target) = jump.target().map(str::to_owned) else { continue };
        let follows = |place: &str| {
            lines[index + 1..]
                .iter()
                .take_while(|line| line.instruction().is_none())
                .any(|line| matches!(line, Line::Label(label) if label == place))
        };
        if follows(&target) {
            lines[index] = GONE;
            changed = true;
            continue;
        }
        if jump.name != "j" {
            continue;
        }
        let Some(before) = (0..index).rev().find(|&at| lines[at] != GONE) else {
            continue;
        };
        let Some(branch) = lines[before].instruction().filter(|branch| branch.is_branch()) else { continue };
        if !branch.target().is_some_and(follows) {
            continue;
        }
        let Some(opposite) = opposite(&branch.name) else { continue };
        let mut branch = branch.clone();
        branch.name = opposite.to_owned();
        branch.aim(&target);
        lines[before] = Line::Instruction(branch);
        lines[index] = GONE;
        changed = true;
    }
    changed
}

/// Takes out labels that nothing names.
pub(super) fn drop_unused_labels(lines: &mut Vec<Line>, indirect: &BTreeSet<String>) {
    let named: BTreeSet<String> = lines
        .iter()
        .filter_map(Line::instruction)
        .filter_map(Instruction::target)
        .map(str::to_owned)
        .collect();
    lines.retain(
        |line| !matches!(line, Line::Label(label) if !named.contains(label) && !indirect.contains(label)),
    );
}

/// Makes labels that are not there yet.
struct Fresh {
    stem: String,
    count: usize,
}

impl Fresh {
    fn of(lines: &[Line]) -> Self {
        // `.LBB12_3` is function 12's.
        let first = lines.iter().find_map(|line| match line {
            Line::Label(label) => {
                label.strip_prefix(".LBB")?.split_once('_').map(|(function, _)| function.to_owned())
            }
            _ => None,
        });
        let stem = format!(".LT{}_", first.unwrap_or_default());
        let numbers = lines.iter().filter_map(|line| match line {
            Line::Label(label) => label.strip_prefix(&stem)?.parse().ok(),
            _ => None,
        });
        let count = numbers.max().unwrap_or(0);
        Self { stem, count }
    }

    fn next(&mut self) -> String {
        self.count += 1;
        format!("{}{}", self.stem, self.count)
    }
}
