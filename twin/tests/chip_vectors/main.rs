//! The image's vectors and exceptions (`firmware/boot/vectors.S`, as it is) on the emulated core: loads that memory refuses are
//! put right for every form, register and place; interrupts leave no trace; what is fatal leaves the right record.
//!
//! The expected values come from the instruction set (Xtensa ISA, "Core Architecture"), not from the code. Needs the Debian
//! package `gcc-xtensa-lx106`; without it it fails.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the steps of a test, which fails where they fail")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use dunlin_twin::chip::core::bus::{Bus, Refusal, Width};
use dunlin_twin::chip::core::{Core, Stop};
use dunlin_twin::chip::memory::Memory;
use dunlin_twin::chip::symbols::Symbols;

const IRAM: u32 = 0x4010_0000;
/// Where the interrupted program is, and what it reads.
const PROGRAM: u32 = IRAM + 0x2000;
const DATA: u32 = IRAM + 0x3000;
const FLASH: u32 = 0x4020_0000;
const RAM: u32 = 0x3ffe_8000;
/// The stack's lower end (`link.ld`) and what is kept free above it (`registers.h`).
const GUARD: u32 = RAM + 512;
const STACK: u32 = RAM + 0x4000;
/// User mode, nothing held.
const PS: u32 = 0x20;
const EXCM: u32 = 0x10;
/// `FAULT_RECORD`, `FAULT_MAGIC` and `RTC_CTRL` of `registers.h`.
const RECORD: u32 = 0x6000_1300;
const MAGIC: u32 = 0x3146_5044;
const RTC_CTRL: u32 = 0x6000_0700;

/// Eight bytes with and without their highest bits.
const BYTES: [u8; 8] = [0x81, 0x02, 0x73, 0xf4, 0x05, 0x96, 0x17, 0xc8];

/// The chip's memory, and registers that hold what is written.
struct Board {
    memory: Memory,
    registers: BTreeMap<u32, u32>,
}

impl Bus for Board {
    fn fetch(&mut self, address: u32) -> Result<u32, Refusal> {
        self.memory.fetch(address)
    }
    fn load(&mut self, address: u32, width: Width) -> Result<u32, Refusal> {
        if address >> 28 == 6 {
            return Ok(self.registers.get(&address).copied().unwrap_or(0));
        }
        self.memory.load(address, width)
    }
    fn store(&mut self, address: u32, width: Width, value: u32) -> Result<(), Refusal> {
        if address >> 28 == 6 {
            self.registers.insert(address, value);
            return Ok(());
        }
        self.memory.store(address, width, value)
    }
    fn holds_code(&self, address: u32) -> bool {
        self.memory.holds_code(address)
    }
}

/// A core with the firmware's vectors, and a program that has been stopped nowhere yet.
struct Bench {
    core: Core,
    board: Board,
    symbols: Symbols,
}

impl Bench {
    fn new(test: &str) -> Self {
        let (text, elf) = build(test);
        let mut flash = BYTES.to_vec();
        flash.resize(0x100, 0);
        let mut memory = Memory::new(flash);
        memory.instruction_ram_mut()[..text.len()].copy_from_slice(&text);
        let at = (DATA - IRAM) as usize;
        memory.instruction_ram_mut()[at..at + BYTES.len()].copy_from_slice(&BYTES);
        let mut core = Core::new(PROGRAM);
        core.special.vecbase = IRAM;
        let board = Board { memory, registers: BTreeMap::new() };
        Bench { core, board, symbols: Symbols::read(&elf).unwrap() }
    }

    /// Puts an instruction at an address and a known word into each register and into SAR; the program comes next.
    fn put(&mut self, at: u32, instruction: u32) {
        let place = (at - IRAM) as usize;
        self.board.memory.instruction_ram_mut()[place..place + 3]
            .copy_from_slice(&instruction.to_le_bytes()[..3]);
        self.core.forget_instructions();
        self.core.registers =
            std::array::from_fn(|index| 0x1111_1111_u32.wrapping_mul(index as u32 + 1) ^ 0x8000_0000);
        self.core.registers[1] = STACK;
        self.core.special.sar = 13;
        self.core.special.ps = PS;
        self.core.pc = at;
    }

    /// Runs until the program counter is at `end`.
    fn run_to(&mut self, end: u32) {
        for _ in 0..1000 {
            self.core.step(&mut self.board).unwrap();
            if self.core.pc == end {
                return;
            }
        }
        panic!("{end:#x} is not reached; at {:#x}", self.core.pc);
    }

    /// Runs until the chip is reset; returns the record: cause, instruction, address, PS, a0, a1, a2.
    fn run_to_reset(&mut self) -> [u32; 7] {
        for _ in 0..1000 {
            assert_eq!(self.core.step(&mut self.board), Ok(()));
            if self.board.registers.get(&RTC_CTRL).is_some_and(|word| word >> 31 != 0) {
                let word = |index: u32| self.board.registers.get(&(RECORD + 4 * index)).copied().unwrap();
                assert_eq!(word(0), MAGIC);
                return std::array::from_fn(|index| word(index as u32 + 1));
            }
        }
        panic!("nothing resets the chip; at {:#x}", self.core.pc);
    }

    /// Returns a word of what the handler has kept.
    fn handled(&mut self, index: u32) -> u32 {
        let at = self.symbols.address("handled").unwrap() + 4 * index;
        self.board.memory.load(at, Width::Word).unwrap()
    }
}

/// Assembles and links the firmware's vectors; returns their code and the ELF.
fn build(test: &str) -> (Vec<u8>, Vec<u8>) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chip_vectors");
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/boot/vectors.S");
    let elf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chip_vectors_{test}.elf"));
    let binary = elf.with_extension("bin");
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-nostdlib", "-mlongcalls", "-mtext-section-literals", "-T"]).arg(tests.join("link.ld"));
    run(gcc.arg("-o").arg(&elf).arg(vectors).arg(tests.join("handler.S")));
    run(Command::new("xtensa-lx106-elf-objcopy")
        .args(["-O", "binary", "-j", ".text"])
        .arg(&elf)
        .arg(&binary));
    (std::fs::read(binary).unwrap(), std::fs::read(elf).unwrap())
}

fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("needs the Debian package gcc-xtensa-lx106: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A narrow load: its opcode without registers, its width, and what it makes of the bytes.
type Form = (u32, u32, fn(u32) -> u32);

/// `l8ui at, as, 0`, `l16ui`, `l16si` (RRI8: 0x2, t, s, which).
const FORMS: [Form; 3] = [
    (0x00_0002, 1, |bytes| bytes & 0xff),
    (0x00_1002, 2, |bytes| bytes & 0xffff),
    (0x00_9002, 2, |bytes| bytes as u16 as i16 as u32),
];

#[test]
fn every_narrow_load_is_put_right_and_nothing_else_changes() {
    let mut bench = Bench::new("loads");
    let mut count = 0;
    for (opcode, width, value) in FORMS {
        for (target, base) in (0..16).flat_map(|target| (0..16).map(move |base| (target, base))) {
            // Instruction and datum at every place in a word, the offset in the instruction and in the register.
            for place in 0..16 {
                let (at, datum) = (PROGRAM + place % 4, place / 4 * width % 4);
                let (memory, offset) = if place % 2 == 0 { (DATA, 0) } else { (FLASH, width) };
                bench.put(at, opcode | target << 4 | base << 8 | (offset / width) << 16);
                bench.core.registers[base as usize] = memory + datum;
                let mut expected = bench.core.registers;
                let first = (datum + offset) as usize;
                let bytes = u32::from_le_bytes(BYTES[first..first + 4].try_into().unwrap());
                expected[target as usize] = value(bytes);
                bench.run_to(at + 3);
                let name = format!("{opcode:#x} a{target}, a{base}, place {place}");
                assert_eq!(bench.core.registers, expected, "{name}");
                assert_eq!((bench.core.special.sar, bench.core.special.ps), (13, PS), "{name}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 3 * 16 * 16 * 16);
    assert!(bench.board.registers.is_empty(), "no peripheral is touched");
}

#[test]
fn a_load_from_what_a_load_has_read_gets_it() {
    // `l8ui a4, a2, 1`, `add a2, a2, a4`, `l8ui a5, a2, 0`
    let mut bench = Bench::new("chain");
    bench.put(PROGRAM + 6, 0x00_0252);
    bench.put(PROGRAM + 3, 0x80_2240);
    bench.put(PROGRAM, 0x01_0242);
    bench.core.registers[2] = DATA;
    bench.run_to(PROGRAM + 9);
    assert_eq!(bench.core.registers[4..6], [0x02, 0x73]);
}

#[test]
fn an_interrupt_leaves_no_trace_and_its_handler_may_load_bytes() {
    for (lines, held) in [(1 << 10, 0), (1 << 5 | 1 << 8, 0), (1 << 5 | 1 << 10, 1 << 10)] {
        let mut bench = Bench::new("interrupt");
        bench.put(PROGRAM, 0x00_20f0);
        bench.core.special.intenable = 0x7fff & !held;
        for line in (0..15).filter(|line| lines >> line & 1 != 0) {
            bench.core.set_interrupt(line, true);
        }
        let before = bench.core.registers;
        bench.core.step(&mut bench.board).unwrap();
        assert!(bench.core.special.ps & EXCM != 0, "the interrupt is taken");
        // The handler clears nothing: a level that is served is low again when it returns.
        while bench.core.special.ps & EXCM != 0 || bench.core.pc < PROGRAM {
            bench.core.step(&mut bench.board).unwrap();
            if bench.handled(0) != 0 {
                (0..15).for_each(|line| bench.core.set_interrupt(line, false));
                bench.core.special.interrupt = 0;
            }
        }
        assert_eq!(bench.core.pc, PROGRAM, "the program's instruction is still to come");
        assert_eq!(bench.core.registers, before);
        assert_eq!((bench.core.special.sar, bench.core.special.ps), (13, PS));
        assert_eq!(bench.handled(0), lines & !held, "what is pending and let through");
        assert_eq!(bench.handled(1), PROGRAM);
        assert_eq!(bench.handled(2) & 0x1f, 1, "level 1 is held, and exceptions are possible");
        // The second byte of the debug vector: `wsr a0, excsave2`.
        assert_eq!(bench.handled(3), 0xd2);
    }
}

#[test]
fn the_nmi_is_let_pass() {
    let mut bench = Bench::new("nmi");
    bench.put(PROGRAM, 0x00_20f0);
    let before = bench.core.registers;
    bench.core.set_interrupt(14, true);
    // Taking it and the vector's first instruction, which is the return, are one step.
    bench.core.step(&mut bench.board).unwrap();
    bench.core.set_interrupt(14, false);
    assert_eq!((bench.core.special.epc[2], bench.core.pc), (PROGRAM, PROGRAM));
    assert_eq!((bench.core.registers, bench.core.special.ps), (before, PS));
    bench.run_to(PROGRAM + 3);
    // Between two instructions of an exception's handler, too.
    bench.put(PROGRAM, 0x00_0242);
    bench.core.registers[2] = DATA;
    for _ in 0..20 {
        bench.core.step(&mut bench.board).unwrap();
    }
    assert!(bench.core.pc < PROGRAM, "the load is being put right");
    bench.core.set_interrupt(14, true);
    let stopped = bench.core.pc;
    bench.core.step(&mut bench.board).unwrap();
    bench.core.set_interrupt(14, false);
    assert_eq!((bench.core.special.epc[2], bench.core.pc), (stopped, stopped));
    bench.run_to(PROGRAM + 3);
    assert_eq!((bench.core.registers[4], bench.core.special.ps), (0x81, PS));
}

#[test]
fn what_is_fatal_leaves_its_record_and_resets_the_chip() {
    // Name, instruction over a2 and a4, a2, and cause and address of the record. An address of none is what was there before.
    let cases: [(&str, u32, u32, u32, Option<u32>); 8] = [
        ("a byte stored to instruction RAM", 0x00_4242, DATA + 1, 3, Some(DATA + 1)),
        ("a half word stored to instruction RAM", 0x00_5242, DATA, 3, Some(DATA)),
        ("a half word at an odd address", 0x00_1242, DATA + 1, 9, Some(DATA + 1)),
        ("a word at an odd address", 0x00_2242, RAM + 2, 9, Some(RAM + 2)),
        ("a null load", 0x00_2242, 0, 28, Some(0)),
        ("a null store", 0x00_6242, 4, 29, Some(4)),
        ("an illegal instruction", 0x00_0000, 0, 0, None),
        ("a system call", 0x00_5000, 0, 1, None),
    ];
    for (name, instruction, a2, cause, address) in cases {
        let mut bench = Bench::new("fatal");
        bench.put(PROGRAM, instruction);
        bench.core.registers[2] = a2;
        let [a0, a1, ..] = bench.core.registers;
        let record = bench.run_to_reset();
        assert_eq!(record[..2], [cause, PROGRAM], "{name}");
        assert!(address.is_none_or(|address| record[2] == address), "{name}: {:#x}", record[2]);
        assert_eq!(record[4..], [a0, a1, a2], "{name}");
        assert_eq!(record[3] & PS, PS, "{name}");
    }
}

#[test]
fn a_break_is_told() {
    // The emulated core stops at a `break`, for whoever debugs; silicon goes on at the debug vector, as here.
    let mut bench = Bench::new("break");
    bench.put(PROGRAM, 0x00_4000);
    assert_eq!(bench.core.step(&mut bench.board), Err(Stop::Break(PROGRAM)));
    bench.put(PROGRAM, 0x00_4000);
    let [a0, a1, a2, ..] = bench.core.registers;
    (bench.core.special.epc[1], bench.core.pc) = (PROGRAM, IRAM + 0x10);
    let record = bench.run_to_reset();
    assert_eq!(record[..2], [0x200, PROGRAM]);
    assert_eq!(record[4..], [a0, a1, a2]);
}

#[test]
fn a_jump_to_nothing_is_told() {
    let mut bench = Bench::new("jump");
    // `jx a2`
    bench.put(PROGRAM, 0x00_02a0);
    bench.core.registers[2] = 4;
    let record = bench.run_to_reset();
    assert_eq!(record[..2], [20, 4]);
}

#[test]
fn an_exception_while_one_is_served_is_marked() {
    let mut bench = Bench::new("double");
    bench.put(PROGRAM, 0x00_2242);
    bench.core.registers[2] = RAM + 1;
    bench.core.special.ps = PS | EXCM;
    let registers = bench.core.registers;
    let record = bench.run_to_reset();
    assert_eq!(record[..3], [0x100 | 9, PROGRAM, RAM + 1]);
    assert_eq!(record[4..], [registers[0], registers[1], registers[2]]);
}

#[test]
fn an_interrupt_above_the_guard_is_served_and_one_in_it_is_not() {
    for (stack, is_served) in [(GUARD, true), (GUARD - 16, false), (RAM, false)] {
        let mut bench = Bench::new("guard");
        bench.put(PROGRAM, 0x00_20f0);
        bench.core.registers[1] = stack;
        let [a0, _, a2, ..] = bench.core.registers;
        bench.core.special.intenable = 1 << 10;
        bench.core.set_interrupt(10, true);
        if is_served {
            for _ in 0..60 {
                bench.core.step(&mut bench.board).unwrap();
            }
            assert_eq!(bench.handled(0), 1 << 10);
            assert!(bench.board.registers.is_empty());
        } else {
            let record = bench.run_to_reset();
            assert_eq!(record[0], 0x400);
            assert_eq!(record[1], PROGRAM);
            assert_eq!(record[4..], [a0, stack, a2]);
        }
    }
}
