//! The two integrating converters of the TSL2591: from irradiance and time to counts.

use super::registers::Registers;
use crate::world::environment::Irradiance;
use embassy_time::{Duration, Instant};
use rand_core::{Rng, SeedableRng};
use rand_pcg::Pcg32;

/// Most counts of one step of 100 ms: the analog front end saturates (data sheet, ALS characteristics: maximum ADC count
/// 36,863 at ATIME = 000b, 65,535 at all others).
const STEP_MAX: f64 = 36_863.0;

/// Most counts of a cycle.
const CYCLE_MAX: f64 = 65_535.0;

/// Index of the gain at which the data sheet states the responsivity (AGAIN = High).
const SPECIFIED_GAIN: usize = 2;

/// What differs from part to part. The default is a typical one.
#[derive(Clone, Debug)]
pub struct Part {
    /// Counts per µW/cm² of white light, for channels 0 and 1, at AGAIN = High and ATIME = 100 ms
    /// (data sheet, irradiance responsivity: 264.1 and 34.9).
    pub white: [f64; 2],
    /// The same for infrared light of 850 nm (257.5 and 154.1).
    pub infrared: [f64; 2],
    /// Gain factors of each channel, from low to maximum.
    ///
    /// The default is 1, 25, 428 and 9,876, with which every public driver reckons. The first issue of the data sheet
    /// gives 24.5, 400 and 9,200 (channel 0) or 9,900 (channel 1) as typical, with a spread of about 10 % from part to
    /// part: set these to see by how much a driver is off on such a part.
    pub gains: [[f64; 4]; 2],
    /// Length of a step of nominally 100 ms (95 to 108 ms, 101 ms typical). Must not be zero; the counts of a step do not
    /// depend on it.
    pub step: Duration,
    /// Noise from this seed; `None` for none. Its standard deviation is 1 count at 1,315 counts (*choice of this model*)
    /// and grows with the root of the counts, as shot noise does: 0.1 % of the light at 284 lx and medium gain.
    pub noise: Option<u64>,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            white: [264.1, 34.9],
            infrared: [257.5, 154.1],
            gains: [[1.0, 25.0, 428.0, 9_876.0]; 2],
            step: Duration::from_millis(101),
            noise: None,
        }
    }
}

/// The state of the converters.
pub(super) struct Adc {
    part: Part,
    /// `Some` while integration cycles run.
    cycle: Option<Cycle>,
    /// The latest time seen.
    now: Instant,
    /// Cycles ended since the model was made; seeds each cycle's noise, so that skipped cycles need not be computed.
    cycle_count: u64,
}

/// An integration cycle under way.
struct Cycle {
    step_start: Instant,
    /// From here on the current step is not integrated yet.
    piece_start: Instant,
    /// The gain since `piece_start`.
    gain_index: usize,
    /// Counts of the current step up to `piece_start`.
    step_counts: [f64; 2],
    /// Steps ended, and their counts.
    steps: u8,
    counts: [f64; 2],
}

impl Cycle {
    fn begin(at: Instant, registers: &Registers) -> Self {
        Cycle {
            step_start: at,
            piece_start: at,
            gain_index: registers.gain_index(),
            step_counts: [0.0; 2],
            steps: 0,
            counts: [0.0; 2],
        }
    }
}

impl Adc {
    pub(super) fn new(mut part: Part) -> Self {
        part.step = part.step.max(Duration::from_millis(1));
        Self { part, cycle: None, now: Instant::MIN, cycle_count: 0 }
    }

    pub(super) fn power_on(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.cycle = None;
    }

    /// ENABLE was written, or sleep ended: integration starts or stops if that says so. Call after [`advance`](Self::advance).
    pub(super) fn enable_changed(&mut self, now: Instant, registers: &Registers) {
        match (registers.integrating(), &self.cycle) {
            (true, None) => self.cycle = Some(Cycle::begin(now, registers)),
            (false, Some(_)) => self.cycle = None,
            _ => {}
        }
    }

    /// Integrates up to `now`. Called before every access, so that a changed CONTROL holds from the last call on.
    #[inline]
    pub(super) fn advance(
        &mut self,
        now: Instant,
        registers: &mut Registers,
        light: &mut dyn FnMut(Instant) -> Irradiance,
    ) {
        let now = now.max(self.now);
        let is_between = |cycle: &Cycle| {
            cycle.step_start + self.part.step > now && cycle.gain_index == registers.gain_index()
        };
        // A bus asks with every byte, most often when nothing has changed.
        if self.cycle.as_ref().is_none_or(is_between) {
            self.now = now;
        } else {
            self.convert(now, registers, light);
        }
    }

    #[inline(never)]
    fn convert(
        &mut self,
        now: Instant,
        registers: &mut Registers,
        light: &mut dyn FnMut(Instant) -> Irradiance,
    ) {
        let Some(mut cycle) = self.cycle.take() else { return };
        if cycle.gain_index != registers.gain_index() {
            self.integrate(&mut cycle, self.now, light);
            cycle.gain_index = registers.gain_index();
        }
        self.now = now;
        loop {
            let step_end = cycle.step_start + self.part.step;
            if step_end > now {
                break;
            }
            self.integrate(&mut cycle, step_end, light);
            for (sum, step) in cycle.counts.iter_mut().zip(&mut cycle.step_counts) {
                *sum += step.min(STEP_MAX);
                *step = 0.0;
            }
            cycle.steps += 1;
            cycle.step_start = step_end;
            // Choice of this model: a changed ATIME holds for the cycle under way, from the end of its step on.
            if cycle.steps >= registers.steps() {
                registers.cycle_ended(self.quantize(cycle.counts));
                self.cycle_count += 1;
                if !registers.integrating() {
                    return;
                }
                let next = step_end + self.skipped(step_end, now, registers);
                cycle = Cycle::begin(next, registers);
            }
        }
        self.cycle = Some(cycle);
    }

    /// Returns the time of the whole cycles between `from` and `now` that nobody can ever notice: all but the last one,
    /// once both interrupts are set. A node that leaves the converter running for a simulated year costs nothing.
    fn skipped(&mut self, from: Instant, now: Instant, registers: &Registers) -> Duration {
        let cycle_us = self.part.step.as_micros() * u64::from(registers.steps());
        let whole = now.saturating_duration_since(from).as_micros() / cycle_us;
        if whole < 2 || !registers.interrupts_settled() {
            return Duration::from_ticks(0);
        }
        self.cycle_count += whole - 1;
        Duration::from_micros((whole - 1) * cycle_us)
    }

    /// Adds the light from `cycle.piece_start` to `end`, taken at its middle.
    fn integrate(&self, cycle: &mut Cycle, end: Instant, light: &mut dyn FnMut(Instant) -> Irradiance) {
        let length = end.saturating_duration_since(cycle.piece_start);
        let share = length.as_micros() as f64 / self.part.step.as_micros() as f64;
        if share > 0.0 {
            let irradiance = light(cycle.piece_start + length / 2);
            for (channel, counts) in cycle.step_counts.iter_mut().enumerate() {
                let response = irradiance.white_uw_per_cm2 * self.part.white[channel]
                    + irradiance.infrared_uw_per_cm2 * self.part.infrared[channel];
                let gains = &self.part.gains[channel];
                *counts += share * response * gains[cycle.gain_index] / gains[SPECIFIED_GAIN];
            }
        }
        cycle.piece_start = end.max(cycle.piece_start);
    }

    fn quantize(&self, counts: [f64; 2]) -> [u16; 2] {
        let mut noise =
            self.part.noise.map(|seed| Pcg32::seed_from_u64(seed ^ self.cycle_count.rotate_left(32)));
        counts.map(|count| {
            let noise =
                noise.as_mut().map_or(0.0, |random| normal(random) * (count.max(0.0) / 1315.0).sqrt());
            // A cast to an integer saturates, and takes what is not a number as 0.
            (count + noise).round().clamp(0.0, CYCLE_MAX) as u16
        })
    }
}

/// Returns a number of about normal distribution, mean 0 and standard deviation 1 (the sum of twelve uniform ones,
/// Irwin–Hall).
fn normal(random: &mut impl Rng) -> f64 {
    (0..12).map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
}
