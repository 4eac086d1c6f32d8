//! Scenario files that make no sense: every problem in one run, each where it is.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dunlin::compile::{Source, parse_scenario, told};

/// Returns what is said of a text: `line:column message; help`.
fn said(text: &str) -> Vec<String> {
    let source = Source { name: "s".to_owned(), text: text.to_owned() };
    let problems = parse_scenario(&source, None, |_| Err("not found".to_owned())).err().unwrap_or_default().0;
    for problem in &problems {
        assert!(problem.human(&source, false).contains('^'), "a caret");
    }
    let short = |problem: &dunlin::compile::Diagnostic| {
        let line = problem.short(&source);
        let (place, rest) = line.split_once(": ").unwrap();
        format!("{} {}", place.trim_start_matches("s:"), rest.split_once(": ").unwrap().1)
    };
    problems.iter().map(short).collect()
}

/// Returns what is said of a fault with these lines after `at`.
fn of_fault(lines: &str) -> Vec<String> {
    said(&format!("[fault.x]\nat = \"1s\"\n{lines}\n"))
}

#[test]
fn a_fault_needs_its_keys_and_has_no_others() {
    for (lines, expected) in [
        ("kind = \"loss\"", &["1:8 [fault.x] has no `rate`; add `rate = \"10%\"`"][..]),
        ("kind = \"nack\"", &["1:8 [fault.x] has no `address`; add `address = 0x29`"]),
        ("kind = \"sensor-gone\"", &["1:8 [fault.x] has no `address`; add `address = 0x29`"]),
        ("kind = \"delay\"", &["1:8 [fault.x] has no `delay`; add `delay = \"200ms\"`"]),
        ("kind = \"serial-noise\"", &["1:8 [fault.x] has no `flips`; add `flips = \"0.1%\"`"]),
        (
            "kind = \"nack\"\naddress = 0x29\nrate = \"10%\"",
            &["5:1 `rate` belongs to loss, and this is a nack; remove `rate`, or choose another `kind`"],
        ),
        (
            "kind = \"reset\"\nfor = \"2s\"",
            &["4:1 a reset is over at once; remove `for`, or choose another `kind`"],
        ),
        (
            "kind = \"loss\"\nrte = \"10%\"\nrate = \"5%\"",
            &["4:1 unknown key `rte` in [fault.x]; did you mean `rate`?"],
        ),
        ("kind = \"los\"", &["3:8 unknown kind of fault `los`; did you mean `loss`?"]),
        (
            "kind = \"nack\"\naddress = 0x29\ntimes = 2\nfor = \"3s\"",
            &["5:9 both `times` and `for` say when it ends; keep one of them"],
        ),
    ] {
        assert_eq!(of_fault(lines), expected, "{lines}");
    }
    assert_eq!(
        said("[fault.x]\nfor = \"1s\"\n"),
        [
            "1:8 [fault.x] has no `at`; add `at = \"20s\"`",
            "1:8 [fault.x] has no `kind`; add `kind = \"broker-away\"`"
        ]
    );
}

#[test]
fn ranges_are_told_where_they_are_left() {
    for (lines, expected) in [
        ("kind = \"stuck-bus\"\nsda = 300", "4:7 `sda` is 300; it must be from 0 to 16"),
        ("kind = \"stuck-bus\"\npulses = 0", "4:10 `pulses` is 0; it must be 1 or more"),
        ("kind = \"nack\"\naddress = 0x78", "4:11 `address` is 0x78; a device has 0x08 to 0x77"),
        ("kind = \"nack\"\naddress = -1", "4:11 `address` is -1; a device has 0x08 to 0x77"),
        ("kind = \"power-cut\"\noperation = 0", "4:13 `operation` is 0; it must be 1 or more"),
        ("kind = \"loss\"\nrate = \"101%\"", "4:8 `rate` is \"101%\"; write \"0%\" to \"100%\""),
        ("kind = \"delay\"\ndelay = \"61s\"", "4:9 `delay` is \"61s\"; it must be from \"0ms\" to \"1m\""),
        ("kind = \"black-hole\"\nfor = \"0s\"", "4:7 `for` is \"0s\"; it must be from \"1ms\" to \"3650d\""),
        (
            "kind = \"serial-noise\"\nflips = \"60%\"\ndrops = \"60%\"",
            "1:8 fault `x` needs rates from `0%` to `100%` in all; correct it, then try again",
        ),
    ] {
        assert_eq!(of_fault(lines), [expected], "{lines}");
    }
    assert_eq!(
        said("[fault.Upper]\nat = \"1s\"\nkind = \"reset\"\n"),
        ["1:8 `Upper` can't be a fault's name; use 1 to 32 characters of `a-z`, `0-9` and `-`"]
    );
    let source = Source { name: "s".into(), text: "[fault.x]\nat = \"100d\"\nkind = \"reset\"\n".into() };
    let scenario = parse_scenario(&source, None, |_| Err(String::new())).unwrap();
    assert_eq!(scenario.faults[0].at.as_secs(), 8_640_000, "beyond 49 days");
}

#[test]
fn light_has_one_course_and_sound_numbers() {
    for (lines, expected) in [
        (
            "illuminance = 5.0\nday = { sunrise = \"6h\", sunset = \"20h\", noon = 100.0 }",
            "3:1 both `illuminance` and `day` say how bright it is; keep one of them",
        ),
        ("illuminance = -1.0", "2:15 `illuminance` is -1; light is 0 lx or more"),
        (
            "day = { sunrise = \"6h\", sunset = \"5h\", noon = 100.0 }",
            "2:34 `sunset` is not after `sunrise`; write a later time of day",
        ),
        ("day = { sunrise = \"6h\", sunset = \"20h\" }", "2:7 [day] has no `noon`; add `noon = 20000.0`"),
        (
            "day = { sunrise = \"6h\", sunset = \"25h\", noon = 1.0 }",
            "2:34 `sunset` is \"25h\"; it must be from \"0ms\" to \"1439m\"",
        ),
        ("steps = []", "2:9 `steps` is empty; write [[\"0s\", 284.0], [\"30s\", 12.5]]"),
        (
            "steps = [[\"5s\", 1.0], [\"5s\", 2.0]]",
            "2:23 the step does not come after the one before it; write the steps in the order of their times",
        ),
        ("replay = { repeat = true }", "2:10 [replay] has no `file`; add `file = \"light.csv\"`"),
        (
            "replay = { file = \"no.csv\" }",
            "2:19 `no.csv`: not found; it needs the columns seconds,illuminance",
        ),
        ("noise = { period = \"2s\" }", "2:9 [noise] has no `deviation`; add `deviation = \"2%\"`"),
        ("noise = { deviation = \"31%\" }", "2:23 `deviation` is \"31%\"; write \"0%\" to \"30%\""),
        (
            "noise = { deviation = \"2%\", period = \"10ms\" }",
            "2:38 `period` is \"10ms\"; it must be from \"1s\" to \"3650d\"",
        ),
        ("infrared-share = 2", "2:18 `infrared-share` is 2; it must be from 0.0 to 1.0"),
    ] {
        assert_eq!(said(&format!("[light]\n{lines}\n")), [expected], "{lines}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "sed = 1\n[light]\nilluminance = -1\n[fault.a]\nat = \"1s\"\nkind = \"loss\"\n\
                [fault.b]\nat = 2\nkind = \"nack\"\naddress = 0x05\n";
    let places: Vec<String> =
        said(text).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["1:1", "3:15", "4:8", "8:6", "10:11"]);
}

#[test]
fn a_flood_of_problems_is_a_hundred_and_a_number() {
    let text: String =
        (0..1000).map(|index| format!("[fault.f{index}]\nat = \"1s\"\nkind = \"x\"\n")).collect();
    let source = Source { name: "flood".to_owned(), text };
    let (problems, untold) = parse_scenario(&source, None, |_| Err(String::new())).err().unwrap();
    assert_eq!((problems.len(), untold), (100, 900));
    let last = told(&source, &problems, untold).pop().unwrap();
    assert_eq!(last, "flood: and 900 more problems");
}

#[test]
fn a_configuration_that_is_taken_for_a_scenario_shows_no_secret() {
    for text in
        ["[mqtt]\npassword = \"hunter2\"x\n", "[mqtt]\npassword = \"hunter2\n", "x = \"u:hunter2@host\"\n"]
    {
        let source = Source { name: "node.toml".to_owned(), text: text.to_owned() };
        let (problems, untold) = parse_scenario(&source, None, |_| Err(String::new())).err().unwrap();
        let all = told(&source, &problems, untold).concat();
        assert!(!problems.is_empty() && !all.contains("hunter2"), "{all}");
    }
    let text = "[".repeat(100_000);
    let (problems, _) =
        parse_scenario(&Source { name: "x".to_owned(), text }, None, |_| Err(String::new())).err().unwrap();
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_configuration_is_told_as_one() {
    let expected = "1:2 this is a configuration, and no scenario; `dunlin simulate s` takes it; a scenario has `seed`, \
                    [light] and [fault.NAME]";
    assert_eq!(said("[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\n"), [expected]);
    let expected = "3:2 unknown key `device` in the scenario; it belongs in the configuration, a file beside this one: \
                    `dunlin simulate FILE --scenario SCENARIO`";
    assert_eq!(said("[light]\nilluminance = 1.0\n[device]\nname = \"n\"\n"), [expected]);
}
