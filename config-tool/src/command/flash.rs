//! `dunlin flash`: puts the firmware on a board, once. Everything after that is a push.
//!
//! esptool, Espressif's own program, does it: this finds it, sees that the image is one that leaves configurations alone, and
//! says what comes next. Checked with an emulated ESP8266 whose boot ROM esptool speaks to; never on a real board yet.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use dunlin_config_format::flash_map::FIRMWARE;

use super::{CommandError, Exit, LineArguments};
use crate::line::Target;

/// Images that are taken where none is named.
const IMAGES: [&str; 2] = ["dunlin.bin", "target/firmware/dunlin.bin"];
/// First byte of an image for the ESP8266's boot ROM.
const MAGIC: u8 = 0xe9;
/// How esptool may be started, each with what asks it who it is.
const PROGRAMS: [&[&str]; 3] = [&["esptool"], &["python3", "-m", "esptool"], &["esptool.py"]];

/// Put the firmware on a board, once; its configurations stay
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// The image; `dunlin.bin` here, or what `cargo xtask firmware` has built, unless named
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Bits per second
    #[arg(long, value_name = "RATE", default_value_t = 460_800)]
    baud: u32,
    /// Do not reset the board: it waits in its boot loader (GPIO0 was low at its start)
    #[arg(long)]
    no_reset: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let image = find_image(arguments.image.as_deref())?;
    check(&image)?;
    let target = arguments.line.target()?;
    let Target::Port(port) = &target else {
        return Err(CommandError::new(
            Exit::Usage,
            format!("`{target}` is no serial port: firmware goes over USB"),
        ));
    };
    let Some(program) = PROGRAMS.iter().find(|program| answers(program)) else {
        let text = "esptool is missing: `pipx install esptool`, or `pip install esptool` (5.0 or newer)";
        return Err(CommandError::new(Exit::Usage, text));
    };
    println!("{} → {port}", image.display());
    let [first, rest @ ..] = program else { return Ok(Exit::Usage) };
    let mut command = Command::new(first);
    command.args(rest).args(["--chip", "esp8266", "--port", port, "--baud", &arguments.baud.to_string()]);
    if arguments.no_reset {
        command.args(["--before", "no-reset", "--after", "no-reset"]);
    }
    // The size that is found goes into the image's header; mode and frequency stay as they were built.
    command.args(["write-flash", "--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "detect"]);
    command.arg(format!("{:#x}", FIRMWARE.address)).arg(&image);
    let status = command.status().map_err(|error| CommandError::new(Exit::Device, error))?;
    if !status.success() {
        let text = "esptool has not done it; what is above is its word. A board without automatic reset: hold GPIO0 low \
                    (the button FLASH) at its start, then `dunlin flash --no-reset`";
        return Err(CommandError::new(Exit::Device, text));
    }
    println!("\nnext: dunlin push       bring a configuration to the board; what it had is still there");
    Ok(Exit::Done)
}

fn find_image(named: Option<&Path>) -> Result<PathBuf, CommandError> {
    let found = named.map(Path::to_path_buf);
    let found = found.or_else(|| IMAGES.iter().map(PathBuf::from).find(|path| path.exists()));
    found.ok_or_else(|| {
        let text = "there is no image here: name one with --image, or build it with `cargo xtask firmware`";
        CommandError::new(Exit::Usage, text)
    })
}

/// Refuses what is no firmware, or reaches into the region of the configurations.
fn check(path: &Path) -> Result<(), CommandError> {
    let shown = path.display();
    let refused = |text: String| CommandError::new(Exit::Refused, text);
    let bytes = std::fs::read(path).map_err(|error| refused(format!("`{shown}` can't be read: {error}")))?;
    if bytes.first() != Some(&MAGIC) {
        return Err(refused(format!("`{shown}` is no image for an ESP8266: it does not begin with 0xe9")));
    }
    if bytes.len() > FIRMWARE.size as usize {
        return Err(refused(format!(
            "`{shown}` has {} bytes and would overwrite the board's configurations; a firmware has at most {}",
            bytes.len(),
            FIRMWARE.size
        )));
    }
    Ok(())
}

fn answers(program: &[&str]) -> bool {
    let [first, rest @ ..] = program else { return false };
    let output = Command::new(first).args(rest).arg("version").output();
    output.is_ok_and(|output| output.status.success())
}
