//! Runs an image on the chip and prints what it says, and on request what it does:
//!
//! ```console
//! $ cargo run -p dunlin-twin --example chip_run -- IMAGE MILLISECONDS [ELF] [instructions] [registers] [interrupts]
//! ```
//!
//! With the ELF that the image was made of, addresses have names.
#![expect(clippy::unwrap_used, reason = "a tool for engineers, which ends where it fails")]

use std::rc::Rc;

use dunlin_twin::chip::symbols::Symbols;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::trace::{Event, Tracer};
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [image, milliseconds, rest @ ..] = &arguments[..] else {
        println!("usage: chip_run IMAGE MILLISECONDS [ELF] [instructions] [registers] [interrupts]");
        return;
    };
    let mut flash = vec![0xff; 1 << 20];
    let image = std::fs::read(image).unwrap();
    flash[..image.len()].copy_from_slice(&image);
    let end = Time::from_micros(1000 * milliseconds.parse::<u64>().unwrap());
    let mut chip = Chip::new(Settings {
        flash: NorFlash::with_contents(flash),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 0x12_3456,
        seed: 1,
        origin: Instant::from_ticks(0),
    });
    let elf = rest.first().and_then(|path| std::fs::read(path).ok());
    let symbols = Rc::new(elf.and_then(|elf| Symbols::read(&elf)).unwrap_or_default());
    let is_wanted = |name: &str| rest.iter().any(|argument| argument == name);
    let wanted = ["instructions", "registers", "interrupts"].map(is_wanted);
    if wanted.contains(&true) {
        chip.trace(Some(tracer(wanted, symbols.clone())));
    }
    let start = std::time::Instant::now();
    println!("{:?}", chip.reset(dunlin_twin::chip::peripherals::rtc::Cause::PowerOn));
    loop {
        let ended = chip.run_until(end);
        let text: Vec<u8> = chip.take_sent().iter().map(|sent| sent.byte).collect();
        print!("{}", String::from_utf8_lossy(&text));
        println!("-- {ended:?} at {} us, {}", chip.now().micros(), symbols.describe(chip.core().pc));
        if !matches!(ended, End::Reset(_)) || chip.now() >= end {
            break;
        }
    }
    let took = start.elapsed().as_secs_f64();
    let executed = chip.executed() as f64;
    println!(
        "{executed} instructions, {:.1} MIPS, {} us asleep, {took:.2} s",
        executed / took / 1e6,
        chip.slept_us()
    );
}

/// Prints the wanted events: instructions, registers, interrupts with exceptions and calls of the ROM.
fn tracer([instructions, registers, interrupts]: [bool; 3], symbols: Rc<Symbols>) -> Tracer {
    Box::new(move |at, event| {
        let name = |address| symbols.describe(address);
        let text = match event {
            Event::Instruction { pc } if instructions => name(pc),
            Event::Load { pc, address, value } if registers => {
                format!("{address:#010x} gives {value:#010x} at {}", name(pc))
            }
            Event::Store { pc, address, value } if registers => {
                format!("{address:#010x} takes {value:#010x} at {}", name(pc))
            }
            Event::Interrupt { level, lines, pc } if interrupts => {
                format!("interrupt of level {level}, lines {lines:#x}, at {}", name(pc))
            }
            Event::Exception { cause, address, pc } if interrupts => {
                format!("exception {cause}, address {address:#010x}, at {}", name(pc))
            }
            Event::Rom { address, caller } if interrupts => {
                format!("the ROM's {address:#010x} is called from {}", name(caller))
            }
            _ => return,
        };
        println!("{:>12} us  {text}", at.micros());
    })
}
