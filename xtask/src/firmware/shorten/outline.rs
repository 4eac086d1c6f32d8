//! Runs of instructions that stand in several places become one function that all of them call.
//!
//! A call changes a0 alone, which a function that calls others has saved at its start and loads again at its end; between the
//! two it is free. A run that ends in `ret` is jumped to. What the compilers of other processors do themselves (LLVM's
//! `MachineOutliner`), for this one they don't.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Function;
use super::flow::Flow;
use super::instruction::{Instruction, Line};
use super::known::Literals;

/// The longest run that is looked for.
const LONGEST: usize = 40;
/// What a call of a run takes, or a jump to it.
const CALL: usize = 3;
/// What makes a function of a run.
const RETURN: usize = 2;
/// On average; a call reaches words only.
const ALIGNMENT: usize = 2;
/// What a run has to save to be worth the detour.
const WORTH: usize = 2;

/// A place of the text where an instruction may be taken out to a run.
struct Place {
    /// Which instruction, by its number.
    instruction: u32,
    /// The line, of which function.
    function: usize,
    line: usize,
    end: End,
    /// A call may be made here: nobody counts on a0.
    is_free: bool,
}

/// How a run may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not with this instruction, unless a `ret` comes behind it.
    No,
    /// It is a `ret`: the run is jumped to.
    Return,
    /// It is a call: the run jumps to what is called, which returns to the run's caller.
    Call,
}

/// Takes runs out of functions; returns the functions made of them.
pub(super) fn outline(
    functions: &mut [Function],
    indirect: &BTreeSet<String>,
    literals: &Literals,
) -> Vec<Line> {
    let mut made = Vec::new();
    let mut count = 0;
    // Another round finds runs of runs.
    for _ in 0..30 {
        let before = count;
        round(functions, indirect, literals, &mut made, &mut count);
        if count == before {
            break;
        }
    }
    // Literals stand in front of what loads them.
    let loaded: BTreeSet<String> =
        made.iter().filter_map(Line::instruction).filter_map(loaded_value).collect();
    let literal = |value: &String| Line::Other(format!("\t.literal {}, {value}", label_of(value)));
    let mut all: Vec<Line> = loaded.iter().map(literal).collect();
    for line in &mut made {
        if let Line::Instruction(instruction) = line
            && let Some(value) = loaded_value(instruction)
        {
            instruction.operands[1] = label_of(&value);
        }
    }
    all.append(&mut made);
    all
}

/// Returns the value that an instruction of a run loads: runs name it, since each function has literals of its own.
fn loaded_value(instruction: &Instruction) -> Option<String> {
    (instruction.name == "l32r")
        .then(|| instruction.operands.get(1)?.strip_prefix('=').map(str::to_owned))
        .flatten()
}

fn label_of(value: &str) -> String {
    format!(".Lshared_{}", value.replace('-', "minus"))
}

fn round(
    functions: &mut [Function],
    indirect: &BTreeSet<String>,
    literals: &Literals,
    made: &mut Vec<Line>,
    count: &mut usize,
) {
    let mut numbers: HashMap<Instruction, u32> = HashMap::new();
    let near: BTreeSet<String> = functions
        .iter()
        .filter(|function| function.is_in_flash)
        .map(|function| function.name.clone())
        .collect();
    let mut places: Vec<Option<Place>> = Vec::new();
    for (number, function) in functions.iter().enumerate().filter(|(_, function)| function.is_in_flash) {
        places.extend(free_places(number, &function.lines, indirect, &near, literals, &mut numbers));
        places.push(None);
    }
    let mut instructions: Vec<&Instruction> = Vec::new();
    let mut by_number: Vec<(&Instruction, u32)> =
        numbers.iter().map(|(one, &number)| (one, number)).collect();
    by_number.sort_by_key(|&(_, number)| number);
    instructions.extend(by_number.iter().map(|&(one, _)| one));

    // All starts of runs, those that begin alike beside each other.
    let run = |start: usize| places[start..].iter().take(LONGEST).map_while(Option::as_ref);
    let mut starts: Vec<usize> = (0..places.len()).filter(|&start| places[start].is_some()).collect();
    starts.sort_by(|&one, &other| {
        run(one)
            .map(|place| place.instruction)
            .cmp(run(other).map(|place| place.instruction))
            .then(one.cmp(&other))
    });
    let alike: Vec<usize> = starts
        .windows(2)
        .map(|two| {
            run(two[0])
                .zip(run(two[1]))
                .take_while(|(one, other)| one.instruction == other.instruction)
                .count()
        })
        .collect();

    let mut candidates: Vec<(usize, usize, Vec<usize>)> = Vec::new();
    for length in 2..=LONGEST {
        let mut group: Vec<usize> = Vec::new();
        for (index, &start) in starts.iter().enumerate() {
            if group.is_empty() {
                group.push(start);
            }
            if alike.get(index).is_some_and(|&alike| alike >= length) {
                group.push(starts[index + 1]);
                continue;
            }
            let group = std::mem::take(&mut group);
            if group.len() > 1 {
                let apart = apart(&places, group, length);
                let saved = saved(&places, &instructions, &apart, length);
                if saved >= WORTH {
                    candidates.push((saved, length, apart));
                }
            }
        }
    }
    candidates.sort_by(|one, other| other.0.cmp(&one.0).then(one.2.cmp(&other.2)));

    let mut taken = vec![false; places.len()];
    let mut cuts: BTreeMap<(usize, usize), (usize, Line)> = BTreeMap::new();
    for (_, length, starts) in candidates {
        let left: Vec<usize> = starts
            .into_iter()
            .filter(|&start| !taken[start..start + length].iter().any(|&taken| taken))
            .collect();
        if left.len() < 2 || saved(&places, &instructions, &left, length) < WORTH {
            continue;
        }
        *count += 1;
        let name = format!("shared_{count}");
        let end = run(left[0]).nth(length - 1).map_or(End::No, |place| place.end);
        let body = run(left[0]).take(length).map(|place| instructions[place.instruction as usize].clone());
        if end != End::Return {
            made.push(Line::Other("\t.p2align\t2".to_owned()));
        }
        made.push(Line::Other(format!("\t.type\t{name},@function")));
        made.push(Line::Label(name.clone()));
        made.extend(body.map(jump).map(Line::Instruction));
        if end == End::No {
            made.push(Line::Instruction(Instruction::new("ret", [])));
        }
        made.push(Line::Other(format!("\t.size\t{name}, .-{name}")));
        for start in left {
            taken[start..start + length].fill(true);
            let lines: Vec<&Place> = run(start).take(length).collect();
            let call = Instruction::new(if end == End::Return { "j" } else { "call0" }, [&name]);
            for (index, place) in lines.iter().enumerate() {
                let line =
                    if index == 0 { Line::Instruction(call.clone()) } else { Line::Other(String::new()) };
                cuts.insert((place.function, place.line), (index, line));
            }
        }
    }
    for ((function, line), (_, cut)) in cuts {
        functions[function].lines[line] = cut;
    }
    for function in functions {
        function.lines.retain(|line| *line != Line::Other(String::new()));
    }
}

/// Returns a function's instructions that may be taken out; nothing where runs must end.
fn free_places(
    function: usize,
    lines: &[Line],
    indirect: &BTreeSet<String>,
    near: &BTreeSet<String>,
    literals: &Literals,
    numbers: &mut HashMap<Instruction, u32>,
) -> Vec<Option<Place>> {
    let flow = Flow::of(lines, |label| indirect.contains(label));
    let ends = flow.wanted(lines);
    let mut places = Vec::new();
    for (block, end) in flow.blocks.iter().zip(ends) {
        let mut wanted = end;
        let mut own: Vec<Option<Place>> = Vec::new();
        for line in block.lines.clone().rev() {
            let Some(instruction) = lines[line].instruction() else { continue };
            let effects = instruction.effects();
            let is_call = matches!(instruction.name.as_str(), "call0" | "callx0");
            let touched = if is_call { effects.reads } else { effects.reads | effects.writes };
            let is_free = (wanted & !effects.writes | touched) & 1 == 0;
            wanted = wanted & !effects.writes | effects.reads;
            if is_call {
                own.push(None);
            }
            let mut named = instruction.clone();
            if let ("l32r", Some(value)) =
                (named.name.as_str(), named.operands.get(1).and_then(|label| literals.get(label)))
            {
                named.operands[1] = format!("={value}");
            }
            own.push(place(function, line, &named, is_free, near, numbers));
        }
        own.reverse();
        places.append(&mut own);
        places.push(None);
    }
    places
}

fn place(
    function: usize,
    line: usize,
    instruction: &Instruction,
    is_free: bool,
    near: &BTreeSet<String>,
    numbers: &mut HashMap<Instruction, u32>,
) -> Option<Place> {
    let stays = matches!(instruction.name.as_str(), "j" | "jx" | "ill");
    if stays || instruction.is_branch() {
        return None;
    }
    let next = numbers.len() as u32;
    let end = match instruction.name.as_str() {
        "ret" => End::Return,
        "callx0" => End::Call,
        // A jump reaches 128 KiB.
        "call0" if instruction.operands.iter().all(|to| is_near(to) || near.contains(to)) => End::Call,
        "call0" => return None,
        _ => End::No,
    };
    let instruction = *numbers.entry(instruction.clone()).or_insert(next);
    Some(Place { instruction, function, line, end, is_free })
}

/// Tells whether something is a function made here.
fn is_near(name: &str) -> bool {
    name.starts_with("shared_") || name.starts_with("near_")
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

/// Returns those of the starts whose runs may be taken out and don't overlap.
fn apart(places: &[Option<Place>], mut starts: Vec<usize>, length: usize) -> Vec<usize> {
    starts.sort_unstable();
    let mut end = 0;
    starts.retain(|&start| {
        let mut run = places[start..start + length].iter().flatten();
        let may = run.clone().all(|place| place.is_free) || run.any(|place| place.end == End::Return);
        let is_apart = may && start >= end;
        if is_apart {
            end = start + length;
        }
        is_apart
    });
    starts
}

/// Returns the bytes that are saved by making a function of the runs.
fn saved(places: &[Option<Place>], instructions: &[&Instruction], starts: &[usize], length: usize) -> usize {
    let Some(&first) = starts.first() else { return 0 };
    let run = places[first..first + length].iter().flatten();
    let end = run.clone().last().map_or(End::No, |place| place.end);
    let size: usize = run.map(|place| instructions[place.instruction as usize].size()).sum();
    let own = size
        + match end {
            End::No => RETURN + ALIGNMENT,
            End::Call => ALIGNMENT,
            End::Return => 0,
        };
    (starts.len() * size).saturating_sub(starts.len() * CALL + own)
}
