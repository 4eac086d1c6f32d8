//! Scenario files: what befalls a simulated node and when. The shape is in the documentation of
//! [`dunlin_twin::world::scenario`].

use dunlin_twin::world::environment::{
    Course, DAYLIGHT_INFRARED_SHARE, Day, Environment, ILLUMINANCE_COLUMN, Noise, Quantity, Replay, Step,
};
use dunlin_twin::world::scenario::{Fault, FaultKind, Scenario};
use embassy_time::{Duration, Instant};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Severity, Source};
use super::reader::{Problems, Table, Value, duration_ms, nearest, number, wrong_type};

/// Ten years: longer than any run.
const TIMES: std::ops::RangeInclusive<u64> = 0..=3_650 * 86_400_000;
const KINDS: &[&str] = &[
    "nack",
    "stuck-bus",
    "sensor-gone",
    "broker-away",
    "broker-mute",
    "link-down",
    "black-hole",
    "loss",
    "delay",
    "power-cut",
    "reset",
    "serial-noise",
];
const FAULT_KEYS: &[&str] = &[
    "at",
    "for",
    "kind",
    "address",
    "times",
    "sda",
    "pulses",
    "rate",
    "delay",
    "operation",
    "flips",
    "drops",
    "doubles",
];

/// Reads a scenario; `seed` goes before its own; `file` reads a file that the scenario names, relative to it.
///
/// # Errors
/// Every problem of the text.
pub fn parse_scenario(
    source: &Source,
    seed: Option<u64>,
    file: impl Fn(&str) -> Result<String, String>,
) -> Result<Scenario, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors.into_iter().take(super::SYNTAX_ERRORS) {
        let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
        problems.error(
            Code::Syntax,
            error.span().unwrap_or(0..0),
            message,
            "correct the line, then try again",
        );
    }
    let root = Table { table: root.get_ref(), span: 0..0, name: "the scenario".to_owned() };
    root.refuse_others(&mut problems, &["seed", "light", "fault"], &[]);
    let in_file = root.integer(&mut problems, "seed", 0..=i64::MAX).and_then(|seed| u64::try_from(seed).ok());
    let seed = seed.or(in_file).unwrap_or(0);
    let environment = match table(&mut problems, &root, "light") {
        Some(light) => environment(&mut problems, &light, seed, file),
        None => Environment::room(seed),
    };
    let mut faults = Vec::new();
    for (name, span, value) in
        table(&mut problems, &root, "fault").map(|table| table.entries()).unwrap_or_default()
    {
        let DeValue::Table(inner) = value.get_ref() else {
            problems.error(
                Code::Shape,
                span,
                format!("`{name}` stands directly in [fault]"),
                "write `[fault.NAME]`",
            );
            continue;
        };
        let table = Table { table: inner, span, name: format!("[fault.{name}]") };
        faults.extend(fault(&mut problems, name, &table));
    }
    let scenario = Scenario { seed, environment, faults };
    if problems.0.is_empty()
        && let Err(invalid) = scenario.validate()
    {
        for each in invalid {
            problems.error(Code::OutOfRange, 0..0, each.to_string(), "correct it, then try again");
        }
    }
    let is_refused = problems.0.iter().any(|problem| problem.severity == Severity::Error);
    if is_refused { Err(problems.0) } else { Ok(scenario) }
}

fn table<'t>(problems: &mut Problems, root: &Table<'t>, key: &str) -> Option<Table<'t>> {
    let value = root.get(key)?;
    match value.get_ref() {
        DeValue::Table(table) => Some(Table { table, span: value.span(), name: format!("[{key}]") }),
        other => {
            wrong_type(problems, key, value.span(), other, "a table");
            None
        }
    }
}

fn environment(
    problems: &mut Problems,
    light: &Table<'_>,
    seed: u64,
    file: impl Fn(&str) -> Result<String, String>,
) -> Environment {
    light.refuse_others(problems, &["illuminance", "day", "steps", "replay", "noise", "infrared-share"], &[]);
    let mut course = Course::Constant(284.0);
    if let Some(value) = light.get("illuminance") {
        course = Course::Constant(number(problems, "illuminance", value).unwrap_or(0.0).into());
    } else if let Some(day) = table(problems, light, "day") {
        day.refuse_others(problems, &["start", "sunrise", "sunset", "night", "noon"], &[]);
        let mut time =
            |key: &str| Duration::from_millis(day.duration_ms(problems, key, TIMES).unwrap_or(0).into());
        let (start, sunrise, sunset) = (time("start"), time("sunrise"), time("sunset"));
        let mut level =
            |key: &str| day.get(key).and_then(|value| number(problems, key, value)).unwrap_or(0.0).into();
        course = Course::Day(Day { start, sunrise, sunset, night: level("night"), noon: level("noon") });
    } else if let Some(values) = light.list(problems, "steps") {
        course = Course::Steps(values.into_iter().filter_map(|value| step(problems, value)).collect());
    } else if let Some(replay) = table(problems, light, "replay") {
        replay.refuse_others(problems, &["file", "repeat"], &[]);
        let repeat = replay.boolean(problems, "repeat").unwrap_or(false);
        if let Some((path, span)) = replay.text(problems, "file") {
            let read = file(path).and_then(|text| {
                Replay::parse(&text, ILLUMINANCE_COLUMN, repeat).map_err(|error| error.to_string())
            });
            match read {
                Ok(replay) => course = Course::Replay(replay),
                Err(error) => problems.error(
                    Code::Reference,
                    span,
                    format!("`{path}`: {error}"),
                    "columns: seconds,illuminance",
                ),
            }
        }
    }
    let noise = table(problems, light, "noise").map(|noise| {
        noise.refuse_others(problems, &["deviation", "period"], &[]);
        let period =
            Duration::from_millis(noise.duration_ms(problems, "period", TIMES).unwrap_or(12_000).into());
        Noise { deviation: share(problems, &noise, "deviation").unwrap_or(0.0), period, seed }
    });
    let infrared_share =
        light.get("infrared-share").and_then(|value| number(problems, "infrared-share", value));
    Environment {
        illuminance: Quantity { course, noise },
        infrared_share: infrared_share.map_or(DAYLIGHT_INFRARED_SHARE, f64::from),
    }
}

/// Reads `["30s", 12.5]`.
fn step(problems: &mut Problems, value: Value<'_>) -> Option<Step> {
    let pair = value.get_ref().as_array().filter(|pair| pair.len() == 2);
    let Some((from, level)) = pair.and_then(|pair| pair.iter().next().zip(pair.get(1))) else {
        problems.error(Code::WrongType, value.span(), "not a time and a value", "write [\"30s\", 12.5]");
        return None;
    };
    let from = duration_ms(problems, "steps", from, TIMES)?;
    Some(Step { from: Duration::from_millis(from.into()), value: number(problems, "steps", level)?.into() })
}

fn fault(problems: &mut Problems, name: &str, table: &Table<'_>) -> Option<Fault> {
    table.refuse_others(problems, FAULT_KEYS, &[]);
    for key in ["at", "kind"] {
        if table.get(key).is_none() {
            table.missing(problems, key, if key == "at" { "\"20s\"" } else { "\"broker-away\"" });
        }
    }
    let at = table.duration_ms(problems, "at", TIMES)?;
    let duration = table.duration_ms(problems, "for", TIMES).map(|ms| Duration::from_millis(ms.into()));
    let (kind, span) = table.text(problems, "kind")?;
    let mut count = |key: &str| {
        let most = i64::from(u32::MAX);
        table.integer(problems, key, 0..=most).and_then(|count| u32::try_from(count).ok())
    };
    let address = count("address").and_then(|address| u8::try_from(address).ok());
    let sda = count("sda").and_then(|pin| u8::try_from(pin).ok());
    let (times, pulses, operation) = (count("times"), count("pulses"), count("operation"));
    let ppm = |share: Option<f64>| (share.unwrap_or(0.0) * 1e6) as u32;
    let kind = match kind {
        "nack" => FaultKind::Nack { address: address.unwrap_or(0), times },
        "stuck-bus" => FaultKind::StuckBus { sda, pulses },
        "sensor-gone" => FaultKind::SensorGone { address: address.unwrap_or(0) },
        "broker-away" => FaultKind::BrokerAway,
        "broker-mute" => FaultKind::BrokerMute,
        "link-down" => FaultKind::LinkDown,
        "black-hole" => FaultKind::BlackHole,
        "loss" => FaultKind::Loss { rate: share(problems, table, "rate").unwrap_or(0.0) },
        "delay" => {
            let delay = table.duration_ms(problems, "delay", TIMES).unwrap_or(0);
            FaultKind::Delay { delay: Duration::from_millis(delay.into()) }
        }
        "power-cut" => FaultKind::PowerCut { operation },
        "reset" => FaultKind::Reset,
        "serial-noise" => FaultKind::SerialNoise {
            flip_ppm: ppm(share(problems, table, "flips")),
            drop_ppm: ppm(share(problems, table, "drops")),
            double_ppm: ppm(share(problems, table, "doubles")),
        },
        _ => {
            let help = nearest(kind, KINDS).map_or_else(
                || format!("there are: {}", KINDS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            problems.error(Code::UnknownName, span, format!("unknown kind of fault `{kind}`"), help);
            return None;
        }
    };
    Some(Fault { name: name.to_owned(), at: Instant::from_millis(at.into()), duration, kind })
}

/// Reads a percentage such as `"10%"` as a part of one.
fn share(problems: &mut Problems, table: &Table<'_>, key: &str) -> Option<f64> {
    let (text, span) = table.text(problems, key)?;
    let parsed = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = parsed.map(|percent| percent / 100.0).filter(|share| (0.0..=1.0).contains(share));
    if share.is_none() {
        problems.error(Code::OutOfRange, span, format!("`{key}` is \"{text}\""), "write \"0%\" to \"100%\"");
    }
    share
}
