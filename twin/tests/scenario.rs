//! Scenarios: what makes no sense, the order of events, and faults on the wires of a board.
#![cfg(test)]

mod bench;

use bench::{Bench, PINS};
use dunlin_agent::platform::ClearBus;
use dunlin_twin::devices::i2c::BusError;
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, Tsl2591};
use dunlin_twin::world::environment::{Environment, Irradiance};
use dunlin_twin::world::scenario::{
    Edge, Fault, FaultKind, InvalidScenario, Scenario, Schedule, carry_out_on_wires,
};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::I2c;
use proptest::prelude::*;

fn fault(name: &str, at_s: u64, duration_s: Option<u64>, kind: FaultKind) -> Fault {
    Fault {
        name: name.to_owned(),
        at: Instant::from_secs(at_s),
        duration: duration_s.map(Duration::from_secs),
        kind,
    }
}

fn scenario(faults: Vec<Fault>) -> Scenario {
    Scenario { faults, ..Scenario::quiet(Environment::room(0)) }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let nack = FaultKind::Nack { address: 0x29, times: Some(2) };
    let problems = scenario(vec![
        fault("Upper", 0, None, FaultKind::Reset),
        fault("", 0, None, FaultKind::Reset),
        fault("twice", 0, None, FaultKind::Reset),
        fault("twice", 0, Some(1), FaultKind::Reset),
        fault("ends-twice", 0, Some(1), nack),
        fault("no-time", 0, Some(0), FaultKind::BlackHole),
        fault("never", 0, None, FaultKind::Nack { address: 0x29, times: Some(0) }),
        fault("reserved", 0, None, FaultKind::SensorGone { address: 0x78 }),
        fault("more-than-all", 0, None, FaultKind::Loss { rate: 1.5 }),
        fault("no-number", 0, None, FaultKind::Loss { rate: f64::NAN }),
        fault("slow", 0, None, FaultKind::Delay { delay: Duration::from_secs(61) }),
        fault("zeroth", 0, None, FaultKind::PowerCut { operation: Some(0) }),
        fault("loud", 0, None, FaultKind::SerialNoise { flip_ppm: u32::MAX, drop_ppm: 1, double_ppm: 1 }),
    ])
    .validate()
    .unwrap_err();
    let name = |name: &str| name.to_owned();
    let expected = [
        InvalidScenario::Name(name("Upper")),
        InvalidScenario::Name(name("")),
        InvalidScenario::Duplicate(name("twice")),
        InvalidScenario::Momentary(name("twice")),
        InvalidScenario::TwoEnds(name("ends-twice")),
        InvalidScenario::Duration(name("no-time")),
        InvalidScenario::Count(name("never")),
        InvalidScenario::Address(name("reserved")),
        InvalidScenario::Rate(name("more-than-all")),
        InvalidScenario::Rate(name("no-number")),
        InvalidScenario::Delay(name("slow")),
        InvalidScenario::Count(name("zeroth")),
        InvalidScenario::Rate(name("loud")),
    ];
    assert_eq!(problems, expected);
    assert_eq!(scenario(vec![fault("fine", 3, Some(1), FaultKind::BrokerAway)]).validate(), Ok(()));
}

#[test]
fn events_come_in_the_order_of_their_times_ends_first() {
    let mut schedule = Schedule::new(&scenario(vec![
        fault("late", 30, Some(5), FaultKind::Loss { rate: 0.5 }),
        fault("early", 10, Some(20), FaultKind::Loss { rate: 0.2 }),
        fault("for-ever", 12, None, FaultKind::BrokerMute),
        fault("dark", 13, Some(2), FaultKind::PowerCut { operation: None }),
    ]));
    assert_eq!(schedule.next_at(), Some(Instant::from_secs(10)));
    assert!(schedule.due(Instant::from_millis(9_999)).is_none());
    let mut seen = Vec::new();
    while let Some(event) = schedule.due(Instant::from_secs(30)) {
        seen.push((event.at.as_secs(), event.edge, event.fault.name.clone()));
    }
    let expected = [
        (10, Edge::Begin, "early"),
        (12, Edge::Begin, "for-ever"),
        (13, Edge::Begin, "dark"),
        (30, Edge::End, "early"),
        (30, Edge::Begin, "late"),
    ]
    .map(|(at, edge, name)| (at, edge, name.to_owned()));
    assert_eq!(seen, expected);
    assert_eq!((schedule.loss(), schedule.has(FaultKind::BrokerMute)), (0.5, true));
    assert_eq!(schedule.due(Instant::from_secs(99)).map(|event| event.edge), Some(Edge::End));
    assert_eq!((schedule.loss(), schedule.next_at()), (0.0, None));
}

#[test]
fn losses_and_delays_add_up() {
    let delay = |delay_ms| FaultKind::Delay { delay: Duration::from_millis(delay_ms) };
    let mut schedule = Schedule::new(&scenario(vec![
        fault("a", 0, None, FaultKind::Loss { rate: 0.5 }),
        fault("b", 0, None, FaultKind::Loss { rate: 0.5 }),
        fault("c", 0, None, delay(30)),
        fault("d", 0, None, delay(12)),
    ]));
    while schedule.due(Instant::from_ticks(0)).is_some() {}
    assert_eq!((schedule.loss(), schedule.delay()), (0.75, Duration::from_millis(42)));
}

#[test]
fn a_sensor_is_out_of_reach_while_the_scenario_says_so() {
    let mut bench = Bench::with_chip(Tsl2591::new(Part::default(), |_| Irradiance::default()));
    let mut schedule = Schedule::new(&scenario(vec![
        fault("loose-contact", 1, None, FaultKind::Nack { address: ADDRESS, times: Some(1) }),
        fault("unplugged", 3, Some(2), FaultKind::SensorGone { address: ADDRESS }),
        fault("short-circuit", 6, None, FaultKind::StuckBus { sda: Some(PINS.sda), pulses: Some(9) }),
        fault("elsewhere", 8, None, FaultKind::StuckBus { sda: Some(PINS.sda + 1), pulses: None }),
        fault("no-business-of-wires", 9, None, FaultKind::BrokerAway),
    ]));
    let mut outcomes = Vec::new();
    let mut carried_out = 0;
    for second in 0..10 {
        bench.clock.wait_until(Instant::from_secs(second));
        while let Some(event) = schedule.due(Instant::from_secs(second)) {
            carried_out += u32::from(carry_out_on_wires(&event, &bench.wiring, bench.clock.now()));
        }
        let outcome = bench.bus().write(ADDRESS, &[0xb2]);
        if outcome == Err(BusError::DataHeld) {
            assert!(bench.bus().clear_bus());
        }
        outcomes.push(outcome.err());
    }
    let gone = Some(BusError::AddressNotAcknowledged);
    let expected = [None, gone, None, gone, gone, None, Some(BusError::DataHeld), None, None, None];
    assert_eq!(outcomes, expected);
    assert_eq!(carried_out, 5);
    bench.wait_ms(1);
}

proptest! {
    /// Each event comes once, in order, and what is active is what has begun and not ended.
    #[test]
    fn schedules_hand_out_everything(times in proptest::collection::vec((any::<u64>(), proptest::option::of(any::<u64>())), 0..20)) {
        let faults = times.iter().enumerate().map(|(index, &(at, duration))| Fault {
            name: format!("fault-{index}"),
            at: Instant::from_ticks(at),
            duration: duration.map(Duration::from_ticks),
            kind: FaultKind::BlackHole,
        });
        let mut schedule = Schedule::new(&scenario(faults.collect()));
        let (mut last, mut begun, mut ended) = (Instant::from_ticks(0), 0, 0);
        while let Some(at) = schedule.next_at() {
            prop_assert!(at >= last);
            last = at;
            let edge = schedule.due(at).map(|event| event.edge);
            begun += usize::from(edge == Some(Edge::Begin));
            ended += usize::from(edge == Some(Edge::End));
            // A fault that lasts no time may end before it begins; a valid scenario has none.
            if times.iter().all(|&(_, duration)| duration != Some(0)) {
                prop_assert_eq!(schedule.active().count(), begun - ended);
            }
        }
        prop_assert_eq!(begun, times.len());
    }
}
