//! Says the same in fewer bytes, where LLVM's text for this processor is wasteful.
//!
//! LLVM's backend for Xtensa is young: it calls every function through a register, loads each constant that an instruction
//! could hold, makes every sum anew, and has no outliner. GNU's assembler and linker only choose short forms. What is done here:
//!
//! | file | what becomes shorter |
//! | --- | --- |
//! | `rewrite`, `branches` | an instruction whose operands are [`known`] |
//! | `anchor` | accesses far behind a pointer |
//! | `unused` | what nobody reads, copies of results |
//! | `jumps` | jumps to jumps, branches around jumps |
//! | `far` | calls from flash to IRAM |
//! | `outline`, `runs` | runs of instructions that stand in several places |
//!
//! The first four work on one function until nothing changes, by its [`flow`]; the last two on all of them. `tests` runs
//! functions made at random before and after; the image itself goes through all of the product's tests.

use std::collections::BTreeSet;

mod anchor;
mod branches;
mod far;
mod flow;
mod instruction;
mod jumps;
mod known;
mod outline;
mod rewrite;
mod runs;
#[cfg(test)]
mod tests;
mod unused;

use flow::Flow;
use instruction::{GONE, Instruction, Line, sweep};
use known::Literals;

/// Parts of the names of functions of the program that the linker puts into IRAM (`link.ld`), from where flash is out of reach.
const IN_IRAM: [&str; 1] = ["9waitqueue18waker_registration"];

/// How the names of functions begin that are made here: of runs, and of stops on the way to IRAM.
const SHARED: &str = "shared_";
const NEAR: &str = "near_";

/// Tells whether a symbol is a function that was made here.
pub(crate) fn is_made(symbol: &str) -> bool {
    symbol.starts_with(SHARED) || symbol.starts_with(NEAR)
}

/// A piece of the text.
enum Piece {
    /// Directives, data, and the labels of functions.
    Other(Vec<Line>),
    /// A function's lines, by the number of it.
    Function(usize),
}

/// Returns text that does the same as `text`. If it `shares`, functions share runs of instructions.
pub(crate) fn shorten(text: &str, shares: bool) -> String {
    let lines: Vec<Line> = text.lines().map(Line::parse).collect();
    let literals = literals(&lines);
    let indirect = indirect(&lines);
    let (mut pieces, mut functions) = take_apart(lines);
    for function in &mut functions {
        shorten_function(&mut function.lines, &literals, &indirect);
    }
    // In the midst of all, where jumps from everywhere reach it.
    if shares {
        let mut shared = far::stop(&mut functions);
        shared.extend(outline::outline(&mut functions, &indirect, &literals));
        let middle = middle(&pieces, &functions);
        if let Some(Piece::Other(lines)) = pieces.get_mut(middle) {
            let is_size = |line: &Line| matches!(line, Line::Other(text) if text.starts_with("\t.size\t"));
            let at = lines.iter().position(is_size).map_or(lines.len(), |at| at + 1);
            lines.splice(at..at, shared);
        }
    }
    let mut shortened: Vec<Line> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Other(lines) => shortened.extend(lines),
            Piece::Function(number) => shortened.append(&mut functions[number].lines),
        }
    }
    drop_unused_literals(&mut shortened);
    let mut text = String::with_capacity(text.len());
    for line in shortened.iter().filter(|line| **line != GONE) {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

/// Returns the place behind a function with as much code in front of it as behind. It is one with literals: the linker puts
/// all the others last.
fn middle(pieces: &[Piece], functions: &[Function]) -> usize {
    let size = |number: usize| functions[number].lines.len();
    let all: usize = (0..functions.len()).map(size).sum();
    let mut passed = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Function(number) = piece else { continue };
        passed += size(*number);
        let function = &functions[*number];
        let has_literals = function.lines.iter().filter_map(Line::instruction).any(|one| one.name == "call0");
        if passed * 2 >= all && has_literals && function.is_in_flash {
            return index + 1;
        }
    }
    pieces.len()
}

/// A function: its lines between its label and its end's.
struct Function {
    name: String,
    lines: Vec<Line>,
    is_in_flash: bool,
}

/// Takes a text apart into its functions and what is between them.
fn take_apart(lines: Vec<Line>) -> (Vec<Piece>, Vec<Function>) {
    let mut pieces = Vec::new();
    let mut functions = Vec::new();
    let mut other: Vec<Line> = Vec::new();
    let mut function: Option<Vec<Line>> = None;
    let mut name = String::new();
    let mut is_in_flash = true;
    for line in lines {
        match (&line, &mut function) {
            (Line::Label(label), Some(_)) if label.starts_with(".Lfunc_end") => {
                pieces.push(Piece::Function(functions.len()));
                let lines = function.take().unwrap_or_default();
                functions.push(Function { name: name.clone(), lines, is_in_flash });
                other.push(line);
            }
            (_, Some(body)) => body.push(line),
            (Line::Label(label), None) if *label == name => {
                other.push(line);
                pieces.push(Piece::Other(std::mem::take(&mut other)));
                function = Some(Vec::new());
            }
            (Line::Other(text), None) => {
                if let Some(of) =
                    text.strip_prefix("\t.type\t").and_then(|rest| rest.strip_suffix(",@function"))
                {
                    of.clone_into(&mut name);
                }
                if let Some(section) = text.strip_prefix("\t.section\t") {
                    is_in_flash =
                        section.starts_with(".text") && !IN_IRAM.iter().any(|part| section.contains(part));
                } else if text.trim() == ".text" {
                    is_in_flash = true;
                }
                other.push(line);
            }
            _ => other.push(line),
        }
    }
    other.extend(function.into_iter().flatten());
    pieces.push(Piece::Other(other));
    (pieces, functions)
}

/// Shortens a function by itself.
fn shorten_function(lines: &mut Vec<Line>, literals: &Literals, indirect: &BTreeSet<String>) {
    for line in lines.iter_mut() {
        copy(line);
    }
    jumps::branch_once(lines);
    loop {
        sweep(lines);
        let flow = Flow::of(lines, |label| indirect.contains(label));
        let changed = rewrite::rewrite(lines, &flow, literals) | anchor::anchor(lines, &flow, literals);
        sweep(lines);
        let flow = Flow::of(lines, |label| indirect.contains(label));
        let changed = unused::take_out(lines, &flow) | changed | jumps::branch_once(lines);
        sweep(lines);
        let flow = Flow::of(lines, |label| indirect.contains(label));
        let changed = jumps::thread(lines, &flow, literals) | changed;
        jumps::drop_unused_labels(lines, indirect);
        if !changed {
            break;
        }
    }
}

/// Returns the values of literals, by their labels.
fn literals(lines: &[Line]) -> Literals {
    let literal = |line: &Line| {
        let Line::Other(text) = line else { return None };
        let (label, value) = text.strip_prefix("\t.literal ")?.split_once(", ")?;
        Some((label.to_owned(), value.to_owned()))
    };
    lines.iter().filter_map(literal).collect()
}

/// Returns the labels that data name: those of tables of jumps are among them.
fn indirect(lines: &[Line]) -> BTreeSet<String> {
    let named = |line: &Line| {
        let Line::Other(text) = line else { return None };
        Some(text.strip_prefix("\t.long\t")?.to_owned())
    };
    lines.iter().filter_map(named).collect()
}

/// Writes `or a2, a3, a3` as the copy that it is: the assembler has a 16-bit form for that alone.
fn copy(line: &mut Line) {
    let Line::Instruction(instruction) = line else { return };
    if let ("or", Some([to, one, other])) = (instruction.name.as_str(), instruction.operands())
        && one == other
    {
        *instruction = Instruction::new("mov", [to, one]);
    }
}

/// Takes out literals that nothing loads.
fn drop_unused_literals(lines: &mut [Line]) {
    let used: BTreeSet<String> = lines
        .iter()
        .filter_map(Line::instruction)
        .filter(|one| one.name == "l32r")
        .filter_map(|one| one.operands.get(1).cloned())
        .collect();
    for line in lines {
        let Line::Other(text) = line else { continue };
        let label = text.strip_prefix("\t.literal ").and_then(|rest| rest.split(',').next());
        if label.is_some_and(|label| !used.contains(label)) {
            text.clear();
        }
    }
}
