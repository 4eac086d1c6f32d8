//! Finds the runs of instructions that stand in several places, and what is saved by having them once.

use std::collections::{BTreeSet, HashMap};

use super::flow::Flow;
use super::instruction::{Instruction, Line};
use super::known::Literals;
use super::{Function, is_made};

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

/// All instructions that may be taken out, function behind function; nothing where runs must end.
pub(super) struct Runs {
    places: Vec<Option<Place>>,
    /// Instructions by their numbers.
    instructions: Vec<Instruction>,
}

/// A run that stands in several places: what they start with, and how many instructions it has.
pub(super) struct Run {
    pub(super) starts: Vec<usize>,
    pub(super) length: usize,
}

/// An instruction that may be taken out.
#[derive(Clone, Copy)]
struct Place {
    /// Which instruction, by its number.
    instruction: u32,
    /// Where it stands.
    function: usize,
    line: usize,
    end: End,
    /// A call may be made here: nobody counts on a0.
    is_free: bool,
}

/// How a run may end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Like most: it needs a `ret`.
    No,
    /// It ends in a `ret`.
    Return,
    /// It ends in a call.
    Call,
}

impl Runs {
    /// Looks through the functions in flash.
    pub(super) fn of(functions: &[Function], indirect: &BTreeSet<String>, literals: &Literals) -> Self {
        let in_flash = || functions.iter().enumerate().filter(|(_, function)| function.is_in_flash);
        let near: BTreeSet<&str> = in_flash().map(|(_, function)| function.name.as_str()).collect();
        let mut numbers: HashMap<Instruction, u32> = HashMap::new();
        let mut runs = Self { places: Vec::new(), instructions: Vec::new() };
        for (number, function) in in_flash() {
            let lines = &function.lines;
            let flow = Flow::of(lines, |label| indirect.contains(label));
            let free = free(lines, &flow);
            for block in &flow.blocks {
                for line in block.lines.clone() {
                    let Some(instruction) = lines[line].instruction() else { continue };
                    let end = end_with(instruction, &near);
                    runs.places.push(end.map(|end| {
                        let named = named(instruction, literals);
                        let instruction = *numbers.entry(named).or_insert_with_key(|named| {
                            runs.instructions.push(named.clone());
                            runs.instructions.len() as u32 - 1
                        });
                        Place { instruction, function: number, line, end, is_free: free[line] }
                    }));
                    if end == Some(End::Call) {
                        runs.places.push(None);
                    }
                }
                runs.places.push(None);
            }
        }
        runs
    }

    /// Returns the runs that are worth it, those that save most first; none of them overlap.
    pub(super) fn worth(&self) -> Vec<Run> {
        let mut candidates = self.candidates();
        candidates.sort_by(|(one, run), (other, of)| other.cmp(one).then(run.starts.cmp(&of.starts)));
        let mut taken = vec![false; self.places.len()];
        let mut worth = Vec::new();
        for (_, mut run) in candidates {
            run.starts.retain(|&start| !taken[start..start + run.length].contains(&true));
            if run.starts.len() < 2 || self.saved(&run) < WORTH {
                continue;
            }
            for &start in &run.starts {
                taken[start..start + run.length].fill(true);
            }
            worth.push(run);
        }
        worth
    }

    /// Returns every run that saves something by itself, and how much.
    fn candidates(&self) -> Vec<(usize, Run)> {
        // All starts of runs, those that begin alike beside each other.
        let numbers = |start: usize| self.from(start).map(|place| place.instruction);
        let mut starts: Vec<usize> =
            (0..self.places.len()).filter(|&start| self.places[start].is_some()).collect();
        starts.sort_by(|&one, &other| numbers(one).cmp(numbers(other)).then(one.cmp(&other)));
        let alike = |two: &[usize]| {
            numbers(two[0]).zip(numbers(two[1])).take_while(|(one, other)| one == other).count()
        };
        let alike: Vec<usize> = starts.windows(2).map(alike).collect();
        let mut candidates = Vec::new();
        for length in 2..=LONGEST {
            let mut first = 0;
            for last in 0..starts.len() {
                if alike.get(last).is_some_and(|&alike| alike >= length) {
                    continue;
                }
                let group = starts[first..=last].to_vec();
                first = last + 1;
                if group.len() > 1 {
                    let run = Run { starts: self.apart(group, length), length };
                    candidates.push((self.saved(&run), run));
                }
            }
        }
        candidates.retain(|(saved, _)| *saved >= WORTH);
        candidates
    }

    /// Returns the places from one on to the next where runs must end.
    fn from(&self, start: usize) -> impl Iterator<Item = &Place> + Clone {
        self.places[start..].iter().take(LONGEST).map_while(Option::as_ref)
    }

    fn places(&self, start: usize, length: usize) -> impl Iterator<Item = &Place> + Clone {
        self.places[start..start + length].iter().flatten()
    }

    /// Returns where a run's instructions stand: function and line.
    pub(super) fn lines(&self, start: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
        self.places(start, length).map(|place| (place.function, place.line))
    }

    /// Returns a run's instructions.
    pub(super) fn instructions(&self, run: &Run) -> impl Iterator<Item = &Instruction> {
        let places = run.starts.first().map(|&start| self.places(start, run.length));
        places.into_iter().flatten().map(|place| &self.instructions[place.instruction as usize])
    }

    /// Returns how a run ends.
    pub(super) fn end(&self, run: &Run) -> End {
        let last = run.starts.first().and_then(|&start| self.places(start, run.length).last());
        last.map_or(End::No, |place| place.end)
    }

    /// Returns those of the starts whose runs may be taken out and don't overlap.
    fn apart(&self, mut starts: Vec<usize>, length: usize) -> Vec<usize> {
        starts.sort_unstable();
        let mut end = 0;
        starts.retain(|&start| {
            let mut places = self.places(start, length);
            let may =
                places.clone().all(|place| place.is_free) || places.any(|place| place.end == End::Return);
            let is_apart = may && start >= end;
            if is_apart {
                end = start + length;
            }
            is_apart
        });
        starts
    }

    /// Returns the bytes that are saved by making a function of a run.
    fn saved(&self, run: &Run) -> usize {
        let size: usize = self.instructions(run).map(Instruction::size).sum();
        let more = match self.end(run) {
            End::No => RETURN + ALIGNMENT,
            End::Call => ALIGNMENT,
            End::Return => 0,
        };
        (run.starts.len() * size).saturating_sub(run.starts.len() * CALL + size + more)
    }
}

/// Tells of each line whether a call may be made in its stead: a0 isn't counted on, neither here nor behind.
fn free(lines: &[Line], flow: &Flow) -> Vec<bool> {
    let mut free = vec![false; lines.len()];
    for (block, mut wanted) in flow.blocks.iter().zip(flow.wanted(lines)) {
        for line in block.lines.clone().rev() {
            let Some(instruction) = lines[line].instruction() else { continue };
            let effects = instruction.effects();
            let is_call = instruction.name.starts_with("call");
            let touched = if is_call { effects.reads } else { effects.reads | effects.writes };
            free[line] = (wanted & !effects.writes | touched) & 1 == 0;
            wanted = effects.before(wanted);
        }
    }
    free
}

/// Tells how a run with this instruction at its end would end; nothing if no run may have it.
fn end_with(instruction: &Instruction, near: &BTreeSet<&str>) -> Option<End> {
    // A jump reaches 128 KiB: what is in flash, and what is made here.
    let is_near = |to: &String| near.contains(to.as_str()) || is_made(to);
    match instruction.name.as_str() {
        "j" | "jx" | "ill" => None,
        "ret" => Some(End::Return),
        "callx0" => Some(End::Call),
        "call0" => instruction.operands.iter().all(is_near).then_some(End::Call),
        _ => (!instruction.is_branch()).then_some(End::No),
    }
}

/// Names the value that an instruction loads: functions have labels of their own for the same.
fn named(instruction: &Instruction, literals: &Literals) -> Instruction {
    let mut named = instruction.clone();
    if named.name == "l32r"
        && let Some(label) = named.operands.get_mut(1)
        && let Some(value) = literals.get(label)
    {
        *label = format!("={value}");
    }
    named
}
