//! The image's program: what happens from start-up on.
#![no_std]
#![no_main]
#![deny(clippy::indexing_slicing)]

mod interrupt;
mod panic;

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};

use dunlin_firmware::{clock, cpu, fault, rtc, uart};
use embedded_io_async::Write;

/// Bits per second on the host's line.
const RATE: u32 = 115_200;

/// Runs the node. Called by `reset.S`, on the stack, with interrupts held, the PLL and the flash cache on.
#[unsafe(no_mangle)]
extern "C" fn dunlin_main() -> ! {
    fault::collect();
    let _start = rtc::begin();
    clock::start();
    let (_reader, mut writer) = uart::start(RATE);
    interrupt::start();
    // The ring has room for a line, so that one poll is enough.
    let line = pin!(writer.write_all(b"\r\ndunlin\r\n"));
    let _ = line.poll(&mut Context::from_waker(Waker::noop()));
    loop {
        cpu::wait_for_interrupt();
    }
}
