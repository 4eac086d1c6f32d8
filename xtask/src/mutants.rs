//! Faults that are seeded into a copy of the slot store's source, one at a time, for the ordinary torn-cut tests to find.
//!
//! The store itself knows nothing of them: what is tested is what is shipped. A fault whose place in the source is gone
//! stops the routine, so that the table cannot rot.
//!
//! A header that is programmed before the body, and only once, is no fault of this store: the body's checksum covers for it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::routine::root;
use crate::torture::test;

/// A fault: its name, and in which file it replaces what by what.
type Mutant = (&'static str, &'static [(&'static str, &'static str, &'static str)]);

const SLOTS: &str = "agent/src/store/slots.rs";
const FLASH: &str = "agent/src/store/flash.rs";
const IDENTITY: &str = "agent/src/store/identity.rs";
const SLOT: &str = "config-format/src/slot.rs";

const MUTANTS: &[Mutant] = &[
    (
        "what was programmed is not read back",
        &[(FLASH, "if self.holds(address, bytes)? { Ok(()) } else { Err(fault) }", "Ok(())")],
    ),
    ("an erasure is not verified", &[(FLASH, "if !self.is_erased(address, SECTOR_SIZE)? {", "if false {")]),
    ("an erasure is verified once", &[(FLASH, "for _ in 0..2 {", "for _ in 0..1 {")]),
    (
        "a torn word is programmed again",
        &[
            (
                FLASH,
                "if !self.is_erased(address, bytes.len()",
                "if false && !self.is_erased(address, bytes.len()",
            ),
            (SLOTS, "slot::free_word(&words)", "words.iter().position(|&word| !slot::is_set(word))"),
        ],
    ),
    (
        "the header is programmed first, and again at the end",
        &[(
            SLOTS,
            "self.flash.program(address(update.slot) + HEADER_SIZE as u32, rest)",
            "self.flash.program(address(update.slot), page).map(|()| drop(rest))",
        )],
    ),
    (
        "the newest confirmed slot is erased",
        &[(
            SLOTS,
            "slot::target(&self.readable(held));\n        let generation",
            "1 - slot::target(&self.readable(held));\n        let generation",
        )],
    ),
    (
        "the generation is not advanced",
        &[(
            SLOTS,
            "Header { generation, ..header }.encode()",
            "Header { generation: generation - 1, ..header }.encode()",
        )],
    ),
    (
        "the state of the other slot is trusted",
        &[(SLOTS, "    address(index) + IMAGE_SIZE\n", "    address(1 - index) + IMAGE_SIZE\n")],
    ),
    ("the state is not erased", &[(SLOTS, ".chain([IMAGE_SIZE / SECTOR_SIZE])", ".chain([0; 0])")]),
    (
        "the state is erased before the header",
        &[(
            SLOTS,
            "(0..sectors).chain([IMAGE_SIZE / SECTOR_SIZE])",
            "[IMAGE_SIZE / SECTOR_SIZE].into_iter().chain(0..sectors)",
        )],
    ),
    (
        "the flag is programmed before its reason",
        &[(
            SLOTS,
            "self.note(index, reason);\n        self.set(state_address(index) + slot::REJECTED_OFFSET, slot::SET)?;",
            "self.set(state_address(index) + slot::REJECTED_OFFSET, slot::SET)?;\n        self.note(index, reason);",
        )],
    ),
    (
        "an attempt is counted before its reason",
        &[(
            SLOTS,
            "self.note(index, reason);\n        self.set(state_address(index) + slot::ATTEMPTS_OFFSET, slot::SET)?;",
            "self.set(state_address(index) + slot::ATTEMPTS_OFFSET, slot::SET)?;\n        self.note(index, reason);",
        )],
    ),
    (
        "a header is trusted without its image",
        &[(
            SLOTS,
            "self.matches(index, &header).then_some(Held { header, state })",
            "Some(Held { header, state })",
        )],
    ),
    (
        "a start erases what it cannot read",
        &[(
            SLOTS,
            "self.unreadable = [false; 2];\n",
            "self.unreadable = [false; 2];\n        for index in [0, 1] {\n            if self.intact(index).is_none() {\n                \
             let _ = self.flash.erase(address(index));\n            }\n        }\n",
        )],
    ),
    (
        "an unreadable slot is protected",
        &[(
            SLOTS,
            "slot::target(&self.readable(held));\n        let generation",
            "slot::target(&held.map(|held| held.map(Held::slot)));\n        let generation",
        )],
    ),
    (
        "a trial decides about the update in its slot",
        &[(SLOTS, "self.running = self.running.filter(|&running| running != index);\n", "")],
    ),
    (
        "a torn reason keeps an attempt from being counted",
        &[(
            SLOTS,
            "self.note(index, reason);\n        self.set(state_address(index) + slot::ATTEMPTS_OFFSET, slot::SET)?;",
            "self.set(state_address(index) + slot::REASONS_OFFSET, slot::reason_word(reason))?;\n        \
             self.set(state_address(index) + slot::ATTEMPTS_OFFSET, slot::SET)?;",
        )],
    ),
    ("a flag counts only when it is whole", &[(SLOT, "word.count_ones() < 16", "word == SET")]),
    (
        "secrets are rewritten in place",
        &[(
            IDENTITY,
            "current.map_or(0, |copy| 1 - copy.index.min(1))",
            "current.map_or(0, |copy| copy.index)",
        )],
    ),
    (
        "a secret is used before its configuration",
        &[(IDENTITY, "&& !is_newer(entry.head.generation, generation);", ";")],
    ),
    (
        "secrets of the configuration before are dropped",
        &[(IDENTITY, "[a, b, Some(generation)]", "[a.and(None), b.and(None), Some(generation)]")],
    ),
];

/// Seeds each fault in turn; every one must be found.
pub(crate) fn mutants() -> Result<(), String> {
    let source = root().join("target/mutants/source");
    let build = root().join("target/mutants/build");
    copy_workspace(&source)?;
    check("the store as it is", &source, &build, true)?;
    for (name, changes) in MUTANTS {
        let mut originals = Vec::new();
        for (file, from, to) in *changes {
            let path = source.join(file);
            let text = text_with(&path, from).map_err(|error| format!("{name}: {error}"))?;
            fs::write(&path, text.replace(from, to)).map_err(|error| format!("{file}: {error}"))?;
            originals.push((path, text));
        }
        check(name, &source, &build, false)?;
        for (path, text) in originals.iter().rev() {
            fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    println!("{} faults seeded, {} found", MUTANTS.len(), MUTANTS.len());
    Ok(())
}

/// Returns the source in `path`, which has `from` once.
fn text_with(path: &Path, from: &str) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match text.matches(from).count() {
        1 => Ok(text),
        count => Err(format!("`{from}` is {count} times in {}, not once", path.display())),
    }
}

/// Builds the copy and runs the tests, which must pass or not; prints which found the fault.
fn check(name: &str, source: &Path, build: &Path, must_pass: bool) -> Result<(), String> {
    let command = |options: &[&str]| {
        let output = test(options).current_dir(source).env("CARGO_TARGET_DIR", build).output();
        output.map_err(|error| error.to_string())
    };
    let built = command(&["--no-run"])?;
    if !built.status.success() {
        return Err(format!("{name}: does not build\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    let output = command(&[])?;
    if output.status.success() != must_pass {
        return Err(format!("{name}: {}", if must_pass { "the tests fail" } else { "no test finds it" }));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failures = text.rsplit("failures:").next().unwrap_or_default();
    let found: Vec<&str> =
        failures.lines().filter_map(|line| line.strip_prefix("    ")).filter(|_| !must_pass).collect();
    println!(
        "{name}: {}",
        if must_pass { "passes".to_owned() } else { format!("found by {}", found.join(", ")) }
    );
    Ok(())
}

/// Copies what the tests are built from.
pub(crate) fn copy_workspace(target: &Path) -> Result<(), String> {
    let error = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    if target.exists() {
        fs::remove_dir_all(target).map_err(|e| error(target, e))?;
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let to = target.join(&folder);
        fs::create_dir_all(&to).map_err(|e| error(&to, e))?;
        for entry in fs::read_dir(root().join(&folder)).map_err(|e| error(&folder, e))? {
            let entry = entry.map_err(|e| error(&folder, e))?;
            let (name, path) = (entry.file_name(), entry.path());
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(folder.join(name));
            } else if path.is_file() && name != ".git" {
                fs::copy(&path, to.join(name)).map_err(|e| error(&path, e))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place_in_the_source() {
        for (name, changes) in MUTANTS {
            let mut texts: Vec<(&str, String)> = Vec::new();
            for (file, from, to) in *changes {
                let known = texts.iter().position(|(other, _)| other == file);
                let text = match known {
                    Some(index) => texts.swap_remove(index).1,
                    None => fs::read_to_string(root().join(file)).unwrap(),
                };
                assert_eq!(text.matches(from).count(), 1, "{name}: `{from}` in {file}");
                texts.push((file, text.replace(from, to)));
            }
        }
    }
}
