//! The agent's TSL2591 driver: against the model's registers over all its settings and lights, and against a bus that lies.
#![expect(clippy::panic, reason = "a test fails by a panic")]

use std::cell::Cell;
use std::rc::Rc;

use dunlin_agent::platform::{ClearBus, I2cMaster, I2cPins};
use dunlin_agent::sensor::{Facts, Health, Progress, Readings, Sensor};
use dunlin_config_format::config::{self, List, OptionValue};
use dunlin_config_format::driver::{Driver, tsl2591 as option};
use dunlin_twin::devices::i2c::Wiring;
use dunlin_twin::devices::tsl2591::{Part, Tsl2591};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::environment::{DAYLIGHT_INFRARED_SHARE, irradiance};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use proptest::prelude::*;

const PINS: I2cPins = I2cPins { sda: 4, scl: 5, frequency_hz: 100_000 };
const GAINS: [(u32, f64); 4] = [
    (option::GAIN_LOW, 1.0),
    (option::GAIN_MEDIUM, 25.0),
    (option::GAIN_HIGH, 428.0),
    (option::GAIN_MAX, 9876.0),
];

fn facts() -> Facts {
    Facts::default()
}

fn with_settings<T>(gain: u32, integration_ms: u32, work: impl FnOnce(&config::Sensor<'_>) -> T) -> T {
    let options = [
        OptionValue { key: option::GAIN, value: gain },
        OptionValue { key: option::INTEGRATION_MS, value: integration_ms },
    ];
    work(&config::Sensor {
        id: "light",
        label: None,
        driver: Driver::Tsl2591,
        bus: Some(0),
        address: None,
        period_ms: 10_000,
        options: List::new(&options),
        readings: List::default(),
    })
}

/// A chip in some light, and the driver that reads it.
struct Bench {
    clock: Clock,
    wiring: Wiring,
    light_lx: Rc<Cell<f64>>,
    sensor: Sensor,
}

impl Bench {
    fn new(light_lx: f64) -> Self {
        let (clock, wiring) = (Clock::virtual_time(), Wiring::new());
        let light = Rc::new(Cell::new(light_lx));
        let seen = Rc::clone(&light);
        let chip = Tsl2591::new(Part::default(), move |_| irradiance(seen.get(), DAYLIGHT_INFRARED_SHARE));
        wiring.with_bus(4, 5, |bus| bus.attach(Box::new(chip), clock.now()));
        Bench { clock, wiring, light_lx: light, sensor: Sensor::new(Driver::Tsl2591) }
    }

    fn sample(&mut self, settings: &config::Sensor<'_>) -> Result<Readings, Health> {
        for _ in 0..20 {
            let mut master = self.wiring.master(self.clock.clone());
            let now = self.clock.now();
            match self.sensor.step(settings, Some(master.bus(PINS)), &facts, now) {
                Progress::Wait(at) => self.clock.wait_until(at),
                Progress::Done(readings) => return Ok(readings),
                Progress::Failed(health) => return Err(health),
            }
        }
        panic!("a sample does not end");
    }
}

#[test]
fn every_gain_and_time_gives_the_worlds_light_or_says_that_it_is_too_much() {
    let (mut compared, mut saturated) = (0, 0);
    for (gain, factor) in GAINS {
        for integration_ms in (100..=600).step_by(100) {
            for exponent in -12..=20 {
                let lux = 88_000_f64.min(10_f64.powf(f64::from(exponent) / 4.0));
                let mut bench = Bench::new(lux);
                match with_settings(gain, integration_ms, |settings| bench.sample(settings)) {
                    Ok(readings) => {
                        let (shown, full) = (f64::from(readings[0]), f64::from(readings[1]));
                        assert!(shown.is_finite() && shown >= 0.0);
                        assert_eq!(f64::from(readings[3]), factor);
                        // One count must be less than a third of a percent of the difference of the channels.
                        if full - f64::from(readings[2]) >= 600.0 {
                            compared += 1;
                            let at = format!("{lux} lx at {factor}, {integration_ms} ms: {shown} lx");
                            assert!((shown / lux - 1.0).abs() < 0.01, "{at}");
                        }
                    }
                    Err(health) => {
                        assert_eq!(health, Health::Saturated);
                        saturated += 1;
                        let counts = lux * factor * f64::from(integration_ms) / 408.0;
                        assert!(counts > 15_000.0, "{lux} lx at {factor} are not too much");
                    }
                }
            }
        }
    }
    assert!(compared > 150 && saturated > 200, "{compared} compared, {saturated} saturated");
}

#[test]
fn automatic_gain_finds_its_way_from_dark_to_full_sun_and_back() {
    with_settings(option::GAIN_AUTO, 100, |settings| {
        let mut bench = Bench::new(0.0);
        assert_eq!(bench.sample(settings).map(|readings| readings[0]), Ok(0.0), "dark is 0 lx");
        let up: Vec<f64> =
            (0..=24).map(|step| 0.5 * 1.64_f64.powi(step)).filter(|lux| *lux < 60_000.0).collect();
        for lux in up.iter().chain(up.iter().rev()) {
            bench.light_lx.set(*lux);
            // The gain follows behind the light: the first sample after a change may be repeated or coarse.
            bench.sample(settings).unwrap();
            let shown = f64::from(bench.sample(settings).unwrap()[0]);
            assert!((shown / lux - 1.0).abs() < 0.01, "{shown} lx shown, {lux} lx there");
        }
        bench.light_lx.set(2_000_000.0);
        assert_eq!(bench.sample(settings), Err(Health::Saturated), "never 0 lx");
        bench.light_lx.set(300.0);
        let shown = f64::from(bench.sample(settings).unwrap()[0]);
        assert!((shown / 300.0 - 1.0).abs() < 0.01, "{shown}");
    });
}

#[test]
fn a_sudden_light_is_measured_at_the_lowest_gain_at_once() {
    with_settings(option::GAIN_AUTO, 100, |settings| {
        let mut bench = Bench::new(0.1);
        for _ in 0..3 {
            bench.sample(settings).unwrap();
        }
        bench.light_lx.set(20_000.0);
        let shown = f64::from(bench.sample(settings).unwrap()[0]);
        assert!((shown / 20_000.0 - 1.0).abs() < 0.01, "{shown}");
    });
}

#[test]
fn a_sample_takes_five_transactions_and_needs_nothing_that_the_chip_may_forget() {
    with_settings(option::GAIN_HIGH, 200, |settings| {
        let mut bench = Bench::new(30.0);
        let clock = bench.clock.clone();
        // A converter that an earlier start has left running, at another gain and for another time.
        bench.wiring.with_bus(4, 5, |bus| bus.keep_log(100));
        let mut master = bench.wiring.master(clock.clone());
        for written in [[0xa0, 0x03], [0xa1, 0x35]] {
            master.bus(PINS).write(0x29, &written).unwrap();
        }
        clock.block_for(Duration::from_millis(350));
        let taken = |bench: &mut Bench| {
            bench.wiring.with_bus(4, 5, |bus| bus.take_log());
            let shown = f64::from(bench.sample(settings).unwrap()[0]);
            assert!((shown / 30.0 - 1.0).abs() < 0.01, "{shown}");
            bench.wiring.with_bus(4, 5, |bus| bus.take_log().len())
        };
        assert_eq!(taken(&mut bench), 7, "once, the chip is identified and its converter stopped");
        assert_eq!(taken(&mut bench), 5);
        // The chip has its defaults again, in its sleep, and the driver does not know.
        let now = bench.clock.now();
        bench.wiring.with_bus(4, 5, |bus| bus.power_cycle(now));
        assert_eq!(taken(&mut bench), 5);
    });
}

/// What a bus may answer.
#[derive(Clone, Debug)]
enum Answer {
    Bytes(Vec<u8>),
    Fault(ErrorKind),
}

/// A bus that answers anything.
struct Hostile<'a> {
    answers: &'a [Answer],
    next: &'a Cell<usize>,
    clears: bool,
}

impl ErrorType for Hostile<'_> {
    type Error = ErrorKind;
}

impl I2c for Hostile<'_> {
    fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let at = self.next.replace(self.next.get() + 1);
        match &self.answers[at % self.answers.len()] {
            Answer::Fault(kind) => Err(*kind),
            Answer::Bytes(bytes) => {
                let mut bytes = bytes.iter().cycle();
                for operation in operations {
                    if let Operation::Read(buffer) = operation {
                        buffer.fill_with(|| bytes.next().copied().unwrap_or(0xff));
                    }
                }
                Ok(())
            }
        }
    }
}

impl ClearBus for Hostile<'_> {
    fn clear_bus(&mut self) -> bool {
        self.clears
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let kinds = prop_oneof![
        Just(ErrorKind::Bus),
        Just(ErrorKind::Overrun),
        Just(ErrorKind::Other),
        Just(ErrorKind::ArbitrationLoss),
        Just(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)),
        Just(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)),
        Just(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)),
    ];
    prop_oneof![
        1 => kinds.prop_map(Answer::Fault),
        2 => prop::collection::vec(any::<u8>(), 0..5).prop_map(Answer::Bytes),
        // What lets the driver go on: its identifier, and a conversion that is complete.
        3 => prop_oneof![Just(0x50), Just(0x01), Just(0xff)].prop_map(|byte| Answer::Bytes(vec![byte])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_bus_that_lies_gives_no_value_that_cannot_be_and_harms_nothing(
        answers in prop::collection::vec(answer(), 1..40),
        gain in 0_u32..5,
        time in 1_u32..=6,
        clears: bool,
    ) {
        with_settings(gain, 100 * time, |settings| {
            let mut bench = Bench::new(300.0);
            let next = Cell::new(0);
            let mut now = Instant::from_secs(1);
            for _ in 0..60 {
                let bus = Hostile { answers: &answers, next: &next, clears };
                match bench.sensor.step(settings, Some(bus), &facts, now) {
                    Progress::Wait(at) => {
                        assert!(at > now && at - now < Duration::from_secs(1));
                        now = at;
                    }
                    Progress::Done(readings) => {
                        let known = &readings[..4];
                        assert!(known.iter().all(|value| value.is_finite() && *value >= 0.0), "{readings:?}");
                        assert!(readings[1] <= 65_535.0 && readings[2] <= 65_535.0);
                    }
                    Progress::Failed(health) => assert_ne!(health, Health::Ok),
                }
            }
            // The bus is good again.
            bench.clock.wait_until(now);
            let good = (0..4).filter_map(|_| bench.sample(settings).ok()).last();
            if gain == option::GAIN_AUTO || gain == option::GAIN_LOW {
                let shown = f64::from(good.unwrap()[0]);
                assert!((shown / 300.0 - 1.0).abs() < 0.05, "{shown} lx");
            }
        });
    }
}
