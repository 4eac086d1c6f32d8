//! The image's program: what happens from start-up on.
#![no_std]
#![no_main]
#![deny(clippy::indexing_slicing)]

mod interrupt;
mod panic;

use core::pin::pin;

use dunlin_agent::platform::System;
use dunlin_agent::tether::Tether;
use dunlin_agent::{Memory, network};
use dunlin_firmware::board::{Board, Chip};
use dunlin_firmware::entropy::Entropy;
use dunlin_firmware::executor::{self, Flag};
use dunlin_firmware::flash::Flash;
use dunlin_firmware::i2c::Masters;
use dunlin_firmware::rtc::{self, End};
use dunlin_firmware::{clock, cpu, fault, idle, uart, watchdog};

/// Bits per second on the host's line.
const RATE: u32 = 115_200;

/// Which of the node's two futures asked to be polled: the agent's, the network stack's.
static FLAGS: [Flag; 2] = [const { Flag::new() }; 2];

/// Runs the node. Called by `reset.S`, on the stack, with interrupts held, the PLL and the flash cache on.
#[unsafe(no_mangle)]
extern "C" fn dunlin_main() -> ! {
    fault::collect();
    let start = rtc::begin();
    clock::start();
    let (reader, writer) = uart::start(RATE);
    watchdog::start();
    interrupt::start();

    let flash = Flash::take();
    let mut system = Chip::new(&start, Entropy::gather(), flash.chip());
    let seed = system.entropy();
    let board = Board { flash, reader, writer, i2c: Masters::new(), system };

    let mut resources = network::Resources::new();
    let mut memory = Memory::new();
    let tether = Tether::new();
    let (network, mut runner) = network::new(tether.driver(), &mut resources, seed);
    let agent = pin!(dunlin_agent::run(board, network, Some(&tether), &mut memory));
    let stack = pin!(async { runner.run().await });
    executor::run(agent, stack, &FLAGS, sleep);
    rtc::note(End::Requested);
    rtc::reset()
}

/// Sleeps until an interrupt, unless a flag came up.
fn sleep(flags: &'static [Flag; 2]) {
    interrupt::hold();
    if flags.iter().any(Flag::is_up) {
        interrupt::release();
    } else {
        idle::count(cpu::wait_for_interrupt);
    }
}
