//! What a sensor can measure in the world, at any moment.
//!
//! An [`Environment`] is data. It can be asked for every [`Instant`], in any order, and answers the same each time; time
//! counts from the start of the world. It knows nothing of sensors: a board asks it on behalf of a chip model.
//!
//! The next quantity (temperature, humidity, …) joins here as a field of [`Environment`], with its column name for
//! [`Replay`].

mod course;
mod light;
mod replay;

pub use course::{Course, Day, InvalidCourse, Noise, Quantity, Step};
pub use light::{DAYLIGHT_INFRARED_SHARE, Irradiance, irradiance};
pub use replay::{Replay, ReplayError};

use embassy_time::{Duration, Instant};

/// The column of a replayed file that holds illuminance in lux.
pub const ILLUMINANCE_COLUMN: &str = "illuminance";

/// Everything around a node that its sensors can measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// Illuminance in lux; never negative.
    pub illuminance: Quantity,
    /// The infrared part of the irradiance, 0 to 1; [`DAYLIGHT_INFRARED_SHARE`] is the reference.
    pub infrared_share: f64,
}

impl Environment {
    /// Returns a world of constant daylight, in lux.
    pub fn constant(illuminance_lx: f64) -> Self {
        Self {
            illuminance: Quantity { course: Course::Constant(illuminance_lx), noise: None },
            infrared_share: DAYLIGHT_INFRARED_SHARE,
        }
    }

    /// Returns the world in which `simulate` runs unless told otherwise: a room by a window at 284 lx, over which thin
    /// clouds pass: about ±4 % within half a minute.
    pub fn room(seed: u64) -> Self {
        Self {
            illuminance: Quantity {
                course: Course::Constant(284.1312),
                noise: Some(Noise { deviation: 0.02, period: Duration::from_secs(12), seed }),
            },
            infrared_share: DAYLIGHT_INFRARED_SHARE,
        }
    }

    /// Returns the illuminance in lux; this is what a perfect sensor would show.
    pub fn illuminance_lx(&self, at: Instant) -> f64 {
        self.illuminance.at(at).max(0.0)
    }

    /// Returns the irradiance that falls on a sensor.
    pub fn irradiance(&self, at: Instant) -> Irradiance {
        irradiance(self.illuminance_lx(at), self.infrared_share)
    }

    /// Checks every range; a world that passes can be asked for any moment.
    ///
    /// # Errors
    /// The first course that cannot be followed.
    pub fn validate(&self) -> Result<(), InvalidCourse> {
        if !(0.0..=1.0).contains(&self.infrared_share) {
            return Err(InvalidCourse::InfraredShare);
        }
        self.illuminance.validate()
    }
}
