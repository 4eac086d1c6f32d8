//! How wide the terminal is, and lines that fit into it.

/// Returns how many columns the terminal has; none where the output is none. Looked for where clap does that wraps the help.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn columns() -> Option<usize> {
    let sizes = [
        rustix::termios::tcgetwinsize(std::io::stdout()),
        rustix::termios::tcgetwinsize(std::io::stderr()),
        rustix::termios::tcgetwinsize(std::io::stdin()),
    ];
    let size = sizes.into_iter().find_map(Result::ok)?;
    (size.ws_col > 0).then(|| size.ws_col.into())
}

/// Breaks a line between words where it has more than so many columns. What goes on below is indented, by less where that
/// would take half of the width.
pub(crate) fn wrapped(line: &str, indent: usize, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return line.to_owned() };
    let indent = if indent * 2 > columns { 4.min(columns / 4) } else { indent };
    let margin = " ".repeat(indent);
    let (mut out, mut rest) = (String::new(), line);
    loop {
        // Where the words begin: a line is not broken in front of its first.
        let begin = rest.find(|each| each != ' ').unwrap_or(rest.len());
        let width = if out.is_empty() { columns } else { columns - indent };
        if rest.chars().count() <= width {
            break;
        }
        let end = rest.char_indices().nth(width + 1).map_or(rest.len(), |(end, _)| end);
        let spaces = |range: std::ops::Range<usize>| rest.get(range).unwrap_or_default().match_indices(' ');
        let fitting = spaces(begin..end).next_back().map(|(at, _)| begin + at);
        // A word that is wider than the terminal is left to it.
        let Some(at) = fitting.or_else(|| spaces(end..rest.len()).next().map(|(at, _)| end + at)) else {
            break;
        };
        let (fits, further) = rest.split_at(at);
        out += fits.trim_end();
        out += "\n";
        out += &margin;
        rest = further.trim_start();
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn a_line_is_broken_between_words() {
        let wrapped = |line, indent, columns| wrapped(line, indent, Some(columns));
        assert_eq!(wrapped("= help: write a longer one", 8, 18), "= help: write a\n        longer one");
        assert_eq!(wrapped("fits", 2, 4), "fits");
        assert_eq!(wrapped("one two", 0, 3), "one\ntwo");
        // The space at the edge of the terminal is no column of the text.
        assert_eq!(wrapped("abc def", 0, 4), "abc\ndef");
        assert_eq!(
            wrapped("  check   tell every mistake", 10, 22),
            "  check   tell every\n          mistake"
        );
        assert_eq!(wrapped("  check   tell every mistake", 15, 22), "  check   tell every\n    mistake");
        assert_eq!(wrapped("averyverylongword and more", 2, 8), "averyverylongword\n  and\n  more");
        assert_eq!(wrapped("   ", 0, 2), "   ");
        assert_eq!(wrapped("größer größer", 0, 7), "größer\ngrößer");
        assert_eq!(super::wrapped("any length", 2, None), "any length");
    }
}
