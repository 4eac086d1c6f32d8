//! Calls from flash to IRAM by way of a stop in flash.
//!
//! `call0` reaches 512 KiB, IRAM is 1 MiB away: each such call loads the address first, six bytes in place of three.

use super::instruction::{Instruction, Line};
use super::{Function, NEAR};

/// Functions in IRAM that other texts define (`link.ld`, `boot/routines.S`) and that code in flash calls often.
const FAR: [&str; 7] = [
    "memcpy",
    "memset",
    "memcmp",
    "__udivsi3",
    "abort",
    "dunlin_hold_interrupts",
    "dunlin_restore_interrupts",
];

/// Lets functions in flash call the stops; returns those.
pub(super) fn stop(functions: &mut [Function]) -> Vec<Line> {
    let mut stops = Vec::new();
    let own = functions.iter().filter(|function| !function.is_in_flash).map(|function| function.name.clone());
    let far: Vec<String> = own.chain(FAR.map(str::to_owned)).collect();
    for far in far {
        let near = format!("{NEAR}{far}");
        let mut is_called = false;
        for function in functions.iter_mut().filter(|function| function.is_in_flash) {
            for line in &mut function.lines {
                if let Line::Instruction(instruction) = line
                    && instruction.name == "call0"
                    && instruction.operands[..] == [far.clone()]
                {
                    instruction.operands = vec![near.clone()];
                    is_called = true;
                }
            }
        }
        if is_called {
            // a8 carries no argument and needn't be kept; a0 stays, so that the function returns to the caller.
            stops.extend([
                Line::Other(format!("\t.literal .L{near}, {far}")),
                Line::Other("\t.p2align\t2".to_owned()),
                Line::Other(format!("\t.type\t{near},@function")),
                Line::Label(near.clone()),
                Line::Instruction(Instruction::new("l32r", ["a8", &format!(".L{near}")])),
                Line::Instruction(Instruction::new("jx", ["a8"])),
                Line::Other(format!("\t.size\t{near}, .-{near}")),
            ]);
        }
    }
    stops
}
