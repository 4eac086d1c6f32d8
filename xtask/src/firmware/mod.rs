//! `cargo xtask firmware`: the image for the ESP8266, with a compiler that nobody had to fork.
//!
//! The compiler writes assembly text ([`compile`]), one fault of it is put right ([`literals`]), GNU's assembler and linker
//! for the LX106 make an ELF of it ([`link`]), and that becomes one file to flash ([`image`]).

use std::fs;
use std::path::PathBuf;

use crate::packages;
use crate::routine::root;

pub(crate) mod compile;
pub(crate) mod elf;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod link;
pub(crate) mod literals;
pub(crate) mod size;

/// What a build leaves behind.
pub(crate) struct Built {
    /// The program with its symbols.
    pub(crate) elf: PathBuf,
    /// The file to flash at address 0.
    pub(crate) image: PathBuf,
}

/// Builds the image and says how large it is.
pub(crate) fn firmware(_: &[String]) -> Result<(), String> {
    let built = build(&root().join("target/firmware"))?;
    inspect::check(&built.elf)?;
    println!("{}", built.elf.display());
    println!("{}\n", built.image.display());
    size::report(&built.elf)
}

/// Builds the image into `folder`.
pub(crate) fn build(folder: &std::path::Path) -> Result<Built, String> {
    packages::ensure(packages::FIRMWARE)?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let assembly = compile::compile(folder)?;
    let elf = link::link(folder, &assembly)?;
    let bytes = fs::read(&elf).map_err(|error| format!("{}: {error}", elf.display()))?;
    let image = folder.join("dunlin.bin");
    fs::write(&image, image::from_elf(&bytes)?).map_err(|error| format!("{}: {error}", image.display()))?;
    Ok(Built { elf, image })
}
