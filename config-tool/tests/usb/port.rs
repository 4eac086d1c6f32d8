//! A board behind a real pseudo-terminal in real time: opening, asking, sharing one port, and what is said when nothing is
//! there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::bench::{RealBoard, Running};
use dunlin::device::{
    Ask, FAST_RATE, Failure, HelloTask, InfoTask, MonitorTask, Patience, PushOptions, PushTask, Pushed,
    RateTask,
};
use dunlin::line::{Connection, LineError, SharedLine, Target};
use dunlin_config_format::message::InfoRequest;

#[test]
fn a_board_behind_a_port_answers_and_takes_a_push() {
    let board = Running::start();
    let mut connection = Connection::open(board.target.clone()).unwrap();
    assert!(!connection.is_guest());
    let hello = connection.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!(hello.chip_id, 0x00c0_ffee);
    let mut push = PushTask::new(crate::bench::package(2000, 5), PushOptions::default()).unwrap();
    assert_eq!(connection.run(&mut push).unwrap(), Pushed::Confirmed);
    // The port is free again, and can be opened again.
    drop(connection);
    let mut connection = Connection::open(board.target.clone()).unwrap();
    assert_eq!(connection.run(&mut InfoTask::new().unwrap()).unwrap().len(), 40);
}

/// As `dunlin push` and `dunlin bridge` do: over a port whose speed is set, and given back at the usual one.
#[test]
fn a_port_is_made_faster_and_given_back_as_it_was() {
    let board = Running::start();
    for seed in 0..2 {
        let mut connection = Connection::open(board.target.clone()).unwrap();
        let options = PushOptions { rate: Some(FAST_RATE), ..PushOptions::default() };
        let mut push = PushTask::new(crate::bench::package(6000, seed), options).unwrap();
        assert_eq!(connection.run(&mut push).unwrap(), Pushed::Confirmed);
        assert!(board.has_been_fast(), "the line never ran at {FAST_RATE}");
        drop(connection);
        let mut connection = Connection::open(board.target.clone()).unwrap();
        let mut once =
            Ask::new(&InfoRequest {}, Patience { timeout: Patience::MEASURE.timeout, tries: 1 }).unwrap();
        connection.run(&mut once).unwrap();
    }
}

#[test]
fn a_second_command_uses_the_port_of_the_first() {
    let board = Running::start();
    let mut holder = Connection::open(board.target.clone()).unwrap();
    holder.run(&mut HelloTask::new().unwrap()).unwrap();
    let target = board.target.clone();
    let guest = thread::spawn(move || {
        let mut guest = Connection::open(target).unwrap();
        assert!(guest.is_guest());
        let mut push = PushTask::new(crate::bench::package(1000, 6), PushOptions::default()).unwrap();
        guest.run(&mut push).unwrap()
    });
    // The holder goes on with its own business meanwhile.
    while !guest.is_finished() {
        assert_eq!(holder.run(&mut InfoTask::new().unwrap()).unwrap().len(), 40);
    }
    assert_eq!(guest.join().unwrap(), Pushed::Confirmed);
}

#[test]
fn a_guest_whose_holder_ends_goes_on_by_itself() {
    let board = Running::start();
    let mut holder = Connection::open(board.target.clone()).unwrap();
    holder.run(&mut HelloTask::new().unwrap()).unwrap();
    let target = board.target.clone();
    let (sender, joined) = mpsc::channel();
    let guest = thread::spawn(move || {
        let mut guest = Connection::open(target).unwrap();
        sender.send(guest.is_guest()).unwrap();
        let mut push = PushTask::new(crate::bench::package(6000, 7), PushOptions::default()).unwrap();
        let pushed = guest.run(&mut push).unwrap();
        (pushed, guest.is_guest())
    });
    assert!(joined.recv().unwrap());
    // Long enough for the guest to be in the middle of its push, and far too short for the end of it.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(300);
    let mut task = MonitorTask::new(0);
    holder.run_watching(&mut task, |_, _| std::time::Instant::now() < until).unwrap();
    drop(holder);
    assert_eq!(guest.join().unwrap(), (Pushed::Confirmed, false));
}

#[test]
fn a_port_that_is_not_there_is_told_so() {
    let error = Connection::open(Target::Port("/dev/ttyUSB-none".to_owned())).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[test]
fn a_silent_port_is_told_apart_from_a_board() {
    let pty = dunlin_twin::host::pty::Pty::open().unwrap();
    let target = Target::Port(pty.path().to_str().unwrap().to_owned());
    let mut connection = Connection::open(target).unwrap();
    let error = connection.run(&mut HelloTask::new().unwrap()).unwrap_err();
    assert!(matches!(error, LineError::Device(Failure::NoAnswer, _)));
    assert!(error.to_string().contains("nothing at all was heard"), "{error}");
}

#[test]
fn a_line_in_this_process_is_shared_under_its_name() {
    let target = Target::Tcp(format!("simulated-{}:1", std::process::id()));
    let (sender, notified) = mpsc::channel();
    let mut shared = SharedLine::start(&target, move || {
        let _ = sender.send(());
    })
    .unwrap();
    assert!(SharedLine::start(&target, || ()).is_err(), "one line under one name");
    let stop = Arc::new(AtomicBool::new(false));
    let (guest_target, stopped) = (target.clone(), stop.clone());
    let guest = thread::spawn(move || {
        let mut guest = Connection::open(guest_target).unwrap();
        let hello = guest.run(&mut HelloTask::new().unwrap()).unwrap();
        guest.run(&mut RateTask::new(FAST_RATE).unwrap()).unwrap();
        stopped.store(true, Ordering::Relaxed);
        hello
    });
    let mut board = RealBoard::start();
    while !stop.load(Ordering::Relaxed) {
        board.step_shared(&mut shared);
    }
    assert_eq!(guest.join().unwrap().chip_id, 0x00c0_ffee);
    assert_eq!(board.rate(), FAST_RATE, "the holder's end follows what a guest agrees on");
    assert!(notified.try_recv().is_ok());
}
