//! From Rust to assembly text.
//!
//! LLVM 22 knows the LX106, but the object files that it writes are wrong (see [`literals`](super::literals)), so that no
//! step may write one: the target's description says that objects are bitcode, and the linker that the compiler calls does
//! nothing. The program, with every crate in it by fat LTO, becomes assembly text; `compiler_builtins`, which takes no part in
//! LTO, becomes assembly text of its own. Cargo can't be told that for single crates; this program, called in the
//! compiler's stead, adds it to what these two emit. It also makes the same inputs give the same bytes in any folder.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::routine::{root, run};

/// Names a file for the sizes of all types of the program, if they are wanted.
pub(crate) const TYPE_SIZES: &str = "DUNLIN_TYPE_SIZES";
/// Names the folder for assembly text; where it is set, this program was called in the compiler's stead.
const WRAPPER: &str = "DUNLIN_ASSEMBLY_FOLDER";
/// The crates of which assembly text is wanted.
pub(crate) const PROGRAM: &str = "dunlin";
const BUILTINS: &str = "compiler_builtins";
/// Debian's compiler, the library's source beside it.
const DEBIAN: &str = "/usr/bin/rustc";
/// The oldest compiler that the image was built with.
const OLDEST: (u32, u32) = (1, 96);

/// What LLVM leaves out: it keeps constants and addresses in registers over calls and loops, where this processor has too few,
/// so that they end in the stack's frame; to load them anew is shorter. And it copies four words, or bytes, in place; from the
/// third on a call is shorter.
const SMALLER: &str =
    "-disable-machine-licm -disable-machine-cse -max-store-memcpy=2 -max-store-memset=2 -max-store-memmove=2";

/// Compiles the firmware; returns the files of assembly text in `folder`.
pub(crate) fn compile(folder: &Path) -> Result<Vec<PathBuf>, String> {
    compile_with(folder, &[])
}

/// Compiles the firmware with further variables of the environment; returns the files of assembly text in `folder`.
pub(crate) fn compile_with(folder: &Path, variables: &[(&str, &OsStr)]) -> Result<Vec<PathBuf>, String> {
    let compiler = compiler()?;
    let firmware = root().join("firmware");
    let wrapper = env::current_exe().map_err(|error| error.to_string())?;
    let mut cargo = Command::new("cargo");
    cargo.env("RUSTC", &compiler).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTC_WRAPPER", wrapper).env(WRAPPER, folder).envs(variables.iter().copied());
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags(&compiler)?);
    cargo.args(["build", "--quiet", "--release", "--locked", "--features", "image", "--manifest-path"]);
    cargo.arg(firmware.join("Cargo.toml"));
    cargo.args([
        "-Zbuild-std=core",
        "-Zbuild-std-features=compiler-builtins-mem,optimize_for_size",
        "-Zjson-target-spec",
        "--target",
    ]);
    cargo.arg(firmware.join("xtensa-lx106-none-elf.json"));
    cargo.arg("--target-dir").arg(folder.join("cargo"));
    run(&mut cargo)?;
    Ok(vec![folder.join(text_of(PROGRAM)), folder.join(text_of(BUILTINS))])
}

/// Returns a compiler whose library's source is there: Debian's, or a nightly with `rust-src`.
pub(crate) fn compiler() -> Result<PathBuf, String> {
    let nightly = Command::new("rustup")
        .args(["which", "rustc", "--toolchain", "nightly"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut old = String::new();
    for compiler in [Some(PathBuf::from(DEBIAN)), nightly].into_iter().flatten() {
        if !library_of(&compiler).is_ok_and(|library| library.join("core/Cargo.toml").exists()) {
            continue;
        }
        match version_of(&compiler) {
            Some(version) if version >= OLDEST => return Ok(compiler),
            Some((major, minor)) => old += &format!("`{}` is {major}.{minor}; ", compiler.display()),
            None => {}
        }
    }
    Err(format!(
        "{old}no compiler {}.{} or newer with its library's source: install Debian's `rustc-web` and `rust-web-src`, or \
         `rustup toolchain install nightly --component rust-src`",
        OLDEST.0, OLDEST.1
    ))
}

/// Returns the version of a compiler.
fn version_of(compiler: &Path) -> Option<(u32, u32)> {
    let output = Command::new(compiler).arg("--version").output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

/// Returns major and minor number in `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("rustc ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns the folder of the library's source.
fn library_of(compiler: &Path) -> Result<PathBuf, String> {
    let output = Command::new(compiler)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("{}: {error}", compiler.display()))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(sysroot.join("lib/rustlib/src/rust/library"))
}

/// Returns the compiler's flags: nothing is linked (`true` is a program that does nothing), and the names of source files,
/// which panics keep, say nothing of where the build ran.
fn flags(compiler: &Path) -> Result<OsString, String> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let mut flags = OsString::from("-Dwarnings\x1f-Clinker=true");
    flags.push(format!("\x1f-Cllvm-args={SMALLER}"));
    let mut remap = |from: &Path, to: &str| {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push(format!("={to}"));
    };
    let registry = cargo_home.join("registry/src");
    for entry in fs::read_dir(&registry).map_err(|error| format!("{}: {error}", registry.display()))? {
        remap(&entry.map_err(|error| error.to_string())?.path(), "");
    }
    remap(&library_of(compiler)?, "library");
    remap(&root().join("firmware"), "firmware");
    remap(&root(), "");
    Ok(flags)
}

fn text_of(name: &str) -> String {
    format!("{name}.s")
}

/// Does the compiler's work in its stead, if this program was called for that.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    let folder = PathBuf::from(env::var_os(WRAPPER)?);
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    let mut arguments: Vec<OsString> = arguments.collect();
    if arguments.iter().any(|argument| argument == "--target") {
        name_steadily(&mut arguments);
        if let Some(name) = crate_of(&arguments).filter(|name| name == PROGRAM || name == BUILTINS) {
            emit_text(&mut arguments, &folder.join(text_of(&name)));
            if let Some(file) = env::var_os(TYPE_SIZES).filter(|_| name == PROGRAM) {
                arguments.push("-Zprint-type-sizes".into());
                let output = Command::new(&compiler).args(&arguments).output();
                let written = output.and_then(|output| {
                    fs::write(&file, &output.stdout)?;
                    Ok(output.status.success())
                });
                return Some(ExitCode::from(u8::from(!written.unwrap_or(false))));
            }
        }
    }
    match Command::new(&compiler).args(&arguments).status() {
        Ok(status) => Some(ExitCode::from(u8::from(!status.success()))),
        Err(error) => {
            eprintln!("{}: {error}", compiler.display());
            Some(ExitCode::FAILURE)
        }
    }
}

fn crate_of(arguments: &[OsString]) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == "--crate-name")?;
    arguments.get(at + 1)?.to_str().map(str::to_owned)
}

/// Names the crate by its package and version, where cargo names it by the folder of the build, too: symbols, and the order
/// of functions with them, must not depend on that.
fn name_steadily(arguments: &mut [OsString]) {
    let package =
        ["CARGO_PKG_NAME", "CARGO_PKG_VERSION"].map(|name| env::var(name).unwrap_or_default()).join("-");
    for argument in arguments {
        if argument.to_str().is_some_and(|argument| argument.starts_with("metadata=")) {
            *argument = format!("metadata={package}").into();
        }
    }
}

/// Emits assembly text at `text`, besides what is emitted already.
fn emit_text(arguments: &mut [OsString], text: &Path) {
    for argument in arguments {
        if argument.to_str().is_some_and(|argument| argument.starts_with("--emit=")) {
            argument.push(",asm=");
            argument.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_version_is_read() {
        assert_eq!(
            version_in("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert_eq!(version_in("rustc 1.98.0-nightly"), Some((1, 98)));
        assert_eq!(version_in("clang 22"), None);
    }

    #[test]
    fn text_is_emitted_besides_and_names_are_steady() {
        let mut arguments: Vec<OsString> =
            ["-C", "metadata=0f8a", "--emit=dep-info,link", "-Copt-level=z"].map(Into::into).into();
        name_steadily(&mut arguments);
        emit_text(&mut arguments, Path::new("x.s"));
        let metadata = format!("metadata=xtask-{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(arguments, ["-C", &metadata, "--emit=dep-info,link,asm=x.s", "-Copt-level=z"]);
    }
}
