//! The shipping image against QEMU: each kind of instruction that it has is among those that are compared, and its own
//! routines, at their own addresses, leave the same registers and memory.
//!
//! `cargo xtask test` builds the image and runs these, with `DUNLIN_FIRMWARE` for its path; the ELF lies beside it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use dunlin_twin::chip::core::decode::{Instruction, Operation as O, decode};
use rand_core::Rng;
use rand_pcg::Pcg32;

use super::{Flat, START, assemble_with, exceptions, program, run, run_core, run_qemu};

/// What the image has and no program here compares: [`key`], and why.
const NOT_COMPARED: [(&str, &str); 2] = [
    ("Rsr 3 234", "QEMU's CCOUNT follows the host's time; `chip_program` reckons with the chip's"),
    ("Break 3", "neither machine has a debugger that takes it; it stops the run"),
];

/// Functions that touch nothing but their arguments, and what these are.
const ROUTINES: [(&str, Arguments); 27] = [
    ("memcpy", Arguments::Copy),
    ("memmove", Arguments::Move),
    ("memset", Arguments::Fill),
    ("memcmp", Arguments::Compare),
    ("__muldi3", Arguments::Any),
    ("__udivsi3", Arguments::Divide),
    ("__umodsi3", Arguments::Divide),
    ("__udivdi3", Arguments::DivideLong),
    ("__umoddi3", Arguments::DivideLong),
    ("__addsf3", Arguments::Floats),
    ("__subsf3", Arguments::Floats),
    ("__mulsf3", Arguments::Floats),
    ("__divsf3", Arguments::Floats),
    ("__eqsf2", Arguments::Floats),
    ("__gesf2", Arguments::Floats),
    ("__gtsf2", Arguments::Floats),
    ("__ltsf2", Arguments::Floats),
    ("__extendsfdf2", Arguments::Floats),
    ("__floatunsisf", Arguments::Any),
    ("__floatundisf", Arguments::Any),
    ("__adddf3", Arguments::Doubles),
    ("__muldf3", Arguments::Doubles),
    ("__divdf3", Arguments::Doubles),
    ("__ltdf2", Arguments::Doubles),
    ("__truncdfsf2", Arguments::Doubles),
    ("__fixdfdi", Arguments::Doubles),
    ("__unorddf2", Arguments::Doubles),
];
/// Calls of each routine.
const CALLS: usize = 600;
/// Bytes of memory that the routines work in.
const MEMORY: u32 = 512;
/// Words of registers that a call leaves: `a0` to `a15` and SAR.
const LEFT: usize = 17;

#[derive(Clone, Copy)]
enum Arguments {
    Copy,
    Move,
    Fill,
    Compare,
    Any,
    Divide,
    DivideLong,
    Floats,
    Doubles,
}

/// A word: often near one as a float, so that sums and quotients round; sometimes what floats have of special values.
fn number(random: &mut Pcg32) -> u32 {
    match random.next_u32() % 8 {
        0 => [0, 1 << 31, 0x7f80_0000, 0x7ff0_0000, 0x7fc0_0000, 1][random.next_u32() as usize % 6],
        1..=5 => random.next_u32() & !(0xf << 27) | 0x7 << 27,
        _ => random.next_u32(),
    }
}

/// Returns arguments in `a2` to `a5`; addresses begin at `memory`.
fn arguments(kind: Arguments, random: &mut Pcg32, memory: u32) -> [u32; 4] {
    let half = MEMORY / 2;
    let len = random.next_u32() % if random.next_u32().is_multiple_of(4) { 160 } else { 24 };
    let [one, other] = [0; 2].map(|_| memory + random.next_u32() % (half - len));
    let [a, b, c, d] = [0; 4].map(|_| number(random));
    match kind {
        Arguments::Copy => [one, other + half, len, 0],
        Arguments::Move => [one, other, len, 0],
        Arguments::Fill => [one, a, len, 0],
        // Sometimes the same place, where all is equal.
        Arguments::Compare => [one, if a.is_multiple_of(3) { one } else { other }, len, 0],
        Arguments::Any | Arguments::Floats | Arguments::Doubles => [a, b, c, d],
        Arguments::Divide => [a, b >> (len % 31) | 1, 0, 0],
        Arguments::DivideLong => [a, b, c | 1, d.checked_shr(len * 2).unwrap_or(0)],
    }
}

fn elf() -> PathBuf {
    let image = std::env::var_os("DUNLIN_FIRMWARE").unwrap();
    PathBuf::from(image).with_extension("elf")
}

/// A section of the image: where it begins, and its bytes.
struct Section {
    name: &'static str,
    address: u32,
    bytes: Vec<u8>,
}

impl Section {
    /// Returns the file with the section's bytes.
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image{}.bin", self.name))
    }
}

/// The sections with code, each in its file; made once, since the tests run side by side.
static SECTIONS: LazyLock<[Section; 2]> = LazyLock::new(|| {
    [(".iram", 0x4010_0000), (".irom", 0x4021_0000)].map(|(name, address)| {
        let mut section = Section { name, address, bytes: Vec::new() };
        run(Command::new("xtensa-lx106-elf-objcopy")
            .args(["-O", "binary", "-j", name])
            .arg(elf())
            .arg(section.path()));
        section.bytes = std::fs::read(section.path()).unwrap();
        section
    })
});

/// A function of the image, or what an assembler's label stands for.
struct Code {
    name: String,
    address: u32,
    end: u32,
}

/// Code of the image by address. A label of the assembler, which has no size, ends where the next one begins.
fn code() -> Vec<Code> {
    let table = run(Command::new("xtensa-lx106-elf-readelf").args(["--symbols", "--wide"]).arg(elf()));
    let mut code = Vec::new();
    for line in String::from_utf8(table).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, address, size, kind, _, _, _, name] = words.as_slice() else { continue };
        let Ok(address) = u32::from_str_radix(address, 16) else { continue };
        let is_label = *kind == "NOTYPE" && LABELS.contains(&address);
        if *kind == "FUNC" || is_label {
            let size: u32 = size.parse().unwrap();
            code.push(Code { name: (*name).to_owned(), address, end: address + size });
        }
    }
    code.sort_by_key(|code| code.address);
    let starts: Vec<u32> = code.iter().map(|code| code.address).collect();
    for label in code.iter_mut().filter(|code| code.end == code.address) {
        label.end = starts.iter().copied().find(|start| *start > label.address).unwrap();
    }
    code
}

/// Instruction RAM, where the assembler's labels are code.
const LABELS: std::ops::Range<u32> = 0x4010_0000..0x4010_8000;

/// Names a kind of instruction: operation, length, and the special register if there is one.
fn key(instruction: Instruction) -> String {
    let Instruction { operation, length, immediate, .. } = instruction;
    match operation {
        O::Rsr | O::Wsr | O::Xsr => format!("{operation:?} {length} {}", immediate as u8),
        _ => format!("{operation:?} {length}"),
    }
}

/// Follows the code of every function: the kinds of its instructions.
fn kinds() -> BTreeSet<String> {
    let code = code();
    let size: u32 = code.iter().map(|code| code.end - code.address).sum();
    let mut ahead: Vec<(u32, (u32, u32))> =
        code.into_iter().map(|code| (code.address, (code.address, code.end))).collect();
    let (mut seen, mut kinds, mut followed) = (BTreeSet::new(), BTreeSet::new(), 0);
    while let Some((pc, (start, end))) = ahead.pop() {
        let Some((section, offset)) = SECTIONS.iter().find_map(|section| {
            let offset = pc.checked_sub(section.address)? as usize;
            (offset < section.bytes.len()).then_some((section, offset))
        }) else {
            continue;
        };
        // Behind the end, which a function reaches by a call that doesn't return, there are literals. Where it jumps out of
        // itself, there is another function, which is followed by itself.
        if !(start..end).contains(&pc) || !seen.insert(pc) {
            continue;
        }
        let bytes = section.bytes[offset..].iter().take(3);
        let word = bytes.rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        let instruction = decode(word).unwrap_or_else(|| panic!("{pc:#x} in {}: {word:#08x}", section.name));
        kinds.insert(key(instruction));
        followed += u32::from(instruction.length);
        let target = pc.wrapping_add_signed(instruction.immediate);
        match instruction.operation {
            O::J => ahead.push((target, (start, end))),
            O::Jx | O::Ret | O::Rfe | O::Rfde | O::Rfi | O::Ill | O::Break => {}
            operation => {
                ahead.push((pc + u32::from(instruction.length), (start, end)));
                if format!("{operation:?}").starts_with('B') {
                    ahead.push((target, (start, end)));
                }
            }
        }
    }
    // The rest are literals, and what is reached over tables of jumps.
    assert!(followed > size / 100 * 55, "only {followed} of {size} bytes were followed");
    println!("{followed} of {size} bytes were followed");
    kinds
}

#[test]
#[ignore = "needs the image: DUNLIN_FIRMWARE names it"]
fn every_kind_of_instruction_in_the_image_is_compared_with_qemu() {
    let kinds = kinds();
    let programs = (1..=2).map(program).chain([exceptions::program(1)]);
    let mut compared = BTreeSet::new();
    for (index, text) in programs.enumerate() {
        let (_, binary) = assemble_with(&format!("kinds{index}"), &text, &[]);
        let (_, _, executed) = run_core(Flat::new(binary));
        compared.extend(executed.into_iter().map(key));
    }
    let missing: Vec<_> = kinds
        .difference(&compared)
        .filter(|kind| !NOT_COMPARED.iter().any(|(known, _)| known == kind))
        .collect();
    assert!(missing.is_empty(), "the image has what is not compared: {missing:?}");
    for (kind, why) in NOT_COMPARED {
        assert!(
            kinds.contains(kind) && !compared.contains(kind),
            "`{kind}` needs no exception any more ({why})"
        );
    }
}

/// A program that calls routines of the image, and writes what each call leaves.
fn caller(calls: &[(u32, [u32; 4])]) -> String {
    let mut text = String::from(
        " .text\n .global _start\n_start: j begin\n .align 4
calls_at: .word calls\nend_at: .word calls_end\nstack_at: .word stack\nmemory_at: .word memory\nleft_at: .word left
begin: movi a2, 0x1f\n wsr.ps a2\n rsync\n l32r a15, calls_at
next: l32r a14, end_at\n bne a14, a15, 1f\n j end\n1: wsr.excsave2 a15\n l32r a1, stack_at
 l32i a0, a15, 0\n l32i a2, a15, 4\n l32i a3, a15, 8\n l32i a4, a15, 12\n l32i a5, a15, 16
 movi a6, 6\n movi a7, 7\n movi a8, 8\n movi a9, 9\n movi a10, 10\n movi a11, 11\n movi a12, 12\n movi a13, 13
 callx0 a0\n wsr.excsave1 a15\n l32r a15, left_at\n",
    );
    for register in 0..15 {
        writeln!(text, " s32i a{register}, a15, {}", 4 * register).unwrap();
    }
    text += " rsr.excsave1 a2\n s32i a2, a15, 60\n rsr.sar a2\n s32i a2, a15, 64\n";
    writeln!(text, " movi a2, 4\n movi a3, 1\n mov a4, a15\n movi a5, {}\n simcall", 4 * LEFT).unwrap();
    writeln!(text, " movi a2, 4\n movi a3, 1\n l32r a4, memory_at\n movi a5, {MEMORY}\n simcall").unwrap();
    text +=
        " rsr.excsave2 a15\n addi a15, a15, 20\n j next\nend: movi a2, 1\n movi a3, 0\n simcall\n .align 4\n";
    writeln!(text, "left: .space {}\n .space 4096\nstack:\n .space 64\ncalls:", 4 * LEFT).unwrap();
    for (routine, [a, b, c, d]) in calls {
        writeln!(text, " .word {routine:#x}, {a:#x}, {b:#x}, {c:#x}, {d:#x}").unwrap();
    }
    text += "calls_end:\n";
    // At the end, so that its address doesn't depend on how many calls there are.
    writeln!(text, " .org {MEMORY_AT:#x}\nmemory:").unwrap();
    let mut random = Pcg32::new(7, 4);
    (0..MEMORY / 4).for_each(|_| writeln!(text, " .word {:#x}", random.next_u32()).unwrap());
    for section in &*SECTIONS {
        writeln!(text, " .section image{}, \"awx\"\n .incbin {:?}", section.name, section.path()).unwrap();
    }
    text
}

/// Where the memory of the routines lies in the program, behind its calls.
const MEMORY_AT: u32 = 0x8_0000;

#[test]
#[ignore = "needs the image: DUNLIN_FIRMWARE names it"]
fn routines_of_the_image_leave_registers_and_memory_as_in_qemu() {
    let code = code();
    let mut random = Pcg32::new(3, 5);
    let mut calls = Vec::new();
    let mut names = Vec::new();
    for (name, kind) in ROUTINES {
        let address = code.iter().find(|code| code.name == name).map(|code| code.address);
        // The firmware may come to do without one.
        let Some(address) = address else { continue };
        names.push(name);
        calls.extend((0..CALLS).map(|_| (address, arguments(kind, &mut random, START + MEMORY_AT))));
    }
    assert!(names.len() >= 15, "the image has only {names:?}");
    let places: Vec<String> = SECTIONS
        .iter()
        .map(|section| format!("-Wl,--section-start=image{}={:#x}", section.name, section.address))
        .collect();
    let (elf, binary) = assemble_with("routines", &caller(&calls), &places);
    let expected = run_qemu(&elf);
    let mut bus = Flat::new(binary);
    bus.image = SECTIONS.iter().map(|section| (section.address, section.bytes.clone())).collect();
    let (found, executed, _) = run_core(bus);
    assert!(executed >= 1_000_000, "only {executed} instructions");
    let size = 4 * LEFT + MEMORY as usize;
    assert_eq!((expected.len(), found.len()), (size * calls.len(), size * calls.len()));
    for (index, (expected, found)) in expected.chunks(size).zip(found.chunks(size)).enumerate() {
        let (name, arguments) = (names[index / CALLS], calls[index].1);
        assert!(expected == found, "{name} with {arguments:x?}: {expected:x?} in QEMU, {found:x?} here");
    }
}
