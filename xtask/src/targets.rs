//! Builds the cores for what they must run on: a browser (wasm32) and a bare 32-bit processor without atomics.
//!
//! rustup's compiler has no library for these targets where only registries can be reached; one with its library's source, as
//! the image is built with, makes its own.

use std::path::Path;
use std::process::Command;

use crate::packages;
use crate::routine::{root, run};

/// A bare 32-bit target without compare-and-swap, like the LX106.
const BARE: &str = "thumbv6m-none-eabi";
const BROWSER: &str = "wasm32-unknown-unknown";

/// Checks that the device's crates build for a bare target, and the cores of twin and tool for a browser.
pub(crate) fn targets(_: &[String]) -> Result<(), String> {
    packages::ensure(packages::BROWSER)?;
    let compiler = packages::ensure_compiler()?;
    run(cargo(&compiler, "core", BARE).args([
        "--package",
        "dunlin-config-format",
        "--package",
        "dunlin-agent",
    ]))?;
    let cores = [
        "--lib",
        "--package",
        "dunlin-config-format",
        "--package",
        "dunlin-agent",
        "--package",
        "dunlin-twin",
        "--package",
        "dunlin",
    ];
    run(cargo(&compiler, "std,panic_abort", BROWSER).args(cores))
}

/// Returns cargo's check with this compiler and a standard library built from source.
fn cargo(compiler: &Path, library: &str, target: &str) -> Command {
    let mut command = Command::new("cargo");
    command.env("RUSTC", compiler).env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTC_WRAPPER");
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19");
    command.args(["check", "--quiet", &format!("-Zbuild-std={library}"), "--target", target]);
    command.arg("--target-dir").arg(root().join("target/other"));
    command
}
