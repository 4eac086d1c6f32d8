//! Exceptions, software interrupts, and every way back from them, in random order and from random states.
//!
//! Each handler writes what the core tells it to a log: its vector, EPC1, EXCCAUSE, PS, EXCVADDR, DEPC, and whether the
//! software interrupt is still raised. Both cores have to write the same log.

use std::fmt::Write as _;

use rand_core::Rng;
use rand_pcg::Pcg32;

use super::{Flat, assemble, run_core, run_qemu};

const EVENTS: u32 = 1500;
/// Words of an entry of the log.
const ENTRY: usize = 7;

/// Where the vectors are, and what they do. `a15` points into the log, EXCSAVE1 holds `a14`, and every instruction that
/// raises an exception here has three bytes.
const VECTORS: &str = "
    .text
    .global _start
_start: j begin
    .align 256
vectors:
    .org vectors + 0x30
    wsr.excsave1 a14
    movi a14, 0x30
    j common
    .org vectors + 0x50
    wsr.excsave1 a14
    movi a14, 0x50
    j common
    .org vectors + 0x70
    wsr.excsave1 a14
    movi a14, 0x70
    j double
    .macro log
    s32i a14, a15, 0
    rsr.epc1 a14
    s32i a14, a15, 4
    rsr.exccause a14
    s32i a14, a15, 8
    rsr.ps a14
    extui a14, a14, 0, 6
    s32i a14, a15, 12
    rsr.excvaddr a14
    s32i a14, a15, 16
    rsr.depc a14
    s32i a14, a15, 20
    rsr.interrupt a14
    extui a14, a14, 7, 1
    s32i a14, a15, 24
    addi a15, a15, 28
    .endm
common:
    log
    rsr.exccause a14
    beqi a14, 4, interrupted
    rsr.epc1 a14
    addi a14, a14, 3
    wsr.epc1 a14
    rsr.excsave1 a14
    rfe
interrupted:
    movi a14, 0x80
    wsr.intclear a14
    rsr.excsave1 a14
    rfe
double:
    log
    rsr.depc a14
    addi a14, a14, 3
    wsr.depc a14
    rsr.excsave1 a14
    rfde
    .align 4
log_address: .word log_start
data_address: .word data
vectors_address: .word vectors
begin:
    l32r a15, log_address
    l32r a13, data_address
    l32r a2, vectors_address
    wsr.vecbase a2
    movi a2, 0
    wsr.intenable a2
    wsr.epc1 a2
    wsr.depc a2
    wsr.excsave1 a2
    movi a2, 0xff
    wsr.intclear a2
    movi a2, 0x20
    wsr.ps a2
    rsync
";

/// A literal with the address of the label behind it, in the place of a constant pool.
fn address_of_next(register: u32) -> String {
    format!("j 8f\n .align 4\n7: .word 9f\n8: l32r a{register}, 7b\n")
}

fn event(random: &mut Pcg32) -> String {
    let mut below = |limit: u32| random.next_u32() % limit;
    let (offset, level) = (below(127), below(4));
    let is_user = below(2) * 0x20;
    match below(14) {
        0 => "syscall".into(),
        1 => "ill".into(),
        2 => format!("_l32i a2, a13, {}\n addi a2, a13, {offset}\n _l32i a3, a2, 4", 4 * below(16)),
        3 => format!("addi a2, a13, {}\n _l16ui a3, a2, 2\n _l16si a4, a2, 0", below(127)),
        4 => format!("addi a2, a13, {}\n movi a3, {offset}\n _s32i a3, a2, 8\n _s16i a3, a2, 6", below(127)),
        5 => "movi a2, 0x80\n wsr.intset a2".into(),
        6 => format!("movi a2, {}\n wsr.intenable a2", below(2) * 0x80),
        7 => format!("rsil a{}, {level}", 2 + below(8)),
        8 => format!("movi a2, {}\n wsr.ps a2\n rsync", level | is_user),
        9 => {
            // Raised before the sleep, and let through by it: it doesn't last.
            "rsil a3, 1\n movi a2, 0x80\n wsr.intenable a2\n wsr.intset a2\n waiti 0".into()
        }
        10 => format!(
            "{} wsr.epc3 a4\n movi a5, {}\n wsr.eps3 a5\n rfi 3\n ill\n9: nop",
            address_of_next(4),
            level | is_user
        ),
        11 => format!(
            "{} wsr.epc2 a4\n movi a5, {}\n wsr.eps2 a5\n rfi 2\n ill\n9: nop",
            address_of_next(4),
            level | is_user
        ),
        12 => format!(
            "movi a5, {}\n wsr.ps a5\n rsync\n {}\n syscall\n rsr.ps a6\n{} wsr.epc1 a4\n rfe\n ill\n9: rsr.ps a7",
            0x10 | level | is_user,
            ["syscall", "ill", "addi a2, a13, 1\n _l32i a3, a2, 0"][below(3) as usize],
            address_of_next(4)
        ),
        _ => format!(
            "movi a5, {}\n wsr.ps a5\n rsync\n{} wsr.depc a4\n rfde\n ill\n9: rsr.ps a6\n{} wsr.epc1 a4\n rfe\n9: nop",
            0x10 | level | is_user,
            address_of_next(4),
            address_of_next(4)
        ),
    }
}

pub(super) fn program(seed: u64) -> String {
    let mut random = Pcg32::new(seed, 2);
    let mut text = String::from(VECTORS);
    for _ in 0..EVENTS {
        writeln!(text, " {}", event(&mut random)).unwrap();
    }
    // The registers belong to the log, and its length, too.
    for register in 2..13 {
        writeln!(text, " extui a{register}, a{register}, 0, 16\n s32i a{register}, a15, {}", 4 * register)
            .unwrap();
    }
    text += " mov a4, a15\n movi a5, 56\n movi a2, 4\n movi a3, 1\n simcall\n";
    text += " j 3f\n .align 4\n2: .word log_start\n3: l32r a4, 2b\n sub a5, a15, a4\n movi a2, 4\n movi a3, 1\n simcall\n";
    text += " movi a2, 1\n movi a3, 0\n simcall\n.align 4\ndata: .space 1024\nlog_start: .space 0x20000\n";
    text
}

#[test]
fn exceptions_and_interrupts_leave_what_they_leave_in_qemu() {
    let mut vectors = [0; 3];
    for seed in 1..=6 {
        let (elf, binary) = assemble(&format!("exceptions{seed}"), &program(seed));
        let expected = run_qemu(&elf);
        let (found, ..) = run_core(Flat::new(binary));
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
        };
        let (expected, found) = (words(&expected), words(&found));
        let log = |words: &[u32]| words.get(14..).unwrap_or_default().to_vec();
        for (index, (expected, found)) in
            log(&expected).chunks(ENTRY).zip(log(&found).chunks(ENTRY)).enumerate()
        {
            assert_eq!(
                expected, found,
                "entry {index} of seed {seed} in hexadecimal: {expected:x?} in QEMU, {found:x?} here"
            );
            vectors[(expected[0] as usize - 0x30) / 0x20] += 1;
        }
        assert_eq!(expected, found, "the registers or the length differ in seed {seed}");
    }
    assert!(
        vectors.iter().all(|count| *count > 300),
        "vectors 0x30, 0x50, 0x70 were taken {vectors:?} times"
    );
}
