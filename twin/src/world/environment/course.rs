//! One quantity over time: its course, and the noise on it.

use super::Replay;
use core::f64::consts::PI;
use core::fmt;
use embassy_time::{Duration, Instant};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

const DAY_US: u64 = 86_400_000_000;

/// A quantity over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// The course without noise.
    pub course: Course,
    /// Noise on it.
    pub noise: Option<Noise>,
}

/// How a quantity changes. Time counts from the start of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// Always the same.
    Constant(f64),
    /// From each step's time on its value; before the first one the value of the first.
    Steps(Vec<Step>),
    /// Sunrise to sunset, every day.
    Day(Day),
    /// Recorded values.
    Replay(Replay),
}

/// A value from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When it begins.
    pub from: Duration,
    /// The value.
    pub value: f64,
}

/// A day's curve.
///
/// Between sunrise and sunset the value rises from `night` to `noon` and falls back as the irradiance of a clear sky does:
/// s · exp(−0.057 / s) with s the sine of the sun's elevation (Haurwitz 1945), here sin(π · part of the day), scaled to 1 at
/// noon.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    /// Time of day at which the world starts.
    pub start: Duration,
    /// Time of day of sunrise.
    pub sunrise: Duration,
    /// Time of day of sunset, after sunrise.
    pub sunset: Duration,
    /// Value between sunset and sunrise.
    pub night: f64,
    /// Value half-way between sunrise and sunset.
    pub noon: f64,
}

/// Slow, smooth noise, in proportion to the value.
///
/// Each `period` has a random level of normal distribution, and the noise goes smoothly from level to level. It is a
/// function of seed and time, so that any moment can be asked for in any order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation of the levels, as a part of the value; levels end at three of it. 0 to 0.3.
    pub deviation: f64,
    /// From level to level; at least 1 s, so that the noise stands still within a measurement.
    pub period: Duration,
    /// Equal seeds give equal noise.
    pub seed: u64,
}

/// Why a course cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidCourse {
    /// A value is not a number, or infinite.
    NotFinite,
    /// There are no steps.
    NoSteps,
    /// A step does not come after the one before it.
    StepOrder,
    /// Sunset is not after sunrise, or a time of day is 24 hours or more.
    TimeOfDay,
    /// The deviation of the noise is not in 0 to 0.3.
    Deviation,
    /// The period of the noise is shorter than 1 s.
    Period,
    /// The infrared share is not in 0 to 1.
    InfraredShare,
}

impl fmt::Display for InvalidCourse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidCourse::NotFinite => "a value is not a finite number",
            InvalidCourse::NoSteps => "there are no steps; write at least one",
            InvalidCourse::StepOrder => "steps must come in the order of their times",
            InvalidCourse::TimeOfDay => "sunset must come after sunrise, both before `24h`",
            InvalidCourse::Deviation => "the deviation of the noise must be from `0.0` to `0.3`",
            InvalidCourse::Period => "the period of the noise must be at least `1s`",
            InvalidCourse::InfraredShare => "the infrared share must be from `0.0` to `1.0`",
        })
    }
}

impl core::error::Error for InvalidCourse {}

impl Quantity {
    /// Returns a quantity that never changes.
    pub fn constant(value: f64) -> Self {
        Self { course: Course::Constant(value), noise: None }
    }

    /// Returns the value at this moment.
    pub fn at(&self, at: Instant) -> f64 {
        let value = self.course.at(at);
        self.noise.map_or(value, |noise| value * (1.0 + noise.at(at)))
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self) -> Result<(), InvalidCourse> {
        if let Some(noise) = &self.noise {
            if !(0.0..=0.3).contains(&noise.deviation) {
                return Err(InvalidCourse::Deviation);
            }
            if noise.period < Duration::from_secs(1) {
                return Err(InvalidCourse::Period);
            }
        }
        self.course.validate()
    }
}

impl Course {
    fn at(&self, at: Instant) -> f64 {
        match self {
            Course::Constant(value) => *value,
            Course::Steps(steps) => {
                let after = steps.partition_point(|step| step.from.as_ticks() <= at.as_ticks());
                steps.get(after.saturating_sub(1)).map_or(0.0, |step| step.value)
            }
            Course::Day(day) => day.at(at),
            Course::Replay(replay) => replay.at(at),
        }
    }

    fn validate(&self) -> Result<(), InvalidCourse> {
        let finite = match self {
            Course::Constant(value) => value.is_finite(),
            Course::Steps(steps) => {
                if steps.is_empty() {
                    return Err(InvalidCourse::NoSteps);
                }
                if steps.windows(2).any(|pair| pair[1].from <= pair[0].from) {
                    return Err(InvalidCourse::StepOrder);
                }
                steps.iter().all(|step| step.value.is_finite())
            }
            Course::Day(day) => {
                let in_a_day = |time: Duration| time.as_micros() < DAY_US;
                if day.sunset <= day.sunrise || !in_a_day(day.sunset) || !in_a_day(day.start) {
                    return Err(InvalidCourse::TimeOfDay);
                }
                day.night.is_finite() && day.noon.is_finite()
            }
            Course::Replay(_) => true,
        };
        if finite { Ok(()) } else { Err(InvalidCourse::NotFinite) }
    }
}

impl Day {
    fn at(&self, at: Instant) -> f64 {
        let time_us = at.as_micros().wrapping_add(self.start.as_micros()) % DAY_US;
        let (sunrise, sunset) = (self.sunrise.as_micros(), self.sunset.as_micros());
        if time_us <= sunrise || time_us >= sunset {
            return self.night;
        }
        let part = (time_us - sunrise) as f64 / (sunset - sunrise) as f64;
        let sine = (PI * part).sin();
        let height = if sine > 0.0 { sine * (0.057 - 0.057 / sine).exp() } else { 0.0 };
        self.night + (self.noon - self.night) * height
    }
}

impl Noise {
    fn at(&self, at: Instant) -> f64 {
        let period = self.period.as_micros().max(1);
        let index = at.as_micros() / period;
        let part = (at.as_micros() % period) as f64 / period as f64;
        let smooth = part * part * (3.0 - 2.0 * part);
        self.level(index) * (1.0 - smooth) + self.level(index + 1) * smooth
    }

    fn level(&self, index: u64) -> f64 {
        let mut random = Pcg32::seed_from_u64(self.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // The sum of twelve uniform numbers is about normal, with deviation 1 (Irwin-Hall).
        let sum: f64 = (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum();
        self.deviation * (sum - 6.0).clamp(-3.0, 3.0)
    }
}
