//! A line that becomes faster: by agreement, as far as everything between the ends can do it, and never for good where one of
//! the ends does not know of it.

use crate::bench::{Bench, Holder, package};
use dunlin::device::{
    Ask, FAST_RATE, Failure, HelloTask, MonitorTask, NodeEvent, Patience, PushOptions, PushTask, Pushed,
    RateTask, USUAL_RATE,
};
use dunlin_config_format::message::RateRequest;
use dunlin_twin::world::serial_line::Noise;
use embassy_time::Duration;

fn bench(set: fn(u32) -> Option<u32>) -> Bench {
    let mut bench = Bench::new(45, Noise::none());
    bench.holder = Some(Holder::new(set));
    bench
}

/// Pushes an image of 7,680 bytes; returns how it ended and the milliseconds that it took.
fn push_at(bench: &mut Bench, rate: Option<u32>, seed: u8) -> (Result<Pushed, Failure>, u64) {
    let began = bench.clock.now();
    let options = PushOptions { rate, no_wait: true, ..PushOptions::default() };
    let pushed = bench.run(&mut PushTask::new(package(7_680, seed), options).unwrap());
    (pushed, (bench.clock.now() - began).as_millis())
}

fn is_fast(bench: &Bench) -> bool {
    bench.holder.as_ref().unwrap().hub.is_at_other_rate()
}

#[test]
fn a_long_push_is_faster_by_agreement() {
    for adapter_ms in [0, 1, 16] {
        let mut bench = bench(Some);
        bench.line.set_adapter_latency(Duration::from_millis(adapter_ms));
        let (pushed, usual_ms) = push_at(&mut bench, None, 1);
        assert_eq!((pushed, is_fast(&bench)), (Ok(Pushed::Stored), false));
        let (pushed, fast_ms) = push_at(&mut bench, Some(FAST_RATE), 2);
        assert_eq!((pushed, is_fast(&bench)), (Ok(Pushed::Stored), true));
        println!("adapter {adapter_ms} ms: {usual_ms} ms at the usual speed, {fast_ms} ms at {FAST_RATE}");
        assert!(fast_ms < usual_ms, "{fast_ms} ms instead of {usual_ms} ms");
        assert_eq!(bench.line.counts().overruns, 0);
    }
}

#[test]
fn a_short_push_does_not_ask() {
    let mut bench = bench(|_| panic!("asked"));
    let options = PushOptions { rate: Some(FAST_RATE), ..PushOptions::default() };
    let pushed = bench.run(&mut PushTask::new(package(300, 1), options).unwrap());
    assert_eq!(pushed, Ok(Pushed::Confirmed));
}

#[test]
fn what_is_refused_is_no_failure() {
    // By the board, by a port without a speed, by a port that has promised one.
    let mut by_board = bench(Some);
    assert_eq!(push_at(&mut by_board, Some(4_000_000), 1).0, Ok(Pushed::Stored));
    let mut without = bench(|_| panic!("set"));
    without.holder.as_mut().unwrap().hub.keep_rate();
    assert_eq!(push_at(&mut without, Some(FAST_RATE), 1).0, Ok(Pushed::Stored));
    let mut broken = bench(|_| None);
    let (pushed, ms) = push_at(&mut broken, Some(FAST_RATE), 1);
    println!("a port that can't do what it promised costs {ms} ms in all");
    assert_eq!(pushed, Ok(Pushed::Stored));
    assert!([by_board, without, broken].iter().all(|bench| !is_fast(bench)));
}

#[test]
fn a_line_that_carries_nothing_at_the_new_speed_is_given_up() {
    // An adapter that makes 300,000 of every fast speed.
    let mut bench = bench(|baud| Some(if baud == USUAL_RATE { baud } else { 300_000 }));
    let (pushed, ms) = push_at(&mut bench, Some(FAST_RATE), 1);
    println!("a line that carries nothing at the new speed costs {ms} ms in all");
    assert_eq!((pushed, is_fast(&bench)), (Ok(Pushed::Stored), false));
}

#[test]
fn a_lost_reply_leaves_no_end_behind() {
    for lost_ms in 0..6 {
        let mut bench = bench(Some);
        bench.run(&mut HelloTask::new().unwrap()).unwrap();
        // The line is dead while the reply to RATE is on it, or the request, or the first words at the new speed.
        let (line, clock) = (bench.line.clone(), bench.clock.clone());
        let (from, to) = (clock.now() + Duration::from_micros(lost_ms * 700), Duration::from_millis(2));
        let mut task = RateTask::new(FAST_RATE).unwrap();
        let ended = bench.run_watching(&mut task, |_| {
            let is_dead = clock.now() >= from && clock.now() < from + to;
            line.set_noise(if is_dead { Noise::new(1, 0, 1_000_000, 0) } else { Noise::none() });
        });
        assert_eq!(ended, Ok(()), "dead from {lost_ms}");
        bench.line.set_noise(Noise::none());
        assert_eq!(push_at(&mut bench, None, 3).0, Ok(Pushed::Stored));
    }
}

#[test]
fn a_host_that_was_ended_leaves_a_board_that_is_found_again() {
    let mut bench = bench(Some);
    assert_eq!(push_at(&mut bench, Some(FAST_RATE), 1).0, Ok(Pushed::Stored));
    assert!(is_fast(&bench));
    // The next program opens the port at the usual speed and knows nothing.
    bench.holder = Some(Holder::new(Some));
    bench.line.set_host_rate(USUAL_RATE);
    bench.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!(push_at(&mut bench, Some(FAST_RATE), 2).0, Ok(Pushed::Stored));
    assert!(is_fast(&bench));
}

#[test]
fn a_board_that_restarts_is_heard_again() {
    let mut bench = bench(Some);
    bench.run(&mut RateTask::new(FAST_RATE).unwrap()).unwrap();
    assert!(is_fast(&bench));
    bench.reset();
    // As `bridge` listens: nothing is asked but whether the board is there.
    let (mut task, mut answers, clock) = (MonitorTask::new(0), Vec::new(), bench.clock.clone());
    let end = clock.now() + Duration::from_secs(20);
    let ended = bench.run_watching(&mut until(&mut task, end.as_micros()), |task| {
        while let Some(event) = task.0.take_event() {
            answers.push(event);
        }
    });
    assert_eq!((ended, is_fast(&bench)), (Ok(()), false));
    assert!(!answers.contains(&NodeEvent::Answers(false)), "{answers:?}");
    bench.run(&mut HelloTask::new().unwrap()).unwrap();
}

#[test]
fn a_line_at_the_new_speed_stays_there_however_long_it_is_silent() {
    let mut bench = bench(Some);
    bench.run(&mut RateTask::new(FAST_RATE).unwrap()).unwrap();
    let end = bench.clock.now() + Duration::from_secs(60);
    bench.run(&mut until(&mut Silent, end.as_micros())).unwrap();
    assert!(is_fast(&bench));
    let before = bench.clock.now();
    bench.run(&mut HelloTask::new().unwrap()).unwrap();
    assert!(bench.clock.now() - before < Duration::from_millis(20));
    // Agreed back, as a holder does that leaves.
    let mut ask = Ask::new(&RateRequest { baud: USUAL_RATE }, Patience::QUICK).unwrap();
    bench.run(&mut ask).unwrap();
    assert!(!is_fast(&bench));
    bench.run(&mut HelloTask::new().unwrap()).unwrap();
}

/// A task until a time, in microseconds.
struct Until<'t, T>(&'t mut T, u64);

fn until<T>(task: &mut T, end: u64) -> Until<'_, T> {
    Until(task, end)
}

/// Says nothing.
struct Silent;

impl dunlin::device::Task for Silent {
    type Output = ();

    fn step(
        &mut self,
        _: std::time::Duration,
        _: Option<&dunlin_config_format::frame::Frame<'_>>,
        _: &mut dunlin::device::Outbox,
    ) -> Option<Result<(), Failure>> {
        None
    }

    fn deadline(&self) -> Option<std::time::Duration> {
        None
    }
}

impl<T: dunlin::device::Task<Output = ()>> dunlin::device::Task for Until<'_, T> {
    type Output = ();

    fn step(
        &mut self,
        now: std::time::Duration,
        frame: Option<&dunlin_config_format::frame::Frame<'_>>,
        outbox: &mut dunlin::device::Outbox,
    ) -> Option<Result<(), Failure>> {
        if now.as_micros() >= u128::from(self.1) {
            return Some(Ok(()));
        }
        self.0.step(now, frame, outbox)
    }

    fn deadline(&self) -> Option<std::time::Duration> {
        let end = std::time::Duration::from_micros(self.1);
        Some(self.0.deadline().map_or(end, |at| at.min(end)))
    }
}
