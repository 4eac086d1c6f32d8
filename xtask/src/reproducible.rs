//! `cargo xtask reproducible`: the same inputs give the same image, whoever builds it, where and when.
//!
//! Each build looks for traces of where it ran ([`check`]), which costs nothing. This routine builds a second time: a copy of
//! the workspace in another folder, with another home of cargo and another target folder, from nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::firmware::firmware;
use crate::mutants::copy_workspace;
use crate::routine::root;

/// Beginnings of absolute paths, on the systems that build.
const PATHS: &[&str] = &["/home/", "/root/", "/tmp/", "/usr/", "/var/", "/opt/", "/nix/", "/Users/"];
/// Names of computers that are shorter are found by chance.
const SHORTEST_NAME: usize = 8;

/// Refuses an image that tells where or when it was built.
pub(crate) fn check(image: &[u8]) -> Result<(), String> {
    let mut traces: Vec<(String, String)> =
        PATHS.iter().map(|path| ("an absolute path".to_owned(), (*path).to_owned())).collect();
    traces.push(("the folder of the build".to_owned(), root().display().to_string()));
    traces.push(("cargo's home".to_owned(), cargo_home()?.display().to_string()));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if host.trim().len() >= SHORTEST_NAME {
        traces.push(("the name of the computer".to_owned(), host.trim().to_owned()));
    }
    for format in ["+%Y-%m-%d", "+%b %e %Y"] {
        let output = Command::new("date").arg(format).output().map_err(|error| format!("date: {error}"))?;
        traces.push((
            "the day of the build".to_owned(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        ));
    }
    find(image, &traces)
}

/// Returns an error that names the first of `traces`, each what it is and its text, that is in the image.
fn find(image: &[u8], traces: &[(String, String)]) -> Result<(), String> {
    for (what, text) in traces.iter().filter(|(_, text)| !text.is_empty()) {
        if let Some(at) = image.windows(text.len()).position(|window| window == text.as_bytes()) {
            let rest: String = image[at..]
                .iter()
                .take_while(|byte| byte.is_ascii_graphic())
                .take(80)
                .map(|&b| char::from(b))
                .collect();
            return Err(format!(
                "the image tells {what}, `{text}`, at {at:#x} (`{rest}`); other folders would give other bytes: see the \
                 prefixes in xtask/src/firmware/compile.rs"
            ));
        }
    }
    Ok(())
}

fn cargo_home() -> Result<PathBuf, String> {
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or(home)
        .ok_or_else(|| "neither CARGO_HOME nor HOME is set".to_owned())
}

/// Builds the image twice and compares every byte.
pub(crate) fn reproducible(_: &[String]) -> Result<(), String> {
    firmware(&[])?;
    let folder = root().join("target/reproducible");
    let error = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(error)?;
    }
    let (copy, home) = (folder.join("a folder/elsewhere"), folder.join("cargo-home"));
    copy_workspace(&copy)?;
    fs::create_dir_all(&home).map_err(error)?;
    // What is downloaded is an input; where it lies is not.
    for name in ["registry", "config.toml"] {
        let original = cargo_home()?.join(name);
        if original.exists() {
            std::os::unix::fs::symlink(original, home.join(name)).map_err(error)?;
        }
    }
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--package", "xtask", "--", "firmware"]).current_dir(&copy);
    command.env("CARGO_HOME", &home).env("CARGO_TARGET_DIR", folder.join("build"));
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if !status.success() {
        return Err(format!("the second build failed: {status}"));
    }
    let read = |path: PathBuf| fs::read(&path).map_err(|error| format!("{}: {error}", path.display()));
    let image = "target/firmware/dunlin.bin";
    let (first, second) = (read(root().join(image))?, read(copy.join(image))?);
    if let Some(at) = difference(&first, &second) {
        return Err(format!(
            "the second image differs at {at:#x}: {} and {} bytes",
            first.len(),
            second.len()
        ));
    }
    println!("\nboth images have the same {} bytes", first.len());
    Ok(())
}

/// Returns where two files differ first.
fn difference(first: &[u8], second: &[u8]) -> Option<usize> {
    let common = first.iter().zip(second).position(|(a, b)| a != b);
    common.or((first.len() != second.len()).then(|| first.len().min(second.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_wherever_it_stands() {
        let traces = [("a folder".to_owned(), "/home/".to_owned()), ("nothing".to_owned(), String::new())];
        assert_eq!(find(b"library/core/src/cell.rs", &traces), Ok(()));
        for image in [&b"/home/me/a.rs\0"[..], b"\0/home/me/a.rs", b"xx/home/"] {
            assert!(find(image, &traces).is_err_and(|text| text.contains("a folder, `/home/`")));
        }
        assert!(check(format!("\0{}/agent/src/run.rs\0", root().display()).as_bytes()).is_err());
        assert_eq!(check(b"agent/src/run.rs"), Ok(()));
    }

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(difference(b"abc", b"abc"), None);
        assert_eq!(difference(b"abc", b"abd"), Some(2));
        assert_eq!(difference(b"abc", b"ab"), Some(2));
        assert_eq!(difference(b"", b"a"), Some(0));
    }
}
