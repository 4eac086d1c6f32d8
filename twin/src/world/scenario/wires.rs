//! Faults of I2C buses, carried out on a board's wires.

use super::{Edge, Event, FaultKind};
use crate::devices::i2c::Wiring;
use embassy_time::Instant;

/// Carries out `event` at `now` if it concerns I2C buses; returns whether it does.
pub fn carry_out_on_wires(event: &Event<'_>, wiring: &Wiring, now: Instant) -> bool {
    match (event.fault.kind, event.edge) {
        (FaultKind::Nack { address, times }, Edge::Begin) => {
            wiring.befall(move |_, bus| bus.refuse(address, times));
        }
        (FaultKind::Nack { address, .. }, Edge::End) => wiring.befall(move |_, bus| bus.accept(address)),
        (FaultKind::SensorGone { address }, Edge::Begin) => {
            wiring.befall(move |_, bus| bus.disconnect(address));
        }
        (FaultKind::SensorGone { address }, Edge::End) => {
            wiring.befall(move |_, bus| bus.connect(address, now));
        }
        (FaultKind::StuckBus { sda, pulses }, edge) => wiring.befall(move |line_sda, bus| {
            if sda.is_none_or(|sda| sda == line_sda) {
                match edge {
                    Edge::Begin => bus.hold_data(pulses),
                    Edge::End => bus.release_data(),
                }
            }
        }),
        _ => return false,
    }
    true
}
