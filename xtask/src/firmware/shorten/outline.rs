//! Runs of instructions that stand in several places become one function that all of them call.
//!
//! A call changes a0 alone, which a function that calls others has saved at its start and loads again at its end; between the
//! two it is free. A run that ends in `ret` is jumped to; one that ends in a call jumps to what it calls. What the compilers of
//! other processors do themselves (LLVM's `MachineOutliner`), for this one they don't.

use std::collections::BTreeSet;

use super::instruction::{GONE, Instruction, Line, sweep};
use super::known::Literals;
use super::runs::{End, Run, Runs};
use super::{Function, SHARED};

/// Takes runs out of functions; returns the functions made of them, with their literals.
pub(super) fn outline(
    functions: &mut [Function],
    indirect: &BTreeSet<String>,
    literals: &Literals,
) -> Vec<Line> {
    let mut made = Vec::new();
    let mut count = 0;
    // A round finds runs with the calls of runs that the one before has made, and ends when there is nothing to be saved.
    loop {
        let runs = Runs::of(functions, indirect, literals);
        let worth = runs.worth();
        if worth.is_empty() {
            break;
        }
        for run in worth {
            count += 1;
            let name = format!("{SHARED}{count}");
            made.extend(function_of(&name, &runs, &run));
            let call = Instruction::new(if runs.end(&run) == End::Return { "j" } else { "call0" }, [&name]);
            for &start in &run.starts {
                for (index, (function, line)) in runs.lines(start, run.length).enumerate() {
                    functions[function].lines[line] = match index {
                        0 => Line::Instruction(call.clone()),
                        _ => GONE,
                    };
                }
            }
        }
        for function in functions.iter_mut() {
            sweep(&mut function.lines);
        }
    }
    with_literals(made)
}

/// Returns the function that is made of a run.
fn function_of(name: &str, runs: &Runs, run: &Run) -> Vec<Line> {
    let end = runs.end(run);
    let mut lines = Vec::new();
    if end != End::Return {
        lines.push(Line::Other("\t.p2align\t2".to_owned()));
    }
    lines.push(Line::Other(format!("\t.type\t{name},@function")));
    lines.push(Line::Label(name.to_owned()));
    lines.extend(runs.instructions(run).cloned().map(jump).map(Line::Instruction));
    if end == End::No {
        lines.push(Line::Instruction(Instruction::new("ret", [])));
    }
    lines.push(Line::Other(format!("\t.size\t{name}, .-{name}")));
    lines
}

/// A call at a run's end is a jump.
fn jump(mut instruction: Instruction) -> Instruction {
    match instruction.name.as_str() {
        "call0" => "j".clone_into(&mut instruction.name),
        "callx0" => "jx".clone_into(&mut instruction.name),
        _ => {}
    }
    instruction
}

/// Puts the literals that runs load in front of them.
fn with_literals(mut made: Vec<Line>) -> Vec<Line> {
    let mut loaded = BTreeSet::new();
    for line in &mut made {
        if let Line::Instruction(instruction) = line
            && let Some(operand) = instruction.operands.get_mut(1)
            && let Some(value) = operand.strip_prefix('=')
        {
            let label = format!(".Lshared_{}", value.replace('-', "minus"));
            loaded.insert(format!("\t.literal {label}, {value}"));
            *operand = label;
        }
    }
    loaded.into_iter().map(Line::Other).chain(made).collect()
}
