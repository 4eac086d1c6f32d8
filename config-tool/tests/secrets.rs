//! A secret never appears in any output, wherever it stands and however its key is spelt.

use std::fs;
use std::path::Path;
use std::process::Command;

use dunlin::compile::{Source, compile};
use proptest::prelude::*;

/// Places of a secret `§` in a file; each is refused or warned of.
const PLACES: &[&str] = &[
    "[mqtt]\nbroker = \"\"\npasword = \"§\"\n",
    "[mqtt]\npasswd = \"§\" # was §\nbroker = \"\"\n",
    "[mqtt]\nPASSWORD = '§'\n",
    "[mqtt]\n\"passw\\u006frd\" = \"§\"\n",
    "[mqtt]\n\"passw\\u006frd\" = \"§\nbroker = 1\n",
    "[mqtt]\npassword = \"\"\"\nfirst\n§\n\"\"\" = 5\n",
    "[mqtt]\npassword = \"\"\"\nfirst\n§\n",
    "[mqtt]\npassword = \"\"\"\nfirst\n[§\n§ = §\n",
    "[mqtt]\nbroker = \"u:§@host\"\n",
    "[mqtt]\nbroker = \"mqtt://u:§@host\"\n",
    "[mqtt]\nbroker = \"u:§\n§@host\"\n",
    "[mqtt]\nbrokr = \"u:§@host\"\n",
    "[device]\nbrokr = 1\nlabel = \"\\u0007u:§@host\"\n",
    "[mqtt]\nwhatever = [\"§\", { x = \"§\" }]\n",
    "[mqtt]\npassword = §\n",
    "[mqtt]\npassword §\n",
    "[mqtt]\npassword: §\n",
    "[mqtt]\npassword = \"§\n",
    "[mqtt]\npassword = \"x\"§\"\n",
    "[mqtt]\npassword = \"\n§\n\"\n",
    "[mqtt]\npassword = { env = 5, value = \"§\" }\n",
    "[mqtt]\n§\nbroker = \"h\"\n",
    "[mqtt]\n# the password is §\u{1}\n",
    "mqtt = { pasword = \"§\", broker = \"\" }\n",
    "mqtt = { pasword = \"§\", broker = \"\"\n",
    "mqtt.pasword = \"§\"\n",
    "mqtt.password \"§\"\n",
    "[[mqtt]]\npasword = \"§\"\nx = \"§\"\n",
    "[[mqtt]]\nx = §\n",
    "[mqt]\nx = \"§\"\ny = §\n",
    "[device]\npassword = \"§\"\n",
    "[wifi]\npassphrase = \"§\"\n[wifi]\n",
    "[mqtt]\npassword = \"§\u{0}\"\n",
    "[mqtt]\npassword = '§'\npassword = '§'\n",
    "[wifi]\npassphrase = \"a\n§\"\nx = 1 1\n",
    "[device]\ntoken = 'a\n§\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_secret_never_appears(secret in "hunter[a-zA-Z0-9 _.!-]{2,20}[a-z0-9]") {
        for place in PLACES {
            let text = place.replace('§', &secret);
            let source = Source { name: "file.toml".to_owned(), text };
            let compiled = compile(&source);
            prop_assert!(!compiled.diagnostics.is_empty());
            for problem in &compiled.diagnostics {
                for shown in [problem.human(&source, true), problem.short(&source), problem.json(&source)] {
                    prop_assert!(!shown.contains("hunter"), "{place}\n{shown}");
                }
            }
            let debug = format!("{compiled:?}");
            prop_assert!(!debug.contains("hunter"), "{place}\n{debug}");
        }
    }
}

#[test]
fn what_is_no_secret_is_shown() {
    let shown = |text: &str| {
        let source = Source { name: "file.toml".to_owned(), text: text.to_owned() };
        compile(&source).diagnostics.iter().map(|problem| problem.human(&source, false)).collect::<String>()
    };
    assert!(shown("[mqtt]\nbroker = \"10.0.0\"\n").contains("2 | broker = \"10.0.0\""));
    assert!(shown("[mqtt]\npassword = { env = \"NAME\" }\n").contains("2 | password = { env = \"NAME\" }"));
    assert!(shown("[mqtt]\nbroker = \"10.0.0.1\"\nkeep-alive = 5 5\n").contains("3 | keep-alive = 5 5"));
    for line in ["port = 1883", "keepalive = 10", "topic_prefix = \"x\"", "clean = true"] {
        let beside = format!("[mqtt]\nbroker = \"10.0.0.1\"\n{line}\n");
        assert!(shown(&beside).contains(&format!("3 | {line}\n")), "{line}");
        assert!(shown(&format!("{beside}qos 1\n")).contains(&format!("3 | {line}\n")), "{line}");
    }
    for (key, value) in
        [("pasword", "\"x\""), ("pasword", "1883"), ("token", "7"), ("api-key", "7"), ("usr", "\"x\"")]
    {
        let told = shown(&format!("[mqtt]\n{key} = {value}\n"));
        assert!(told.contains(&format!("2 | {key} = \"…\"\n")), "{told}");
    }
    assert!(shown("[mqtt]\nuser = \"x\" # y\n").contains("2 | user = \"…\"\n"));
    // Where the text is not TOML: the line behind a secret, and a caret below what is hidden.
    let misread = shown("[mqtt]\nusername = \"u\"\npassword = 5\nkeepalive = x\n");
    assert!(misread.contains("4 | keepalive = x\n"), "{misread}");
    assert!(misread.contains("3 | password = \"…\"\n  |            ^^^\n"), "{misread}");
}

#[test]
fn a_shown_line_does_not_steer_the_terminal_and_is_short() {
    let text = format!("[device]\nname = \"\u{1b}]0;x\u{7}\u{9b}\u{202e}{}\u{1b}\"\n", "x".repeat(100_000));
    let source = Source { name: "a\u{1b}b.toml".to_owned(), text };
    for problem in compile(&source).diagnostics {
        for shown in [problem.human(&source, false), problem.short(&source), problem.json(&source)] {
            let steers = |each: char| each.is_control() && each != '\n' || each == '\u{202e}';
            assert!(!shown.contains(steers), "{shown:?}");
            let mut lines = shown.lines().filter(|line| line.contains(" | "));
            assert!(lines.all(|line| line.chars().count() < 220), "{}", shown.len());
        }
    }
    // A name that is too long is cut in the message as well.
    let text = format!("[device]\nname = \"{}\"\n", "X".repeat(100_000));
    let source = Source { name: "long.toml".to_owned(), text };
    for problem in compile(&source).diagnostics {
        assert!(problem.human(&source, false).len() < 2000 && problem.short(&source).len() < 1000);
    }
}

#[test]
fn a_flood_of_problems_is_a_hundred_and_a_number() {
    let text: String = (0..10_000).map(|index| format!("unknown{index} = 1\n")).collect();
    let source = Source { name: "flood.toml".to_owned(), text: format!("[device]\n{text}") };
    let compiled = compile(&source);
    assert_eq!((compiled.diagnostics.len(), compiled.untold), (100, 10_000 + 2 - 100));
    let refused = dunlin::package::from_text("flood.toml", &source.text).unwrap_err().to_string();
    assert!(refused.ends_with("\nflood.toml: and 9902 more problems"), "what `push` says");
    let shown: usize = compiled.diagnostics.iter().map(|problem| problem.human(&source, false).len()).sum();
    assert!(shown < 40_000, "{shown}");
    let (first, last) = (compiled.diagnostics.first().unwrap(), compiled.diagnostics.last().unwrap());
    assert!(first.span.start < last.span.start);
    assert!(last.short(&source).starts_with("flood.toml:99:1: "), "{}", last.short(&source));
}

#[test]
fn a_missing_secret_is_noted_and_refuses_nothing() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing-secrets");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let file = |source: &str| {
        let text = format!(
            "[device]\nname = \"n\"\n[mqtt]\nbroker = \"10.0.0.1\"\nusername = \"u\"\npassword = {source}\n"
        );
        fs::write(folder.join("node.toml"), text).unwrap();
    };
    // Says what is told on both outputs, seen from another folder.
    let run = |arguments: &[&str], secret: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
        command.args(arguments).arg(folder.join("node.toml")).env_remove("DUNLIN_TEST_SECRET");
        let output = command.envs(secret.map(|value| ("DUNLIN_TEST_SECRET", value))).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("hunter"), "{text}");
        text
    };
    file("{ env = \"DUNLIN_TEST_SECRET\" }");
    let note = "note: the variable `DUNLIN_TEST_SECRET` is not set: `export DUNLIN_TEST_SECRET=…`; `dunlin push` needs it";
    for arguments in [&["check"][..], &["check", "--format", "short"], &["compile"]] {
        assert!(run(arguments, None).contains(note), "{arguments:?}");
        assert!(run(arguments, Some("")).contains(note), "{arguments:?}");
        assert!(!run(arguments, Some("hunter2")).contains("note:"), "{arguments:?}");
    }
    let json = |secret| {
        let text = run(&["check", "--format", "json"], secret);
        let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        value["missing-secrets"].as_array().unwrap().len()
    };
    assert_eq!((json(None), json(Some("hunter2"))), (1, 0));
    assert!(run(&["check"], Some(&"hunter2".repeat(10))).contains("has 70 bytes: at most 64 are possible"));
    // A file is looked for beside the configuration.
    file("{ file = \"secret\" }");
    assert!(run(&["check"], None).contains("note: the secret file `secret` can't be read"));
    fs::write(folder.join("secret"), "\n").unwrap();
    assert!(run(&["check"], None).contains("note: the secret file `secret` is empty"));
    fs::write(folder.join("secret"), "hunter2\n").unwrap();
    assert!(!run(&["check"], None).contains("note:"));
}
