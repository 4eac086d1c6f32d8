//! The node itself as a sensor.

use dunlin_config_format::driver::internal;

use super::{NO_READINGS, Readings};

/// What the node knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// Messages sent at QoS 0 or acknowledged.
    pub published: u32,
    /// Messages that were dropped.
    pub dropped: u32,
    /// Samples that failed.
    pub faults: u32,
    /// Connections to the broker.
    pub connections: u32,
    /// Longest lateness of a sample, in milliseconds.
    pub lateness_ms: u32,
    /// Bytes of the stack never used, where the board can tell.
    pub stack_free: Option<u32>,
}

/// Returns the node's readings.
pub(super) fn read(facts: &Facts) -> Readings {
    let mut readings = NO_READINGS;
    let mut set = |number: u8, value: f32| {
        if let Some(reading) = readings.get_mut(usize::from(number)) {
            *reading = value;
        }
    };
    set(internal::UPTIME, facts.uptime_ms as f32 / 1000.0);
    set(internal::PUBLISHED, facts.published as f32);
    set(internal::DROPPED, facts.dropped as f32);
    set(internal::FAULTS, facts.faults as f32);
    set(internal::CONNECTIONS, facts.connections as f32);
    set(internal::LATENESS, facts.lateness_ms as f32);
    if let Some(free) = facts.stack_free {
        set(internal::STACK_FREE, free as f32);
    }
    readings
}
