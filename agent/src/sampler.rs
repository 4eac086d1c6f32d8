//! Samples the sensors on time, runs the filters, and makes records of the reports. Plain data, stepped with a time: it
//! neither waits nor knows where its records go.

use core::ops::Range;

use dunlin_config_format::config::{Config, Filter, I2cBus, List, QoS, Report, Sensor as Settings};
use dunlin_config_format::limits::{BUSES, FILTER_WORDS, MEMBERS, REPORTS, SENSORS};
use embassy_time::{Duration, Instant};

use crate::filter;
use crate::platform::{I2cMaster, I2cPins};
use crate::schedule::{Lateness, Schedule};
use crate::sensor::{Facts, Health, NO_READINGS, Progress, Readings, Sensor};

/// What comes out of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Output<'o> {
    /// A sample was good: what the sensor gave, and what the filters of its readings let pass.
    Sample {
        /// Index of the sensor.
        sensor: u8,
        /// What the sensor gave.
        raw: &'o Readings,
        /// What the filters let pass.
        passed: &'o Readings,
    },
    /// A sensor's health changed.
    Health {
        /// Index of the sensor.
        sensor: u8,
        /// Its health now.
        health: Health,
    },
    /// A report has a message; its values in the order of its members.
    Message {
        /// Index of the report.
        report: u8,
        /// Its quality of service.
        qos: QoS,
        /// Counts the messages of the report, from 0.
        seq: u32,
        /// When the values were taken.
        at: Instant,
        /// The values; one that is not a number is missing.
        values: &'o [f32],
    },
    /// The measurement that was asked for.
    Measured(Measured),
}

/// A measurement outside the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Index of the sensor.
    pub sensor: u8,
    /// Its health after the measurement.
    pub health: Health,
    /// What the sensor gave.
    pub raw: Readings,
    /// What the filters of its readings would let pass now.
    pub filtered: Readings,
}

/// A sensor's place in the sampler.
#[derive(Clone, Copy, Debug)]
struct Place {
    state: Sensor,
    schedule: Schedule,
    /// When the sample under way goes on.
    wake_at: Instant,
    /// What it is for; none while the sensor rests.
    purpose: Option<Purpose>,
    /// None until the first sample is done.
    health: Option<Health>,
    /// The newest value of each reading that passed its filters; none while the sensor is faulty.
    newest: Readings,
}

/// What a sample is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Schedule,
    Request,
    Both,
}

impl Place {
    /// A sample is wanted: one begins at `now`, or the one under way serves this purpose, too.
    fn want(&mut self, purpose: Purpose, now: Instant) {
        self.purpose = match self.purpose {
            None => {
                self.wake_at = now;
                Some(purpose)
            }
            Some(before) if before == purpose => Some(purpose),
            Some(_) => Some(Purpose::Both),
        };
    }

    /// Returns when there is something to do.
    fn next(&self) -> Instant {
        if self.purpose.is_some() { self.wake_at } else { self.schedule.next() }
    }
}

/// When the messages of a report are made.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// With each sample.
    Sample,
    /// On a schedule.
    Every {
        /// The newest value that passed the filters of a report of one reading; not a number while there is none.
        newest: f32,
        schedule: Schedule,
    },
}

/// The sampler of one configuration. About 6 KB: 32 sensors, 64 reports, and the memory of the filters.
#[derive(Debug)]
pub struct Sampler {
    places: heapless::Vec<Place, SENSORS>,
    paces: heapless::Vec<Pace, REPORTS>,
    sequence: [u32; REPORTS],
    filters: [u32; FILTER_WORDS],
    /// Where the buses are.
    buses: heapless::Vec<I2cPins, BUSES>,
    /// Samples that failed.
    pub faults: u32,
    /// How late samples were.
    pub lateness: Lateness,
}

impl Sampler {
    /// Returns a sampler whose first samples are due at `start`.
    pub fn new(config: &Config<'_>, start: Instant) -> Self {
        let place = |sensor: Settings<'_>| Place {
            state: Sensor::new(sensor.driver),
            schedule: Schedule::new(start),
            wake_at: start,
            purpose: None,
            health: None,
            newest: NO_READINGS,
        };
        // A message of several sensors waits until each can have been sampled once.
        let settled = |report: &Report<'_>| {
            let conversion = |member: dunlin_config_format::config::Member| {
                let sensor = config.sensors.get(usize::from(member.sensor))?;
                Some(sensor.driver.conversion_ms(|key| sensor.option(key)))
            };
            report.members.iter().filter_map(conversion).max().unwrap_or(0)
        };
        let pace = |report: Report<'_>| {
            if report.every_ms.is_none() {
                return Pace::Sample;
            }
            let first = start + Duration::from_millis(settled(&report).into());
            Pace::Every { newest: f32::NAN, schedule: Schedule::new(first) }
        };
        Sampler {
            places: config.sensors.iter().map(place).collect(),
            paces: config.reports.iter().map(pace).collect(),
            sequence: [0; REPORTS],
            filters: [0; FILTER_WORDS],
            buses: config.i2c.iter().map(pins).collect(),
            faults: 0,
            lateness: Lateness::new(),
        }
    }

    /// Returns when to step next; none where nothing is to be done.
    pub fn next(&self) -> Option<Instant> {
        let sensors = self.places.iter().map(Place::next);
        let reports = self.paces.iter().filter_map(|pace| match pace {
            Pace::Sample => None,
            Pace::Every { schedule, .. } => Some(schedule.next()),
        });
        sensors.chain(reports).min()
    }

    /// Returns whether every sensor has been sampled once.
    pub fn has_sampled_all(&self) -> bool {
        self.places.iter().all(|place| place.health.is_some())
    }

    /// Asks for a measurement outside the schedule. A sample under way serves it too.
    pub fn measure(&mut self, sensor: u8, now: Instant) {
        if let Some(place) = self.places.get_mut(usize::from(sensor)) {
            place.want(Purpose::Request, now);
        }
    }

    /// Does what is due at `now` and tells `sink` what comes out.
    pub fn step(
        &mut self,
        config: &Config<'_>,
        i2c: &mut impl I2cMaster,
        facts: &dyn Fn() -> Facts,
        now: Instant,
        sink: &mut impl FnMut(Output<'_>),
    ) {
        // A sensor and a report are decoded where there is something to do, and not before.
        for index in 0..self.places.len() {
            if self.is_due(index, now)
                && let Some(settings) = config.sensors.get(index)
                && self.begin(index, &settings, now)
            {
                let words_before = config.sensors.iter().take(index).map(|other| sensor_words(&other)).sum();
                self.advance(index, words_before, config, &settings, i2c, facts, sink);
            }
        }
        for index in 0..self.paces.len() {
            let Some(Pace::Every { newest, schedule }) = self.paces.get_mut(index) else { continue };
            if schedule.next() > now {
                continue;
            }
            let Some(report) = config.reports.get(index) else { continue };
            schedule.take(now, Duration::from_millis(report.every_ms.unwrap_or(u32::MAX).into()));
            let newest = *newest;
            match report.members.len() {
                // A report of one reading sends values; there is no message without one.
                1 if newest.is_finite() => self.message(index, report.qos, now, &[newest], sink),
                1 => {}
                _ => self.send(index, &report, now, sink),
            }
        }
    }

    /// Returns whether a sample of the sensor is to begin or to go on at `now`.
    fn is_due(&self, index: usize, now: Instant) -> bool {
        self.places.get(index).is_some_and(|place| place.next().min(place.schedule.next()) <= now)
    }

    /// Starts the sample that is due; returns whether the sensor has something to do at `now`.
    fn begin(&mut self, index: usize, settings: &Settings<'_>, now: Instant) -> bool {
        let Some(place) = self.places.get_mut(index) else { return false };
        if place.schedule.next() <= now {
            let period = Duration::from_millis(settings.period_ms.into());
            let (late, missed) = place.schedule.take(now, period);
            self.lateness.count(late, missed);
            place.want(Purpose::Schedule, now);
        }
        place.purpose.is_some() && place.wake_at <= now
    }

    /// Goes on with the sample under way.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only name the same seven things"
    )]
    fn advance(
        &mut self,
        index: usize,
        words_before: usize,
        config: &Config<'_>,
        settings: &Settings<'_>,
        i2c: &mut impl I2cMaster,
        facts: &dyn Fn() -> Facts,
        sink: &mut impl FnMut(Output<'_>),
    ) {
        let pins = settings.bus.and_then(|bus| self.buses.get(usize::from(bus))).copied();
        let Some(place) = self.places.get_mut(index) else { return };
        // What precedes took its time on the bus: the conversion starts now.
        let now = Instant::now();
        let progress = place.state.step(settings, pins.map(|pins| i2c.bus(pins)), facts, now);
        let result = match progress {
            Progress::Wait(wake_at) => {
                place.wake_at = wake_at;
                return;
            }
            Progress::Done(readings) => Ok(readings),
            Progress::Failed(health) => Err(health),
        };
        let purpose = place.purpose.take();
        let sensor = u8::try_from(index).unwrap_or(u8::MAX);
        if matches!(purpose, Some(Purpose::Request | Purpose::Both)) {
            let raw = result.unwrap_or(NO_READINGS);
            // What the filters would let pass; their state is left as it is.
            let filtered = filtered(settings, words_before, &raw, &mut |chain, words, value| {
                filter::peek(chain, self.filters.get(words).unwrap_or_default(), value, now)
            });
            let health = result.err().unwrap_or(Health::Ok);
            sink(Output::Measured(Measured { sensor, health, raw, filtered }));
        }
        if matches!(purpose, Some(Purpose::Schedule | Purpose::Both)) {
            self.take(index, words_before, config, settings, result, now, sink);
        }
    }

    /// Takes the result of a scheduled sample: health, filters, reports.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site; a struct would only name the same seven things"
    )]
    fn take(
        &mut self,
        index: usize,
        words_before: usize,
        config: &Config<'_>,
        settings: &Settings<'_>,
        result: Result<Readings, Health>,
        now: Instant,
        sink: &mut impl FnMut(Output<'_>),
    ) {
        let sensor = u8::try_from(index).unwrap_or(u8::MAX);
        let words = words_before..words_before + sensor_words(settings);
        let health = result.err().unwrap_or(Health::Ok);
        let Some(place) = self.places.get_mut(index) else { return };
        if place.health != Some(health) {
            place.health = Some(health);
            sink(Output::Health { sensor, health });
        }
        let Ok(raw) = result else {
            self.faults = self.faults.saturating_add(1);
            place.newest = NO_READINGS;
            filter::clear(self.filters.get_mut(words).unwrap_or_default());
            self.clear_reports(config, sensor);
            return;
        };
        let passed = filtered(settings, words_before, &raw, &mut |chain, words, value| {
            filter::step(chain, self.filters.get_mut(words).unwrap_or_default(), value, now)
        });
        for (newest, passed) in place.newest.iter_mut().zip(passed) {
            if passed.is_finite() {
                *newest = passed;
            }
        }
        sink(Output::Sample { sensor, raw: &raw, passed: &passed });
        for (report_index, report) in config.reports.iter().enumerate() {
            let is_of_sensor = report.members.iter().any(|member| member.sensor == sensor);
            if is_of_sensor {
                self.report(report_index, config, &report, &passed, now, sink);
            }
        }
    }

    /// Gives a report the values of a sample. One of one reading runs its filters with each; one that follows the samples
    /// of its sensor makes a message.
    fn report(
        &mut self,
        index: usize,
        config: &Config<'_>,
        report: &Report<'_>,
        passed: &Readings,
        now: Instant,
        sink: &mut impl FnMut(Output<'_>),
    ) {
        let value_of = |reading: u8| passed.get(usize::from(reading)).copied().unwrap_or(f32::NAN);
        if report.members.len() > 1 {
            let any = report.members.iter().any(|member| value_of(member.reading).is_finite());
            if any && report.every_ms.is_none() {
                self.send(index, report, now, sink);
            }
            return;
        }
        let Some(member) = report.members.get(0) else { return };
        let value = value_of(member.reading);
        if !value.is_finite() {
            return;
        }
        let mut value = value;
        if !report.filters.is_empty() {
            let state = self.filters.get_mut(report_words(config, index)).unwrap_or_default();
            let Some(filtered) = filter::step(&report.filters, state, value, now) else { return };
            value = filtered;
        }
        match self.paces.get_mut(index) {
            Some(Pace::Every { newest, .. }) => *newest = value,
            _ => self.message(index, report.qos, now, &[value], sink),
        }
    }

    /// Sends the newest values of the members of a report of several readings.
    fn send(&mut self, index: usize, report: &Report<'_>, now: Instant, sink: &mut impl FnMut(Output<'_>)) {
        let mut values = [f32::NAN; MEMBERS];
        for (value, member) in values.iter_mut().zip(report.members.iter()) {
            let place = self.places.get(usize::from(member.sensor));
            let newest = place.and_then(|place| place.newest.get(usize::from(member.reading)));
            *value = newest.copied().unwrap_or(f32::NAN);
        }
        let values = values.get(..report.members.len()).unwrap_or_default();
        self.message(index, report.qos, now, values, sink);
    }

    fn message(
        &mut self,
        index: usize,
        qos: QoS,
        at: Instant,
        values: &[f32],
        sink: &mut impl FnMut(Output<'_>),
    ) {
        let Some(sequence) = self.sequence.get_mut(index) else { return };
        let seq = *sequence;
        *sequence = sequence.wrapping_add(1);
        sink(Output::Message { report: u8::try_from(index).unwrap_or(u8::MAX), qos, seq, at, values });
    }

    /// Clears the filters of reports that have a reading of `sensor`: the first good value goes out, and no old one.
    fn clear_reports(&mut self, config: &Config<'_>, sensor: u8) {
        for (index, report) in config.reports.iter().enumerate() {
            if report.members.iter().any(|member| member.sensor == sensor) {
                filter::clear(self.filters.get_mut(report_words(config, index)).unwrap_or_default());
                if let Some(Pace::Every { newest, .. }) = self.paces.get_mut(index) {
                    *newest = f32::NAN;
                }
            }
        }
    }
}

fn pins(bus: I2cBus<'_>) -> I2cPins {
    I2cPins { sda: bus.sda, scl: bus.scl, frequency_hz: bus.frequency_hz.0 }
}

/// What lets a value pass through a chain of filters, whose words are there in the arena.
type Pass<'p> = dyn FnMut(&List<'_, Filter>, Range<usize>, f32) -> Option<f32> + 'p;

/// Gives each of a sensor's values to the filters of its reading; their words begin at `words_before`. Returns what passes.
fn filtered(settings: &Settings<'_>, words_before: usize, raw: &Readings, pass: &mut Pass<'_>) -> Readings {
    if settings.readings.is_empty() {
        return raw.map(|value| if value.is_finite() { value } else { f32::NAN });
    }
    let mut passed = NO_READINGS;
    let mut at = words_before;
    for (number, (value, out)) in raw.iter().zip(&mut passed).enumerate() {
        let chain = settings.filters(u8::try_from(number).unwrap_or(u8::MAX));
        let words = at..at + filter::words(&chain);
        at = words.end;
        if value.is_finite() {
            *out = pass(&chain, words, *value).unwrap_or(f32::NAN);
        }
    }
    passed
}

/// The words of the chains of a sensor's readings.
fn sensor_words(settings: &Settings<'_>) -> usize {
    settings.readings.iter().map(|reading| filter::words(&reading.filters)).sum()
}

/// The place of a report's chain in the arena: behind the chains of all sensors and of the reports before it.
fn report_words(config: &Config<'_>, index: usize) -> Range<usize> {
    let of_sensors: usize = config.sensors.iter().map(|sensor| sensor_words(&sensor)).sum();
    let before: usize = config.reports.iter().take(index).map(|report| filter::words(&report.filters)).sum();
    let own = config.reports.get(index).map_or(0, |report| filter::words(&report.filters));
    of_sensors + before..of_sensors + before + own
}
