//! esptool from PyPI, unmodified, writes the chip's flash over a pseudo-terminal, with its own stub running on the emulated
//! core, and reads it back.
//!
//! Needs `python3` with `venv`, and PyPI once; a virtual environment is made in the target folder.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::process::{Command, Output};

use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

#[path = "support/download.rs"]
#[expect(unreachable_pub, reason = "the tool's tests use it too")]
mod download;
#[path = "support/python.rs"]
#[expect(unreachable_pub, reason = "the tool's tests use it too")]
mod python;

use download::Board;

const FLASH_SIZE: usize = 4 << 20;

/// Runs `work` with the port of a chip whose boot ROM waits for a download; returns the flash as it is afterwards.
fn with_chip(contents: Vec<u8>, work: impl FnOnce(&str)) -> Vec<u8> {
    let board = Board::start(contents, true);
    work(&board.port);
    board.stop()
}

fn esptool(port: &str, arguments: &[&str]) -> Output {
    Command::new(python::virtual_environment(&[download::ESPTOOL]).join("esptool"))
        .env("ESPTOOL_CFGFILE", download::patience())
        .args(["--chip", "esp8266", "--port", port])
        .args(["--before", "no-reset", "--after", "no-reset"])
        .args(arguments)
        .output()
        .unwrap()
}

#[track_caller]
fn succeeds(port: &str, arguments: &[&str], expected: &[&str]) {
    let output = esptool(port, arguments);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    for words in expected {
        assert!(text.contains(words), "`{words}` is missing in {arguments:?}: {text}");
    }
}

#[test]
fn esptool_identifies_writes_reads_and_verifies_the_flash() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut random = Pcg32::seed_from_u64(1);
    let mut image = vec![0; 24 * 1024];
    random.fill_bytes(&mut image);
    // Half of it compresses well, as firmware does.
    image[..12 * 1024].fill(0x5a);
    let (written, read) = (folder.join("esptool-written.bin"), folder.join("esptool-read.bin"));
    std::fs::write(&written, &image).unwrap();
    let small = folder.join("esptool-small.bin");
    std::fs::write(&small, &image[..3000]).unwrap();
    let small = small.to_str().unwrap();
    let (written, read) = (written.to_str().unwrap(), read.to_str().unwrap());
    let mut before = vec![0xff; FLASH_SIZE];
    before[0x1_0000..0x1_0100].fill(0);
    before[0xa_8000..0xa_8010].copy_from_slice(b"a configuration.");
    let after = with_chip(before, |port| {
        succeeds(port, &["--no-stub", "chip-id"], &["ESP8266", "Chip ID: 0x00d00000"]);
        succeeds(port, &["flash-id"], &["Device: 4016", "4MB"]);
    });
    assert_eq!(after[0xa_8000..0xa_8010], *b"a configuration.");
    let after = with_chip(after, |port| {
        succeeds(
            port,
            &["write-flash", "--flash-size", "keep", "0x10000", written],
            &["Hash of data verified"],
        );
    });
    // Through the ROM's loader alone, which knows no MD5.
    let after = with_chip(after, |port| {
        let write = ["--no-stub", "write-flash", "--flash-size", "keep", "--no-compress", "0x20000", small];
        succeeds(port, &write, &["Wrote 3000 bytes"]);
    });
    assert_eq!(after[0x2_0000..][..3000], image[..3000]);
    assert_eq!(after[0x1_0000..][..image.len()], image);
    assert_eq!(after[0xa_8000..0xa_8010], *b"a configuration.");
    let after = with_chip(after, |port| {
        succeeds(port, &["read-flash", "0x10000", "0x6000", read], &[]);
    });
    assert_eq!(std::fs::read(read).unwrap(), image);
    with_chip(after, |port| {
        succeeds(port, &["verify-flash", "0x10000", written], &["Verification successful"]);
    });
}
