//! `[fault.NAME]`: what happens, when, and how.

use dunlin_twin::world::scenario::{Fault, FaultKind};
use embassy_time::Instant;

use super::super::diagnostic::Code;
use super::super::nearest::nearest;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::number_of;
use super::{TIMES, share, time};

/// A kind of fault and the keys that it has beside `at`, `for` and `kind`.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) required: &'static [&'static str],
    /// Keys of which there is one at least.
    pub(crate) one_of: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind { name: "nack", required: &["address"], one_of: &[], optional: &["times"] },
    Kind { name: "stuck-bus", required: &[], one_of: &[], optional: &["sda", "pulses"] },
    Kind { name: "sensor-gone", required: &["address"], one_of: &[], optional: &[] },
    Kind { name: "broker-away", required: &[], one_of: &[], optional: &[] },
    Kind { name: "broker-mute", required: &[], one_of: &[], optional: &[] },
    Kind { name: "link-down", required: &[], one_of: &[], optional: &[] },
    Kind { name: "black-hole", required: &[], one_of: &[], optional: &[] },
    Kind { name: "loss", required: &["rate"], one_of: &[], optional: &[] },
    Kind { name: "delay", required: &["delay"], one_of: &[], optional: &[] },
    Kind { name: "power-cut", required: &[], one_of: &[], optional: &["operation"] },
    Kind { name: "reset", required: &[], one_of: &[], optional: &[] },
    Kind { name: "serial-noise", required: &[], one_of: &["flips", "drops", "doubles"], optional: &[] },
];

/// What is over at once has no `for`.
const MOMENTARY: &str = "reset";
/// Device addresses; the others are reserved (UM10204, table 4).
const ADDRESSES: std::ops::RangeInclusive<u32> = 0x08..=0x77;
/// Longest additional delay of a frame, in milliseconds.
const DELAYS: std::ops::RangeInclusive<u64> = 0..=60_000;
/// GPIO numbers.
const PINS: std::ops::RangeInclusive<u32> = 0..=16;

impl Kind {
    fn has(&self, key: &str) -> bool {
        [self.required, self.one_of, self.optional].iter().any(|keys| keys.contains(&key))
    }

    /// Returns the keys that every fault of this kind has.
    pub(crate) fn always(&self) -> Vec<&'static str> {
        [&["at", "kind"], self.required].concat()
    }

    /// Returns the keys that a fault of this kind may have or not.
    pub(crate) fn sometimes(&self) -> Vec<&'static str> {
        let duration: &[&str] = if self.name == MOMENTARY { &[] } else { &["for"] };
        [duration, self.optional].concat()
    }

    /// Returns the keys that a fault of this kind may have.
    fn keys(&self) -> Vec<&'static str> {
        [self.always(), self.one_of.to_vec(), self.sometimes()].concat()
    }
}

/// Returns the kind with this name.
pub(crate) fn fault_kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Reads a fault; none where it is refused.
pub(super) fn fault(problems: &mut Problems, name: &str, table: &Table<'_>) -> Option<Fault> {
    for (key, example) in [("at", "\"20s\""), ("kind", "\"broker-away\"")] {
        if table.get(key).is_none() {
            table.missing(problems, key, example);
        }
    }
    let at = time(problems, table, "at", TIMES);
    let kind = kind(problems, table)?;
    keys(problems, table, kind);
    let duration = time(problems, table, "for", 1..=*TIMES.end()).filter(|_| kind.name != MOMENTARY);
    let kind = particulars(problems, table, kind)?;
    Some(Fault { name: name.to_owned(), at: Instant::from_ticks(0) + at?, duration, kind })
}

fn kind(problems: &mut Problems, table: &Table<'_>) -> Option<&'static Kind> {
    let (name, span) = table.text(problems, "kind")?;
    let found = fault_kind(name);
    if found.is_none() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let help = nearest(name, &names).map_or_else(
            || format!("there are: {}", names.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::UnknownName, span, format!("unknown kind of fault `{name}`"), help);
    }
    found
}

/// Notes keys that the kind does not have, and those that it lacks.
fn keys(problems: &mut Problems, table: &Table<'_>, kind: &Kind) {
    let others = |key: &str| -> Vec<&str> {
        KINDS.iter().filter(|other| other.has(key)).map(|other| other.name).collect()
    };
    let mut known = kind.keys();
    for (key, span, _) in table.entries() {
        if known.contains(&key) {
            continue;
        }
        let owners = others(key);
        let message = if key == "for" {
            format!("a {} is over at once", kind.name)
        } else if owners.is_empty() {
            continue;
        } else {
            format!("`{key}` belongs to {}, and this is a {}", owners.join(" and "), kind.name)
        };
        problems.error(Code::UnknownKey, span, message, format!("remove `{key}`, or choose another `kind`"));
        // It is told; the check for unknown keys below need not tell it again.
        known.extend(KINDS.iter().flat_map(Kind::keys).filter(|own| *own == key).take(1));
    }
    table.refuse_others(problems, &known, &[]);
    for key in kind.required.iter().filter(|key| table.get(key).is_none()) {
        let example = match *key {
            "address" => "0x29",
            "rate" => "\"10%\"",
            _ => "\"200ms\"",
        };
        table.missing(problems, key, example);
    }
    let first = kind.one_of.first().filter(|_| kind.one_of.iter().all(|key| table.get(key).is_none()));
    if let Some(key) = first {
        table.missing(problems, key, "\"0.1%\"");
    }
    if let (Some(times), Some(_)) = (table.get("times"), table.get("for")) {
        let message = "both `times` and `for` say when it ends";
        problems.error(Code::Duplicate, times.span(), message, "keep one of them");
    }
}

fn particulars(problems: &mut Problems, table: &Table<'_>, kind: &Kind) -> Option<FaultKind> {
    let mut own = |key: &str, range| {
        if kind.has(key) { whole(problems, table, key, range) } else { None }
    };
    let counts = || 1..=u32::MAX;
    let address = own("address", ADDRESSES).and_then(|address| u8::try_from(address).ok());
    let sda = own("sda", PINS).and_then(|pin| u8::try_from(pin).ok());
    let times = own("times", counts()).filter(|_| table.get("for").is_none());
    let (pulses, operation) = (own("pulses", counts()), own("operation", counts()));
    Some(match kind.name {
        "nack" => FaultKind::Nack { address: address?, times },
        "stuck-bus" => FaultKind::StuckBus { sda, pulses },
        "sensor-gone" => FaultKind::SensorGone { address: address? },
        "broker-away" => FaultKind::BrokerAway,
        "broker-mute" => FaultKind::BrokerMute,
        "link-down" => FaultKind::LinkDown,
        "black-hole" => FaultKind::BlackHole,
        "loss" => FaultKind::Loss { rate: share(problems, table, "rate", 100)? },
        "delay" => FaultKind::Delay { delay: time(problems, table, "delay", DELAYS)? },
        "power-cut" => FaultKind::PowerCut { operation },
        "reset" => FaultKind::Reset,
        _ => {
            let mut ppm = |key: &str| (share(problems, table, key, 100).unwrap_or(0.0) * 1e6) as u32;
            FaultKind::SerialNoise {
                flip_ppm: ppm("flips"),
                drop_ppm: ppm("drops"),
                double_ppm: ppm("doubles"),
            }
        }
    })
}

/// Returns a whole number in a range; an address is told in the way it is written.
fn whole(
    problems: &mut Problems,
    table: &Table<'_>,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let value = table.get(key)?;
    let (found, written) = number_of(problems, key, value)?;
    let fits = u32::try_from(found).ok().filter(|number| range.contains(number));
    if fits.is_none() {
        let help = match (key, *range.end()) {
            ("address", _) => format!("a device has 0x{:02x} to 0x{:02x}", range.start(), range.end()),
            (_, u32::MAX) => format!("it must be {} or more", range.start()),
            (_, end) => format!("it must be from {} to {end}", range.start()),
        };
        problems.error(Code::OutOfRange, value.span(), format!("`{key}` is {written}"), help);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use embassy_time::Duration;

    #[test]
    fn every_kind_of_the_world_is_in_the_table() {
        let kinds = [
            FaultKind::Nack { address: 0x29, times: None },
            FaultKind::StuckBus { sda: None, pulses: None },
            FaultKind::SensorGone { address: 0x29 },
            FaultKind::BrokerAway,
            FaultKind::BrokerMute,
            FaultKind::LinkDown,
            FaultKind::BlackHole,
            FaultKind::Loss { rate: 0.0 },
            FaultKind::Delay { delay: Duration::from_ticks(0) },
            FaultKind::PowerCut { operation: None },
            FaultKind::Reset,
            FaultKind::SerialNoise { flip_ppm: 0, drop_ppm: 0, double_ppm: 0 },
        ];
        let names: Vec<&str> = kinds.iter().map(FaultKind::name).collect();
        assert_eq!(KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>(), names);
    }
}
