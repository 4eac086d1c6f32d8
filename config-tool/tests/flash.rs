//! `dunlin flash` against the emulated chip: esptool from PyPI speaks to its boot ROM, and what a board had stays.
//!
//! With `DUNLIN_FIRMWARE`, which `cargo xtask test` sets, it flashes that image and starts it. Needs `python3` with `venv`, and
//! PyPI once; a virtual environment is made in the target folder.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::process::{Command, Output};

use dunlin_config_format::flash_map::FIRMWARE;

#[path = "../../twin/tests/support/download.rs"]
#[expect(unreachable_pub, reason = "the twin's tests use it too")]
mod download;
#[path = "../../twin/tests/support/python.rs"]
#[expect(unreachable_pub, reason = "the twin's tests use it too")]
mod python;

use download::Board;

/// An image without code, where none is given: the magic, one segment of 16 bytes for RAM, and its checksum.
fn image() -> Vec<u8> {
    if let Some(path) = std::env::var_os("DUNLIN_FIRMWARE") {
        return std::fs::read(path).unwrap();
    }
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40, 16, 0, 0, 0];
    image.extend([0x5a; 16]);
    image.resize(47, 0);
    image.push(0xef);
    image.resize(20_000, 0x33);
    image
}

fn dunlin(arguments: &[&str]) -> Output {
    let programs = python::virtual_environment(&[download::ESPTOOL]);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).env("PATH", path).env("ESPTOOL_CFGFILE", download::patience());
    command.env("XDG_STATE_HOME", std::env::temp_dir().join(format!("dunlin-flash-{}", std::process::id())));
    command.output().unwrap()
}

/// What esptool says of an image: entry point, segments, and whether its checksum is right.
fn image_info(path: &str) -> String {
    let esptool = python::virtual_environment(&[download::ESPTOOL]).join("esptool");
    let output = Command::new(esptool).args(["--chip", "esp8266", "image-info", path]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn file(name: &str, bytes: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flash-{name}"));
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_board_gets_its_firmware_and_keeps_its_configurations() {
    let image = image();
    // Everything behind the firmware's region is the board's own.
    let own = FIRMWARE.size as usize;
    let mut before = vec![0; 1 << 20];
    for (index, byte) in before.iter_mut().enumerate() {
        *byte = (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
    }
    let board = Board::start(before.clone(), true);
    let path = file("image.bin", &image);
    let arguments = ["flash", "--port", &board.port, "--image", &path, "--no-reset", "--baud", "115200"];
    let output = dunlin(&arguments);
    assert!(output.status.success(), "{}", text(&output));
    for words in ["Hash of data verified", "next: dunlin push"] {
        assert!(text(&output).contains(words), "`{words}` is missing in {}", text(&output));
    }
    let after = board.stop();
    assert_eq!(after[..3], image[..3]);
    assert_eq!(after[4..image.len()], image[4..], "all but the size of the flash chip, which was found");
    assert!(after[own..] == before[own..], "slots, identity and the rest are the board's");
    if std::env::var_os("DUNLIN_FIRMWARE").is_some() {
        let info = image_info(&path);
        for words in ["(valid)", "Segments: 2", "Flash mode: DOUT", "0x40100000  0x00000008  IRAM"] {
            assert!(info.contains(words), "`{words}` is missing in {info}");
        }
        let mut erased = after;
        erased[own..].fill(0xff);
        let board = Board::start(erased, false);
        let output = dunlin(&["info", "--port", &board.port]);
        assert!(text(&output).contains("nothing is stored"), "{}", text(&output));
        board.stop();
    }
}

#[test]
fn what_is_no_firmware_is_refused_before_a_port_is_opened() {
    let mut large = image();
    large.resize(FIRMWARE.size as usize + 1, 0);
    let cases = [
        (file("large.bin", &large), 1, "would overwrite the board's configurations"),
        (file("text.bin", b"hello"), 1, "does not begin with 0xe9"),
        ("no-such-file.bin".to_owned(), 1, "can't be read"),
    ];
    for (image, code, words) in cases {
        let output = dunlin(&["flash", "--port", "/dev/no-such-port", "--image", &image]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        assert!(text(&output).contains(words), "{}", text(&output));
    }
    let output = dunlin(&["flash", "--port", "sim", "--image", &file("fine.bin", &image())]);
    assert!(output.status.code() == Some(64) && text(&output).contains("over USB"), "{}", text(&output));
}

#[test]
fn a_flash_chip_that_is_too_small_is_refused_before_anything_is_written() {
    let before = vec![0xa5; 512 << 10];
    let board = Board::start(before.clone(), true);
    let path = file("for-small.bin", &image());
    let output =
        dunlin(&["flash", "--port", &board.port, "--image", &path, "--no-reset", "--baud", "115200"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("flash chip has 512 KiB; 1024 KiB are needed"), "{}", text(&output));
    assert!(board.stop() == before);
}
