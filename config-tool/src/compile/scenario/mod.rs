//! Scenario files: what befalls a simulated node and when. The shape is in the documentation of
//! [`dunlin_twin::world::scenario`].

mod fault;
mod idle;
mod light;

use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{InvalidScenario, Scenario};
use embassy_time::Duration;
use toml::de::DeValue;

use super::diagnostic::{Code, Diagnostic, Source};
use super::meant;
use super::problems::Problems;
use super::reader::Table;
use super::syntax;
use super::value::{duration_in_ms, wrong_type};

pub(crate) use fault::fault_kind;
pub use idle::idle_faults;

/// What the table of all tables of a scenario is called.
pub(super) const THE_SCENARIO: &str = "the scenario";

/// What a scenario may have.
pub(super) const KEYS: &[&str] = &["seed", "light", "fault"];

/// Ten years: longer than any run.
const TIMES: std::ops::RangeInclusive<u64> = 0..=3_650 * 86_400_000;

/// Reads a scenario; `seed` goes before its own; `file` reads a file that the scenario names, relative to it.
///
/// # Errors
/// The problems of the text, in the order of their places, and how many more there are than those that are told.
pub fn parse_scenario(
    source: &Source,
    seed: Option<u64>,
    file: impl Fn(&str) -> Result<String, String>,
) -> Result<Scenario, (Vec<Diagnostic>, usize)> {
    let mut problems = Problems::default();
    let (root, hidden) = syntax::parse(&mut problems, &source.text);
    let Some(root) = root else { return Err(problems.finish(&source.text, &hidden)) };
    if let Some((span, message, help)) = meant::configuration(root.get_ref(), &source.name) {
        problems.error(Code::UnknownKey, span, message, help);
        return Err(problems.finish(&source.text, &hidden));
    }
    let root = Table::new(root.get_ref(), 0..0, THE_SCENARIO);
    root.refuse_others(&mut problems, KEYS, &[]);
    let in_file = root.integer(&mut problems, "seed", 0..=i64::MAX).and_then(|seed| u64::try_from(seed).ok());
    let seed = seed.or(in_file).unwrap_or(0);
    let environment = match table(&mut problems, &root, "light") {
        Some(light) => light::environment(&mut problems, &light, seed, file),
        None => Environment::room(seed),
    };
    let mut faults = Vec::new();
    let tables = table(&mut problems, &root, "fault").map(|table| table.entries()).unwrap_or_default();
    for (name, span, value) in &tables {
        let DeValue::Table(inner) = value.get_ref() else {
            let message = format!("`{name}` stands directly in [fault]");
            problems.error(Code::Shape, span.clone(), message, "write `[fault.NAME]`");
            continue;
        };
        let table = Table::new(inner, span.clone(), format!("[fault.{name}]"));
        faults.extend(fault::fault(&mut problems, name, &table));
    }
    let scenario = Scenario { seed, environment, faults };
    if let Err(invalid) = scenario.validate() {
        for each in invalid {
            // What the keys have told is not told twice.
            let span = match each.fault() {
                Some(name) => tables.iter().find(|(its, ..)| *its == name).map(|(_, span, _)| span.clone()),
                None => root.get("light").map(|value| value.span()),
            };
            problems.unless_told(Code::OutOfRange, span.unwrap_or(0..0), &told(&each));
        }
    }
    let is_refused = problems.has_errors();
    if is_refused { Err(problems.finish(&source.text, &hidden)) } else { Ok(scenario) }
}

/// Takes what is wrong and what to do apart.
fn told(invalid: &InvalidScenario) -> (String, String) {
    let text = invalid.to_string();
    match text.split_once("; ") {
        Some((message, help)) => (message.to_owned(), help.to_owned()),
        None => (text, "correct it, then try again".to_owned()),
    }
}

fn table<'t>(problems: &mut Problems, root: &Table<'t>, key: &str) -> Option<Table<'t>> {
    let value = root.get(key)?;
    match value.get_ref() {
        DeValue::Table(table) => Some(Table::new(table, value.span(), format!("[{key}]"))),
        other => {
            wrong_type(problems, key, value.span(), other, "a table");
            None
        }
    }
}

/// Returns a time in a range of milliseconds.
fn time(
    problems: &mut Problems,
    table: &Table<'_>,
    key: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Option<Duration> {
    duration_in_ms(problems, key, table.get(key)?, range).map(Duration::from_millis)
}

/// Reads a percentage from 0 % to `most` % such as `"10%"`, as a part of one.
fn share(problems: &mut Problems, table: &Table<'_>, key: &str, most: u32) -> Option<f64> {
    let (text, span) = table.text(problems, key)?;
    let parsed = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = parsed.filter(|percent| (0.0..=f64::from(most)).contains(percent));
    if share.is_none() {
        let help = format!("write \"0%\" to \"{most}%\"");
        problems.error(Code::OutOfRange, span, format!("`{key}` is \"{text}\""), help);
    }
    share.map(|percent| percent / 100.0)
}
