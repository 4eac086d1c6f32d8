//! ams TSL2591, ambient light. Document: TSL2591 data sheet DS000338.
//!
//! Each sample is an integration of its own: it starts when the converter is enabled, so that no old count is ever read, and
//! the chip rests in between.
//!
//! The data sheet gives no formula for illuminance. The one used here is Adafruit's (`Adafruit_TSL2591.cpp`,
//! `calculateLux`), from which ThingFlow's and ESPHome's derive:
//! lux = (CH0 − CH1) · (1 − CH1 / CH0) / CPL, with CPL = integration time in ms · gain / 408.

use dunlin_config_format::config;
use dunlin_config_format::driver::tsl2591 as option;
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::I2c;

use super::{Health, NO_READINGS, Progress, Readings, Registers};
use crate::platform::ClearBus;

/// Command register: a normal access (data sheet, "Command Register").
const COMMAND: u8 = 0xa0;
const ENABLE: u8 = COMMAND;
const CONTROL: u8 = COMMAND | 0x01;
const ID: u8 = COMMAND | 0x12;
const STATUS: u8 = COMMAND | 0x13;
const CHANNEL_0_LOW: u8 = COMMAND | 0x14;
/// Value of the ID register.
const DEVICE_ID: u8 = 0x50;
/// ENABLE: power on.
const POWER_ON: u8 = 0x01;
/// ENABLE: power on and ambient light sensing.
const SENSING: u8 = 0x03;
/// STATUS: the channels have completed an integration since sensing was enabled.
const VALID: u8 = 0x01;
/// The gains, by the value of the option (data sheet, "Operating Characteristics", typical).
const GAINS: [(u32, f32); 4] = [
    (option::GAIN_LOW, 1.0),
    (option::GAIN_MEDIUM, 25.0),
    (option::GAIN_HIGH, 428.0),
    (option::GAIN_MAX, 9876.0),
];
/// Count of a saturated channel at 100 ms (data sheet, "Full scale ADC count"); longer times count to 65,535.
const FULL_SCALE_100_MS: u16 = 36_863;
/// Part of the full scale that automatic gain aims below: light may grow until the next sample.
const HEADROOM: f32 = 0.6;
/// Counts per lux at 1 ms and gain 1 are 1 / 408 (Adafruit's LUX_DF).
const LUX_FACTOR: f32 = 408.0;
/// Counts by which noise may part two channels that see nothing.
const DARK_NOISE: u16 = 4;
/// Time between two looks at the status when a conversion takes longer than it may.
const PATIENCE: Duration = Duration::from_millis(4);
/// Looks at the status after which the conversion is given up.
const LOOKS: u8 = 10;

/// The state of the driver between two steps.
#[derive(Clone, Copy, Debug)]
pub struct Tsl2591 {
    phase: Phase,
    /// Whether the chip was identified and has kept its power since.
    is_known: bool,
    /// Index into [`GAINS`] of the gain of this or the next integration.
    gain: u8,
    /// Whether this sample was repeated because the first integration saturated.
    is_repeated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Integrating { looks: u8 },
}

impl Tsl2591 {
    /// Returns the state of a chip that has not been spoken to.
    pub(super) const fn new() -> Self {
        // Medium gain: usable from 0.02 to 4,000 lx, so the first sample is rarely repeated.
        Tsl2591 { phase: Phase::Idle, is_known: false, gain: 1, is_repeated: false }
    }

    /// Goes on with a sample.
    pub(super) fn step<B: I2c + ClearBus>(
        &mut self,
        settings: &config::Sensor<'_>,
        registers: &mut Registers<B>,
        now: Instant,
    ) -> Progress {
        let result = match self.phase {
            Phase::Idle => {
                self.is_repeated = false;
                self.start(settings, registers, now)
            }
            Phase::Integrating { looks } => self.look(settings, registers, now, looks),
        };
        result.unwrap_or_else(|health| {
            // Whatever happened to the chip, the next sample starts from the beginning.
            self.phase = Phase::Idle;
            self.is_known &= health == Health::Saturated;
            Progress::Failed(health)
        })
    }

    /// Starts an integration.
    fn start<B: I2c + ClearBus>(
        &mut self,
        settings: &config::Sensor<'_>,
        registers: &mut Registers<B>,
        now: Instant,
    ) -> Result<Progress, Health> {
        if !self.is_known {
            let mut id = [0];
            registers.read(ID, &mut id)?;
            if id != [DEVICE_ID] {
                return Err(Health::Absent);
            }
            // An earlier start may have left the converter running.
            registers.write(&[ENABLE, POWER_ON])?;
            self.is_known = true;
        }
        let gain = settings.option(option::GAIN);
        if let Some(index) = GAINS.iter().position(|&(value, _)| value == gain) {
            self.gain = index as u8;
        }
        let time = integration_ms(settings) / 100 - 1;
        // Gain and time are changed while the converter is off, so that they hold for the whole integration. A known chip has been
        // left so; one that has lost its power sleeps, and takes both as well.
        registers.write(&[CONTROL, self.gain << 4 | time as u8])?;
        registers.write(&[ENABLE, SENSING])?;
        self.phase = Phase::Integrating { looks: 0 };
        Ok(Progress::Wait(now + Duration::from_millis((integration_ms(settings) * 108 / 100 + 4).into())))
    }

    /// Looks whether the integration is complete, and reads it.
    fn look<B: I2c + ClearBus>(
        &mut self,
        settings: &config::Sensor<'_>,
        registers: &mut Registers<B>,
        now: Instant,
        looks: u8,
    ) -> Result<Progress, Health> {
        let mut status = [0];
        registers.read(STATUS, &mut status)?;
        let [status] = status;
        if status & VALID == 0 {
            if looks >= LOOKS {
                return Err(Health::Stale);
            }
            self.phase = Phase::Integrating { looks: looks + 1 };
            return Ok(Progress::Wait(now + PATIENCE));
        }
        let mut channels = [0; 4];
        registers.read(CHANNEL_0_LOW, &mut channels)?;
        registers.write(&[ENABLE, POWER_ON])?;
        self.phase = Phase::Idle;
        let [low_0, high_0, low_1, high_1] = channels;
        let (full, infrared) = (u16::from_le_bytes([low_0, high_0]), u16::from_le_bytes([low_1, high_1]));
        let is_auto = settings.option(option::GAIN) == option::GAIN_AUTO;
        let full_scale = full_scale(settings);
        if full >= full_scale || infrared >= full_scale {
            if is_auto && self.gain > 0 && !self.is_repeated {
                (self.gain, self.is_repeated) = (0, true);
                return self.start(settings, registers, now);
            }
            return Err(Health::Saturated);
        }
        let gain = self.gain_factor();
        let readings = readings(full, infrared, integration_ms(settings), gain)?;
        if is_auto {
            let light = f32::from(full.max(infrared)) / gain;
            let fits = |&(_, gain): &(u32, f32)| light * gain < HEADROOM * f32::from(full_scale);
            self.gain = GAINS.iter().rposition(fits).unwrap_or(0) as u8;
        }
        Ok(Progress::Done(readings))
    }

    fn gain_factor(&self) -> f32 {
        GAINS.get(usize::from(self.gain)).map_or(1.0, |&(_, factor)| factor)
    }
}

fn integration_ms(settings: &config::Sensor<'_>) -> u32 {
    settings.option(option::INTEGRATION_MS).clamp(100, 600)
}

fn full_scale(settings: &config::Sensor<'_>) -> u16 {
    if integration_ms(settings) == 100 { FULL_SCALE_100_MS } else { u16::MAX }
}

/// Returns the readings of two channels.
fn readings(full: u16, infrared: u16, integration_ms: u32, gain: f32) -> Result<Readings, Health> {
    let (channel_0, channel_1) = (f32::from(full), f32::from(infrared));
    // Channel 0 sees everything that channel 1 sees; in the dark noise may make it look otherwise.
    if infrared > full.saturating_add(DARK_NOISE) {
        return Err(Health::Range);
    }
    let counts_per_lux = integration_ms as f32 * gain / LUX_FACTOR;
    // In the dark both channels count 0, and the ratio means nothing.
    let illuminance = if full <= infrared {
        0.0
    } else {
        (channel_0 - channel_1) * (1.0 - channel_1 / channel_0) / counts_per_lux
    };
    let mut readings = NO_READINGS;
    let numbers = [
        (option::ILLUMINANCE, illuminance),
        (option::FULL_SPECTRUM, channel_0),
        (option::INFRARED, channel_1),
        (option::GAIN_USED, gain),
    ];
    for (number, value) in numbers {
        if let Some(reading) = readings.get_mut(usize::from(number)) {
            *reading = value;
        }
    }
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn darkness_is_zero_and_not_a_fault() {
        assert_eq!(readings(0, 0, 100, 9876.0).map(|readings| readings[0]), Ok(0.0));
    }

    #[test]
    fn the_formula_is_adafruits() {
        // Adafruit_TSL2591, calculateLux: 100 ms, medium gain, CH0 = 1000, CH1 = 300:
        // CPL = 100 · 25 / 408 = 6.12745; (1000 − 300) · (1 − 0.3) / CPL = 79.968.
        let lux = readings(1000, 300, 100, 25.0).map(|readings| readings[0]);
        assert!(lux.is_ok_and(|lux| (lux - 79.968).abs() < 0.001), "{lux:?}");
    }

    #[test]
    fn more_infrared_than_light_cannot_be() {
        assert_eq!(readings(10, 15, 100, 1.0), Err(Health::Range));
        assert_eq!(readings(10, 14, 100, 1.0).map(|readings| readings[0]), Ok(0.0));
    }
}
