//! Prints how fast the chip runs beside QEMU's bare core: the same C program, compiled by Debian's `gcc-xtensa-lx106`.
//!
//! ```console
//! $ cargo run --release -p dunlin-twin --example chip_speed
//! ```
//!
//! The chip starts it from flash and runs it with everything around the core. Says how it was built itself, so that a report
//! can't mix an unoptimized build with a released one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_twin::chip::peripherals::rtc::Cause;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};

/// Where the program is linked to and starts.
const TEXT: u32 = 0x4010_0000;
const ROUNDS: u32 = 200;
/// Millions of instructions a second: what the chip does at its usual clock, below which a released build fails, and the goal,
/// which is the doubled clock.
const REAL_TIME: f64 = 80.0;
const GOAL: f64 = 160.0;

fn main() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("chip_speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let result = measure(&folder);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    result
}

fn measure(folder: &Path) -> Result<(), String> {
    let ours = build(folder, "chip", [TEXT, 0x3FFE_8000, 0x4000_0000], &["-DUART=0x60000000"])?;
    let theirs = build(folder, "qemu", [0x5000_0000, 0x5002_0000, 0x5004_0000], &[])?;
    let binary = folder.join("chip.bin");
    let mut objcopy = Command::new("xtensa-lx106-elf-objcopy");
    run(objcopy.args(["-O", "binary", "-j", ".text"]).arg(&ours).arg(&binary))?;
    let text = std::fs::read(&binary).map_err(|error| error.to_string())?;

    let (exit, instructions, taken) = run_chip(&text)?;
    let machine =
        ["-M", "sim", "-cpu", "lx106", "-semihosting", "-nographic", "-monitor", "none", "-serial", "none"];
    let begin = Instant::now();
    let status = Command::new("qemu-system-xtensa")
        .args(machine)
        .arg("-kernel")
        .arg(&theirs)
        .stdin(Stdio::null())
        .status();
    let qemu = begin.elapsed();
    let qemu_exit = status.map_err(|error| format!("qemu-system-xtensa: {error}"))?.code();
    if qemu_exit != Some(exit) {
        return Err(format!("the results differ: {exit} here, {qemu_exit:?} in QEMU"));
    }
    let build = if cfg!(debug_assertions) { "with debug assertions" } else { "released" };
    println!("{instructions} instructions, result {exit} in both, build {build}");
    let speed = mips(instructions, taken);
    println!("twin {speed:>6.0} MIPS in {:.2} s (goal {GOAL})", taken.as_secs_f64());
    println!(
        "QEMU {:>6.0} MIPS in {:.2} s, its start included",
        mips(instructions, qemu),
        qemu.as_secs_f64()
    );
    if speed < REAL_TIME && !cfg!(debug_assertions) {
        return Err(format!("{speed:.0} MIPS are below real time, which is {REAL_TIME}"));
    }
    Ok(())
}

fn mips(instructions: u64, taken: Duration) -> f64 {
    instructions as f64 / taken.as_secs_f64() / 1e6
}

/// Links the program for `text`, with its data at `buffer` and its stack below `stack`.
fn build(
    folder: &Path,
    name: &str,
    [text, buffer, stack]: [u32; 3],
    arguments: &[&str],
) -> Result<std::path::PathBuf, String> {
    let elf = folder.join(format!("{name}.elf"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chip_speed/program.c");
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-mtext-section-literals"]);
    gcc.args(["-nostdlib", "-Wl,-N,--no-warn-rwx-segments,-e,_start"])
        .arg(format!("-Wl,-Ttext={text:#x},--defsym=STACK={stack:#x}"));
    gcc.args(arguments).arg(format!("-DBUFFER={buffer:#x}")).arg(format!("-DROUNDS={ROUNDS}"));
    run(gcc.arg("-o").arg(&elf).arg(source))?;
    Ok(elf)
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| {
        format!("{:?}: {error}; needs the Debian package gcc-xtensa-lx106", command.get_program())
    })?;
    if status.success() { Ok(()) } else { Err(format!("{:?} failed", command.get_program())) }
}

/// Returns a flash chip's contents with one segment for the boot ROM.
fn image(text: &[u8]) -> Vec<u8> {
    let mut image = vec![0xE9, 1, 0, 0];
    for word in [TEXT, TEXT, text.len() as u32] {
        image.extend_from_slice(&word.to_le_bytes());
    }
    image.extend_from_slice(text);
    image.resize(image.len() | 15, 0);
    image.push(text.iter().fold(0xEF, |sum, byte| sum ^ byte));
    image.resize(1 << 20, 0xFF);
    image
}

/// Returns the program's result, the instructions that it took, and how long they took.
fn run_chip(text: &[u8]) -> Result<(i32, u64, Duration), String> {
    let mut chip = Chip::new(Settings {
        flash: NorFlash::with_contents(image(text)),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 0x12_3456,
        seed: 1,
        origin: embassy_time::Instant::from_ticks(0),
    });
    let end = chip.reset(Cause::PowerOn);
    if end != End::Reset(Cause::PowerOn) {
        return Err(format!("the boot ROM starts nothing: {end:?}"));
    }
    let begin = Instant::now();
    let end = chip.run_until(Time::from_micros(100_000_000));
    let taken = begin.elapsed();
    let sent = chip.take_sent();
    match (end, sent.last()) {
        (End::Stopped(text), Some(result)) if text.starts_with("simcall") => {
            Ok((i32::from(result.byte), chip.executed(), taken))
        }
        (end, _) => Err(format!("the chip stopped with {end:?}")),
    }
}
