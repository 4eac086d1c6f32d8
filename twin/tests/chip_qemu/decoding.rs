//! The decoder against GNU's disassembler: random words, and every field of every instruction that they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use dunlin_twin::chip::core::decode::{Instruction, Operation as O, branch_constant, decode};
use rand_core::Rng;
use rand_pcg::Pcg32;

use super::run;

const WORDS: u32 = 60_000;
/// Instructions of this core that no program here uses: the region protection's tables, external registers and what only a
/// debugger executes. They stop the run.
const NOT_IMPLEMENTED: [&str; 16] = [
    "rer", "wer", "rdtlb0", "rdtlb1", "ritlb0", "ritlb1", "wdtlb", "witlb", "pdtlb", "pitlb", "idtlb",
    "iitlb", "rfdd", "rfdo", "rfr", "wfr",
];
const WAIT_FOR_MEMORY: [&str; 8] = ["nop", "dsync", "esync", "excw", "extw", "isync", "memw", "rsync"];

#[derive(Debug, PartialEq, Eq)]
enum Operand {
    Register(u8),
    Number(u32),
}

/// Reads an operand as the disassembler writes it: a register, a number, or a place with the label in front of it.
fn operand(text: &str) -> Operand {
    if let Some((place, _)) = text.split_once(" <") {
        return Operand::Number(u32::from_str_radix(place, 16).unwrap());
    }
    if let Some(register) = text.strip_prefix('a').and_then(|number| number.parse().ok()) {
        return Operand::Register(register);
    }
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).unwrap(),
        None => digits.parse().unwrap(),
    };
    Operand::Number((sign * number) as u32)
}

/// What an instruction at `pc` is called, and its operands in the order of the manual.
fn name(i: Instruction, pc: u32) -> (String, Vec<Operand>) {
    use Operand::{Number, Register};
    let (r, s, t) = (Register(i.r), Register(i.s), Register(i.t));
    let (immediate, level) = (Number(i.immediate as u32), Number(i.s.into()));
    let target = Number(pc.wrapping_add_signed(i.immediate));
    let constant = |unsigned| Number(branch_constant(i.r, unsigned) as u32);
    let operands = match i.operation {
        O::Abs | O::Neg | O::Srl | O::Sra => vec![r, t],
        O::Sll => vec![r, s],
        O::Or if i.length == 2 => vec![r, s],
        O::Slli => vec![r, s, immediate],
        O::Srai | O::Srli => vec![r, t, immediate],
        O::Extui => vec![r, t, immediate, Number(u32::from(i.s) + 1)],
        O::Nsa | O::Nsau => vec![t, s],
        O::Ssr | O::Ssl | O::Ssa8l | O::Ssa8b | O::Jx | O::Callx0 => vec![s],
        O::Ssai => vec![immediate],
        O::Movi => vec![t, immediate],
        O::Addi | O::L8ui | O::L16ui | O::L16si | O::L32i | O::S8i | O::S16i | O::S32i => {
            vec![t, s, immediate]
        }
        O::L32r => vec![t, Number((pc.wrapping_add(3) & !3).wrapping_add_signed(i.immediate))],
        O::Beqz | O::Bnez | O::Bltz | O::Bgez => vec![s, target],
        O::Beqi | O::Bnei | O::Blti | O::Bgei => vec![s, constant(false), target],
        O::Bltui | O::Bgeui => vec![s, constant(true), target],
        O::Bbci | O::Bbsi => vec![s, Number(u32::from(i.t) | u32::from(i.r & 1) << 4), target],
        O::Beq | O::Bne | O::Blt | O::Bge | O::Bltu | O::Bgeu => vec![s, t, target],
        O::Bnone | O::Bany | O::Ball | O::Bnall | O::Bbc | O::Bbs => vec![s, t, target],
        O::J => vec![target],
        O::Call0 => vec![Number((pc & !3).wrapping_add_signed(i.immediate))],
        O::Rsr | O::Wsr | O::Xsr => vec![t],
        O::Rsil => vec![t, level],
        O::Waiti | O::Rfi => vec![level],
        O::Break if i.length == 2 => vec![level],
        O::Break => vec![level, Number(i.t.into())],
        O::Ret | O::Rfe | O::Rfde | O::Ill | O::Syscall | O::Simcall | O::Nop => vec![],
        _ => vec![r, s, t],
    };
    let mut name = match (i.operation, i.length, i.r) {
        (O::Or, 2, _) => "mov".to_owned(),
        (O::Addi, 3, 13) => "addmi".to_owned(),
        (operation, ..) => format!("{operation:?}").to_lowercase(),
    };
    if i.length == 2 {
        name += ".n";
    }
    (name, operands)
}

/// Disassembles each word at an address of its own: its number times four.
fn disassemble(words: &[u32]) -> Vec<String> {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("words.S");
    let object = source.with_extension("o");
    let mut text = String::from(".text\n");
    for (index, word) in words.iter().enumerate() {
        writeln!(text, ".global w{index}\nw{index}: .long {word:#x}").unwrap();
    }
    std::fs::write(&source, text).unwrap();
    run(Command::new("xtensa-lx106-elf-as").arg("-o").arg(&object).arg(&source));
    // Without its tables the disassembler takes everything for code.
    run(Command::new("xtensa-lx106-elf-objcopy").args(["-R", ".xt.prop", "-R", ".xt.lit"]).arg(&object));
    let listing = run(Command::new("xtensa-lx106-elf-objdump").args(["-d", "-z"]).arg(&object));
    let mut found = vec![String::new(); words.len()];
    for line in String::from_utf8(listing).unwrap().lines() {
        let Some((address, rest)) = line.trim_start().split_once(":\t") else { continue };
        let Ok(address) = u32::from_str_radix(address, 16) else { continue };
        if address % 4 == 0 {
            found[address as usize / 4] = rest.split_once('\t').unwrap().1.to_owned();
        }
    }
    found
}

/// Words whose every bit is needed to be what they are, which chance seldom finds.
const RARE: [u32; 34] = [
    0x00_0000, 0x00_0080, 0x00_05a0, 0x00_07c0, 0x00_20f0, 0x00_20c0, 0x00_2000, 0x00_2010, 0x00_2020,
    0x00_2030, 0x00_2080, 0x00_20d0, 0x00_3000, 0x00_3200, 0x00_3210, 0x00_3310, 0x00_41f0, 0x00_5000,
    0x00_5100, 0x00_6120, 0x00_7300, 0x40_0300, 0x40_1400, 0x40_2500, 0x40_3600, 0x40_4710, 0x40_e350,
    0x40_f460, 0x60_3070, 0x60_4180, 0x00_f06d, 0x00_f03d, 0x00_f32d, 0x00_f00d,
];

fn words() -> Vec<u32> {
    let mut random = Pcg32::new(1, 3);
    let mut any = |mask: u32, fixed: u32| random.next_u32() & mask | fixed;
    let mut words = RARE.to_vec();
    words.extend((0..WORDS).map(|index| if index % 2 == 0 { any(0xFF_FFFF, 0) } else { any(0xFF_FFF0, 0) }));
    // Shifts by SAR, with any registers where they have some.
    words.extend((0..99).map(|_| any(0xF0F0, 0x91_0000)));
    words.extend((0..99).map(|_| any(0xFF00, 0xA1_0000)));
    words.extend((0..99).map(|_| any(0xF0F0, 0xB1_0000)));
    // Special registers that this core has: read, write, exchange.
    for number in
        [3, 177, 178, 179, 192, 194, 195, 209, 210, 211, 226, 227, 228, 230, 231, 232, 234, 238, 240]
    {
        words.extend([0x03_0000, 0x13_0000, 0x61_0000].map(|word| word | number << 8 | any(0xF0, 0)));
    }
    words
}

fn compare(word: u32, text: &str, pc: u32, seen: &mut BTreeSet<String>) {
    let (theirs, operands) = text.split_once('\t').unwrap_or((text, ""));
    // What isn't an instruction is a byte, or the instruction that belongs to another word.
    let is_known = !theirs.starts_with(".byte") && (theirs != "excw" || word == 0x00_2080);
    let Some(ours) = decode(word) else {
        // A level that the core doesn't have, and a return with a register, which no assembler writes.
        let is_odd =
            theirs == "rfi" && !matches!(word >> 8 & 15, 2 | 3) || theirs == "ret.n" && word & 0xF00 != 0;
        let is_left_out = NOT_IMPLEMENTED.contains(&theirs) || is_odd;
        assert!(!is_known || is_left_out, "{word:#08x} is `{text}`, and not decoded");
        return;
    };
    let is_special = matches!(ours.operation, O::Rsr | O::Wsr | O::Xsr);
    if !is_known {
        assert!(is_special, "{word:#08x} is no instruction, but decoded as {ours:?}");
        return;
    }
    seen.insert(format!("{:?} {}", ours.operation, ours.length));
    let (name, expected) = name(ours, pc);
    if ours.operation == O::Nop && ours.length == 3 {
        assert!(WAIT_FOR_MEMORY.contains(&theirs), "{word:#08x} is `{text}`, and decoded as {ours:?}");
    } else {
        let (start, _) = theirs.split_once('.').filter(|_| is_special).unwrap_or((theirs, ""));
        assert_eq!(start, name, "{word:#08x} is `{text}`");
    }
    let operands: Vec<Operand> = operands.split(", ").filter(|text| !text.is_empty()).map(operand).collect();
    assert_eq!(operands, expected, "{word:#08x} at {pc:#x} is `{text}`, and decoded as {ours:?}");
}

#[test]
fn every_field_is_decoded_as_the_disassembler_has_it() {
    let words = words();
    let mut seen = BTreeSet::new();
    for (index, (word, text)) in words.iter().zip(disassemble(&words)).enumerate() {
        compare(*word, &text, 4 * index as u32, &mut seen);
    }
    // Every operation of the decoder, all with three bytes and twelve with two as well.
    assert_eq!(seen.len(), 87 + 12, "{seen:?}");
}
