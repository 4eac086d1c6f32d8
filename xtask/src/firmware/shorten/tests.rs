//! Functions made at random are run before and after: what others see of them must be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::instruction::{Instruction, Line, register};
use super::shorten;

/// Where the stack of a run begins, and the memory that its pointer points to.
const STACK: u32 = 0x3fff_0000;
const MEMORY: u32 = 0x3ffe_8000;
/// Where a run goes back to when it ends.
const OUTSIDE: u32 = 0xffff_fff0;

/// Numbers without order, from a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    fn register(&mut self) -> String {
        // Few of them, so that values meet; not a15, the pointer to memory, and not a14, which counts loops.
        format!("a{}", self.of(&[2, 3, 4, 8, 9, 10, 11, 12, 13]))
    }

    fn number(&mut self) -> i32 {
        let any = self.next() as i32 % 2048;
        self.of(&[0, 1, 2, 3, 7, 8, 26, 46, 255, 254, -1, -256, 312, 1312, 1316, 1696, any])
    }
}

/// Writes a function such as LLVM writes them.
fn function(chance: &mut Chance, number: usize) -> String {
    let mut text = format!("\t.section\t.text.f{number},\"ax\",@progbits\n\t.literal_position\n");
    for (index, value) in ["outer", "65535", "70000", "outer", "10352"].iter().enumerate() {
        let _ = writeln!(text, "\t.literal .LCPI{number}_{index}, {value}");
    }
    let _ = writeln!(text, "\t.p2align\t2\n\t.type\tf{number},@function\nf{number}:");
    text += "\taddi\ta8, a1, -96\n\tmov\ta1, a8\n";
    for (register, at) in ["a0", "a12", "a13", "a14", "a15"].iter().zip([92, 88, 84, 80, 76]) {
        let _ = writeln!(text, "\ts32i\t{register}, a1, {at}");
    }
    text += "\tmov\ta15, a2\n\tmovi\ta14, 3\n";
    let blocks = 2 + chance.below(7);
    for block in 0..blocks {
        let _ = writeln!(text, ".LBB{number}_{block}:");
        for _ in 0..chance.of(&[0, 0, 1, 2, 4, 8]) {
            text += &instruction(chance, number);
        }
        if block + 1 < blocks {
            let later = block + 1 + chance.below(blocks - block - 1);
            text += &branch(chance, &format!(".LBB{number}_{later}"));
        }
    }
    // The last blocks are run three times.
    let first = chance.below(blocks);
    let _ = writeln!(text, "\taddi\ta14, a14, -1\n\tbnez\ta14, .LBB{number}_{first}");
    for (register, at) in ["a15", "a14", "a13", "a12", "a0"].iter().zip([76, 80, 84, 88, 92]) {
        let _ = writeln!(text, "\tl32i\t{register}, a1, {at}");
    }
    text += "\taddi\ta8, a1, 96\n\tmov\ta1, a8\n\tret\n";
    let _ = writeln!(text, ".Lfunc_end{number}:\n\t.size\tf{number}, .Lfunc_end{number}-f{number}");
    text
}

fn instruction(chance: &mut Chance, function: usize) -> String {
    let (to, one, other) = (chance.register(), chance.register(), chance.register());
    let number = chance.number();
    let slot = chance.below(12) * 4;
    match chance.below(25) {
        0..=3 => format!("\tmovi\t{to}, {number}\n"),
        4 | 5 => format!("\tmov\t{to}, {one}\n\tor\t{to}, {one}, {one}\n"),
        6 => format!("\taddi\t{to}, {one}, {}\n", number % 128),
        7 => format!("\taddi\t{to}, a1, {slot}\n"),
        8 | 9 => {
            let name = chance.of(&["add", "sub", "and", "or", "xor", "mull", "addx2", "addx4", "addx8"]);
            format!("\t{name}\t{to}, {one}, {other}\n")
        }
        10 => format!("\tmovi\t{to}, {}\n\tand\t{to}, {one}, {to}\n", chance.of(&[1, 255, 15, 31])),
        11 => {
            let (name, amount) = (chance.of(&["slli", "srli", "srai"]), 1 + chance.below(15));
            format!("\t{name}\t{to}, {one}, {amount}\n")
        }
        12 => {
            let (set, shift) = chance.of(&[("ssl", "sll"), ("ssr", "srl"), ("ssr", "sra")]);
            format!("\t{set}\t{other}\n\t{shift}\t{to}, {one}\n")
        }
        13 => format!("\textui\t{to}, {one}, {}, {}\n", chance.below(16), 1 + chance.below(16)),
        14 => format!("\tl32r\t{to}, .LCPI{function}_{}\n", 1 + chance.below(2)),
        15 => format!("\tl32r\t{one}, .LCPI{function}_0\n\tmov\ta2, {to}\n\tcallx0\t{one}\n"),
        16 => format!("\ts32i\t{to}, a1, {slot}\n"),
        17 => format!("\tl32i\t{to}, a1, {slot}\n"),
        18 | 19 => {
            // Far behind the pointer.
            let number = number.unsigned_abs() & !3;
            let access = chance.of(&["l32i", "s32i", "l8ui", "s8i", "l16ui", "s16i"]);
            let value = if access.starts_with('s') { &other } else { &to };
            format!(
                "\tmovi\t{one}, {number}\n\tadd\t{one}, a15, {one}\n\t{access}\t{value}, {one}, {}\n",
                chance.of(&[0, 4])
            )
        }
        20 => format!("\tl32r\t{one}, .LCPI{function}_4\n\tadd\t{one}, a15, {one}\n\ts32i\t{to}, {one}, 0\n"),
        21 => format!("\tneg\t{to}, {one}\n\tmemw\n"),
        // A pointer that is kept over a call.
        23 => format!(
            "\tmovi\ta13, 1316\n\tadd\ta13, a15, a13\n\ts32i\t{to}, a13, 0\n\tcall0\touter\n\tl32i\t{one}, a13, 4\n\tmovi\ta13, 0\n"
        ),
        22 => format!("\taddmi\t{to}, {one}, {}\n", (number % 100) * 256),
        _ => format!("\tmovi\t{one}, 2\n\taddi\t{to}, a1, {slot}\n\tor\t{to}, {to}, {one}\n"),
    }
}

fn branch(chance: &mut Chance, target: &str) -> String {
    let (other, number) = (chance.register(), chance.number());
    // Often the same, so that branches know of each other.
    let one = if chance.below(2) == 0 { "a12".to_owned() } else { chance.register() };
    match chance.below(9) {
        7 => format!("\tand\t{one}, {one}, {other}\n\tbeqz\t{one}, {target}\n"),
        0 => format!("\tj\t{target}\n"),
        1 => format!("\t{}\t{one}, {target}\n", chance.of(&["beqz", "bnez", "bltz", "bgez"])),
        2 => {
            let (bit, name) = (chance.of(&[1, 2, 128]), chance.of(&["beqz", "bnez"]));
            format!("\tmovi\t{other}, {bit}\n\tand\t{one}, {one}, {other}\n\t{name}\t{one}, {target}\n")
        }
        3 => format!(
            "\t{}\t{one}, {}, {target}\n",
            chance.of(&["beqi", "bnei", "blti", "bgei"]),
            chance.of(&[-1, 1, 8, 256])
        ),
        4 => format!("\t{}\t{one}, {}, {target}\n", chance.of(&["bltui", "bgeui"]), chance.of(&[2, 10, 256])),
        5 | 6 => {
            let name = chance.of(&["beq", "bne", "blt", "bge", "bltu", "bgeu"]);
            let (left, right) = chance.of(&[(&one, &other), (&other, &one)]);
            format!("\tmovi\t{other}, {number}\n\t{name}\t{left}, {right}, {target}\n")
        }
        _ => String::new(),
    }
}

/// What others see of a run: calls with their arguments, memory, and what the ABI says of registers.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    calls: Vec<[u32; 6]>,
    memory: BTreeMap<u32, u8>,
    results: Vec<u32>,
}

/// A processor that reads text.
struct Run<'a> {
    labels: BTreeMap<&'a str, usize>,
    literals: BTreeMap<&'a str, &'a str>,
    registers: [u32; 16],
    shift: u32,
    memory: BTreeMap<u32, u8>,
    calls: Vec<[u32; 6]>,
}

impl<'a> Run<'a> {
    fn of(lines: &'a [Line], function: &str, seed: u64) -> Seen {
        let labels = |(index, line): (usize, &'a Line)| match line {
            Line::Label(label) => Some((label.as_str(), index)),
            _ => None,
        };
        let literal = |line: &'a Line| match line {
            Line::Other(text) => text.strip_prefix("\t.literal ")?.split_once(", "),
            _ => None,
        };
        let mut chance = Chance(seed | 1);
        let mut registers = [(); 16].map(|()| chance.next());
        (registers[0], registers[1], registers[2]) = (OUTSIDE, STACK, MEMORY);
        let mut run = Self {
            labels: lines.iter().enumerate().filter_map(labels).collect(),
            literals: lines.iter().filter_map(literal).collect(),
            registers,
            shift: 0,
            memory: BTreeMap::new(),
            calls: Vec::new(),
        };
        let mut at = run.labels[function];
        let mut steps = 0;
        while at != OUTSIDE as usize {
            at = match &lines[at] {
                Line::Instruction(instruction) => run.step(instruction, at),
                _ => at + 1,
            };
            steps += 1;
            assert!(steps < 100_000, "it never ends");
        }
        let results = [1, 2, 3, 4, 5, 12, 13, 14, 15].map(|register| run.registers[register]).to_vec();
        // What lies in its own frame is its own business.
        run.memory.retain(|&address, _| address < MEMORY + 0x4000);
        Seen { calls: run.calls, memory: run.memory, results }
    }

    fn get(&self, operand: &str) -> u32 {
        match register(operand) {
            Some(register) => self.registers[usize::from(register)],
            None => operand.parse::<i64>().unwrap_or_else(|_| panic!("`{operand}`")) as u32,
        }
    }

    fn load(&self, address: u32, unit: u32) -> u32 {
        assert_eq!(address % unit, 0, "misaligned");
        let byte =
            |at: u32| self.memory.get(&at).copied().unwrap_or((at.wrapping_mul(0x9e37_79b1) >> 13) as u8);
        (0..unit).rev().fold(0, |word, at| word << 8 | u32::from(byte(address + at)))
    }

    fn step(&mut self, instruction: &Instruction, at: usize) -> usize {
        let operands: Vec<&str> = instruction.operands.iter().map(String::as_str).collect();
        let value = |index: usize| operands.get(index).map_or(0, |operand| self.get_or_label(operand));
        let (a, b, c) = (value(0), value(1), value(2));
        let result = match (instruction.name.as_str(), &operands[..]) {
            ("movi" | "mov", _) => b,
            ("addi" | "addmi" | "add", _) => b.wrapping_add(c),
            ("sub", _) => b.wrapping_sub(c),
            ("and", _) => b & c,
            ("or", _) => b | c,
            ("xor", _) => b ^ c,
            ("neg", _) => b.wrapping_neg(),
            ("mull", _) => b.wrapping_mul(c),
            ("addx2", _) => (b << 1).wrapping_add(c),
            ("addx4", _) => (b << 2).wrapping_add(c),
            ("addx8", _) => (b << 3).wrapping_add(c),
            ("slli", _) => b << c,
            ("srli", _) => b >> c,
            ("srai", _) => (b as i32 >> c) as u32,
            ("sll", _) => (u64::from(b) << self.shift) as u32,
            ("srl", _) => (u64::from(b) >> self.shift) as u32,
            ("sra", _) => (i64::from(b as i32) >> self.shift) as u32,
            ("extui", [.., width]) => b >> c & ((1_u64 << self.get(width)) - 1) as u32,
            ("l32r", [_, label]) => {
                let literal = self.literals[label];
                literal.parse::<i64>().map_or(OUTSIDE, |number| number as u32)
            }
            ("l32i", _) => self.load(b.wrapping_add(c), 4),
            ("l16ui", _) => self.load(b.wrapping_add(c), 2),
            ("l8ui", _) => self.load(b.wrapping_add(c), 1),
            ("s32i" | "s16i" | "s8i", _) => {
                let unit = instruction.unit().unwrap_or(1) as u32;
                let address = b.wrapping_add(c);
                assert_eq!(address % unit, 0, "misaligned");
                for index in 0..unit {
                    self.memory.insert(address + index, (a >> (8 * index)) as u8);
                }
                return at + 1;
            }
            // SAR counts from the left for `sll`; here it is the number of places.
            ("ssl" | "ssr", _) => {
                self.shift = a & 31;
                return at + 1;
            }
            ("memw" | "nop", _) => return at + 1,
            ("j", [label]) if self.labels.contains_key(label) => return self.labels[label],
            // A call for the caller.
            ("j" | "jx", _) => {
                let back = self.registers[0];
                self.call();
                return back as usize;
            }
            ("ret", _) => return self.registers[0] as usize,
            ("call0", [function]) if self.labels.contains_key(function) => {
                self.registers[0] = at as u32 + 1;
                return self.labels[function];
            }
            ("call0" | "callx0", _) => {
                self.call();
                return at + 1;
            }
            (name, [.., label]) => {
                let is_taken = match (name, b) {
                    ("beqz", _) => a == 0,
                    ("bnez", _) => a != 0,
                    ("bltz", _) => (a as i32) < 0,
                    ("bgez", _) => (a as i32) >= 0,
                    ("beq" | "beqi", _) => a == b,
                    ("bne" | "bnei", _) => a != b,
                    ("blt" | "blti", _) => (a as i32) < b as i32,
                    ("bge" | "bgei", _) => a as i32 >= b as i32,
                    ("bltu" | "bltui", _) => a < b,
                    ("bgeu" | "bgeui", _) => a >= b,
                    ("bnone", _) => a & b == 0,
                    ("bany", _) => a & b != 0,
                    ("bbci", _) => a >> b & 1 == 0,
                    ("bbsi", _) => a >> b & 1 == 1,
                    _ => panic!("`{name}`"),
                };
                return if is_taken { self.labels[label] } else { at + 1 };
            }
            (name, _) => panic!("`{name}`"),
        };
        let to = register(operands[0]).expect("a register");
        self.registers[usize::from(to)] = result;
        at + 1
    }

    fn get_or_label(&self, operand: &str) -> u32 {
        if register(operand).is_some() || operand.parse::<i64>().is_ok() { self.get(operand) } else { 0 }
    }

    /// A function of somebody else's, which changes all that it may.
    fn call(&mut self) {
        let mut chance = Chance(0x1234_5678 + self.calls.len() as u64);
        self.calls.push([2, 3, 4, 5, 6, 7].map(|register| self.registers[register]));
        for register in [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] {
            self.registers[register] = chance.next();
        }
        self.shift = chance.below(32);
    }
}

/// Returns the lines of a text and the bytes of its instructions.
fn read(text: &str) -> (Vec<Line>, usize) {
    let lines: Vec<Line> = text.lines().map(Line::parse).collect();
    let size = lines.iter().filter_map(Line::instruction).map(Instruction::size).sum();
    (lines, size)
}

#[test]
fn what_is_seen_of_a_function_stays_the_same() {
    let (mut before, mut after) = (0, 0);
    for seed in 1_u64..400 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text: String = (0..6).map(|number| function(&mut chance, number)).collect();
        let shortened = shorten(&text, true);
        let ((long, all), (short, left)) = (read(&text), read(&shortened));
        for number in 0..6 {
            let name = format!("f{number}");
            let expected = Run::of(&long, &name, seed);
            let seen = Run::of(&short, &name, seed);
            assert_eq!(seen, expected, "seed {seed}, {name}:\n{text}\n{shortened}");
        }
        before += all;
        after += left;
    }
    assert!(after * 10 < before * 9, "{before} bytes became {after}");
}

#[test]
fn jumps_in_a_circle_stay_one() {
    let text = "\t.type\tf,@function\nf:\n\tbeqz\ta2, .LBB0_2\n.LBB0_1:\n\tj\t.LBB0_3\n.LBB0_2:\n\tj\t.LBB0_1\n.LBB0_3:\n\tj\t.LBB0_2\n.Lfunc_end0:\n";
    let shortened = shorten(text, true);
    assert!(shortened.contains("\tj\t.LBB0_"), "{shortened}");
}

#[test]
fn every_rule_is_met() {
    let mut chance = Chance(7);
    let text: String = (0..2000).map(|number| function(&mut chance, number)).collect();
    let shortened = shorten(&text, true);
    let names = |text: &str| -> BTreeSet<String> {
        read(text).0.iter().filter_map(Line::instruction).map(|one| one.name.clone()).collect()
    };
    let made: Vec<String> = names(&shortened).difference(&names(&text)).cloned().collect();
    assert_eq!(made, ["bany", "bbci", "bbsi", "bnone", "jx"]);
    assert!(shortened.contains("\tj\tshared_"), "no end is shared");
    assert!(shortened.contains("\tcall0\tshared_"), "no run is shared");
}
