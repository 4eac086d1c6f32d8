//! From illuminance to irradiance: the light source of the simulated world.
//!
//! Illuminance (lux) is what people see; a photodiode counts irradiance (µW/cm²). What links the two is the spectrum of
//! the source. The world's spectrum has two parts, those for which sensors' data sheets state a response: *white* light
//! and *infrared* light of 850 nm. Two numbers describe the reference source, daylight:
//!
//! * [`WHITE_EFFICACY`]: lumens per watt of the white part.
//! * [`DAYLIGHT_INFRARED_SHARE`]: the infrared part of the whole irradiance.
//!
//! # Where the numbers come from
//! They are calibrated once, against the published formula for the TSL2591, and say so here. Two formulas circulate, and
//! the data sheet has none:
//!
//! * lux = (C0 − C1) · (1 − C1/C0) / CPL (Adafruit's Arduino library, Linux, ESPHome);
//! * lux = max(C0 − 1.64 · C1, 0.59 · C0 − 0.86 · C1) / CPL (Adafruit's Python library);
//!
//! each with CPL = integration time in ms · gain / 408. They agree for exactly one source that has infrared light at all:
//! (1 − r)² = 1 − 1.64 r gives r = C1/C0 = 0.36. With the data sheet's responsivity (264.1 and 34.9 counts per µW/cm² of
//! white light, 257.5 and 154.1 of 850 nm, at gain 428 and 100 ms) the irradiance has that ratio when its infrared part
//! is 0.98007 of its white part, a share of 0.495; and then both formulas are right if white light carries 201.7 lm/W.
//!
//! The result is a fair description of daylight, although nothing forced it to be: about half of the sun's irradiance is
//! infrared, and 102 lumens per watt of the whole lie between direct sun (93 lm/W for a black body of 5,800 K) and a
//! clear sky's usual 105 to 130.
//!
//! For any other share the white part keeps its efficacy, and a driver's formula is off as it would be under another
//! lamp: with no infrared at all the first formula shows 6 % too little and the second 2 %.

/// Lumens per watt of the white part of the irradiance; see the module's documentation.
const WHITE_EFFICACY: f64 = 201.6595;

/// The infrared share of the reference source, daylight.
pub const DAYLIGHT_INFRARED_SHARE: f64 = 0.494_966;

/// Irradiance on a sensor, in µW/cm².
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Irradiance {
    /// White light.
    pub white_uw_per_cm2: f64,
    /// Infrared light of 850 nm.
    pub infrared_uw_per_cm2: f64,
}

/// Returns the irradiance of a source of this illuminance in lux (at least 0) and this infrared share (0 to 1; a share of
/// 1 has no visible light, and no illuminance to scale by: it is taken as 0.99).
pub fn irradiance(illuminance_lx: f64, infrared_share: f64) -> Irradiance {
    // 1 µW/cm² is 0.01 W/m².
    let white = illuminance_lx / (WHITE_EFFICACY * 0.01);
    let share = infrared_share.clamp(0.0, 0.99);
    Irradiance { white_uw_per_cm2: white, infrared_uw_per_cm2: white * share / (1.0 - share) }
}
