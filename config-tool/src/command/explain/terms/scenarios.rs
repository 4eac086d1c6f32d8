//! Words of a scenario, but for its kinds of faults.

use super::TermKind::Scenario;
use super::{Term, term};

/// What a scenario is made of, and the keys of its `[light]`.
pub(super) const IN_SCENARIOS: &[Term] = &[
    term(
        Scenario,
        "seed",
        "number from which chance in a simulation follows, so that it repeats; `--seed` wins",
        "seed = 7",
    ),
    term(
        Scenario,
        "light",
        "how bright it is: one of `illuminance`, `day`, `steps` and `replay`, with `noise` and `infrared-share`",
        "[light]\nday = { start = \"10h\", sunrise = \"6h\", sunset = \"20h\", night = 0.0, noon = 20000.0 }\nnoise = { deviation = \"2%\", period = \"12s\" }\ninfrared-share = 0.495",
    ),
    term(
        Scenario,
        "illuminance",
        "a constant light, in lux; 284.0 unless the scenario says otherwise",
        "illuminance = 284.0",
    ),
    term(
        Scenario,
        "day",
        "a day that repeats: `start` is the time of day at which it begins, light in lux",
        "day = { start = \"10h\", sunrise = \"6h\", sunset = \"20h\", night = 0.0, noon = 20000.0 }",
    ),
    term(
        Scenario,
        "steps",
        "lux from a time on, in the order of the times",
        "steps = [[\"0s\", 284.0], [\"30s\", 12.5], [\"45s\", 284.0]]",
    ),
    term(
        Scenario,
        "replay",
        "light from a file with the columns seconds,illuminance; from its beginning again with `repeat`",
        "replay = { file = \"light.csv\", repeat = true }",
    ),
    term(
        Scenario,
        "noise",
        "light that wavers: by a deviation of its value, to another level every `period`",
        "noise = { deviation = \"2%\", period = \"12s\" }",
    ),
    term(
        Scenario,
        "infrared-share",
        "share of the light that is infrared, from 0.0 to 1.0; daylight has 0.495",
        "infrared-share = 0.495",
    ),
    term(
        Scenario,
        "fault",
        "something that befalls the node: `at` a time and, with most kinds, `for` a while; `dunlin explain` lists the kinds",
        "[fault.loose-contact]\nat = \"20s\"\nkind = \"nack\"\naddress = 0x29\ntimes = 2",
    ),
];
