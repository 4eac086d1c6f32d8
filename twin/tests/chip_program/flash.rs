//! Programs that use the window on flash when nothing is to be seen there.

use std::path::Path;
use std::process::Command;

use dunlin_twin::chip::End;
use dunlin_twin::chip::time::Time;

use super::{chip, image, run};

/// A program that goes to flash, after `before`.
fn program(before: &str) -> String {
    format!(
        " .text\n .global main, vectors\nvectors: j main\n .literal_position\nmain: {before}\n movi a2, 0x40210000\n jx a2
 .data\n .word 0\n"
    )
}

/// How the run of a program ends.
fn end(test: &str, before: &str) -> String {
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chip_program_{test}.S"));
    let elf = source.with_extension("elf");
    std::fs::write(&source, program(before)).unwrap();
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-nostdlib", "-Wa,--text-section-literals", "-Wl,-Ttext=0x40100000,-Tdata=0x3ffe8000,-e,main"]);
    run(gcc.arg("-o").arg(&elf).arg(&source));
    let mut chip = chip(image(&elf));
    match chip.run_until(Time(chip.now().0 + Time::from_micros(100_000).0)) {
        End::Stopped(text) => text,
        other => panic!("{other:?}"),
    }
}

/// `Cache_Read_Enable(0, 0, 1)`.
const CACHE_ON: &str = "movi a2, 0\n movi a3, 0\n movi a4, 1\n movi a0, 0x40004678\n callx0 a0\n";

#[test]
fn flash_behind_a_cache_that_is_off_stops_the_program() {
    let text = end("cache_off", "");
    assert!(text.starts_with("flash at 0x40210000 is used while the cache is off; pc 0x40210000"), "{text}");
    // Erased bytes are no instruction: with the cache on, the program gets that far.
    let text = end("cache_on", CACHE_ON);
    assert!(text.starts_with("no instruction of this core at 0x40210000: bytes 0xffffff"), "{text}");
}

#[test]
fn flash_of_a_chip_that_erases_stops_the_program() {
    // WREN, the address, SE, and the cache on without a look at the status.
    let erase =
        "movi a2, 0x60000200\n movi a3, 0x40000000\n s32i a3, a2, 0\n movi a3, 0x20000\n s32i a3, a2, 4
 movi a3, 0x01000000\n s32i a3, a2, 0\n";
    let text = end("busy", &format!("{erase}{CACHE_ON}"));
    assert!(
        text.starts_with(
            "flash at 0x40210000 is used while the flash chip erases or programs; pc 0x40210000"
        ),
        "{text}"
    );
}
