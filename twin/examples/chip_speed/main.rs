//! Prints how fast the chip's core runs beside QEMU's: the same C program, compiled by Debian's `gcc-xtensa-lx106`.
//!
//! ```console
//! $ cargo run --release -p dunlin-twin --example chip_speed
//! ```
//!
//! Prints the path it measured, so that a report can't mix an unoptimized build with a released one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dunlin_twin::chip::core::{Core, Stop};
use dunlin_twin::chip::memory::Memory;

const ROUNDS: u32 = 200;

fn main() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("chip_speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let result = measure(&folder);
    std::fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    result
}

fn measure(folder: &Path) -> Result<(), String> {
    let ours = build(folder, "chip", [0x4010_0000, 0x3FFE_8000, 0x4000_0000])?;
    let theirs = build(folder, "qemu", [0x5000_0000, 0x5002_0000, 0x5004_0000])?;
    let binary = folder.join("chip.bin");
    let mut objcopy = Command::new("xtensa-lx106-elf-objcopy");
    run(objcopy.args(["-O", "binary", "-j", ".text"]).arg(&ours).arg(&binary))?;
    let image = std::fs::read(&binary).map_err(|error| error.to_string())?;

    let (exit, instructions, taken) = run_core(&image)?;
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
    println!("twin {:>6.0} MIPS in {:.2} s", mips(instructions, taken), taken.as_secs_f64());
    println!(
        "QEMU {:>6.0} MIPS in {:.2} s, its start included",
        mips(instructions, qemu),
        qemu.as_secs_f64()
    );
    Ok(())
}

fn mips(instructions: u64, taken: Duration) -> f64 {
    instructions as f64 / taken.as_secs_f64() / 1e6
}

/// Links the program for `text`, with its data at `buffer` and its stack below `stack`.
fn build(folder: &Path, name: &str, [text, buffer, stack]: [u32; 3]) -> Result<std::path::PathBuf, String> {
    let elf = folder.join(format!("{name}.elf"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chip_speed/program.c");
    let mut gcc = Command::new("xtensa-lx106-elf-gcc");
    gcc.args(["-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-mtext-section-literals"]);
    gcc.args(["-nostdlib", "-Wl,-N,--no-warn-rwx-segments,-e,_start"])
        .arg(format!("-Wl,-Ttext={text:#x},--defsym=STACK={stack:#x}"));
    gcc.arg(format!("-DBUFFER={buffer:#x}")).arg(format!("-DROUNDS={ROUNDS}"));
    run(gcc.arg("-o").arg(&elf).arg(source))?;
    Ok(elf)
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| {
        format!("{:?}: {error}; needs the Debian package gcc-xtensa-lx106", command.get_program())
    })?;
    if status.success() { Ok(()) } else { Err(format!("{:?} failed", command.get_program())) }
}

/// Returns the program's result, the instructions that it took, and how long they took.
fn run_core(image: &[u8]) -> Result<(i32, u64, Duration), String> {
    let mut memory = Memory::new(Vec::new());
    let target = memory.instruction_ram_mut().get_mut(..image.len()).ok_or("the program is too long")?;
    target.copy_from_slice(image);
    let mut core = Core::new(0x4010_0000);
    let begin = Instant::now();
    match core.run(&mut memory, 4_000_000_000) {
        Err(Stop::Simcall) => Ok((core.registers[3] as i32, core.executed, begin.elapsed())),
        other => Err(format!("the core stopped with {other:x?} at {:#x}", core.pc)),
    }
}
