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

/// The image that is given, else one without code.
fn image() -> Vec<u8> {
    std::env::var_os("DUNLIN_FIRMWARE").map_or_else(small_image, |path| std::fs::read(path).unwrap())
}

/// An image without code: the magic, one segment of 16 bytes for RAM, and its checksum.
fn small_image() -> Vec<u8> {
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40, 16, 0, 0, 0];
    image.extend([0x5a; 16]);
    image.resize(47, 0);
    image.push(0xef);
    image.resize(20_000, 0x33);
    image
}

fn dunlin(arguments: &[&str]) -> Output {
    dunlin_with(download::ESPTOOL, arguments)
}

/// Runs `dunlin` where this is the esptool that it finds first.
fn dunlin_with(esptool: &str, arguments: &[&str]) -> Output {
    let programs = python::virtual_environment(&[esptool]);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(arguments).env("PATH", path).env("ESPTOOL_CFGFILE", download::patience());
    command.env("XDG_STATE_HOME", std::env::temp_dir().join(format!("dunlin-flash-{}", std::process::id())));
    command.output().unwrap()
}

/// What esptool says of an image: entry point, segments, and whether its checksum is right.
fn image_info(path: &str) -> Output {
    let esptool = python::virtual_environment(&[download::ESPTOOL]).join("esptool");
    Command::new(esptool).args(["--chip", "esp8266", "image-info", path]).output().unwrap()
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
        let info = text(&image_info(&path));
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
        (file("large.bin", &large), "would overwrite the board's configurations"),
        (file("text.bin", b"hello"), "is no image for an ESP8266: it begins with 0x68, not 0xe9"),
        (file("empty.bin", b""), "is empty"),
        ("no-such-file.bin".to_owned(), "can't be read"),
    ];
    for (image, words) in cases {
        refuses(&image, words);
    }
    let output = dunlin(&["flash", "--port", "sim", "--image", &file("fine.bin", &image())]);
    assert!(output.status.code() == Some(64) && text(&output).contains("over USB"), "{}", text(&output));
}

/// Sees `dunlin flash` refuse an image, with these words and before it looks for the port.
#[track_caller]
fn refuses(path: &str, words: &str) {
    let output = dunlin(&["flash", "--port", "/dev/no-such-port", "--image", path]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(words), "`{words}` is missing in {}", text(&output));
}

/// An image, what is changed in it, what is said of that, and what esptool says; nothing where it does not look.
type Damage = (&'static str, fn(&mut Vec<u8>), &'static str, Option<&'static str>);

/// A segment of 16 bytes begins at 8, its bytes at 16, and the checksum is at 47.
const DAMAGES: &[Damage] = &[
    ("no-segments", |image| image[1] = 0, "names 0 segments; the boot ROM loads 1 to 16", Some("(invalid")),
    ("17-segments", |image| image[1] = 17, "names 17 segments", Some("fatal error")),
    ("elsewhere", |image| image[11] = 0x60, "has 16 bytes for 0x60100000 in segment 1 of 1", None),
    (
        "too-long",
        |image| image[14] = 1,
        "has 65552 bytes for 0x40100000 in segment 1 of 1",
        Some("fatal error"),
    ),
    ("cut-in-header", |image| image.truncate(7), "ends inside its header", Some("error")),
    ("cut-before-segment", |image| image.truncate(12), "ends before its segment 1 of 1", Some("error")),
    (
        "cut-in-segment",
        |image| image.truncate(24),
        "ends inside its segment 1 of 1: 16 bytes are named, 8 there",
        Some("End of file reading segment 0x40100000"),
    ),
    ("cut-before-sum", |image| image.truncate(40), "ends before the checksum", Some("error")),
    (
        "sum",
        |image| image[47] ^= 1,
        "the checksum 0xef, it says 0xee",
        Some("0xee (invalid - calculated 0xef)"),
    ),
    (
        "segment",
        |image| image[20] ^= 0x80,
        "the checksum 0x6f, it says 0xef",
        Some("(invalid - calculated 0x6f)"),
    ),
    ("entry", |image| image[4] = 0x20, "starts at 0x40100020, which none of its segments holds", None),
];

#[test]
fn an_image_that_is_not_whole_is_refused_and_esptool_agrees() {
    let whole = small_image();
    assert!(text(&image_info(&file("whole.bin", &whole))).contains("Checksum: 0xef (valid)"));
    for (name, damage, words, judge) in DAMAGES {
        let mut image = whole.clone();
        damage(&mut image);
        let path = file(&format!("{name}.bin"), &image);
        refuses(&path, words);
        if let Some(judge) = judge {
            let info = text(&image_info(&path));
            assert!(info.to_lowercase().contains(&judge.to_lowercase()), "{name}: {info}");
        }
    }
}

#[test]
fn code_in_flash_that_is_not_whole_is_refused() {
    // The loaded part says where the code is, how long, and its CRC-32 (`zlib.crc32(b"123456789abc")`).
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40, 0x90, 0, 0, 0];
    image.extend([0; 0x80]);
    image.extend([0, 1, 0x20, 0x40, 12, 0, 0, 0, 0xe4, 0xc0, 0xb0, 0xbd, 0, 0, 0, 0]);
    let sum = image[16..].iter().fold(0xef, |sum, byte| sum ^ byte);
    image.resize(0xaf, 0);
    image.push(sum);
    image.resize(0x100, 0xff);
    image.extend(b"123456789abc");
    let path = file("with-code.bin", &image);
    assert!(text(&image_info(&path)).contains("(valid)"));
    let output = dunlin(&["flash", "--port", "sim", "--image", &path]);
    assert!(text(&output).contains("over USB"), "the image itself is taken: {}", text(&output));
    refuses(
        &file("cut-code.bin", &image[..0x108]),
        "is cut short: its code ends at byte 268, the file at byte 264",
    );
    image[0x105] ^= 1;
    refuses(&file("damaged-code.bin", &image), "is damaged: its code has the CRC-32 0x");
}

#[test]
fn an_esptool_that_is_too_old_is_refused_with_the_cure() {
    let path = file("for-old.bin", &image());
    let output = dunlin_with("esptool==4.8.1", &["flash", "--port", "/dev/no-such-port", "--image", &path]);
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
    for words in ["is version 4.8.1", "5.0 or newer is needed", "pipx install esptool"] {
        assert!(text(&output).contains(words), "`{words}` is missing in {}", text(&output));
    }
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
