//! Puts right the one thing that LLVM's assembly text for this processor has wrong.
//!
//! `L32R` loads a constant from up to 256 KiB *before* the instruction. LLVM 22 writes a function's constants before it switches
//! to the function's section, so that they land in the section of the function before: flash for a function in IRAM, and
//! the other way round. Its own object writer does the same, and leaves them unaligned. This is llvm/llvm-project issue
//! 190204, put right by pull request 200132, which LLVM 22 does not have. Where the text is right already, nothing is
//! moved; `cargo xtask workarounds` tells when that is so.

/// Returns `text` with each group of literals behind the switch to the section of its function, for GNU's assembler.
pub(crate) fn repair(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut waiting: Vec<&str> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim_start();
        if is_literal(trimmed) {
            waiting.push(line);
        } else if trimmed.starts_with(".cfi_") {
            // Tables for unwinding, which nothing here does.
        } else {
            // `.text` before `.section` is LLVM's reset to its default; the section that counts is the last.
            let place = !waiting.is_empty() && !is_section(trimmed);
            if place {
                push_all(&mut repaired, &mut waiting);
            }
            repaired.push_str(line);
            repaired.push('\n');
        }
    }
    push_all(&mut repaired, &mut waiting);
    repaired
}

fn is_literal(line: &str) -> bool {
    line.starts_with(".literal_position") || line.starts_with(".literal\t") || line.starts_with(".literal ")
}

fn is_section(line: &str) -> bool {
    line == ".text" || line.starts_with(".section")
}

fn push_all(text: &mut String, lines: &mut Vec<&str>) {
    for line in lines.drain(..) {
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As rustc 1.96 with LLVM 22.1 writes it.
    const WRONG: &str = "\t.literal_position
\t.literal .LCPI0_0, 1610612736
\t.text
\t.section\t.text.first,\"ax\",@progbits
\t.global\tfirst
first:
\t.cfi_startproc
\tl32r\ta8, .LCPI0_0
\t.literal_position
\t.literal .LCPI1_0, other
\t.section\t.iram.text.second,\"ax\",@progbits
second:
\tl32r\ta8, .LCPI1_0
";
    const RIGHT: &str = "\t.text
\t.section\t.text.first,\"ax\",@progbits
\t.literal_position
\t.literal .LCPI0_0, 1610612736
\t.global\tfirst
first:
\tl32r\ta8, .LCPI0_0
\t.section\t.iram.text.second,\"ax\",@progbits
\t.literal_position
\t.literal .LCPI1_0, other
second:
\tl32r\ta8, .LCPI1_0
";

    #[test]
    fn literals_move_behind_the_switch_to_their_functions_section() {
        assert_eq!(repair(WRONG), RIGHT);
    }

    #[test]
    fn text_that_is_right_stays_as_it_is() {
        assert_eq!(repair(RIGHT), RIGHT);
    }

    #[test]
    fn no_line_is_lost_at_the_end() {
        assert_eq!(
            repair("\t.literal_position\n\t.literal .L, 1\n"),
            "\t.literal_position\n\t.literal .L, 1\n"
        );
    }
}
