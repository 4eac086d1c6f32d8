//! `cargo xtask firmware`: the image for the ESP8266, with a compiler that nobody had to fork.
//!
//! The compiler writes assembly text ([`compile`]), one fault of it is put right ([`literals`]), it is made shorter
//! ([`shorten`]), GNU's assembler and linker for the LX106 make an ELF of it ([`link`]), and that becomes one file to flash
//! ([`image`]).

use std::fs;

use crate::packages;
use crate::reproducible;
use crate::routine::root;

pub(crate) mod compile;
pub(crate) mod elf;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod link;
pub(crate) mod literals;
pub(crate) mod shorten;
pub(crate) mod size;

/// Builds the image and says how large it is. An image that breaks a rule or its budget is not written.
pub(crate) fn firmware(_: &[String]) -> Result<(), String> {
    packages::ensure_firmware()?;
    let folder = root().join("target/firmware");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let image = folder.join("dunlin.bin");
    // One of an earlier build must not be taken for this one's.
    if image.exists() {
        fs::remove_file(&image).map_err(|error| format!("{}: {error}", image.display()))?;
    }
    let elf = link::link(&folder, &compile::compile(&folder)?)?;
    inspect::check(&elf)?;
    size::report(&elf)?;
    let bytes = fs::read(&elf).map_err(|error| format!("{}: {error}", elf.display()))?;
    let bytes = image::from_elf(&bytes)?;
    reproducible::check(&bytes)?;
    fs::write(&image, bytes).map_err(|error| format!("{}: {error}", image.display()))?;
    println!("\n{}\n{}", elf.display(), image.display());
    Ok(())
}
