//! `dunlin flash`: puts the firmware on a board, once. Everything after that is a push.
//!
//! esptool, Espressif's own program, does it: this finds it, sees that the image is whole and leaves configurations alone, and
//! says what comes next. Checked with an emulated ESP8266 whose boot ROM esptool speaks to; never on a real board yet.

mod image;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use dunlin_config_format::flash_map::{self, FIRMWARE};

use super::{CommandError, Exit, LineArguments};
use crate::line::Target;

/// Images that are taken where none is named.
const IMAGES: [&str; 2] = ["dunlin.bin", "target/firmware/dunlin.bin"];
/// How esptool may be started, each with what asks it who it is.
const PROGRAMS: [&[&str]; 3] = [&["esptool"], &["python3", "-m", "esptool"], &["esptool.py"]];
/// The oldest esptool whose commands and options have the names that are used here.
const OLDEST_ESPTOOL: u32 = 5;

/// Where esptool failed.
const NOT_DONE: &str = "esptool has not done it; what is above is its word. A board without automatic reset: hold GPIO0 low \
                        (the button FLASH) at its start, then `dunlin flash --no-reset`";
/// What esptool says before the size of the flash chip that it has found.
const FOUND_SIZE: &str = "Detected flash size:";

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
    let program = find_esptool()?;
    println!("{} → {port}", image.display());
    check_size(program, port, arguments.no_reset)?;
    let Some(mut command) = esptool(program, port) else { return Ok(Exit::Usage) };
    command.args(["--baud", &arguments.baud.to_string()]);
    if arguments.no_reset {
        command.args(["--before", "no-reset", "--after", "no-reset"]);
    }
    // The size that is found goes into the image's header; mode and frequency stay as they were built.
    command.args(["write-flash", "--flash-mode", "keep", "--flash-freq", "keep", "--flash-size", "detect"]);
    command.arg(format!("{:#x}", FIRMWARE.address)).arg(&image);
    let status = command.status().map_err(|error| CommandError::new(Exit::Device, error))?;
    if !status.success() {
        return Err(CommandError::new(Exit::Device, NOT_DONE));
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
    let bytes = std::fs::read(path).map_err(|error| {
        refused(format!("`{shown}` can't be read ({error}): `cargo xtask firmware` builds an image"))
    })?;
    image::check(&bytes).map_err(|text| {
        refused(format!(
            "`{shown}` {text}. Nothing was written: take another, or `cargo xtask firmware` builds one"
        ))
    })
}

/// Returns how to start an esptool that is new enough.
fn find_esptool() -> Result<&'static [&'static str], CommandError> {
    let mut old = None;
    for program in PROGRAMS {
        match version(program) {
            Some((major, _)) if major >= OLDEST_ESPTOOL => return Ok(program),
            Some((_, version)) => old = old.or(Some((program.join(" "), version))),
            None => {}
        }
    }
    let text = match old {
        None => format!(
            "esptool is missing: `pipx install esptool`, or `pip install esptool` ({OLDEST_ESPTOOL}.0 or newer)"
        ),
        Some((program, version)) => format!(
            "`{program}` is version {version}, whose commands have other names; {OLDEST_ESPTOOL}.0 or newer is needed: \
             `pipx install esptool`, or `pip install --upgrade esptool`"
        ),
    };
    Err(CommandError::new(Exit::Usage, text))
}

/// Refuses a board whose flash chip ends before the flash map does: the first push would overwrite the firmware. The boot
/// ROM's own loader is asked, so that the board waits for the next command as it waited for this one.
fn check_size(program: &[&str], port: &str, no_reset: bool) -> Result<(), CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::new(Exit::Device, error);
    let Some(mut command) = esptool(program, port) else { return Ok(()) };
    command.args(["--before", if no_reset { "no-reset" } else { "default-reset" }, "--after", "no-reset"]);
    let output = command.args(["--no-stub", "flash-id"]).output().map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        print!("{text}{}", String::from_utf8_lossy(&output.stderr));
        return Err(failed(&NOT_DONE));
    }
    let needed = flash_map::SIZE / 1024;
    match found_kib(&text) {
        Some(kib) if kib < needed => Err(CommandError::new(
            Exit::Refused,
            format!(
                "the board's flash chip has {kib} KiB; {needed} KiB are needed, for the firmware and the configurations. \
                 Nothing was written: take a board with 1 MiB of flash or more"
            ),
        )),
        _ => Ok(()),
    }
}

/// Returns the size in KiB that esptool has found; none where it knows no size for the chip.
fn found_kib(text: &str) -> Option<u32> {
    let size = text.lines().find_map(|line| line.trim().strip_prefix(FOUND_SIZE))?.trim();
    match (size.strip_suffix("KB"), size.strip_suffix("MB")) {
        (Some(kib), _) => kib.parse().ok(),
        (_, Some(mib)) => mib.parse::<u32>().ok()?.checked_mul(1024),
        _ => None,
    }
}

fn esptool(program: &[&str], port: &str) -> Option<Command> {
    let [first, rest @ ..] = program else { return None };
    let mut command = Command::new(first);
    command.args(rest).args(["--chip", "esp8266", "--port", port]);
    Some(command)
}

/// Returns the major number and the whole version of an esptool; none where it can't be started.
fn version(program: &[&str]) -> Option<(u32, String)> {
    let [first, rest @ ..] = program else { return None };
    let output = Command::new(first).args(rest).arg("version").output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout)).filter(|_| output.status.success())
}

/// Returns the version in what `esptool version` says: its name, and in a line of its own the version.
fn version_in(text: &str) -> Option<(u32, String)> {
    text.lines().find_map(|line| {
        let major = line.trim().split('.').next()?.parse().ok()?;
        Some((major, line.trim().to_owned()))
    })
}
