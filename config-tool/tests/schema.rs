//! The schema, judged by Python's jsonschema: files that work are fine, files with unknown keys are not.
//!
//! Needs the Debian package python3-jsonschema.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dunlin::compile::{Source, compile, schema, show};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert!(!files.is_empty());
    files
}

/// Returns the files that the schema refuses.
fn refused(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut child = Command::new("python3")
        .arg(folder("tests/schema.py"))
        .args(files)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(schema().to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "apt-get install python3-jsonschema");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), files.len());
    text.lines().filter_map(|line| line.strip_prefix("refused ")).map(PathBuf::from).collect()
}

#[test]
fn examples_and_what_show_writes_of_them_are_fine() {
    let shown = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema");
    fs::create_dir_all(&shown).unwrap();
    let mut all = files(&folder("../examples/configs"), ".toml");
    all.retain(|path| !path.to_string_lossy().ends_with(".scenario.toml"));
    for path in all.clone() {
        let source = Source { name: String::new(), text: fs::read_to_string(&path).unwrap() };
        let text = show(&compile(&source).image.unwrap()).unwrap().text;
        let path = shown.join(path.file_name().unwrap());
        fs::write(&path, text).unwrap();
        all.push(path);
    }
    assert_eq!(refused(&all), Vec::<PathBuf>::new());
}

#[test]
fn unknown_keys_wrong_identifiers_and_lists_of_tables_are_not() {
    let is_for_a_schema = |path: &PathBuf| {
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        ["D002", "D007", "D012", "D021"].iter().any(|code| expected.contains(&format!("error[{code}]")))
    };
    let mut broken = files(&folder("tests/broken"), ".toml");
    broken.retain(is_for_a_schema);
    assert!(broken.len() > 30);
    assert_eq!(refused(&broken), broken);
}
