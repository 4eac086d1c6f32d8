//! The Debian packages that the tests and targets need: installed where that is allowed, otherwise named.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::firmware::compile;
use crate::routine::run;

/// A program in PATH, a file (with a slash), or a module of Python (`python3 -m` knows it) that must be there, and the package
/// that brings it.
type Need = (&'static str, &'static str);

/// Marks a module of Python.
const MODULE: &str = "python3 -m ";

/// What the tests judge by: a real broker and its clients, and Python for drivers that no one here wrote.
pub(crate) const TESTS: &[Need] = &[
    ("/usr/sbin/mosquitto", "mosquitto"),
    ("mosquitto_sub", "mosquitto-clients"),
    ("stdbuf", "coreutils"),
    ("python3 -m pip", "python3-pip"),
    ("python3 -m ensurepip", "python3-venv"),
    ("/usr/lib/python3/dist-packages/jsonschema/__init__.py", "python3-jsonschema"),
];

/// What links for a browser.
pub(crate) const BROWSER: &[Need] = &[("wasm-ld-19", "lld-19")];

/// An independent LX106: QEMU's core, GNU's assembler and compiler.
pub(crate) const LX106: &[Need] = &[
    ("qemu-system-xtensa", "qemu-system-misc"),
    ("xtensa-lx106-elf-gcc", "gcc-xtensa-lx106"),
    ("xtensa-lx106-elf-as", "binutils-xtensa-lx106"),
];

/// What the image is assembled and linked with.
pub(crate) const ASSEMBLER: &[Need] =
    &[("xtensa-lx106-elf-gcc", "gcc-xtensa-lx106"), ("xtensa-lx106-elf-as", "binutils-xtensa-lx106")];

/// A compiler with its library's source, for targets that rustup's compiler has no library for.
const COMPILER: &[Need] =
    &[("/usr/bin/rustc", "rustc-web"), ("/usr/lib/rustlib/src/rust/library/core/Cargo.toml", "rust-web-src")];

/// Makes sure that the image can be built: with any compiler that is found, otherwise with Debian's.
pub(crate) fn ensure_firmware() -> Result<(), String> {
    ensure(ASSEMBLER)?;
    ensure_compiler().map(|_| ())
}

/// Returns a compiler with its library's source: any that is found, otherwise Debian's.
pub(crate) fn ensure_compiler() -> Result<PathBuf, String> {
    if compile::compiler().is_err() {
        ensure(COMPILER)?;
    }
    compile::compiler()
}

fn is_there(need: &str) -> bool {
    if let Some(module) = need.strip_prefix(MODULE) {
        let output = Command::new("python3").args(["-m", module, "--version"]).output();
        return output.is_ok_and(|output| output.status.success());
    }
    if need.contains('/') {
        return Path::new(need).exists();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(need).is_file())
}

/// Makes sure that every need is met.
///
/// Installs what is missing as root on Debian; otherwise says exactly what to install.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), String> {
    let missing = |&&(need, _): &&Need| !is_there(need);
    let packages: Vec<&str> = needs.iter().filter(missing).map(|&(_, package)| package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "these Debian packages are missing; install them with: sudo apt-get install {list}"
        ));
    }
    println!("installing {list}");
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args([
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
    ]);
    run(install.args(&packages))?;
    match needs.iter().find(missing) {
        None => Ok(()),
        Some((need, package)) => Err(format!("`{package}` is installed, but `{need}` is not there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_in_path_files_and_modules_where_they_are() {
        for (need, there) in [
            ("cargo", true),
            ("no-such-program", false),
            ("/", true),
            ("/no/such/file", false),
            ("python3 -m no_such_module", false),
        ] {
            assert_eq!(is_there(need), there, "{need}");
        }
    }
}
