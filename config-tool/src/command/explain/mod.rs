//! `dunlin explain`: whatever a user meets, in a few words.

mod diagnostics;
mod terms;

use clap::Args;
use dunlin_config_format::config::{FILTER_KINDS, Filter, FilterKind, Parameter};
use dunlin_config_format::driver::{Driver, OptionInfo, OptionValues, ReadingInfo};
use dunlin_config_format::limits::{DECIMALS, IDENTIFIER_LEN, PERIOD_MAX_MS, PERIOD_MIN_MS, WINDOW};

use super::{CommandError, Exit};
use crate::compile::foreign::{Later, TABLES_LATER};
use crate::compile::keys::{Key, Kind, TABLES, TableKeys};
use crate::compile::{Code, fault_kind, nearest, shown_ms};
use diagnostics::diagnostic;
use terms::{Term, TermKind, terms};

/// Explain a key (sensor.period), a driver (tsl2591), a filter (median), a diagnostic (D012), or another word that Dunlin uses
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to explain; everything there is, without it
    what: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(what) = &arguments.what else {
        print!("{}", list());
        return Ok(Exit::Done);
    };
    let found = explain(what);
    if found.is_empty() {
        return Err(CommandError::new(Exit::Usage, not_found(what)));
    }
    println!("{}", found.join("\n\n"));
    Ok(Exit::Done)
}

/// Says what is most like a word that nothing is called.
fn not_found(what: &str) -> String {
    if let Some(code) = code_like(what) {
        return format!("nothing is called `{what}`: did you mean `dunlin explain {}`?", code.name());
    }
    let paths: Vec<String> = TABLES.iter().flat_map(paths).collect();
    let names: Vec<&str> = known().into_iter().chain(paths.iter().map(String::as_str)).collect();
    // Of an own file's `sensor.lux-1.period`, the table and the key.
    let parts: Vec<&str> = what.split('.').collect();
    let short = match parts.as_slice() {
        [table, .., key] => format!("{table}.{key}"),
        _ => what.to_owned(),
    };
    let cure = match nearest(&short, &names) {
        Some(near) => format!("did you mean `dunlin explain {near}`?"),
        None => "`dunlin explain` lists what there is".to_owned(),
    };
    format!("nothing is called `{what}`: {cure}")
}

/// Returns the diagnostic whose number is written with more or fewer zeros, as in `d12`.
fn code_like(what: &str) -> Option<Code> {
    let number: u16 = what.strip_prefix(['d', 'D'])?.parse().ok()?;
    let name = format!("D{number:03}");
    Code::ALL.iter().copied().find(|code| code.name() == name)
}

/// Every word that is explained, but for keys with their tables.
fn known() -> Vec<&'static str> {
    let drivers = || Driver::ALL.iter().map(|driver| driver.info());
    let mut known: Vec<&str> = drivers().map(|info| info.name).collect();
    known.extend(drivers().flat_map(|info| info.options).map(|option| option.name));
    known.extend(drivers().flat_map(|info| info.readings).map(|reading| reading.name));
    known.extend(FILTER_KINDS.iter().map(|kind| kind.name));
    known.extend(terms().map(|term| term.name));
    known.extend(later().map(|(name, _)| *name));
    known.extend(TABLES.iter().map(|table| table.name));
    known.extend(TABLES.iter().flat_map(|table| table.keys).map(|key| key.name));
    known
}

/// Returns every word that is explained, for a shell to offer; those in braces are a shell's own.
pub(super) fn words() -> Vec<&'static str> {
    let mut words = known();
    let codes = Code::ALL.iter().map(|code| code.name());
    // The command line keeps its words for the rest of the process.
    words.extend(TABLES.iter().flat_map(paths).chain(codes).map(|word| &*word.leak()));
    words.retain(|word| !word.starts_with('{'));
    words.sort_unstable();
    words.dedup();
    words
}

/// Tables and keys that are known and do not work yet, each with what to do meanwhile.
fn later() -> impl Iterator<Item = &'static Later> {
    TABLES_LATER.iter().chain(TABLES.iter().flat_map(|table| table.later))
}

fn paths(table: &TableKeys) -> Vec<String> {
    table.keys.iter().map(|key| format!("{}.{}", table.name, key.name)).collect()
}

/// Returns everything that is called `what`, a paragraph each.
fn explain(what: &str) -> Vec<String> {
    let what = what.trim().trim_start_matches('[').trim_end_matches(']').trim_matches('"');
    let mut found = Vec::new();
    let mut codes = Code::ALL.iter().filter(|code| code.name().eq_ignore_ascii_case(what));
    found.extend(codes.next().map(|code| diagnostic(*code)));
    found.extend(Driver::ALL.iter().filter(|driver| driver.info().name == what).map(|driver| about(*driver)));
    found.extend(FILTER_KINDS.iter().filter(|kind| kind.name == what).map(filter));
    found.extend(TABLES.iter().filter(|table| table.name == what).map(table));
    let (owner, name) = what.split_once('.').map_or((None, what), |(owner, name)| (Some(owner), name));
    // `sensor.lux-1.period` is what a user sees in an own file.
    let name = name.rsplit('.').next().unwrap_or(name);
    // What [defaults] has, sensors and reports have.
    let is_meant = |table: &&TableKeys| owner.map_or(table.name != "defaults", |owner| table.name == owner);
    for table in TABLES.iter().filter(is_meant) {
        found.extend(table.keys.iter().filter(|key| key.name == name).map(|each| key(table, each)));
    }
    for driver in Driver::ALL.iter().map(|driver| driver.info()) {
        let is_meant = owner.is_none_or(|owner| owner == "sensor" || owner == driver.name);
        for each in driver.options.iter().filter(|option| is_meant && option.name == name) {
            found.push(format!("[sensor.ID] {name}, an option of {}: {}", driver.name, option(each)));
        }
        for each in driver.readings.iter().filter(|reading| is_meant && reading.name == name) {
            found.push(format!("{name}, a reading of {}: {}", driver.name, reading(each)));
        }
    }
    found.extend(terms().filter(|term| is_called(term, what)).map(word));
    let coming = later().filter(|(name, _)| *name == what || what.ends_with(&format!(".{name}")));
    found.extend(coming.map(|(name, cure)| format!("{name}: known, and does not work yet; for now: {cure}")));
    found.dedup();
    found
}

/// A topic may be given whole, a placeholder with or without its braces.
fn is_called(term: &Term, what: &str) -> bool {
    let level = what.split('/').nth(2).filter(|_| term.kind == TermKind::Topic);
    let bare = what.trim_matches(['{', '}']).split('.').next().unwrap_or(what);
    term.name == what
        || level == Some(term.name)
        || term.name.strip_prefix("line-") == Some(what)
        || (term.kind == TermKind::Scenario && what.strip_prefix("light.") == Some(term.name))
        || (term.name.starts_with('{') && what.starts_with('{') && term.name.trim_matches(['{', '}']) == bare)
}

fn word(term: &Term) -> String {
    let example = term.example.replace('\n', "\n  ");
    let lead = if term.kind == TermKind::Fault { "[fault.NAME]\n  at = \"5s\"\n  " } else { "" };
    let shown = if term.example.is_empty() || term.kind == TermKind::Health {
        String::new()
    } else {
        format!("\n  {lead}{example}")
    };
    let keys = if term.kind == TermKind::Fault { keys_of_fault(term.name) } else { String::new() };
    format!("{} ({}): {}{shown}{keys}", term.name, term.kind.name(), term.text)
}

/// Says which keys a kind of fault has.
fn keys_of_fault(name: &str) -> String {
    let Some(kind) = fault_kind(name) else { return String::new() };
    let one_of = match kind.one_of {
        [] => String::new(),
        keys => format!(", and one at least of {}", keys.join(", ")),
    };
    let sometimes = match kind.sometimes().as_slice() {
        [] => String::new(),
        keys => format!("\n  may be there: {}", keys.join(", ")),
    };
    format!("\n  must be there: {}{one_of}{sometimes}", kind.always().join(", "))
}

/// Everything there is, by its name.
fn list() -> String {
    let drivers: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
    let filters: Vec<&str> = FILTER_KINDS.iter().map(|kind| kind.name).collect();
    let options: Vec<&str> =
        Driver::ALL.iter().flat_map(|driver| driver.info().options).map(|option| option.name).collect();
    let mut text = String::new();
    let mut line = |heading: &str, names: &[&str]| text += &format!("{heading}: {}\n", names.join(", "));
    line("drivers", &drivers);
    line("options of drivers", &options);
    line("filters", &filters);
    for kind in TermKind::ALL {
        let names: Vec<&str> = terms().filter(|term| term.kind == kind).map(|term| term.name).collect();
        line(kind.heading(), &names);
    }
    let mut names: Vec<&str> = later().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    text += &format!("later: {}\n", names.join(", "));
    text += "\ntables of a file\n";
    for table in TABLES {
        text += &format!("  {:<9} {}\n", table.name, table.summary);
    }
    text += "\ndiagnostics\n";
    for code in Code::ALL {
        text += &format!("  {}  {}\n", code.name(), code.explanation());
    }
    text + "\nmore of each: `dunlin explain WORD`; of a key of a table: `dunlin explain sensor.period`\n"
}

fn table(table: &TableKeys) -> String {
    let mut text = format!("{}: {}\n", heading(table), table.summary);
    for key in table.keys {
        text += &format!("\n  {:<15} {}", key.name, key.summary);
    }
    if table.name == "sensor" {
        text += "\n\nand the options of its driver: `dunlin explain tsl2591`";
    }
    text.trim_end().to_owned()
}

fn key(table: &TableKeys, key: &Key) -> String {
    let default = key
        .default
        .map_or_else(|| "it must be there".to_owned(), |default| format!("unless given: {default}"));
    format!(
        "{} {}: {}\n  possible: {}\n  {default}",
        heading(table),
        key.name,
        key.summary,
        possible(key.kind)
    )
}

fn heading(table: &TableKeys) -> String {
    if table.is_named { format!("[{}.ID]", table.name) } else { format!("[{}]", table.name) }
}

fn possible(kind: Kind) -> String {
    match kind {
        Kind::Identifier => format!("1 to {IDENTIFIER_LEN} of the characters a-z, 0-9 and -"),
        Kind::Text(most) => format!("a text of 1 to {most} bytes"),
        Kind::OneOf(names) => names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Integer(least, most) => format!("{least} to {most}"),
        Kind::Duration(least, most) => format!("{} to {}", shown_ms(least), shown_ms(most)),
        Kind::DurationOrOff(least, most) => {
            format!("{} to {}, or false", shown_ms(least), shown_ms(most))
        }
        Kind::Frequency => "\"10kHz\" to \"400kHz\"".to_owned(),
        Kind::Pin => {
            "a GPIO number, such as 4, or \"D2\" where the board is known; not 1, 3 and 6 to 11".to_owned()
        }
        Kind::Ipv4 => "an IPv4 address, such as \"192.168.7.1\"".to_owned(),
        Kind::Ipv4Network => "address and prefix length, such as \"192.168.7.2/24\"".to_owned(),
        Kind::Secret => "{ env = \"NAME\" } or { file = \"PATH\" }".to_owned(),
        Kind::Texts => "a list of texts in quotation marks".to_owned(),
        Kind::Filters => "a list of filters: [{ median = 5 }, { round = 1 }]; or false".to_owned(),
        Kind::Off => "false".to_owned(),
        Kind::Readings => "tables, such as [sensor.lux-1.reading.infrared] with `filters`".to_owned(),
    }
}

fn filter(kind: &FilterKind) -> String {
    let possible = possible_parameter(kind);
    format!(
        "{} (filter): {}\n  filters = [{}]\n  possible: {possible}",
        kind.name, kind.summary, kind.example
    )
}

/// Says what may stand behind the equals sign of a filter.
fn possible_parameter(kind: &FilterKind) -> String {
    let name = kind.name;
    let least =
        |filter: fn(u16) -> Filter| (0..=WINDOW).find(|&count| filter(count).is_valid()).unwrap_or(WINDOW);
    let span = || format!("{} to {}", shown_ms(PERIOD_MIN_MS.into()), shown_ms(PERIOD_MAX_MS.into()));
    match kind.parameter {
        Parameter::OddCount => {
            format!("an odd count of samples, {} to {WINDOW}", least(|window| Filter::Median { window }))
        }
        Parameter::CountOrEvery => format!(
            "a count of samples, {} to {WINDOW}, for a mean with each sample; or {{ {name} = {{ every = \"20s\" }} }} for \
             one value in each time span, {}",
            least(|window| Filter::Mean { window }),
            span()
        ),
        Parameter::NumberOrPercent => {
            format!(
                "a number above 0 in the reading's unit, as {{ {name} = 0.5 }}, or a percentage of the last value that passed"
            )
        }
        Parameter::Duration => span(),
        Parameter::Decimals => format!("0 to {DECIMALS}"),
        Parameter::Calibration => format!(
            "two or more pairs of a measured and a true value, or {{ {name} = {{ slope = 1.02, offset = -0.5 }} }} with a \
             slope that is not 0"
        ),
        Parameter::Range => "numbers, `min` below `max`".to_owned(),
    }
}

fn about(driver: Driver) -> String {
    let info = driver.info();
    let mut text = format!("{} (driver): {}\n\nreadings", info.name, info.summary);
    for each in info.readings {
        text += &format!("\n  {:<14} {}", each.name, reading(each));
    }
    for each in info.options {
        text += &format!("\n\noption `{}`: {}", each.name, option(each));
    }
    text
}

fn reading(reading: &ReadingInfo) -> String {
    let unit = if reading.unit.is_empty() { String::new() } else { format!(" {}", reading.unit) };
    let primary = if reading.primary { "" } else { "; reported where `readings` names it" };
    format!("{} to {}{unit}{primary}", reading.range.0, reading.range.1)
}

fn option(option: &OptionInfo) -> String {
    let (values, default) = match option.values {
        OptionValues::Names(names) => {
            let shown: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let default = names.iter().position(|&(_, value)| value == option.default);
            (shown.join(", "), default.and_then(|index| shown.get(index).cloned()).unwrap_or_default())
        }
        OptionValues::Duration { min_ms, max_ms, step_ms } => (
            format!("\"{min_ms}ms\" to \"{max_ms}ms\" in steps of {step_ms} ms"),
            shown_ms(option.default.into()),
        ),
    };
    format!("{}\n  possible: {values}\n  unless given: {default}", option.summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_is_listed_is_explained() {
        let text = list();
        for names in text.lines().take_while(|line| !line.is_empty()) {
            for name in names.split_once(": ").unwrap().1.split(", ") {
                assert!(!explain(name).is_empty(), "`{name}` is listed and not explained");
                assert!(known().contains(&name), "`{name}` is never the nearest");
            }
        }
        for path in TABLES.iter().flat_map(paths) {
            assert!(!explain(&path).is_empty(), "{path}");
        }
        for code in Code::ALL {
            assert!(!explain(&code.name().to_lowercase()).is_empty());
        }
    }

    #[test]
    fn what_has_several_meanings_is_told_in_each() {
        assert_eq!(explain("gain").len(), 2, "an option and a reading");
        assert_eq!(explain("nack").len(), 2, "a fault and what a sensor's health is");
        assert_eq!(explain("report").len(), 2, "a table and a key of a sensor");
        assert_eq!(explain("deep-sleep").len(), 1, "in several tables, with one meaning");
        assert_eq!(explain("sensor.lux-1.gain").len(), 2);
        assert_eq!((explain("period").len(), explain("defaults.period").len()), (1, 1));
        assert_eq!(explain("dunlin/esp8266/status"), explain("status"));
        assert_eq!(explain("{vars.place}"), explain("{vars}"));
        assert_eq!(explain("overruns"), explain("line-overruns"));
        assert_eq!(explain("light.noise"), explain("noise"));
        assert_eq!(explain("vouched").len(), 2, "a state and a reason");
    }

    #[test]
    fn a_misspelt_word_has_its_nearest() {
        for (wrong, near) in [
            ("medain", "median"),
            ("sensor.perod", "sensor.period"),
            ("sensor.lux-1.perod", "sensor.period"),
            ("tsl2951", "tsl2591"),
            ("integraton", "integration"),
            ("usb-hots", "usb-host"),
            ("thing-flow", "thingflow"),
            ("broker-awy", "broker-away"),
            ("wfi", "wifi"),
            ("d12", "D012"),
            ("D0012", "D012"),
            ("brige", "bridge"),
        ] {
            let text = not_found(wrong);
            assert!(text.ends_with(&format!("did you mean `dunlin explain {near}`?")), "{text}");
        }
        assert!(not_found("photosynthesis").ends_with("lists what there is"));
    }
}
