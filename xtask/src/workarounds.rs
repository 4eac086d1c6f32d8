//! `cargo xtask workarounds`: which work-arounds the installed compiler, assembler and libraries still need.
//!
//! Each has a probe that meets the trouble anew. A probe that meets none says that its work-around can go.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::firmware::{compile, literals};
use crate::packages;
use crate::routine::root;

/// A work-around: what it is for, where it is, who knows of it upstream, and what tells whether it is still needed.
struct Workaround {
    name: &'static str,
    place: &'static str,
    upstream: &'static str,
    /// Returns whether the trouble is still there, with the folder that the image was built in.
    is_needed: fn(&Path) -> Result<bool, String>,
}

const WORKAROUNDS: &[Workaround] = &[
    Workaround {
        name: "literals stand in the section of the function before",
        place: "xtask/src/firmware/literals.rs",
        upstream: "llvm/llvm-project issue 190204, pull request 200132",
        is_needed: |_| {
            let text = compiled("literals", TWO_SECTIONS, "asm", &target())?;
            Ok(literals::repair(&text) != text)
        },
    },
    Workaround {
        name: "object files refer to literals of another section: objects are bitcode, the linker is `true`",
        place: "firmware/xtensa-lx106-none-elf.json, xtask/src/firmware/compile.rs",
        upstream: "llvm/llvm-project issue 190204",
        is_needed: |_| objects_are_wrong(),
    },
    Workaround {
        name: "no inline assembly (E0472): routines are in assembly files",
        place: "firmware/boot/routines.S",
        upstream: "rust-lang/rust, error E0472",
        is_needed: |_| fails_with("assembly", ASSEMBLY, &target(), "E0472"),
    },
    Workaround {
        name: "the compiler's own Xtensa targets have a data layout that LLVM refuses: a target description of ours",
        place: "firmware/xtensa-lx106-none-elf.json",
        upstream: "rust-lang/rust pull request 157056",
        is_needed: |_| fails_with("layout", TWO_SECTIONS, "xtensa-esp32-none-elf", "data-layout for target"),
    },
    Workaround {
        name: "a trap is a call of `abort`",
        place: "firmware/boot/routines.S",
        upstream: "LLVM's Xtensa backend, lowering of `trap`",
        is_needed: |folder| text_has(folder, ", abort\n"),
    },
    Workaround {
        name: "atomic loads and stores are calls of `__atomic_*`",
        place: "firmware/boot/routines.S",
        upstream: "LLVM's Xtensa backend, atomics of cores without S32C1I",
        is_needed: |folder| text_has(folder, ", __atomic_"),
    },
    Workaround {
        name: "the network stack's runner is not woken for a new address",
        place: "agent/src/network/mod.rs",
        upstream: "embassy-net 0.9.1; a newer one: see whether `Stack::set_config_v4` wakes the runner",
        is_needed: |_| is_locked("embassy-net", "0.9.1"),
    },
    Workaround {
        name: "a ping is put off by every publish, so that a dead link is not found",
        place: "agent/src/uplink/session.rs",
        upstream: "minimq 0.13.5; a newer one: see whether a publish still puts off `next_ping`",
        is_needed: |_| is_locked("minimq", "0.13.5"),
    },
];

/// As much of a library as the probes need, so that they need none.
const CORE: &str = "#![feature(no_core, lang_items, rustc_attrs)]
#![no_core]
#![crate_type = \"rlib\"]
#[lang = \"pointee_sized\"] trait PointeeSized {}
#[lang = \"meta_sized\"] trait MetaSized: PointeeSized {}
#[lang = \"sized\"] trait Sized: MetaSized {}
#[lang = \"copy\"] trait Copy {}
impl Copy for u32 {}
";
/// Two functions with a literal each, in sections of their own.
const TWO_SECTIONS: &str = "
#[unsafe(no_mangle)] #[unsafe(link_section = \".text.first\")] extern \"C\" fn first() -> u32 { 0x6000_0000 }
#[unsafe(no_mangle)] #[unsafe(link_section = \".text.second\")] extern \"C\" fn second() -> u32 { 0x3ff0_0000 }
";
const ASSEMBLY: &str = "
#[rustc_builtin_macro] macro_rules! asm { () => {} }
#[unsafe(no_mangle)] extern \"C\" fn idle() { unsafe { asm!(\"waiti 0\") } }
";

/// Tells of each work-around whether it is needed; an error names those that are not.
pub(crate) fn workarounds(_: &[String]) -> Result<(), String> {
    packages::ensure_firmware()?;
    let built = root().join("target/firmware");
    if !built.join("dunlin.s").exists() {
        return Err("the image's assembly text is not there: run `cargo xtask firmware` first".to_owned());
    }
    let mut needless = Vec::new();
    for workaround in WORKAROUNDS {
        let Workaround { name, place, upstream, is_needed } = workaround;
        if is_needed(&built).map_err(|error| format!("{name}: {error}"))? {
            println!("needed    {name} ({upstream})");
        } else {
            println!("needless  {name} ({upstream})");
            needless.push(format!("`{name}` is no longer so; see {place}, {upstream}"));
        }
    }
    if needless.is_empty() { Ok(()) } else { Err(needless.join("\n")) }
}

fn target() -> String {
    root().join("firmware/xtensa-lx106-none-elf.json").display().to_string()
}

/// Compiles `source` to `kind` for `target`; returns the output's path in the error's place where that fails.
fn compiler(name: &str, source: &str, kind: &str, target: &str) -> Result<(Command, String), String> {
    let folder = root().join("target/workarounds");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join(name).with_extension("rs");
    fs::write(&file, format!("{CORE}{source}")).map_err(|error| format!("{}: {error}", file.display()))?;
    let output = folder.join(format!("{name}.{kind}")).display().to_string();
    let mut command = Command::new(compile::compiler()?);
    command.env("RUSTC_BOOTSTRAP", "1").args([
        "--edition=2024",
        "-Awarnings",
        "-Zunstable-options",
        "-Copt-level=z",
    ]);
    command.args(["--target", target, &format!("--emit={kind}={output}")]).arg(&file);
    Ok((command, output))
}

/// Returns what the compiler wrote.
fn compiled(name: &str, source: &str, kind: &str, target: &str) -> Result<String, String> {
    let (mut command, output) = compiler(name, source, kind, target)?;
    crate::routine::run(&mut command)?;
    fs::read_to_string(&output).map_err(|error| format!("{output}: {error}"))
}

/// Returns whether the compiler refuses `source` with `words`; any other refusal is an error.
fn fails_with(name: &str, source: &str, target: &str, words: &str) -> Result<bool, String> {
    let (mut command, _) = compiler(name, source, "obj", target)?;
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match (output.status.success(), said.contains(words)) {
        (true, _) => Ok(false),
        (false, true) => Ok(true),
        (false, false) => Err(format!("the compiler refuses it for another reason than {words}:\n{said}")),
    }
}

/// Returns whether a function of the compiler's own object file loads a literal out of another one's section.
fn objects_are_wrong() -> Result<bool, String> {
    let described = fs::read_to_string(target()).map_err(|error| format!("{}: {error}", target()))?;
    let folder = root().join("target/workarounds");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let native = folder.join("native.json");
    let text = described.replace("\"obj-is-bitcode\": true", "\"obj-is-bitcode\": false");
    fs::write(&native, text).map_err(|error| format!("{}: {error}", native.display()))?;
    let (mut command, object) = compiler("objects", TWO_SECTIONS, "obj", &native.display().to_string())?;
    crate::routine::run(&mut command)?;
    let mut dump = Command::new("xtensa-lx106-elf-objdump");
    let output = dump.args(["-r", "-j", ".text.second"]).arg(&object).output();
    let output = output.map_err(|error| format!("{dump:?}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).contains(".text.first"))
}

/// Returns whether the compiler's text of the image has `words`.
fn text_has(folder: &Path, words: &str) -> Result<bool, String> {
    let path = folder.join("dunlin.s");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.contains(words))
}

/// Returns whether the image is made with this version of a crate, the one that was looked into.
fn is_locked(name: &str, version: &str) -> Result<bool, String> {
    let path = root().join("firmware/Cargo.lock");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")))
}
