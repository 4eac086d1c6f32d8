//! What an exception of the processor left behind, when it ended the run before.
//!
//! The exception handler can trust neither the stack nor flash, so it leaves raw words in the memory of the real-time clock
//! and resets the chip (`boot/vectors.S`). The next start takes them from there.

use crate::mmio::Registers;
use crate::rtc::{self, End};

/// The record: magic, cause, instruction, address, PS, a0, a1, a2.
const RECORD: Registers<8> = Registers::new(0x6000_1300);
/// `FAULT_MAGIC` of `boot/registers.h`.
const MAGIC: u32 = 0x3146_5044;
/// `CAUSE_STACK_OVERFLOW` of `boot/registers.h`: an interrupt found the stack in its guard.
const STACK_OVERFLOW: u32 = 0x400;

/// Notes a fault that ended the run before. To be called once, before [`rtc::begin`].
pub fn collect() {
    if RECORD.at(0).read() != MAGIC {
        return;
    }
    RECORD.at(0).write(0);
    let [cause, at, address] = [1, 2, 3].map(|index| RECORD.at(index).read());
    rtc::note(match cause {
        STACK_OVERFLOW => End::StackOverflow { at },
        _ => End::Exception { cause, at, address },
    });
}
