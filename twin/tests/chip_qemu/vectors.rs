//! The image's own repair of narrow loads (`firmware/boot/vectors.S`), run by both cores.
//!
//! QEMU's memory takes every width, so that nothing there raises the exception. What the processor does when it comes is done
//! by the program: EXCCAUSE, EPC1, EXCVADDR and PS are set, and the user vector is jumped to.

use std::fmt::Write as _;
use std::path::Path;

use super::{Flat, assemble_with, run_core, run_qemu};

/// Words of a case in the log: a0 to a15, SAR, PS.
const WORDS: usize = 18;
const BYTES: [u8; 8] = [0x81, 0x02, 0x73, 0xf4, 0x05, 0x96, 0x17, 0xc8];
/// A load's name and width, and what it makes of the bytes.
type Form = (&'static str, usize, fn(u32) -> u32);
const FORMS: [Form; 3] = [
    ("l8ui", 1, |bytes| bytes & 0xff),
    ("l16ui", 2, |bytes| bytes & 0xffff),
    ("l16si", 2, |bytes| bytes as u16 as i16 as u32),
];

/// What a register has before.
fn pattern(register: usize) -> u32 {
    0x1234_5671_u32.wrapping_mul(register as u32 + 3) ^ 0x8000_0000
}

/// Returns the firmware's vectors, all in one section that begins with the jump to the program.
fn vectors() -> String {
    let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/boot");
    let text = std::fs::read_to_string(boot.join("vectors.S")).unwrap();
    let lines = text.lines().map(|line| match line.trim() {
        line if line.starts_with(".section") => " .text".to_owned(),
        "#include \"registers.h\"" => format!("#include \"{}\"", boot.join("registers.h").display()),
        "dunlin_vectors:" => "dunlin_vectors:\n .global _start\n_start: j begin".to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A case: a load's form, its register, the place of the instruction and of the datum in a word.
fn cases() -> impl Iterator<Item = (Form, usize, usize, usize)> {
    FORMS.into_iter().flat_map(|form| {
        (0..16).flat_map(move |register| {
            (0..4).map(move |place| (form, register, place, (register + place) * form.1 % 4))
        })
    })
}

fn program() -> String {
    let mut text = format!(
        " .begin transform\n .set dunlin_stack_end, 0\n .set dunlin_interrupt, 0\n{}\n .text\n .align 4\nbegin:\n",
        vectors()
    );
    for (number, ((name, ..), register, place, datum)) in cases().enumerate() {
        write!(text, " j 1f\n .align 4\n .literal_position\n1: movi a2, dunlin_vectors\n wsr a2, vecbase\n")
            .unwrap();
        write!(text, " movi a2, 3\n wsr a2, exccause\n movi a2, case{number}\n wsr a2, epc1\n").unwrap();
        write!(
            text,
            " movi a2, data + {datum}\n wsr a2, excvaddr\n movi a2, 0x30\n wsr a2, ps\n rsync\n ssai 13\n"
        )
        .unwrap();
        for each in 0..16 {
            writeln!(text, " movi a{each}, {:#x}", pattern(each)).unwrap();
        }
        write!(
            text,
            " j user_vector\n .align 4\n .space {place}\ncase{number}: _{name} a{register}, a2, 0\n"
        )
        .unwrap();
        writeln!(text, " wsr a0, excsave3\n movi a0, log + {}", 4 * WORDS * number).unwrap();
        for each in 1..16 {
            writeln!(text, " s32i a{each}, a0, {}", 4 * each).unwrap();
        }
        text += " rsr a1, excsave3\n s32i a1, a0, 0\n rsr a1, sar\n s32i a1, a0, 64\n rsr a1, ps\n extui a1, a1, 0, 6\n s32i a1, a0, 68\n";
    }
    let len = 4 * WORDS * cases().count();
    write!(text, " j 1f\n .align 4\n .literal_position\n1: movi a2, 4\n movi a3, 1\n movi a4, log\n movi a5, {len}\n simcall\n").unwrap();
    text += " movi a2, 1\n movi a3, 0\n simcall\n .align 4\n";
    write!(
        text,
        "data: .byte {}\nlog: .space {len}\n .end transform\n",
        BYTES.map(|byte| byte.to_string()).join(", ")
    )
    .unwrap();
    text
}

#[test]
fn narrow_loads_are_put_right_as_in_qemu() {
    let (elf, binary) = assemble_with("vectors", &program(), &["-mtext-section-literals".to_owned()]);
    let expected = run_qemu(&elf);
    let (found, ..) = run_core(Flat::new(binary));
    assert_eq!(expected.len(), 4 * WORDS * 3 * 16 * 4);
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let (expected, found) = (words(&expected), words(&found));
    let logs = expected.chunks(WORDS).zip(found.chunks(WORDS));
    for (((name, _, value), register, place, datum), (qemu, ours)) in cases().zip(logs) {
        let case = format!("{name} a{register} at {place}, datum at {datum}");
        let mut meant: Vec<u32> = (0..16).map(pattern).collect();
        meant[register] = value(u32::from_le_bytes(BYTES[datum..datum + 4].try_into().unwrap()));
        meant.extend([13, 0x20]);
        assert_eq!(qemu, meant, "{case}: in QEMU");
        assert_eq!(ours, meant, "{case}: here");
    }
}
