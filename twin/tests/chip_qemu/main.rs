//! The core against QEMU's `lx106`: random programs, assembled by GNU as, run on both; every register compared, and in
//! `exceptions` everything that the core says about each exception and interrupt. `decoding` asks the disassembler, `image`
//! runs routines of the shipping image, `vectors` its repair of narrow loads.
//!
//! Needs the Debian packages `qemu-system-misc`, `gcc-xtensa-lx106` and `binutils-xtensa-lx106`; without them it fails.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the steps of a test, which fails where they fail")]

mod decoding;
mod exceptions;
mod image;
mod vectors;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dunlin_twin::chip::core::bus::{Bus, Refusal, Width};
use dunlin_twin::chip::core::decode::{Instruction, decode};
use dunlin_twin::chip::core::{Core, Stop};
use rand_core::Rng;
use rand_pcg::Pcg32;

const START: u32 = 0x5000_0000;
const ROUNDS: u32 = 800;
const PACKAGES: &str =
    "needs the Debian packages qemu-system-misc, gcc-xtensa-lx106 and binutils-xtensa-lx106";

/// Plain memory where QEMU's `sim` machine has some.
struct Flat {
    memory: Vec<u8>,
    /// Sections of an image, by where each begins.
    image: Vec<(u32, Vec<u8>)>,
}

impl Flat {
    fn new(mut memory: Vec<u8>) -> Self {
        memory.resize(memory.len().max(0x4_0000), 0);
        Flat { memory, image: Vec::new() }
    }
}

impl Bus for Flat {
    fn fetch(&mut self, address: u32) -> Result<u32, Refusal> {
        let section =
            self.image.iter().find(|(start, bytes)| address.wrapping_sub(*start) < bytes.len() as u32);
        let (start, bytes) = section.map_or((START, &self.memory), |(start, bytes)| (*start, bytes));
        let offset = address.checked_sub(start).map(|offset| offset as usize);
        let bytes = offset.and_then(|offset| bytes.get(offset..));
        let bytes = bytes.unwrap_or_else(|| panic!("nothing is at {address:#x}")).iter().take(4);
        Ok(bytes.rev().fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }
    fn load(&mut self, address: u32, width: Width) -> Result<u32, Refusal> {
        is_aligned(address, width)?;
        let word = self.fetch(address)?;
        Ok(if width == Width::Word { word } else { word & ((1 << (8 * width as u32)) - 1) })
    }
    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal> {
        is_aligned(address, width)?;
        let (offset, size) = ((address - START) as usize, width as usize);
        self.memory[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(())
    }
}

fn is_aligned(address: u32, width: Width) -> Result<(), Refusal> {
    if address.is_multiple_of(width as u32) { Ok(()) } else { Err(Refusal::Exception(9)) }
}

/// One random instruction over a2 to a13; a14 points at 1 KiB of data, a15 counts rounds.
fn instruction(random: &mut Pcg32, number: u32) -> String {
    let mut below = |limit: u32| random.next_u32() % limit;
    let (r, s, t) = (below(12) + 2, below(12) + 2, below(12) + 2);
    let three = [
        "add", "addx2", "addx4", "addx8", "and", "or", "xor", "sub", "subx2", "subx4", "subx8", "src",
        "mul16s", "mul16u", "mull", "moveqz", "movnez", "movltz", "movgez", "add.n",
    ];
    let two = ["abs", "neg", "sll", "srl", "sra", "nsa", "nsau", "mov.n"];
    let compare =
        ["beq", "bne", "blt", "bltu", "bge", "bgeu", "ball", "bany", "bnall", "bnone", "bbc", "bbs"];
    let zero = ["beqz", "bnez", "bltz", "bgez", "beqz.n", "bnez.n"];
    let constant = ["beqi", "bnei", "blti", "bgei"];
    let unsigned = ["bltui", "bgeui"];
    let memory = [("l8ui", 1), ("l16ui", 2), ("l16si", 2), ("l32i", 4), ("s8i", 1), ("s16i", 2), ("s32i", 4)];
    let mut pick = |list: &[&'static str]| list[below(list.len() as u32) as usize];
    let (three, two, compare, zero) = (pick(&three), pick(&two), pick(&compare), pick(&zero));
    let (constant, unsigned) = (pick(&constant), pick(&unsigned));
    let skip = format!("1f\n addi a{r}, a{s}, 77\n1:");
    match below(18) {
        0..=4 => format!("{three} a{r}, a{s}, a{t}"),
        5 => format!("{two} a{r}, a{s}"),
        6 => {
            let near = ["", "mov a2, a3\n ", "addi a2, a3, 1\n ", "addi a2, a3, -1\n "][below(4) as usize];
            let (s, t) = if near.is_empty() { (s, t) } else { (2, 3) };
            format!("{near}{compare} a{s}, a{t}, {skip}")
        }
        7 => {
            let near =
                ["".into(), format!("movi a{s}, {}\n ", below(3) as i32 - 1)][below(2) as usize].clone();
            format!("{near}{zero} a{s}, {skip}")
        }
        8 => {
            let value = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256][below(16) as usize];
            let near = below(5) as i32 - 2;
            format!("movi a{s}, {}\n {constant} a{s}, {value}, {skip}", value + near)
        }
        9 => {
            let value = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256][below(16) as usize];
            let near = match value {
                32768 => {
                    format!("movi a{s}, 1\n slli a{s}, a{s}, 15\n addi a{s}, a{s}, {}", below(3) as i32 - 1)
                }
                65536 => {
                    format!("movi a{s}, 1\n slli a{s}, a{s}, 16\n addi a{s}, a{s}, {}", below(3) as i32 - 1)
                }
                value => format!("movi a{s}, {}", value + below(3) - 1),
            };
            format!("{near}\n {unsigned} a{s}, {value}, {skip}")
        }
        10 => format!("{} a{s}, {}, {skip}", ["bbci", "bbsi"][below(2) as usize], below(32)),
        11 => {
            let (name, scale) = memory[below(7) as usize];
            format!("{name} a{r}, a14, {}", below(256) * scale)
        }
        12 => format!("{} a{r}, a14, {}", ["l32i.n", "s32i.n"][below(2) as usize], below(16) * 4),
        13 => {
            let shift = below(32);
            format!("extui a{r}, a{s}, {shift}, {}", below((32 - shift).min(16)) + 1)
        }
        14 => match below(4) {
            0 => format!("slli a{r}, a{s}, {}", below(31) + 1),
            1 => format!("srai a{r}, a{s}, {}", below(32)),
            2 => format!("srli a{r}, a{s}, {}", below(16)),
            _ => format!("ssai {}", below(32)),
        },
        15 => format!("{} a{s}", ["ssr", "ssl", "ssa8l", "ssa8b"][below(4) as usize]),
        16 => match below(7) {
            0 => format!("movi a{r}, {}", below(4096) as i32 - 2048),
            1 => format!("movi.n a{r}, {}", below(128) as i32 - 32),
            2 => format!("addi a{r}, a{s}, {}", below(256) as i32 - 128),
            3 => format!("addi.n a{r}, a{s}, {}", below(15) + 1),
            4 => format!("addmi a{r}, a{s}, {}", (below(256) as i32 - 128) * 256),
            5 => format!("l32r a{r}, literal{}", number % 16),
            _ => "nop.n\n nop\n memw\n isync".into(),
        },
        _ => match below(6) {
            0 => format!("extui a{s}, a{s}, 0, 5\n wsr.sar a{s}\n rsr.sar a{r}"),
            1 => {
                let name =
                    ["excsave1", "excsave2", "excsave3", "epc2", "eps2", "epc3", "eps3"][below(7) as usize];
                format!("wsr.{name} a{s}\n xsr.{name} a{r}\n rsr.{name} a{t}")
            }
            2 => format!("call0 2f\n j 3f\n.align 4\n2: addi a{r}, a{s}, 5\n {}\n3:", pick_return(number)),
            3 => {
                let jump = ["jx", "callx0"][(number % 2) as usize];
                format!("j 6f\n.align 4\n5: .word 4f\n6: l32r a0, 5b\n {jump} a0\n4:")
            }
            // What the core tells of itself: LITBASE, CONFIGID0, CONFIGID1, DEBUGCAUSE, PRID.
            4 => format!("rsr a{r}, {}", [5, 176, 208, 233, 235][below(5) as usize]),
            _ => format!(
                "rsil a{r}, 1\n rsil a{s}, 1\n movi a{s}, 0\n wsr.intenable a{s}\n rsr.intenable a{r}"
            ),
        },
    }
}

fn pick_return(number: u32) -> &'static str {
    if number.is_multiple_of(2) { "ret" } else { "ret.n" }
}

fn program(seed: u64) -> String {
    let mut random = Pcg32::new(seed, 1);
    let mut text = String::from(".text\n.global _start\n_start: j begin\n.align 4\n");
    for index in 0..16 {
        writeln!(text, "literal{index}: .word {:#x}", random.next_u32()).unwrap();
    }
    writeln!(text, "data_address: .word data\nrounds: .word {ROUNDS}\n.literal_position\nbegin:").unwrap();
    text += " movi a2, 0x1f\n wsr.ps a2\n rsync\n l32r a14, data_address\n l32r a15, rounds\n movi a0, 0\n";
    for register in 2..14 {
        writeln!(text, " l32r a{register}, literal{register}").unwrap();
    }
    text += " ssai 7\n wsr.excsave1 a3\nloop:\n";
    for number in 0..1700 {
        writeln!(text, " {}", instruction(&mut random, number)).unwrap();
    }
    text += " addmi a1, a14, 1024\n s32i a0, a1, 0\n";
    for register in 2..16 {
        writeln!(text, " s32i a{register}, a1, {}", 4 * register).unwrap();
    }
    text += " rsr.sar a2\n s32i a2, a1, 4\n movi a2, 4\n movi a3, 1\n mov a4, a1\n movi a5, 64\n simcall\n";
    for register in 2..15 {
        writeln!(text, " l32i a{register}, a1, {}", 4 * register).unwrap();
    }
    text += " addi a15, a15, -1\n beqz a15, end\n j loop\nend: movi a2, 1\n movi a3, 0\n simcall\n";
    text += ".align 4\ndata:\n";
    for _ in 0..256 {
        writeln!(text, " .word {:#x}", random.next_u32()).unwrap();
    }
    text + " .space 2048\n"
}

fn run(command: &mut Command) -> Vec<u8> {
    let output =
        command.stderr(Stdio::piped()).output().unwrap_or_else(|error| panic!("{PACKAGES}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns what the program writes, how many instructions it has executed, and each of them once.
fn run_core(mut bus: Flat) -> (Vec<u8>, u64, Vec<Instruction>) {
    let mut core = Core::new(START);
    let mut output = Vec::new();
    let mut places = HashSet::new();
    loop {
        places.insert(core.pc);
        match core.step(&mut bus) {
            Ok(()) => {}
            Err(Stop::Waiting) if core.interrupt_pending() => {}
            Err(Stop::Simcall) if core.registers[2] == 1 => break,
            Err(Stop::Simcall) => {
                let start = (core.registers[4] - START) as usize;
                output.extend_from_slice(&bus.memory[start..start + core.registers[5] as usize]);
            }
            Err(stop) => panic!("{stop:x?}"),
        }
    }
    let instructions = places.into_iter().map(|pc| decode(bus.fetch(pc).unwrap() & 0xFF_FFFF).unwrap());
    (output, core.executed, instructions.collect())
}

/// Assembles and links a program; returns its path and its bytes.
fn assemble(name: &str, program: &str) -> (PathBuf, Vec<u8>) {
    assemble_with(name, program, &[])
}

/// Assembles and links a program, with `places` of its sections for the linker.
fn assemble_with(name: &str, program: &str, places: &[String]) -> (PathBuf, Vec<u8>) {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.S"));
    let (elf, binary) = (source.with_extension("elf"), source.with_extension("bin"));
    std::fs::write(&source, program).unwrap();
    let linking =
        ["-nostdlib", "-nostartfiles", "-Wa,--no-transform", "-Wl,-Ttext=0x50000000", "-Wl,-N", "-o"];
    run(Command::new("xtensa-lx106-elf-gcc").args(linking).arg(&elf).args(places).arg(&source));
    run(Command::new("xtensa-lx106-elf-objcopy")
        .args(["-O", "binary", "-j", ".text"])
        .arg(&elf)
        .arg(&binary));
    let bytes = std::fs::read(&binary).unwrap();
    (elf, bytes)
}

/// Returns what the program writes in QEMU.
fn run_qemu(elf: &Path) -> Vec<u8> {
    let machine =
        ["-M", "sim", "-cpu", "lx106", "-semihosting", "-nographic", "-monitor", "none", "-serial", "none"];
    run(Command::new("qemu-system-xtensa").args(machine).arg("-kernel").arg(elf).stdin(Stdio::null()))
}

fn compare(seed: u64) {
    let (elf, binary) = assemble(&format!("random{seed}"), &program(seed));
    let expected = run_qemu(&elf);
    let (found, executed, _) = run_core(Flat::new(binary));
    assert!(executed >= 1_000_000, "only {executed} instructions");
    assert_eq!(expected.len(), 64 * ROUNDS as usize);
    for (round, (expected, found)) in expected.chunks(64).zip(found.chunks(64)).enumerate() {
        assert_eq!(expected, found, "the registers differ after round {round} of seed {seed}");
    }
    assert_eq!(expected.len(), found.len());
}

#[test]
fn random_programs_leave_the_registers_as_in_qemu() {
    for seed in 1..=8 {
        compare(seed);
    }
}
