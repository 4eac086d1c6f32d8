//! What `dunlin explain` knows beside the tables of keys, drivers, filters and diagnostics: words that a user meets in a file,
//! in a scenario, in a topic and in an answer.

mod answers;
mod boards;
mod scenarios;

use answers::IN_ANSWERS;
use boards::ON_BOARDS;
use scenarios::IN_SCENARIOS;

/// A word, what kind of thing it is, and what it means.
pub(super) struct Term {
    /// The word, as a user meets it.
    pub(super) name: &'static str,
    /// What kind of thing it is.
    pub(super) kind: TermKind,
    /// What it means, in a sentence or two.
    pub(super) text: &'static str,
    /// How it is written, or what it looks like.
    pub(super) example: &'static str,
}

/// What kind of thing a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TermKind {
    /// A value of the key `payload`.
    Payload,
    /// A topic that a node chooses, by its third level.
    Topic,
    /// A kind of fault in a scenario.
    Fault,
    /// Something in an answer of a node.
    Answer,
    /// What a health topic tells.
    Health,
    /// Something that a file may say in several places.
    Writing,
    /// What a scenario is made of, and the keys of its `[light]`.
    Scenario,
    /// What Dunlin calls the things that it does.
    Notion,
    /// What a trial waits for, and why a configuration was given up.
    Reason,
    /// A number or a word in `dunlin info` and in the node's statistics.
    Fact,
}

impl TermKind {
    /// Every kind, in the order in which they are listed.
    pub(super) const ALL: [TermKind; 10] = [
        Self::Payload,
        Self::Writing,
        Self::Notion,
        Self::Topic,
        Self::Answer,
        Self::Health,
        Self::Reason,
        Self::Fact,
        Self::Scenario,
        Self::Fault,
    ];

    /// Returns what one is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            TermKind::Payload => "payload",
            TermKind::Topic => "topic of the node",
            TermKind::Answer => "in an answer of the node",
            TermKind::Fault => "fault of a scenario",
            TermKind::Health => "health of a sensor",
            TermKind::Writing => "in a file",
            TermKind::Scenario => "in a scenario",
            TermKind::Notion => "notion",
            TermKind::Reason => "what a trial waits for, or why it ended",
            TermKind::Fact => "in `dunlin info` and statistics",
        }
    }

    /// Returns what several are called, above their list.
    pub(super) fn heading(self) -> &'static str {
        match self {
            TermKind::Payload => "payloads",
            TermKind::Topic => "topics",
            TermKind::Answer => "answers to requests",
            TermKind::Fault => "faults of a scenario",
            TermKind::Health => "health",
            TermKind::Writing => "written in a file",
            TermKind::Scenario => "written in a scenario",
            TermKind::Notion => "notions",
            TermKind::Reason => "what a trial waits for",
            TermKind::Fact => "facts and statistics",
        }
    }
}

const fn term(kind: TermKind, name: &'static str, text: &'static str, example: &'static str) -> Term {
    Term { name, kind, text, example }
}

use TermKind::{Fault, Health, Payload, Topic, Writing};

/// Returns every term.
pub(super) fn terms() -> impl Iterator<Item = &'static Term> {
    IN_FILES.iter().chain(IN_ANSWERS).chain(ON_BOARDS).chain(IN_SCENARIOS)
}

/// What a user meets in a file, a topic and a scenario's faults.
const IN_FILES: &[Term] = &[
    term(
        Payload,
        "json",
        "a flat object with each reading by its name, the number of the message and the seconds since start",
        "{\"illuminance\":284.1312,\"seq\":312,\"uptime\":624.0}",
    ),
    term(Payload, "plain", "the value alone; for one reading", "284.1312"),
    term(
        Payload,
        "thingflow",
        "a list of identifier, seconds since start and value; for one reading",
        "[\"lux-1\", 624, 284.1312]",
    ),
    term(
        Writing,
        "usb-host",
        "as `broker`: the computer at the other end of the cable, where `push`, `monitor` or `bridge` carries the network",
        "broker = \"usb-host\"",
    ),
    term(
        Writing,
        "env",
        "a secret from a variable of the environment, read by `push`; no image holds it",
        "password = { env = \"MQTT_PASSWORD\" }",
    ),
    term(
        Writing,
        "file",
        "a secret from a file beside this one, read by `push`; a newline at its end is left out",
        "password = { file = \"broker.password\" }",
    ),
    term(
        Writing,
        "{device}",
        "in a topic: the device's name. Others are {sensor}, {reading} and {vars.NAME}",
        "topic = \"garden/{device}/{sensor}\"",
    ),
    term(Writing, "{sensor}", "in a topic: the sensor's identifier", "topic = \"garden/{sensor}\""),
    term(
        Writing,
        "{reading}",
        "in a topic: the name of the reading; each reading then has a message of its own",
        "topic = \"garden/{sensor}/{reading}\"",
    ),
    term(Writing, "{vars}", "in a topic: a text of your own, from [vars]", "topic = \"{vars.place}/light\""),
    term(
        Topic,
        "status",
        "`online` or `offline`, retained; the broker says `offline` when the node is gone",
        "dunlin/DEVICE/status",
    ),
    term(
        Topic,
        "info",
        "what the node is, retained: firmware, configuration, generation, last rollback, sensors",
        "dunlin/DEVICE/info",
    ),
    term(
        Topic,
        "reading",
        "the readings of a sensor or a report, unless it has a `topic`",
        "dunlin/DEVICE/reading/SENSOR",
    ),
    term(Topic, "health", "`ok`, or what is wrong with a sensor, retained", "dunlin/DEVICE/health/SENSOR"),
    term(Topic, "stats", "the node's counters, as often as `mqtt.stats` says", "dunlin/DEVICE/stats"),
    term(
        Topic,
        "request",
        "where a node takes requests: `read` with the name of a sensor measures it now, `info` with nothing is \
         answered with the birth. `dunlin explain raw` tells what is in an answer to `read`",
        "mosquitto_rr -t dunlin/DEVICE/request/read -e answer -m lux-1",
    ),
    term(
        Topic,
        "reply",
        "answers to requests that name no response topic; `dunlin explain raw` tells what is in one to `read`, \
         and `{\"error\":…}` names why a request was refused",
        "dunlin/DEVICE/reply",
    ),
    term(Health, "ok", "the last measurement succeeded", "ok"),
    term(
        Health,
        "absent",
        "nothing answers at the sensor's address: check power, wiring and `address`; `dunlin probe` tells what answers",
        "absent",
    ),
    term(
        Health,
        "nack",
        "the sensor broke a transfer off: check wiring and pull-ups, or lower `frequency`",
        "nack",
    ),
    term(
        Health,
        "stuck-bus",
        "a line of the bus is held low, and clocking did not free it: check for a short circuit",
        "stuck-bus",
    ),
    term(
        Health,
        "saturated",
        "more light than the sensor can measure with these options: lower `gain` or `integration`",
        "saturated",
    ),
    term(Health, "crc", "a checksum of the sensor's was wrong: check wiring, or lower `frequency`", "crc"),
    term(
        Health,
        "range",
        "the sensor gave values that can't be: check that it is the chip of this driver",
        "range",
    ),
    term(Health, "stale", "the sensor did not finish a conversion in time: check its power", "stale"),
    term(
        Fault,
        "nack",
        "a device does not acknowledge its address, in so many transfers or until the fault ends",
        "kind = \"nack\"\naddress = 0x29\ntimes = 2",
    ),
    term(
        Fault,
        "stuck-bus",
        "a device holds a data line low: of every bus or the one with `sda`, until so many clock pulses free it",
        "kind = \"stuck-bus\"\npulses = 5",
    ),
    term(
        Fault,
        "sensor-gone",
        "a device is off the bus, and starts from power-on when it is back",
        "kind = \"sensor-gone\"\naddress = 0x29\nfor = \"5s\"",
    ),
    term(
        Fault,
        "broker-away",
        "the broker refuses connections, and drops those that it had",
        "kind = \"broker-away\"\nfor = \"5s\"",
    ),
    term(
        Fault,
        "broker-mute",
        "the broker takes connections and bytes, and never answers",
        "kind = \"broker-mute\"\nfor = \"1m\"",
    ),
    term(Fault, "link-down", "the network cable is out", "kind = \"link-down\"\nfor = \"10s\""),
    term(
        Fault,
        "black-hole",
        "packets vanish both ways, while the link says that it is up",
        "kind = \"black-hole\"\nfor = \"1m\"",
    ),
    term(Fault, "loss", "packets are lost at random, each way", "kind = \"loss\"\nrate = \"20%\""),
    term(Fault, "delay", "packets take longer, each way", "kind = \"delay\"\ndelay = \"200ms\""),
    term(
        Fault,
        "power-cut",
        "power goes off, and comes back when the fault ends; with `operation`, in the middle of that flash operation",
        "kind = \"power-cut\"\nfor = \"2s\"",
    ),
    term(Fault, "reset", "the board is reset", "kind = \"reset\""),
    term(
        Fault,
        "serial-noise",
        "the serial line flips, drops or doubles bytes",
        "kind = \"serial-noise\"\nflips = \"0.1%\"",
    ),
];

#[cfg(test)]
mod tests {
    use dunlin_config_format::config::Payload as Form;
    use dunlin_config_format::reason::Reason;
    use dunlin_config_format::topic::STATISTICS;
    use dunlin_twin::world::scenario::FaultKind;

    use super::*;
    use crate::compile::{Source, compile, parse_scenario};

    fn names(kind: TermKind) -> Vec<&'static str> {
        terms().filter(|term| term.kind == kind).map(|term| term.name).collect()
    }

    #[test]
    fn every_payload_is_there() {
        assert_eq!(names(Payload), Form::NAMES.iter().map(|(_, name)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn every_fault_is_there_and_its_example_is_one() {
        let mut kinds = Vec::new();
        for term in terms().filter(|term| term.kind == Fault) {
            let text = format!("[fault.example]\nat = \"1s\"\n{}\n", term.example);
            let source = Source { name: "example".to_owned(), text };
            let scenario = parse_scenario(&source, None, |_| Err(String::new()))
                .unwrap_or_else(|_| panic!("{}", source.text));
            kinds.extend(scenario.faults.iter().map(|fault| fault.kind.name()));
        }
        assert_eq!(kinds, names(Fault));
        assert_eq!(FaultKind::SerialNoise { flip_ppm: 0, drop_ppm: 0, double_ppm: 0 }.name(), kinds[11]);
        assert_eq!(kinds.len(), 12);
    }

    #[test]
    fn every_reason_and_every_statistic_is_there() {
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names(TermKind::Reason), reasons);
        let missing: Vec<_> =
            STATISTICS.iter().filter(|name| !names(TermKind::Fact).contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_is_written_in_a_scenario_can_be_written() {
        for term in terms().filter(|term| term.kind == TermKind::Scenario) {
            let is_whole = term.example.starts_with(['[', '#']) || term.name == "seed";
            let text = format!("{}{}\n", if is_whole { "" } else { "[light]\n" }, term.example);
            let source = Source { name: "example".to_owned(), text };
            let file = |_: &str| Ok("seconds,illuminance\n0,284\n60,12.5\n".to_owned());
            assert!(parse_scenario(&source, None, file).is_ok(), "{}", source.text);
        }
    }

    #[test]
    fn what_is_written_in_a_file_can_be_written() {
        for term in terms().filter(|term| term.kind == Writing) {
            let (mqtt, sensor) = match term.example.split(' ').next() {
                Some("topic") => ("broker = \"10.0.0.1\"", term.example),
                Some("broker") => (term.example, ""),
                _ => ("broker = \"10.0.0.1\"\nusername = \"u\"", ""),
            };
            let password = if term.example.starts_with("password") { term.example } else { "" };
            let text = format!(
                "[device]\nname = \"n\"\n[mqtt]\n{mqtt}\n{password}\n[vars]\nplace = \"garden\"\n\
                 [i2c.main]\nsda = 4\nscl = 5\n[sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\n{sensor}\n"
            );
            let compiled = compile(&Source { name: "writing".to_owned(), text });
            assert!(compiled.image.is_some(), "{}: {:#?}", term.name, compiled.diagnostics);
        }
    }
}
