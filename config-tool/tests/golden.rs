//! What each command says and how it ends, to the letter: ordinary use, wrong arguments, wrong files, and ports that are not
//! there.
//!
//! A file in `golden` is a transcript: `$ dunlin …`, the standard output, the standard error behind `! `, and the exit code in
//! brackets. The commands are run in the order in which they stand, in a folder of the transcript's own, with the files of
//! [`FILES`]. `DUNLIN_GOLDEN=write cargo test --test golden` writes what is said now; look at the difference before it is kept.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The files that a transcript finds.
const FILES: &[(&str, &[u8])] = &[
    ("node.toml", include_bytes!("golden/files/node.toml")),
    ("other.toml", include_bytes!("golden/files/other.toml")),
    ("broken.toml", include_bytes!("golden/files/broken.toml")),
    ("wrong.toml", include_bytes!("golden/files/wrong.toml")),
    ("warned.toml", include_bytes!("golden/files/warned.toml")),
    ("empty.toml", b""),
    ("latin-1.toml", b"[device]\nname = \"n\"\nlabel = \"K\xfcche\"\n"),
    ("cut.dunlin", b"DNLN\x01\x00\x01\x00\x00\x00\x00\x00\x0b\x00\x00\x00"),
    ("good.scenario.toml", include_bytes!("golden/files/good.scenario.toml")),
    ("idle.scenario.toml", include_bytes!("golden/files/idle.scenario.toml")),
    ("broken.scenario.toml", include_bytes!("golden/files/broken.scenario.toml")),
    ("short.flash", b"DNLN"),
];

fn transcripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A folder with the files, for one transcript.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (file, bytes) in FILES {
        fs::write(folder.join(file), bytes).unwrap();
    }
    folder
}

/// Runs a command of a transcript and tells what came of it.
fn told(folder: &Path, line: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dunlin"));
    command.args(line.split(' ').skip(2)).current_dir(folder).stdin(Stdio::null());
    // Nothing of the person's own: no colours, no port that was used before, no simulation that runs.
    command.env_clear().env("PATH", "").env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
    let output = command.output().unwrap();
    let mut told = format!("{line}\n");
    told += &String::from_utf8(output.stdout).unwrap();
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        writeln!(told, "! {line}").unwrap();
    }
    writeln!(told, "[{}]", output.status.code().unwrap()).unwrap();
    told
}

/// Runs the commands of a transcript.
fn replay(name: &str, text: &str) -> String {
    let folder = folder(name);
    let commands = text.lines().filter(|line| line.starts_with("$ dunlin"));
    commands.map(|line| told(&folder, line)).collect::<Vec<_>>().join("\n")
}

/// The first line in which two texts differ.
fn difference(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    let mut command = "";
    loop {
        let (before, now) = (expected.next(), found.next());
        if before != now {
            let none = "(nothing)";
            return format!("{command}\n  - {}\n  + {}", before.unwrap_or(none), now.unwrap_or(none));
        }
        let Some(line) = now else { return "no line differs, but their ends do".to_owned() };
        if line.starts_with("$ ") {
            command = line;
        }
    }
}

#[test]
fn every_command_says_what_its_transcript_tells() {
    let is_written = std::env::var_os("DUNLIN_GOLDEN").is_some();
    let mut differ = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(transcripts()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let expected = fs::read_to_string(&path).unwrap();
        let found = replay(&name, &expected);
        if is_written {
            fs::write(&path, found).unwrap();
        } else if expected != found {
            differ.push(format!("{name}.txt: {}", difference(&expected, &found)));
        }
    }
    assert!(count > 10, "the transcripts are not where they should be");
    assert!(differ.is_empty(), "{}", differ.join("\n\n"));
}

#[test]
fn every_command_has_a_transcript() {
    let mut all = String::new();
    for entry in fs::read_dir(transcripts()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            all += &fs::read_to_string(path).unwrap();
        }
    }
    let help = told(&folder("verbs"), "$ dunlin --help");
    let verbs = help.lines().take_while(|line| !line.starts_with("Options:"));
    let verbs: Vec<_> = verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(verbs.len() > 15, "{help}");
    for verb in verbs {
        assert!(all.contains(&format!("$ dunlin {verb} ")), "no transcript of `dunlin {verb} …`");
    }
}

/// The exit codes are a promise to scripts: one kind of failure has one code, whichever command meets it.
#[test]
fn what_fails_alike_ends_alike() {
    let alike: [(i32, &[&str]); 3] = [
        (64, &["try '--help'", "can't be written", "is there already", "is a URL", "is no flash file"]),
        (2, &["`/dev/ttyNONE` does not exist", "no simulation is running", "nothing listens at"]),
        (1, &["is refused", ".toml` does not exist", "the image is damaged", "neither an image nor text"]),
    ];
    let mut seen = 0;
    for entry in fs::read_dir(transcripts()).unwrap() {
        let path = entry.unwrap().path();
        let text = if path.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
        for run in text.split("$ dunlin").skip(1) {
            let command = run.lines().next().unwrap();
            let code =
                run.lines().rev().find_map(|line| line.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
            assert!([Some(0), Some(1), Some(2), Some(64)].contains(&code), "dunlin{command}");
            let said =
                |words: &&&str| run.lines().any(|line| line.starts_with("! ") && line.contains(**words));
            for (expected, words) in &alike {
                if let Some(words) = words.iter().find(said) {
                    // As with diff and git, 1 would say that both could be read.
                    let is_comparison = command.contains("diff --exit-code") && *expected == 1;
                    let expected = if is_comparison { 2 } else { *expected };
                    assert_eq!(code, Some(expected), "dunlin{command}: {words}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 80, "{seen}");
}
