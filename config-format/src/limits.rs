//! Every limit of a configuration, in one place. The host checks against them; the device sizes its memory by them.

/// Most bytes of an identifier (`[a-z0-9-]`) and of the device's name.
pub const IDENTIFIER_LEN: usize = 32;
/// Most bytes of a human label (UTF-8).
pub const LABEL_LEN: usize = 64;
/// Most bytes of an MQTT client identifier.
pub const CLIENT_IDENTIFIER_LEN: usize = 64;
/// Most bytes of a broker's host name or address.
pub const HOST_LEN: usize = 64;
/// Most bytes of an MQTT user name, and of a password.
pub const CREDENTIAL_LEN: usize = 64;
/// Most bytes of the prefix of default topics.
pub const PREFIX_LEN: usize = 32;
/// Most bytes of a topic name.
pub const TOPIC_LEN: usize = 128;
/// Most bytes of a report's payload: [`MEMBERS`] values, each behind the longest name that it can have, and what frames them.
pub const PAYLOAD_LEN: usize = MEMBERS * (IDENTIFIER_LEN + 1 + READING_LEN + 3 + VALUE_LEN + 1) + 48;
/// Most bytes of a reading's name.
pub const READING_LEN: usize = 14;
/// Most bytes of a value: a sign, the digits of a 32-bit float without exponent down to 10⁻⁹, and the point.
pub const VALUE_LEN: usize = 17;
/// Most bytes of a request's response topic.
pub const RESPONSE_TOPIC_LEN: usize = 128;
/// Most bytes of a request's correlation data.
pub const CORRELATION_LEN: usize = 64;
/// Most I2C buses.
pub const BUSES: usize = 4;
/// Most sensors.
pub const SENSORS: usize = 32;
/// Most reports.
pub const REPORTS: usize = 64;
/// Most readings in one report.
pub const MEMBERS: usize = 16;
/// Most readings of one driver.
pub const READINGS: usize = 8;
/// Most options of one sensor.
pub const OPTIONS: usize = 8;
/// Most filters in one chain.
pub const FILTERS: usize = 8;
/// Most samples in one filter's window.
pub const WINDOW: u16 = 61;
/// Words of memory that all filters of a configuration share; see [`Filter::words`](crate::config::Filter::words).
pub const FILTER_WORDS: usize = 768;
/// Most decimals of the filter `round`.
pub const DECIMALS: u8 = 6;
/// Most bytes of a configuration's body.
pub const BODY_SIZE: usize = 4096;
/// Most bytes of a configuration's assets.
pub const ASSETS_SIZE: usize = 7936;
/// Shortest period of a sensor or report, in milliseconds.
pub const PERIOD_MIN_MS: u32 = 100;
/// Longest period of a sensor or report, and longest time in a filter, in milliseconds: 24 h.
pub const PERIOD_MAX_MS: u32 = 24 * 60 * 60 * 1000;
/// Slowest I2C clock, in Hz.
pub const I2C_FREQUENCY_MIN_HZ: u32 = 10_000;
/// Fastest I2C clock (fast mode; UM10204, section 3.1), in Hz.
pub const I2C_FREQUENCY_MAX_HZ: u32 = 400_000;
/// Shortest MQTT keep alive, in seconds.
pub const KEEP_ALIVE_MIN_S: u32 = 5;
/// Longest MQTT keep alive (MQTT 5, section 3.1.2.10), in seconds.
pub const KEEP_ALIVE_MAX_S: u32 = 65_535;
/// Shortest time that a new configuration gets to be confirmed, in seconds.
pub const CONFIRM_WITHIN_MIN_S: u32 = 5;
/// Longest time that a new configuration gets to be confirmed, in seconds.
pub const CONFIRM_WITHIN_MAX_S: u32 = 3600;
