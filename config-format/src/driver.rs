//! The table of drivers: what a host must know to check a file and to reckon with a budget.
//!
//! The next driver joins here (a variant and its [`DriverInfo`]), in the agent's `sensor` folder (what it does), and in
//! the twin's `devices` folder (what it talks to).

use crate::cbor;

/// A sensor's driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The node itself: uptime, counters, stack.
    #[default]
    Internal,
    /// ams TSL2591, ambient light.
    Tsl2591,
}

cbor::number!(Driver { Internal, Tsl2591 });

/// What is known of a driver before it runs.
#[derive(Debug)]
pub struct DriverInfo {
    /// Name in the user's file.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// What it measures, by number. A number keeps its meaning for ever; new readings are added at the end.
    pub readings: &'static [ReadingInfo],
    /// I2C addresses that the chip can have, the usual one first; empty where the driver has no bus.
    pub addresses: &'static [u8],
    /// Addresses at which the chip answers beside its own, to no use.
    pub companions: &'static [u8],
    /// Options, by key.
    pub options: &'static [OptionInfo],
    /// Bytes on the bus for one sample, addresses included, at most.
    pub bus_bytes: u32,
    /// Memory of one sensor with this driver, in bytes; the agent asserts it at compile time.
    pub memory_size: usize,
}

/// A quantity that a driver measures.
#[derive(Debug)]
pub struct ReadingInfo {
    /// Name in the user's file, in topics and in messages.
    pub name: &'static str,
    /// Unit (as Home Assistant writes it); empty for a bare number.
    pub unit: &'static str,
    /// Smallest and largest value that the driver gives.
    pub range: (f32, f32),
    /// Whether a sensor reports it unless the file says otherwise.
    pub primary: bool,
}

/// An option of a driver.
#[derive(Debug)]
pub struct OptionInfo {
    /// Key in the body; keeps its meaning for ever.
    pub key: u8,
    /// Name in the user's file.
    pub name: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// Value unless the file says otherwise.
    pub default: u32,
    /// What a file may say.
    pub values: OptionValues,
}

/// What an option may be.
#[derive(Debug)]
pub enum OptionValues {
    /// One of these names, each with its value.
    Names(&'static [(&'static str, u32)]),
    /// A duration in milliseconds, from the first to the second in steps of the third.
    Duration {
        /// Shortest, in milliseconds.
        min_ms: u32,
        /// Longest, in milliseconds.
        max_ms: u32,
        /// Step, in milliseconds.
        step_ms: u32,
    },
}

impl OptionInfo {
    /// Returns whether `value` is one that the option may have.
    pub fn accepts(&self, value: u32) -> bool {
        match self.values {
            OptionValues::Names(names) => names.iter().any(|&(_, each)| each == value),
            OptionValues::Duration { min_ms, max_ms, step_ms } => {
                (min_ms..=max_ms).contains(&value) && (value - min_ms).is_multiple_of(step_ms)
            }
        }
    }
}

/// Keys and values of the TSL2591's options.
pub mod tsl2591 {
    /// Option `gain`.
    pub const GAIN: u8 = 0;
    /// The driver chooses the gain.
    pub const GAIN_AUTO: u32 = 0;
    /// Low gain, 1×.
    pub const GAIN_LOW: u32 = 1;
    /// Medium gain, 25×.
    pub const GAIN_MEDIUM: u32 = 2;
    /// High gain, 428×.
    pub const GAIN_HIGH: u32 = 3;
    /// Maximum gain, 9,876×.
    pub const GAIN_MAX: u32 = 4;
    /// Option `integration`, in milliseconds.
    pub const INTEGRATION_MS: u8 = 1;
    /// Reading `illuminance`.
    pub const ILLUMINANCE: u8 = 0;
    /// Reading `full-spectrum`: raw counts of channel 0.
    pub const FULL_SPECTRUM: u8 = 1;
    /// Reading `infrared`: raw counts of channel 1.
    pub const INFRARED: u8 = 2;
    /// Reading `gain`: the factor that was used.
    pub const GAIN_USED: u8 = 3;
}

/// Numbers of the internal readings.
pub mod internal {
    /// Seconds since start.
    pub const UPTIME: u8 = 0;
    /// Messages acknowledged by the broker, or sent at QoS 0.
    pub const PUBLISHED: u8 = 1;
    /// Messages that were dropped.
    pub const DROPPED: u8 = 2;
    /// Samples that failed.
    pub const FAULTS: u8 = 3;
    /// Connections to the broker since start.
    pub const CONNECTIONS: u8 = 4;
    /// Longest lateness of a sample so far, in milliseconds.
    pub const LATENESS: u8 = 5;
    /// Bytes of the stack never used.
    pub const STACK_FREE: u8 = 6;
}

const fn reading(name: &'static str, unit: &'static str, range: (f32, f32), primary: bool) -> ReadingInfo {
    ReadingInfo { name, unit, range, primary }
}

const INTERNAL: DriverInfo = DriverInfo {
    name: "internal",
    summary: "the node itself: uptime, counters, stack",
    readings: &[
        reading("uptime", "s", (0.0, 4.3e9), true),
        reading("published", "", (0.0, 4.3e9), false),
        reading("dropped", "", (0.0, 4.3e9), false),
        reading("faults", "", (0.0, 4.3e9), false),
        reading("connections", "", (0.0, 4.3e9), false),
        reading("lateness", "ms", (0.0, 4.3e9), false),
        reading("stack-free", "B", (0.0, 81_920.0), false),
    ],
    addresses: &[],
    companions: &[],
    options: &[],
    bus_bytes: 0,
    memory_size: 0,
};

const TSL2591: DriverInfo = DriverInfo {
    name: "tsl2591",
    summary: "ams TSL2591, ambient light from 188 µlx to 88,000 lx",
    readings: &[
        // Maximum of the data sheet's front page: 88,000 lux.
        reading("illuminance", "lx", (0.0, 120_000.0), true),
        reading("full-spectrum", "", (0.0, 65_535.0), false),
        reading("infrared", "", (0.0, 65_535.0), false),
        reading("gain", "", (1.0, 9_876.0), false),
    ],
    addresses: &[0x29],
    companions: &[0x28],
    options: &[
        OptionInfo {
            key: tsl2591::GAIN,
            name: "gain",
            summary: "analog gain; auto follows the light",
            default: tsl2591::GAIN_AUTO,
            values: OptionValues::Names(&[
                ("auto", tsl2591::GAIN_AUTO),
                ("low", tsl2591::GAIN_LOW),
                ("medium", tsl2591::GAIN_MEDIUM),
                ("high", tsl2591::GAIN_HIGH),
                ("max", tsl2591::GAIN_MAX),
            ]),
        },
        OptionInfo {
            key: tsl2591::INTEGRATION_MS,
            name: "integration",
            summary: "integration time",
            default: 100,
            values: OptionValues::Duration { min_ms: 100, max_ms: 600, step_ms: 100 },
        },
    ],
    bus_bytes: 64,
    memory_size: 16,
};

impl Driver {
    /// Every driver.
    pub const ALL: &'static [Driver] = &[Driver::Internal, Driver::Tsl2591];

    /// Returns what is known of the driver.
    pub const fn info(self) -> &'static DriverInfo {
        match self {
            Driver::Internal => &INTERNAL,
            Driver::Tsl2591 => &TSL2591,
        }
    }

    /// Returns the driver's number in a body.
    pub const fn number(self) -> u8 {
        match self {
            Driver::Internal => 0,
            Driver::Tsl2591 => 1,
        }
    }

    /// Returns the longest time that one sample takes, in milliseconds; `option` gives the value of each option.
    pub fn conversion_ms(self, option: impl Fn(u8) -> u32) -> u32 {
        match self {
            Driver::Internal => 0,
            Driver::Tsl2591 => {
                // Data sheet, operating characteristics: an integration cycle of nominally 100 ms takes at most 108 ms.
                // With automatic gain a saturated cycle is repeated once, at the lowest gain.
                let cycle = option(tsl2591::INTEGRATION_MS) * 108 / 100 + 4;
                if option(tsl2591::GAIN) == tsl2591::GAIN_AUTO { 2 * cycle } else { cycle }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_longer_than_the_host_reckons_with() {
        for reading in Driver::ALL.iter().flat_map(|driver| driver.info().readings) {
            assert!(reading.name.len() <= crate::limits::READING_LEN, "{}", reading.name);
        }
    }
}
