//! Says the same in fewer bytes where LLVM's text for this processor leaves GNU's tools no choice.
//!
//! LLVM calls every function through a register, `l32r a8, .LCPI0_0` and `callx0 a8`, which the linker can't shorten; a
//! direct `call0` it can: the assembler expands one (`--longcalls`), and the linker takes back what is within reach. A
//! conditional branch around a jump is left over from a block that seemed too far away; the assembler knows what is. Copies
//! are written as `or`, for which the assembler has no 16-bit form; for `mov` it has one.

use std::collections::{BTreeMap, BTreeSet};

/// Registers that carry no argument and needn't be kept: a call may change them, so nothing after it can count on one.
const SCRATCH: [&str; 4] = ["a8", "a9", "a10", "a11"];

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

/// Returns `text` with direct calls, one branch where there were a branch and a jump, and short copies.
pub(crate) fn shorten(text: &str) -> String {
    let functions = literals(text);
    let mut lines: Vec<String> = text.lines().map(copy).collect();
    call_directly(&mut lines, &functions);
    branch_once(&mut lines);
    drop_unused_literals(&mut lines);
    let mut shortened = String::with_capacity(text.len());
    for line in lines.iter().filter(|line| !line.is_empty()) {
        shortened.push_str(line);
        shortened.push('\n');
    }
    shortened
}

/// Returns a line's instruction and operands; labels and directives have none.
fn instruction(line: &str) -> Option<(&str, Vec<&str>)> {
    let (name, operands) = line.strip_prefix('\t')?.split_once('\t').unwrap_or((line.trim(), ""));
    let is_directive = name.starts_with('.') || name.starts_with('#') || name.is_empty();
    (!is_directive).then(|| (name, operands.split(", ").map(str::trim).collect()))
}

fn is_branch(name: &str) -> bool {
    OPPOSITES.iter().any(|(one, other)| name == *one || name == *other)
}

/// Returns the literals that are the address of something, by their labels.
fn literals(text: &str) -> BTreeMap<String, String> {
    let literal = |line: &str| {
        let (label, value) = line.strip_prefix("\t.literal ")?.split_once(", ")?;
        let is_symbol = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$'));
        is_symbol.then(|| (label.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(literal).collect()
}

/// Writes `or a2, a3, a3` as the copy that it is; a copy of a register to itself is nothing.
fn copy(line: &str) -> String {
    match instruction(line) {
        Some(("or", operands)) if operands[1..] == [operands[0]; 2] => String::new(),
        Some(("or", operands)) if operands.len() == 3 && operands[1] == operands[2] => {
            format!("\tmov\t{}, {}", operands[0], operands[1])
        }
        _ => line.to_owned(),
    }
}

/// Calls by name where the address was loaded in the same run of instructions and serves nothing else.
fn call_directly(lines: &mut [String], functions: &BTreeMap<String, String>) {
    // Which scratch register holds the address of which function, and the line that loaded it.
    let mut loaded: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for index in 0..lines.len() {
        let line = lines[index].clone();
        let Some((name, operands)) = instruction(&line) else {
            if !line.is_empty() {
                loaded.clear();
            }
            continue;
        };
        let called = operands.first().filter(|_| name == "callx0");
        if let Some((load, function)) = called.and_then(|register| loaded.remove(*register)) {
            lines[load].clear();
            lines[index] = format!("\tcall0\t{function}");
        }
        let ends = name.starts_with("call") || is_branch(name) || ["j", "jx", "ret", "ill"].contains(&name);
        if ends {
            loaded.clear();
        }
        loaded.retain(|register, _| !operands.contains(&register.as_str()));
        if let ("l32r", [register, literal]) = (name, &operands[..])
            && SCRATCH.contains(register)
            && let Some(function) = functions.get(*literal)
        {
            loaded.insert((*register).to_owned(), (index, function.clone()));
        }
    }
}

/// Turns a branch around a jump into the opposite branch.
fn branch_once(lines: &mut [String]) {
    let present: Vec<usize> = (0..lines.len()).filter(|&index| !lines[index].is_empty()).collect();
    for three in present.windows(3) {
        let &[first, second, third] = three else { continue };
        let (Some((name, operands)), Some(("j", target))) =
            (instruction(&lines[first]), instruction(&lines[second]))
        else {
            continue;
        };
        let (Some(opposite), Some((around, rest))) = (opposite(name), operands.split_last()) else {
            continue;
        };
        if lines[third].strip_suffix(':') == Some(around) {
            let operands: Vec<&str> = rest.iter().copied().chain(target).collect();
            lines[first] = format!("\t{opposite}\t{}", operands.join(", "));
            lines[second].clear();
        }
    }
}

fn opposite(name: &str) -> Option<&'static str> {
    OPPOSITES.iter().find_map(|&(one, other)| match name {
        _ if name == one => Some(other),
        _ if name == other => Some(one),
        _ => None,
    })
}

fn drop_unused_literals(lines: &mut [String]) {
    let used: BTreeSet<String> = lines
        .iter()
        .filter_map(|line| instruction(line))
        .filter(|(name, _)| *name == "l32r")
        .filter_map(|(_, operands)| operands.get(1).map(|label| (*label).to_owned()))
        .collect();
    for line in lines {
        let label = line.strip_prefix("\t.literal ").and_then(|rest| rest.split(',').next());
        if label.is_some_and(|label| !used.contains(label)) {
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITERALS: &str = "\t.literal .LCPI0_0, callee\n\t.literal .LCPI0_1, 1610612736\n";

    /// Returns the shortened function, without its literals.
    fn body(instructions: &[&str]) -> Vec<String> {
        let text: String = instructions
            .iter()
            .map(|line| if line.ends_with(':') { format!("{line}\n") } else { format!("\t{line}\n") })
            .collect();
        let shortened = shorten(&format!("{LITERALS}{text}"));
        shortened
            .lines()
            .filter(|line| !line.contains(".literal"))
            .map(|line| line.trim().to_owned())
            .collect()
    }

    #[test]
    fn a_call_through_a_register_becomes_a_direct_one() {
        let text = format!("{LITERALS}f:\n\tl32r\ta8, .LCPI0_0\n\tl32r\ta2, .LCPI0_1\n\tcallx0\ta8\n\tret\n");
        let expected = "\t.literal .LCPI0_1, 1610612736\nf:\n\tl32r\ta2, .LCPI0_1\n\tcall0\tcallee\n\tret\n";
        assert_eq!(shorten(&text), expected);
    }

    #[test]
    fn an_address_that_serves_something_else_stays() {
        let kept: [&[&str]; 6] = [
            // Kept over calls, passed on, changed, a number, loaded on one of two ways, needed behind the branch.
            &["l32r\ta12, .LCPI0_0", "callx0\ta12", "callx0\ta12"],
            &["l32r\ta8, .LCPI0_0", "s32i\ta8, a1, 0", "callx0\ta8"],
            &["l32r\ta8, .LCPI0_0", "addi\ta8, a8, 4", "callx0\ta8"],
            &["l32r\ta8, .LCPI0_1", "callx0\ta8"],
            &["l32r\ta8, .LCPI0_0", ".LBB0_1:", "callx0\ta8"],
            &["l32r\ta8, .LCPI0_0", "beqz\ta2, .LBB0_1", "callx0\ta8", ".LBB0_1:", "callx0\ta8"],
        ];
        for instructions in kept {
            assert_eq!(body(instructions), instructions);
        }
    }

    #[test]
    fn a_branch_around_a_jump_becomes_the_opposite_branch() {
        assert_eq!(
            body(&["beqi\ta8, 64, .LBB0_2", "j\t.LBB0_9", ".LBB0_2:"]),
            ["bnei\ta8, 64, .LBB0_9", ".LBB0_2:"]
        );
        assert_eq!(body(&["bgez\ta8, .LBB0_2", "j\t.LBB0_9", ".LBB0_2:"]), ["bltz\ta8, .LBB0_9", ".LBB0_2:"]);
        let kept = ["beqi\ta8, 64, .LBB0_3", "j\t.LBB0_9", ".LBB0_2:"];
        assert_eq!(body(&kept), kept);
    }

    #[test]
    fn copies_are_short_and_never_to_themselves() {
        let instructions = ["or\ta2, a3, a3", "or\ta4, a4, a4", "or\ta2, a3, a4"];
        assert_eq!(body(&instructions), ["mov\ta2, a3", "or\ta2, a3, a4"]);
    }
}
