//! From assembly text to an ELF, with GNU's tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{compile, literals, shorten};
use crate::routine::{root, run};

/// The linker script, in the firmware's folder.
const SCRIPT: &str = "link.ld";
/// Assembly written by hand, in the firmware's folder `boot`.
const BOOT: [&str; 3] = ["vectors", "reset", "routines"];

/// Repairs, shortens and assembles the compiler's `texts`, assembles the start-up code, and links all of it into `folder`.
pub(crate) fn link(folder: &Path, texts: &[PathBuf]) -> Result<PathBuf, String> {
    let firmware = root().join("firmware");
    let mut objects = Vec::new();
    for name in BOOT {
        let object = folder.join(name).with_extension("o");
        assemble(&firmware.join("boot").join(name).with_extension("S"), &object)?;
        objects.push(object);
    }
    for text in texts {
        let repaired = text.with_extension("repaired.s");
        let source = fs::read_to_string(text).map_err(|error| format!("{}: {error}", text.display()))?;
        let is_program = text.file_stem().is_some_and(|name| name == compile::PROGRAM);
        fs::write(&repaired, shorten::shorten(&literals::repair(&source), is_program))
            .map_err(|error| format!("{}: {error}", repaired.display()))?;
        let object = text.with_extension("o");
        assemble(&repaired, &object)?;
        objects.push(object);
    }
    let elf = folder.join("dunlin.elf");
    let mut linker = Command::new("xtensa-lx106-elf-ld");
    linker.args(["--gc-sections", "--no-check-sections", "-nostdlib", "--orphan-handling=error", "-T"]);
    linker.arg(firmware.join(SCRIPT)).arg("-Map").arg(folder.join("dunlin.map")).arg("-o").arg(&elf);
    run(linker.args(&objects))?;
    Ok(elf)
}

/// Assembles `source`. `--longcalls` reaches from IRAM to flash; literals stand beside their code, within reach of `L32R`.
pub(crate) fn assemble(source: &Path, object: &Path) -> Result<(), String> {
    let mut assembler = Command::new("xtensa-lx106-elf-gcc");
    assembler.args(["-c", "-mlongcalls", "-mtext-section-literals", "-mno-target-align", "-o"]);
    run(assembler.arg(object).arg(source))
}
