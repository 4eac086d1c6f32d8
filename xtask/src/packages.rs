//! The Debian packages that the tests and targets need: installed where that is allowed, otherwise named.

use std::path::Path;
use std::process::Command;

use crate::routine::run;

/// A program or file that must be there, and the package that brings it.
type Need = (&'static str, &'static str);

/// What the tests judge by: a real broker and its clients, and Python for drivers that no one here wrote.
pub(crate) const TESTS: &[Need] = &[
    ("/usr/sbin/mosquitto", "mosquitto"),
    ("/usr/bin/mosquitto_sub", "mosquitto-clients"),
    ("/usr/bin/stdbuf", "coreutils"),
    ("/usr/lib/python3/dist-packages/pip", "python3-pip"),
    ("/usr/lib/python3.11/ensurepip", "python3-venv"),
    ("/usr/lib/python3/dist-packages/jsonschema/__init__.py", "python3-jsonschema"),
];

/// A compiler whose own library source lies in its sysroot, for targets that rustup's compiler has no library for.
pub(crate) const TARGETS: &[Need] = &[
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/lib/rustlib/src/rust/library/core/Cargo.toml", "rust-web-src"),
    ("/usr/bin/wasm-ld-19", "lld-19"),
];

/// An independent LX106: QEMU's core, GNU's assembler and compiler.
pub(crate) const LX106: &[Need] = &[
    ("/usr/bin/qemu-system-xtensa", "qemu-system-misc"),
    ("/usr/bin/xtensa-lx106-elf-gcc", "gcc-xtensa-lx106"),
    ("/usr/bin/xtensa-lx106-elf-as", "binutils-xtensa-lx106"),
];

/// What the image is built with, unless a nightly with `rust-src` is there.
pub(crate) const FIRMWARE: &[Need] = &[
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/lib/rustlib/src/rust/library/core/Cargo.toml", "rust-web-src"),
    ("/usr/bin/xtensa-lx106-elf-gcc", "gcc-xtensa-lx106"),
    ("/usr/bin/xtensa-lx106-elf-as", "binutils-xtensa-lx106"),
];

/// Makes sure that every need is met.
///
/// Installs what is missing as root on Debian; otherwise says exactly what to install.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), String> {
    let missing = |&&(path, _): &&Need| !Path::new(path).exists();
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
        Some((path, package)) => Err(format!("`{package}` is installed, but `{path}` is not there")),
    }
}
