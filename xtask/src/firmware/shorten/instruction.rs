//! Lines of assembly text, and what an instruction reads and writes.

use std::fmt;

/// A register by its number; [`SHIFT`] stands for SAR.
pub(super) type Register = u8;
/// A set of registers, one bit each.
pub(super) type Registers = u32;

/// The stack's pointer.
pub(super) const STACK: Register = 1;
/// The amount of the next shift, SAR.
const SHIFT: Register = 16;
/// The registers, SAR among them.
pub(super) const COUNT: usize = 17;

const ALL: Registers = (1 << COUNT) - 1;
/// What a call may find arguments in, and the stack's pointer (Xtensa ABI, CALL0: a2 to a7).
const ARGUMENTS: Registers = 0b1111_1110;
/// What a call may change: all but a1 and a12 to a15.
const CHANGED: Registers = 1 | 0b1111_1111_1100 | 1 << SHIFT;
/// What a caller counts on: the return address, the stack's pointer, the result in a2 to a5, and a12 to a15.
const RETURNED: Registers = 0b1111_0000_0011_1111;

/// A line of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Label(String),
    Instruction(Instruction),
    /// A directive, a comment, or nothing.
    Other(String),
}

/// What is left of a line that has gone, until it is swept out.
pub(super) const GONE: Line = Line::Other(String::new());

/// Sweeps out the lines that have gone.
pub(super) fn sweep(lines: &mut Vec<Line>) {
    lines.retain(|line| *line != GONE);
}

/// An instruction as the assembler reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Instruction {
    pub(super) name: String,
    pub(super) operands: Vec<String>,
}

/// What an instruction does to registers.
pub(super) struct Effects {
    pub(super) reads: Registers,
    pub(super) writes: Registers,
    /// It does nothing else, and so is needless where nobody reads what it writes.
    pub(super) is_pure: bool,
}

impl Effects {
    /// Returns the registers that are wanted before it, given those that are wanted behind it.
    pub(super) fn before(&self, wanted: Registers) -> Registers {
        wanted & !self.writes | self.reads
    }
}

/// How an instruction's operands are meant.
enum Kind {
    /// The first operand is written, the others are read.
    Computes,
    /// So is it, and something outside of the registers is looked at.
    Loads,
    /// All operands are read.
    Reads,
    SetsShift,
    Shifts,
    Calls,
    Returns,
    /// Nothing is known of it.
    Unknown,
}

impl Line {
    pub(super) fn parse(line: &str) -> Self {
        if let Some(label) = line.strip_suffix(':').filter(|label| !label.contains(char::is_whitespace)) {
            return Self::Label(label.to_owned());
        }
        let parsed = line.strip_prefix('\t').map(|rest| rest.split_once('\t').unwrap_or((rest, "")));
        match parsed {
            Some((name, operands)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let operands = operands.split(", ").map(str::trim).filter(|operand| !operand.is_empty());
                let operands = operands.map(str::to_owned).collect();
                Self::Instruction(Instruction { name: name.to_owned(), operands })
            }
            _ => Self::Other(line.to_owned()),
        }
    }

    pub(super) fn instruction(&self) -> Option<&Instruction> {
        if let Self::Instruction(instruction) = self { Some(instruction) } else { None }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(out, "{label}:"),
            Self::Instruction(Instruction { name, operands }) if operands.is_empty() => {
                write!(out, "\t{name}")
            }
            Self::Instruction(Instruction { name, operands }) => {
                write!(out, "\t{name}\t{}", operands.join(", "))
            }
            Self::Other(text) => out.write_str(text),
        }
    }
}

impl Instruction {
    pub(super) fn new<const N: usize>(name: &str, operands: [&str; N]) -> Self {
        Self { name: name.to_owned(), operands: operands.map(str::to_owned).into() }
    }

    /// Returns the operands, if it has as many.
    pub(super) fn operands<const N: usize>(&self) -> Option<[&str; N]> {
        let operands: &[String; N] = self.operands[..].try_into().ok()?;
        Some(operands.each_ref().map(String::as_str))
    }

    /// Returns the register in an operand.
    pub(super) fn register(&self, operand: usize) -> Option<Register> {
        register(self.operands.get(operand)?)
    }

    /// Returns the number in an operand.
    pub(super) fn number(&self, operand: usize) -> Option<i32> {
        self.operands.get(operand)?.parse().ok()
    }

    fn kind(&self) -> Kind {
        match self.name.as_str() {
            "movi" | "mov" | "addi" | "addmi" | "add" | "sub" | "and" | "or" | "xor" | "mull" | "addx2"
            | "addx4" | "addx8" | "slli" | "srli" | "srai" | "extui" | "neg" | "l32r" => Kind::Computes,
            "l32i" | "l16ui" | "l16si" | "l8ui" => Kind::Loads,
            "s32i" | "s16i" | "s8i" | "j" | "jx" | "memw" | "nop" => Kind::Reads,
            "ssl" | "ssr" => Kind::SetsShift,
            "sll" | "srl" | "sra" | "src" => Kind::Shifts,
            "call0" | "callx0" => Kind::Calls,
            "ret" => Kind::Returns,
            name if is_branch(name) => Kind::Reads,
            _ => Kind::Unknown,
        }
    }

    pub(super) fn effects(&self) -> Effects {
        let set = |operands: &[String]| {
            operands.iter().filter_map(|name| register(name)).fold(0, |set, one| set | 1 << one)
        };
        let all = set(&self.operands);
        let (first, others) = self.operands.split_at(self.operands.len().min(1));
        let (first, others) = (set(first), set(others));
        let (reads, writes, is_pure) = match self.kind() {
            Kind::Computes => (others, first, true),
            Kind::Loads => (others, first, false),
            Kind::Reads => (all, 0, false),
            Kind::SetsShift => (all, 1 << SHIFT, true),
            Kind::Shifts => (others | 1 << SHIFT, first, true),
            Kind::Calls => (all | ARGUMENTS, CHANGED, false),
            Kind::Returns => (RETURNED, 0, false),
            Kind::Unknown => (ALL, all, false),
        };
        Effects { reads, writes, is_pure }
    }

    /// Lets it read another register; tells whether it names all that it reads of this one.
    pub(super) fn read_instead(&mut self, from: Register, to: &str) -> bool {
        let effects = self.effects();
        let is_named = !matches!(self.kind(), Kind::Calls | Kind::Returns | Kind::Unknown)
            || effects.reads & 1 << from == 0;
        let first = usize::from(effects.writes & !(1 << SHIFT) != 0);
        for operand in self.operands.iter_mut().skip(first).filter(|operand| register(operand) == Some(from))
        {
            to.clone_into(operand);
        }
        is_named
    }

    /// Returns where it may jump to, for a branch or a jump to a place.
    pub(super) fn target(&self) -> Option<&str> {
        (self.name == "j" || is_branch(&self.name))
            .then(|| self.operands.last())
            .flatten()
            .map(String::as_str)
    }

    /// Lets a branch or jump go elsewhere.
    pub(super) fn aim(&mut self, target: &str) {
        if let Some(operand) = self.operands.last_mut() {
            target.clone_into(operand);
        }
    }

    pub(super) fn is_branch(&self) -> bool {
        is_branch(&self.name)
    }

    /// Tells whether what stands behind it is reached by a jump alone.
    pub(super) fn ends(&self) -> bool {
        matches!(self.name.as_str(), "j" | "jx" | "ret" | "ill")
    }

    /// Returns the bytes that it loads or stores, which its offset is a multiple of.
    pub(super) fn unit(&self) -> Option<i32> {
        match self.name.as_str() {
            "l8ui" | "s8i" => Some(1),
            "l16ui" | "l16si" | "s16i" => Some(2),
            "l32i" | "s32i" => Some(4),
            _ => None,
        }
    }

    /// Returns the bytes that it takes, in the form that the assembler chooses (Xtensa ISA, code density option).
    pub(super) fn size(&self) -> usize {
        let within =
            |operand, low, high| self.number(operand).is_some_and(|number| (low..=high).contains(&number));
        let is_short = match self.name.as_str() {
            "mov" | "add" | "ret" => true,
            "movi" => within(1, -32, 95),
            "addi" => within(2, 1, 15) || within(2, -1, -1),
            "l32i" | "s32i" => within(2, 0, 60),
            _ => false,
        };
        if is_short { 2 } else { 3 }
    }
}

/// Returns the number of a register, `a0` to `a15`.
pub(super) fn register(name: &str) -> Option<Register> {
    name.strip_prefix('a')?.parse().ok().filter(|&number| number < SHIFT)
}

fn is_branch(name: &str) -> bool {
    name.len() > 1 && name.starts_with('b') && name != "break"
}
