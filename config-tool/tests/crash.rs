//! `dunlin info` names the place of a crash: the shipping image, with an instruction in it that there is not, on the emulated
//! chip behind a pseudo-terminal.
//!
//! `cargo xtask test` builds the image and runs this, with `DUNLIN_FIRMWARE` for its path; the ELF lies beside it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use std::path::Path;
use std::process::{Command, Output};

#[path = "../../twin/tests/support/download.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests of esptool use it too")]
mod download;
#[path = "../../twin/tests/support/patched.rs"]
#[expect(unreachable_pub, reason = "the twin's tests use it too")]
mod patched;

use download::Board;
use patched::{WINDOW, function, image, make_whole};

/// `ill`, the instruction that is none.
const ILLEGAL: [u8; 3] = [0, 0, 0];

fn dunlin(port: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).args(["--port", port]).current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.env("XDG_STATE_HOME", std::env::temp_dir().join(format!("dunlin-crash-{}", std::process::id())));
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap())
}

/// Returns the ELF with the same instruction replaced at `address`: the program that runs.
fn replaced(elf: &[u8], address: u32) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let (headers, count) = (word(28) as usize, usize::from(elf[44]));
    let mut elf = elf.to_vec();
    for header in (0..count).map(|index| headers + 32 * index) {
        let (offset, start, len) = (word(header + 4), word(header + 8), word(header + 16));
        if (start..start + len).contains(&address) {
            let at = (offset + address - start) as usize;
            elf[at..at + ILLEGAL.len()].copy_from_slice(&ILLEGAL);
            return elf;
        }
    }
    panic!("{address:#x} is in no segment");
}

#[test]
#[ignore = "needs the image: cargo xtask test"]
fn info_names_the_place_of_a_crash() {
    // What a probe of a bus calls, and nothing before.
    let at = function(&["15dunlin_firmware3i2c4wire", "4Wire", "4send"]);
    let mut flash = std::fs::read(image()).unwrap();
    let place = (at - WINDOW) as usize;
    flash[place..place + ILLEGAL.len()].copy_from_slice(&ILLEGAL);
    flash.resize(1 << 20, 0xff);
    make_whole(&mut flash);
    let elf = std::fs::read(image().with_extension("elf")).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}.elf"));
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ran, other) = (file("ran", &replaced(&elf, at)), file("other", &elf));

    let board = Board::start(flash, false);
    let before = dunlin(&board.port, &["info", "--elf", &ran]);
    assert!(before.0 == Some(0) && !before.1.contains("exception"), "{}", before.1);
    let probed = dunlin(&board.port, &["probe", "--sda", "4", "--scl", "5"]);
    assert_eq!(probed.0, Some(2), "{}", probed.1);

    let (code, text) = dunlin(&board.port, &["info", "--elf", &ran]);
    assert_eq!(code, Some(0), "{text}");
    let address = format!("{at:#010x}");
    for words in [
        &format!("exception 0 at {address}, address 0x"),
        "an instruction that there is not",
        &format!("{address} is <dunlin_firmware::i2c::wire::Wire<"),
        ">::send\n",
    ] {
        assert!(text.contains(words), "`{words}` is missing in {text}");
    }
    let (_, text) = dunlin(&board.port, &["info", "--json", "--elf", &ran]);
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["crash"][0], "an instruction that there is not");
    assert!(info["crash"][1].as_str().unwrap().starts_with(&address), "{text}");
    // Names of another program would be wrong ones.
    let (code, text) = dunlin(&board.port, &["info", "--elf", &other]);
    assert!(code == Some(1) && text.contains("is not the board's"), "{text}");
    let (code, text) = dunlin(&board.port, &["info"]);
    assert!(code == Some(0) && text.contains("its places have names with `--elf FILE`"), "{text}");
    let (code, text) = dunlin(&board.port, &["info", "--elf", "/dev/null"]);
    assert!(code == Some(64) && text.contains("is no program with names"), "{text}");
    board.stop();
}
