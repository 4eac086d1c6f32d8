//! Broken files and exactly what is told of them: `broken/NAME.toml` and `broken/NAME.expected`, a line each problem. Files
//! in `warned` are taken all the same.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use dunlin::compile::{Compiled, Severity, Source, compile};

/// Compares what is told of each file in a folder with what is expected; returns how many there are.
fn compare(folder: &str, is_right: impl Fn(&Compiled) -> bool) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source { name: name.clone(), text: fs::read_to_string(&path).unwrap() };
        let compiled = compile(&source);
        let told: String = compiled.diagnostics.iter().map(|problem| problem.short(&source) + "\n").collect();
        let expected_path = path.with_extension("expected");
        if std::env::var_os("DUNLIN_BLESS").is_some() {
            fs::write(&expected_path, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if told != expected || told.is_empty() || !is_right(&compiled) {
            wrong.push(format!("== {name}\nexpected:\n{expected}told:\n{told}"));
        }
        // Whatever is wrong, it can be shown.
        for problem in &compiled.diagnostics {
            assert!(problem.human(&source, true).contains('^'), "{name}");
            assert!(problem.json(&source).starts_with('{'), "{name}");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

fn has_error(compiled: &Compiled) -> bool {
    compiled.diagnostics.iter().any(|problem| problem.severity == Severity::Error)
}

#[test]
fn every_broken_file_is_refused_with_exactly_this() {
    let count = compare("broken", |compiled| compiled.is_refused() && has_error(compiled));
    assert!(count >= 120, "{count}");
}

#[test]
fn every_doubtful_file_is_taken_with_exactly_this() {
    let count = compare("warned", |compiled| !compiled.is_refused() && !has_error(compiled));
    assert!(count >= 8, "{count}");
}

#[test]
fn a_report_that_no_filter_ends_is_not_warned_of() {
    let told = |readings: &str| {
        let text = format!(
            "[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\n[i2c.main]\nsda = 4\nscl = 5\n\
             [sensor.lux]\ndriver = \"tsl2591\"\nperiod = \"2s\"\n{readings}"
        );
        let compiled = compile(&Source { name: "quiet".to_owned(), text });
        (
            compiled.is_refused(),
            compiled.diagnostics.iter().map(|problem| problem.code.name()).collect::<Vec<_>>(),
        )
    };
    for quiet in [
        "filters = [{ delta = 1 }, { round = 1 }, { heartbeat = \"5m\" }]",
        "filters = [{ throttle = \"5m\" }]",
        "filters = [{ mean = { every = \"5m\" } }]",
        // The other reading goes on.
        "readings = [\"illuminance\", \"infrared\"]\n[sensor.lux.reading.infrared]\nfilters = [{ delta = 1 }]",
        // The newest values are sent again.
        "filters = [{ delta = 1 }]\nreport = false\n[report.all]\nof = [\"lux.*\"]\nevery = \"60s\"",
    ] {
        assert_eq!(told(quiet), (false, Vec::new()), "{quiet}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let secret = "correct horse battery";
    let text = format!("[device]\nname = 5\n[mqtt]\npassword = \"{secret}\" # {secret}\nbroker = \"\"\n");
    let source = Source { name: "secret.toml".to_owned(), text };
    let compiled = compile(&source);
    assert!(!compiled.diagnostics.is_empty());
    for problem in &compiled.diagnostics {
        for shown in [problem.human(&source, false), problem.short(&source), problem.json(&source)] {
            assert!(!shown.contains("horse"), "{shown}");
        }
    }
    assert!(!format!("{compiled:?}").contains("horse"));
}

#[test]
fn what_is_no_configuration_is_refused_at_once() {
    let refused = |text: String| {
        let compiled = compile(&Source { name: "x".to_owned(), text });
        assert!(compiled.is_refused() && compiled.diagnostics.len() < 10_000);
    };
    refused("a = [".repeat(1000) + &"]".repeat(1000));
    refused("[".repeat(100_000));
    refused("{".repeat(100_000));
    refused("a.".repeat(100_000) + "b = 1");
    refused("x = 1\n".repeat(900_000));
    refused("\u{0}\u{1}\u{2}".repeat(100));
    refused("key = \"value\"\n".repeat(50_000));
}
