//! Branches in a shorter form, or none where what is known decides them.

use super::instruction::{GONE, Instruction, Line, Registers, register};
use super::known::Known;

/// What `beqi` and its kin compare with (Xtensa ISA, B4CONST).
const COMPARED: [i32; 16] = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
/// What `bltui` and `bgeui` compare with (Xtensa ISA, B4CONSTU).
const COMPARED_UNSIGNED: [i32; 16] = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];

/// Branches and what each becomes when it goes the other way.
const OPPOSITES: [(&str, &str); 13] = [
    ("beq", "bne"),
    ("beqz", "bnez"),
    ("beqi", "bnei"),
    ("blt", "bge"),
    ("blti", "bgei"),
    ("bltu", "bgeu"),
    ("bltui", "bgeui"),
    ("bltz", "bgez"),
    ("ball", "bnall"),
    ("bany", "bnone"),
    ("bbc", "bbs"),
    ("bbci", "bbsi"),
    ("bbci.l", "bbsi.l"),
];

/// Returns a shorter branch that does the same; a jump or nothing where it is known which way it goes.
pub(super) fn branch(instruction: &Instruction, known: &Known) -> Option<Instruction> {
    if let Some(is_taken) = outcome(instruction, known) {
        return Some(decided(is_taken, instruction.target()?));
    }
    let [one, other, target] = instruction.operands()?;
    let numbers = (known.operand(instruction, 0), known.operand(instruction, 1));
    // With a number in the instruction there is nothing shorter.
    register(other)?;
    if let ("bnone" | "bany", Some((of, bits))) =
        (instruction.name.as_str(), numbers.1.map(|bits| (one, bits)).or(numbers.0.map(|bits| (other, bits))))
    {
        let name = if instruction.name == "bnone" { "bbci" } else { "bbsi" };
        let bit = (bits as u32).trailing_zeros().to_string();
        return (bits as u32).is_power_of_two().then(|| Instruction::new(name, [of, &bit, target]));
    }
    // The number on the right; where it is on the left, the other way round: `5 < x` is `x >= 6`.
    let (from, number, name) = match numbers {
        (None, Some(number)) => (one, number, instruction.name.as_str()),
        (Some(number), None) => match instruction.name.as_str() {
            name @ ("beq" | "bne") => (other, number, name),
            "bltu" => (other, number.checked_add(1).filter(|&next| next != 0)?, "bgeu"),
            "bgeu" => (other, number.checked_add(1).filter(|&next| next != 0)?, "bltu"),
            "blt" => (other, number.checked_add(1)?, "bge"),
            "bge" => (other, number.checked_add(1)?, "blt"),
            _ => return None,
        },
        _ => return None,
    };
    let short = |name: &str| Some(Instruction::new(name, [from, &number.to_string(), target]));
    match (name, number) {
        ("beq", 0) | ("bltu", 1) => Some(Instruction::new("beqz", [from, target])),
        ("bne", 0) | ("bgeu", 1) => Some(Instruction::new("bnez", [from, target])),
        ("blt", 0) => Some(Instruction::new("bltz", [from, target])),
        ("bge", 0) => Some(Instruction::new("bgez", [from, target])),
        ("beq" | "bne" | "blt" | "bge", number) if COMPARED.contains(&number) => short(&format!("{name}i")),
        ("bltu", number) if COMPARED_UNSIGNED.contains(&number) => short("bltui"),
        ("bgeu", number) if COMPARED_UNSIGNED.contains(&number) => short("bgeui"),
        _ => None,
    }
}

/// Returns whether a branch is taken, if what is known tells.
pub(super) fn outcome(branch: &Instruction, known: &Known) -> Option<bool> {
    let name = branch.name.as_str();
    if let ("beqz" | "bnez", Some(value)) = (name, known.value(branch.register(0)?))
        && value.is_not_zero()
    {
        return Some(name == "bnez");
    }
    let first = known.operand(branch, 0)?;
    let second = if branch.operands.len() == 2 { 0 } else { known.operand(branch, 1)? };
    let (a, b) = (first as u32, second as u32);
    match name {
        "beq" | "beqi" | "beqz" => Some(a == b),
        "bne" | "bnei" | "bnez" => Some(a != b),
        "bltu" | "bltui" => Some(a < b),
        "bgeu" | "bgeui" => Some(a >= b),
        "blt" | "blti" | "bltz" => Some(first < second),
        "bge" | "bgei" | "bgez" => Some(first >= second),
        _ => None,
    }
}

/// A branch that is always taken is a jump; one that never is, goes nowhere but on.
fn decided(is_taken: bool, target: &str) -> Instruction {
    if is_taken { Instruction::new("j", [target]) } else { Instruction::new("mov", ["a1", "a1"]) }
}

/// Where a block ends in a branch on bits that were taken out for that, branches on them where they are.
pub(super) fn branch_on_bits(lines: &mut [Line], end: Registers) -> bool {
    let Some(at) = lines.iter().rposition(|line| line.instruction().is_some()) else { return false };
    let Some(branch) = lines[at].instruction() else { return false };
    let on_bit = match branch.name.as_str() {
        "beqz" => "bbci",
        "bnez" => "bbsi",
        _ => return false,
    };
    let (Some([_, target]), Some(bit)) = (branch.operands(), branch.register(0)) else { return false };
    if end & 1 << bit != 0 {
        return false;
    }
    let mut written = 0;
    for before in (0..at).rev() {
        let Some(instruction) = lines[before].instruction() else { continue };
        let effects = instruction.effects();
        if effects.writes & 1 << bit != 0 {
            let tested = match (instruction.name.as_str(), &instruction.operands[..]) {
                ("extui", [_, from, shift, width]) if width == "1" => [on_bit, from, shift],
                ("and", [_, one, other]) => [if on_bit == "bbci" { "bnone" } else { "bany" }, one, other],
                _ => return false,
            };
            if tested.iter().filter_map(|operand| register(operand)).any(|from| written & 1 << from != 0) {
                return false;
            }
            lines[at] = Line::Instruction(Instruction::new(tested[0], [tested[1], tested[2], target]));
            lines[before] = GONE;
            return true;
        }
        if effects.reads & 1 << bit != 0 {
            return false;
        }
        written |= effects.writes;
    }
    false
}

/// Returns the branch that goes the other way.
pub(super) fn opposite(name: &str) -> Option<&'static str> {
    OPPOSITES.iter().find_map(|&(one, other)| match name {
        _ if name == one => Some(other),
        _ if name == other => Some(one),
        _ => None,
    })
}
