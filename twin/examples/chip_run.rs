//! Runs an image on the chip and prints what it says: `cargo run -p dunlin-twin --example chip_run -- IMAGE MILLISECONDS`.
#![expect(clippy::unwrap_used, reason = "a tool for engineers, which ends where it fails")]

use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::{Chip, End, Settings};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::nor_flash::{NorFlash, Timing};
use embassy_time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut flash = vec![0xff; 1 << 20];
    let image = std::fs::read(arguments.next().unwrap()).unwrap();
    flash[..image.len()].copy_from_slice(&image);
    let end = Time::from_micros(1000 * arguments.next().unwrap().parse::<u64>().unwrap());
    let mut chip = Chip::new(Settings {
        flash: NorFlash::with_contents(flash),
        timing: Timing::default(),
        wiring: Wiring::new(),
        chip_id: 0x12_3456,
        seed: 1,
        origin: Instant::from_ticks(0),
    });
    let start = std::time::Instant::now();
    println!("{:?}", chip.reset(dunlin_twin::chip::peripherals::rtc::Cause::PowerOn));
    loop {
        let ended = chip.run_until(end);
        let text: Vec<u8> = chip.take_sent().iter().map(|sent| sent.byte).collect();
        print!("{}", String::from_utf8_lossy(&text));
        println!("-- {ended:?} at {} us", chip.now().micros());
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
