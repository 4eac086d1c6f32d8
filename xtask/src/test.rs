//! The one test command: everything that CI runs, from formatting to the real broker.

use std::process::Command;
use std::time::Instant;

use crate::routine::{root, run};
use crate::{firmware, layers, packages, targets, workarounds};

/// A step: its name and what it does.
type Step = (&'static str, fn() -> Result<(), String>);

const STEPS: &[Step] = &[
    ("packages", || {
        packages::ensure(packages::TESTS)?;
        packages::ensure(packages::LX106)
    }),
    ("format", || {
        run(cargo("fmt").args(["--all", "--check"]))?;
        run(in_firmware("fmt").arg("--check"))
    }),
    ("layers", || layers::layers(&[])),
    ("clippy", || {
        run(cargo("clippy").args(["--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
    }),
    ("tests", || run(cargo("test").args(["--workspace", "--all-features"]))),
    ("documentation", || {
        run(cargo("doc").env("RUSTDOCFLAGS", "-D warnings").args([
            "--workspace",
            "--no-deps",
            "--all-features",
        ]))
    }),
    ("targets", || targets::targets(&[])),
    ("drivers", || {
        run(in_firmware("clippy").args(["--lib", "--tests", "--", "-D", "warnings"]))?;
        run(in_firmware("test").arg("--quiet"))
    }),
    ("firmware", || firmware::firmware(&[])),
    ("workarounds", || workarounds::workarounds(&[])),
    ("image", || {
        // The same cases as on the native board, on the image that was just built.
        let image = root().join("target/firmware/dunlin.bin");
        let on_image = |package| {
            let mut command = cargo("test");
            command.args(["--package", package]).env("DUNLIN_FIRMWARE", &image);
            command
        };
        run(on_image("dunlin").args(["--test", "end_to_end", "--test", "flash", "--test", "node"]))?;
        run(on_image("dunlin").args(["--test", "crash", "--test", "examples", "--", "--ignored"]))?;
        let tests =
            ["--test", "image_crash", "--test", "chip_boot", "--test", "chip_qemu", "--", "--ignored"];
        run(on_image("dunlin-twin").args(tests))?;
        // Simulated days are for the native board; on the chip they take minutes.
        run(on_image("dunlin-twin")
            .args(["--test", "node", "--test", "tether", "--test", "requests"])
            .args(["--", "--skip", "a_day", "--skip", "packet_identifiers"]))
    }),
];

/// Runs every step and prints how long each took.
pub(crate) fn test(_: &[String]) -> Result<(), String> {
    let mut times = Vec::new();
    for (name, step) in STEPS {
        println!("== {name}");
        let start = Instant::now();
        step().map_err(|error| format!("{name}: {error}"))?;
        times.push((name, start.elapsed()));
    }
    println!();
    for (name, time) in &times {
        println!("{name:<14} {:>6.1} s", time.as_secs_f32());
    }
    println!("{} passed, 0 failed", times.len());
    Ok(())
}

fn cargo(verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args([verb, "--quiet"]);
    command
}

/// Returns cargo's `verb` for the firmware, which is a workspace of its own.
fn in_firmware(verb: &str) -> Command {
    let mut command = Command::new("cargo");
    command.arg(verb).arg("--manifest-path").arg(root().join("firmware/Cargo.toml"));
    command.env("CARGO_TARGET_DIR", root().join("target/drivers"));
    command
}
