//! The trace of the program, and the names of its places.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_twin::chip::symbols::Symbols;
use dunlin_twin::chip::time::Time;
use dunlin_twin::chip::trace::Event;

use super::{Session, chip, gcc, image};

/// The program up to its first lines about pins, traced or not.
fn run(trace: bool) -> (Session, Vec<(Time, Event)>, Symbols) {
    let elf = gcc(if trace { "traced" } else { "plain" });
    let symbols = Symbols::read(&std::fs::read(&elf).unwrap()).unwrap();
    let mut session =
        Session { chip: chip(image(&elf)), text: String::new(), sent_at: Vec::new(), resets: Vec::new() };
    let events = Rc::new(RefCell::new(Vec::new()));
    if trace {
        let events = events.clone();
        session.chip.trace(Some(Box::new(move |at, event| events.borrow_mut().push((at, event)))));
    }
    session.until("levels");
    session.chip.trace(None);
    let events = events.take();
    (session, events, symbols)
}

#[test]
fn a_traced_chip_does_the_same_and_every_step_is_told() {
    let (plain, nothing, _) = run(false);
    let (traced, events, symbols) = run(true);
    assert!(nothing.is_empty());
    assert_eq!((&plain.text, &plain.sent_at), (&traced.text, &traced.sent_at));
    assert_eq!((plain.chip.now(), plain.chip.executed()), (traced.chip.now(), traced.chip.executed()));
    assert!(events.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    let count = |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|(_, event)| wanted(event)).count();
    assert_eq!(count(&|event| matches!(event, Event::Instruction { .. })) as u64, traced.chip.executed());
    // Ten of FRC1, three in hold mode, three at 160 MHz.
    let is_timer =
        |event: &Event| matches!(event, Event::Interrupt { level: 1, lines, .. } if lines & 1 << 9 != 0);
    assert_eq!(count(&is_timer), 16);
    let is_compare =
        |event: &Event| matches!(event, Event::Interrupt { level: 1, lines, .. } if lines & 1 << 6 != 0);
    assert_eq!(count(&is_compare), 1);
    assert!(count(&|event| matches!(event, Event::Interrupt { level: 3, .. })) >= 4);
    let causes: Vec<u32> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Exception { cause, pc, .. } => {
                assert!(
                    ["exceptions", "main"].contains(&symbols.find(*pc).unwrap().0),
                    "{}",
                    symbols.describe(*pc)
                );
                Some(*cause)
            }
            _ => None,
        })
        .collect();
    assert_eq!(causes, [3, 3, 3, 9, 28, 29, 1, 0]);
    // What was written into the FIFO is what was sent; the boot ROM prints before it.
    let written: String = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Store { address: 0x6000_0000, value, .. } => Some(char::from(*value as u8)),
            _ => None,
        })
        .collect();
    assert!(written.len() > 200 && traced.text.ends_with(&written), "{written}");
}

#[test]
fn places_have_the_names_of_the_symbol_table() {
    let elf = gcc("names");
    let bytes = std::fs::read(&elf).unwrap();
    let symbols = Symbols::read(&bytes).unwrap();
    assert_eq!(symbols.find(0x4010_0000), Some(("vectors", 0)));
    let main = symbols.address("main").unwrap();
    assert_eq!(symbols.describe(main + 5), format!("{:#010x} main+0x5", main + 5));
    assert_eq!((symbols.describe(0x5000_0000), symbols.address("nothing")), ("0x50000000".to_owned(), None));
    for len in 0..bytes.len().min(2000) {
        assert!(Symbols::read(&bytes[..len]).is_none(), "{len} bytes of a file");
    }
}
