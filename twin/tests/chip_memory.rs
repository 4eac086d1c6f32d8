//! What the chip's memory refuses, seen by a program: the causes of the fact sheet, the vectors of the core.

use dunlin_twin::chip::core::{Core, Pause, Stop};
use dunlin_twin::chip::memory::Memory;

const IRAM: u32 = 0x4010_0000;
const CODE: u32 = IRAM + 0x100;
const L8UI: u32 = 0x00_0242;
const L16UI: u32 = 0x00_1242;
const L32I: u32 = 0x00_2242;
const S8I: u32 = 0x00_4242;
const S32I: u32 = 0x00_6242;

/// Executes one instruction `word`, over a2 and a4, at [`CODE`] with a2 = `address`.
fn run(word: u32, address: u32) -> (Core, Memory, Result<(), Stop>) {
    let mut memory = Memory::new(vec![0xE9, 1, 2, 3]);
    memory.instruction_ram_mut()[0x100..0x104].copy_from_slice(&word.to_le_bytes());
    memory.data_ram_mut()[..4].copy_from_slice(&[0x11, 0x22, 0x33, 0x84]);
    let mut core = Core::new(CODE);
    core.special.vecbase = IRAM;
    core.special.ps = 0x20;
    core.registers[2] = address;
    core.registers[4] = 0xA5A5_A5A5;
    let result = core.step(&mut memory);
    (core, memory, result)
}

#[test]
fn refused_accesses_raise_the_causes_of_silicon() {
    let flash = 0x4020_0000;
    let cases = [
        (L8UI, flash, 3),
        (L16UI, flash, 3),
        (L8UI, IRAM, 3),
        (S8I, IRAM, 3),
        (L8UI, 0x4000_0000, 3),
        (L16UI, 0x3FFE_8001, 9),
        (L32I, 0x3FFE_8002, 9),
        (S32I, 0x3FFE_8001, 9),
        (L32I, 0, 28),
        (S32I, 0x10, 29),
    ];
    for (word, address, cause) in cases {
        let (core, _, result) = run(word, address);
        assert_eq!(result, Ok(()));
        assert_eq!(
            (core.special.exccause, core.special.excvaddr),
            (cause, address),
            "{word:#x} at {address:#x}"
        );
        assert_eq!((core.pc, core.special.epc[0], core.special.ps), (IRAM + 0x50, CODE, 0x30));
        assert_eq!(core.registers[4], 0xA5A5_A5A5);
    }
}

#[test]
fn data_ram_takes_every_width_and_flash_takes_words() {
    for (word, address, value) in [
        (L8UI, 0x3FFE_8003, 0x84),
        (L16UI, 0x3FFE_8002, 0x8433),
        (L32I, 0x3FFE_8000, 0x8433_2211),
        (L32I, 0x4020_0000, 0x0302_01E9),
    ] {
        let (core, _, result) = run(word, address);
        assert_eq!((result, core.registers[4], core.pc), (Ok(()), value, CODE + 3));
    }
    let (_, mut memory, _) = run(S8I, 0x3FFE_8001);
    assert_eq!(memory.data_ram_mut()[..4], [0x11, 0xA5, 0x33, 0x84]);
}

#[test]
fn what_is_not_modelled_stops_the_run_with_its_address() {
    for (word, address) in [(L32I, 0x6000_0000), (S32I, 0x4020_0000), (S32I, 0x4000_0000)] {
        let (core, _, result) = run(word, address);
        assert_eq!(result, Err(Stop::Access { pc: CODE, address }));
        assert_eq!(core.pc, CODE);
    }
    // `l32ai` isn't configured on this core.
    assert_eq!(run(0x00_B242, 0).2, Err(Stop::Instruction { address: CODE, bytes: 0x00_B242 }));
}

#[test]
fn a_null_call_is_told_and_a_fault_within_a_fault_goes_to_its_own_vector() {
    let (mut core, mut memory, _) = run(L32I, 0);
    core.pc = 4;
    assert_eq!(core.step(&mut memory), Ok(()));
    assert_eq!((core.pc, core.special.depc, core.special.exccause), (IRAM + 0x70, 4, 20));
}

#[test]
fn interrupts_are_taken_by_level() {
    // `nop`
    let (mut core, mut memory, _) = run(0x00_20F0, 0);
    core.set_interrupt(9, true);
    core.set_interrupt(9, false);
    core.special.intenable = 1 << 9;
    core.special.ps = 0x21;
    let unmasked = core.clone();
    memory.instruction_ram_mut()[0x103..0x106].copy_from_slice(&[0xF0, 0x20, 0]);
    memory.instruction_ram_mut()[0x50..0x53].copy_from_slice(&[0xF0, 0x20, 0]);
    memory.instruction_ram_mut()[0x20..0x23].copy_from_slice(&[0xF0, 0x20, 0]);
    core.step(&mut memory).unwrap();
    assert_eq!(core.pc, CODE + 6, "level 1 is masked");
    core.special.ps = 0x20;
    core.step(&mut memory).unwrap();
    assert_eq!((core.pc, core.special.exccause, core.special.epc[0]), (IRAM + 0x53, 4, CODE + 6));
    let mut core = unmasked;
    core.set_interrupt(14, true);
    core.step(&mut memory).unwrap();
    assert_eq!((core.pc, core.special.epc[2], core.special.eps[1]), (IRAM + 0x23, CODE + 3, 0x21));
    assert_eq!(core.special.ps & 15, 3);
}

#[test]
fn a_store_over_an_executed_instruction_is_what_is_executed_next() {
    for place in 0..6 {
        // The instruction that is replaced begins at every offset in a word, and may reach into the next one.
        let at = 0x100 + place;
        let mut memory = Memory::new(Vec::new());
        memory.instruction_ram_mut()[at..at + 3].copy_from_slice(&[0x42, 0xA0, 7]); // movi a4, 7
        memory.instruction_ram_mut()[0x200..0x203].copy_from_slice(&S32I.to_le_bytes()[..3]);
        let mut core = Core::new(IRAM + at as u32);
        assert_eq!((core.step(&mut memory), core.registers[4]), (Ok(()), 7));
        let mut bytes = memory.instruction_ram_mut()[0x100..0x10C].to_vec();
        bytes[place + 2] = 9;
        for word in (0..12).step_by(4) {
            core.pc = IRAM + 0x200;
            core.registers[2] = IRAM + 0x100 + word as u32;
            core.registers[4] =
                u32::from_le_bytes([bytes[word], bytes[word + 1], bytes[word + 2], bytes[word + 3]]);
            assert_eq!(core.step(&mut memory), Ok(()));
        }
        core.pc = IRAM + at as u32;
        assert_eq!((core.step(&mut memory), core.registers[4]), (Ok(()), 9), "at offset {place}");
    }
}

#[test]
fn memory_that_a_loader_changed_is_fetched_anew_once_the_core_is_told() {
    let mut memory = Memory::new(Vec::new());
    let mut core = Core::new(CODE);
    for value in [7, 9] {
        memory.instruction_ram_mut()[0x100..0x103].copy_from_slice(&[0x42, 0xA0, value]);
        core.forget_instructions();
        core.pc = CODE;
        assert_eq!((core.step(&mut memory), core.registers[4]), (Ok(()), u32::from(value)));
    }
}

#[test]
fn a_run_ends_in_the_cycle_asked_for_and_the_counter_meets_its_compare_value_while_idle() {
    let mut memory = Memory::new(Vec::new());
    memory.instruction_ram_mut()[0x100..0x103].copy_from_slice(&[0x06, 0xFF, 0xFF]); // j to itself
    let mut core = Core::new(CODE);
    core.special.ccompare = 150;
    assert_eq!(core.run(&mut memory, 100), Ok(Pause::Reached));
    assert_eq!(
        (core.cycle, core.executed, core.special.ccount, core.cycles_to_compare()),
        (100, 100, 100, 50)
    );
    core.idle(49);
    assert_eq!((core.cycle, core.special.interrupt & 0x40), (149, 0));
    core.idle(1);
    assert_eq!((core.cycle, core.executed, core.special.interrupt & 0x40), (150, 100, 0x40));
    assert_eq!(core.cycles_to_compare(), 1 << 32);
}
