//! Every unsafe block and implementation says why it is sound.
//!
//! Clippy says the same (`undocumented_unsafe_blocks`), but the image's compiler comes without clippy, and what is compiled for
//! the chip alone no other sees: `main.rs`, and what has the chip's architecture as its condition.

use std::fs;
use std::path::Path;

use crate::routine::root;

/// Where unsafe code is.
const FOLDER: &str = "firmware/src";
/// How the reason begins.
const REASON: &str = "// SAFETY:";

/// Refuses unsafe code without its reason.
pub(crate) fn check() -> Result<(), String> {
    let mut bare = Vec::new();
    let mut folders = vec![root().join(FOLDER)];
    while let Some(folder) = folders.pop() {
        let error = |error: std::io::Error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).map_err(error)?;
                let shown = path.strip_prefix(root()).unwrap_or(Path::new("")).display();
                bare.extend(without_reason(&text).iter().map(|line| format!("{shown}:{line}")));
            }
        }
    }
    if bare.is_empty() {
        return Ok(());
    }
    bare.sort();
    Err(format!(
        "unsafe code without `{REASON}` in the line above: {}; name the fact that makes it sound",
        bare.join(", ")
    ))
}

/// Returns the lines, counted from 1, with an unsafe block or implementation whose statement has no reason above it.
fn without_reason(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_unsafe = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        // Of a declaration, each user says why it is sound; an attribute needs no reason.
        ["unsafe {", "unsafe{", "unsafe impl"].iter().any(|words| code.contains(words))
            || code.ends_with("unsafe")
    };
    let has_reason = |at: usize| {
        let above = lines[..at].iter().rev();
        // The rest of the statement that the block is in, and attributes.
        let above = above.skip_while(|line| {
            !line.starts_with("//")
                && !line.is_empty()
                && (line.starts_with("#[") || !line.ends_with([';', '{', '}']))
        });
        above.take_while(|line| line.starts_with("//")).any(|line| line.starts_with(REASON))
    };
    let found = lines.iter().enumerate().filter(|(at, line)| is_unsafe(line) && !has_reason(*at));
    found.map(|(at, _)| at + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stands_above_the_statement() {
        for text in [
            "// SAFETY: it is static.\nlet a = unsafe { b() };",
            "// SAFETY: it is\n// static.\n#[inline]\nunsafe impl A for B {",
            "// SAFETY: both.\nlet a =\n    unsafe { b() };",
            "/// Says `unsafe {`.\nunsafe extern \"C\" {}",
            "#[unsafe(no_mangle)]\nunsafe fn a() {",
        ] {
            assert_eq!(without_reason(text), [0; 0], "{text}");
        }
    }

    #[test]
    fn unsafe_code_without_a_reason_is_told() {
        for (text, line) in [
            ("let a = unsafe { b() };", 1),
            ("// It is static.\nlet a = unsafe { b() };", 2),
            ("// SAFETY: of another.\nlet a = 1;\nlet b = unsafe { c() };", 3),
            ("// SAFETY: of a block above.\n\nunsafe impl A for B {", 3),
            ("fn a() {\n    unsafe\n    {", 2),
        ] {
            assert_eq!(without_reason(text), [line], "{text}");
        }
    }

    #[test]
    fn the_image_keeps_the_rule() {
        assert_eq!(check(), Ok(()));
    }
}
