//! The sampler on its own: a hand-driven clock, a node that samples itself, and a light sensor that is not there.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::task::Waker;

use dunlin_agent::platform::{ClearBus, I2cMaster, I2cPins};
use dunlin_agent::sampler::{Output, Sampler};
use dunlin_agent::sensor::{Facts, Health};
use dunlin_config_format::config::{
    Config, Device, Filter, I2cBus, Link, List, Member, Mqtt, Or, Payload, QoS, ReadingSettings, Report,
    Sensor,
};
use dunlin_config_format::driver::{Driver, internal};
use embassy_time::{Duration, Instant};
use embassy_time_driver::time_driver_impl;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Time is what the test says; nothing here waits.
struct HandClock;

impl embassy_time_driver::Driver for HandClock {
    fn now(&self) -> u64 {
        NOW.get()
    }
    fn schedule_wake(&self, _: u64, _: &Waker) {}
}

time_driver_impl!(static CLOCK: HandClock = HandClock);

/// A bus on which nothing answers.
struct Nobody;

impl ErrorType for Nobody {
    type Error = ErrorKind;
}

impl I2c for Nobody {
    fn transaction(&mut self, _: u8, _: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address))
    }
}

impl ClearBus for Nobody {
    fn clear_bus(&mut self) -> bool {
        true
    }
}

impl I2cMaster for Nobody {
    type Bus<'a> = Nobody;

    fn bus(&mut self, _: I2cPins) -> Nobody {
        Nobody
    }
}

const NODE: Sensor<'_> = Sensor {
    id: "node",
    label: None,
    driver: Driver::Internal,
    bus: None,
    address: None,
    period_ms: 1_000,
    options: List::new(&[]),
    readings: List::new(&[]),
};
const LIGHT: Sensor<'_> = Sensor { id: "light", driver: Driver::Tsl2591, bus: Some(0), ..NODE };
const FAULTS: Member = Member { sensor: 0, reading: internal::FAULTS };
const REPORT: Report<'_> = Report {
    id: Some("x"),
    topic: None,
    qos: QoS::AtMostOnce,
    retain: false,
    payload: Payload::Json,
    members: List::new(&[FAULTS]),
    every_ms: None,
    filters: List::new(&[]),
};
const BUS: I2cBus<'_> = I2cBus { id: "main", sda: 4, scl: 5, frequency_hz: Or(100_000) };

/// What came out of a run, with the seconds at which it came.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<(u64, u32, Vec<f32>)>,
    health: Vec<(u64, u8, Health)>,
    measured: Vec<(u64, f32, f32)>,
}

impl Heard {
    /// The seconds and the first values of the messages.
    fn values(&self) -> Vec<(u64, f32)> {
        self.messages.iter().map(|(at, _, values)| (*at, values[0])).collect()
    }
}

fn config<'a>(buses: &'a [I2cBus<'a>], sensors: &'a [Sensor<'a>], reports: &'a [Report<'a>]) -> Config<'a> {
    Config {
        device: Device { name: "esp8266", label: None },
        mqtt: Mqtt::at("broker"),
        link: Link::default(),
        i2c: List::new(buses),
        sensors: List::new(sensors),
        reports: List::new(reports),
    }
}

/// Runs sensors and one report for as many seconds as there are `values` of the node's reading `faults`; `ask_at` is the
/// second in which a measurement of sensor 0 is asked for.
fn run(sensors: &[Sensor<'_>], report: Report<'_>, values: &[u32], ask_at: Option<u64>) -> Heard {
    let (bus, reports) = ([BUS], [report]);
    let config = config(&bus, sensors, &reports);
    config.validate().unwrap();
    NOW.set(0);
    let mut sampler = Sampler::new(&config, Instant::now());
    let mut heard = Heard::default();
    let end = Instant::from_secs(values.len() as u64);
    let mut asked = ask_at;
    while let Some(next) = sampler.next().filter(|&next| next < end) {
        NOW.set(next.max(Instant::now()).as_ticks());
        let (now, second) = (Instant::now(), Instant::now().as_secs());
        if asked.is_some_and(|at| at <= second) {
            asked = None;
            sampler.measure(0, now);
        }
        let facts = Facts { faults: values[second as usize], ..Facts::default() };
        sampler.step(&config, &mut Nobody, &|| facts, now, &mut |output| match output {
            Output::Message { seq, at, values, .. } => {
                heard.messages.push((at.as_secs(), seq, values.to_vec()));
            }
            Output::Health { sensor, health } => heard.health.push((second, sensor, health)),
            Output::Measured(measured) => {
                let faults = usize::from(internal::FAULTS);
                heard.measured.push((second, measured.raw[faults], measured.filtered[faults]));
            }
            Output::Sample { .. } => {}
        });
    }
    heard
}

#[test]
fn filters_of_a_report_see_each_sample_and_the_newest_value_is_sent() {
    let every = Report { every_ms: Some(3_000), ..REPORT };
    let samples = [10, 20, 30, 40, 50, 60, 70];
    assert_eq!(run(&[NODE], every, &samples, None).values(), [(0, 10.0), (3, 40.0), (6, 70.0)]);
    // The mean of two samples, not of two messages.
    let mean = [Filter::Mean { window: 2 }];
    let report = Report { filters: List::new(&mean), ..every };
    assert_eq!(run(&[NODE], report, &samples, None).values(), [(0, 10.0), (3, 35.0), (6, 65.0)]);
    // A value that a filter holds back does not replace the one that passed.
    let delta = [Filter::Delta { change: 25.0 }];
    let report = Report { filters: List::new(&delta), ..every };
    assert_eq!(run(&[NODE], report, &samples, None).values(), [(0, 10.0), (3, 40.0), (6, 70.0)]);
    let report = Report { filters: List::new(&delta), ..every };
    let still = [10, 11, 12, 13, 14, 15, 16];
    assert_eq!(run(&[NODE], report, &still, None).values(), [(0, 10.0), (3, 10.0), (6, 10.0)]);
}

#[test]
fn filters_of_readings_run_before_those_of_reports() {
    let (halve, add) =
        ([Filter::Calibrate { slope: 0.5, offset: 0.0 }], [Filter::Calibrate { slope: 1.0, offset: 100.0 }]);
    let readings = [ReadingSettings { number: internal::FAULTS, filters: List::new(&halve) }];
    let node = Sensor { readings: List::new(&readings), ..NODE };
    let report = Report { filters: List::new(&add), ..REPORT };
    assert_eq!(run(&[node], report, &[10, 20], None).values(), [(0, 105.0), (1, 110.0)]);
    let every = Report { every_ms: Some(1_000), ..report };
    assert_eq!(run(&[node], every, &[10, 20], None).values(), [(0, 105.0), (1, 110.0)]);
}

#[test]
fn a_message_of_several_sensors_has_no_number_for_one_that_is_not_there() {
    let members = [FAULTS, Member { sensor: 1, reading: 0 }];
    let report = Report { members: List::new(&members), every_ms: Some(2_000), ..REPORT };
    let heard = run(&[NODE, LIGHT], report, &[1, 2, 3, 4, 5, 6], None);
    assert!(heard.messages.len() >= 2, "{heard:?}");
    for (count, (_, seq, values)) in heard.messages.iter().enumerate() {
        assert_eq!(*seq as usize, count);
        assert!(values[0].is_finite() && values[1].is_nan(), "{values:?}");
    }
    assert_eq!(heard.health, [(0, 0, Health::Ok), (0, 1, Health::Absent)]);
}

#[test]
fn a_measurement_touches_neither_schedule_nor_filters() {
    let delta = [Filter::Delta { change: 25.0 }];
    let readings = [ReadingSettings { number: internal::FAULTS, filters: List::new(&delta) }];
    let node = Sensor { readings: List::new(&readings), ..NODE };
    let samples = [10, 20, 40, 60, 70];
    let asked = run(&[node], REPORT, &samples, Some(1));
    assert_eq!(asked.values(), run(&[node], REPORT, &samples, None).values());
    assert_eq!(asked.values(), [(0, 10.0), (2, 40.0), (4, 70.0)]);
    assert!(matches!(asked.measured[..], [(1, 20.0, filtered)] if filtered.is_nan()), "{asked:?}");
}

#[test]
fn late_samples_keep_the_phase_and_missed_ones_are_counted() {
    let (sensors, reports) = ([NODE], [REPORT]);
    let config = config(&[], &sensors, &reports);
    NOW.set(0);
    let mut sampler = Sampler::new(&config, Instant::now());
    let late = Instant::now() + Duration::from_millis(3_250);
    sampler.step(&config, &mut Nobody, &Facts::default, late, &mut |_| {});
    assert_eq!(sampler.next(), Some(Instant::from_secs(4)));
    assert_eq!((sampler.lateness.missed, sampler.lateness.longest_ms), (3, 250));
}
