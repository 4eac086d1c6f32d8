//! Placeholders in texts: `{device}`, `{sensor}`, `{reading}` and `{vars.NAME}`. Two braces are one that stands for itself.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Code;
use super::nearest::nearest;
use super::problems::Problems;

/// What placeholders stand for everywhere in a file.
pub(super) struct Names {
    pub(super) device: String,
    pub(super) vars: BTreeMap<String, String>,
}

/// A placeholder that one place has: its name, and what it stands for there, or why for nothing and what to do about it.
pub(super) type Local<'l> = (&'l str, Result<&'l str, (String, String)>);

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
    /// A brace that nothing closes.
    Open,
}

/// Takes a text apart.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        let (brace, behind) = from.split_at(1);
        let name = behind.split_once('}');
        rest = match (behind.strip_prefix(brace), name) {
            (Some(behind), _) => {
                pieces.push(Piece::Text(brace));
                behind
            }
            (None, _) if brace == "}" => {
                pieces.push(Piece::Text(brace));
                behind
            }
            (None, Some((name, behind))) => {
                pieces.push(Piece::Placeholder(name));
                behind
            }
            (None, None) => {
                pieces.push(Piece::Open);
                behind
            }
        };
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// Returns whether a text has a placeholder.
pub(super) fn has(text: &str, name: &str) -> bool {
    pieces(text).contains(&Piece::Placeholder(name))
}

/// Returns the text whose placeholders are replaced by themselves: that with every brace twice.
pub(super) fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// Returns a text with its placeholders replaced; none where one stands for nothing.
pub(super) fn resolve(
    problems: &mut Problems,
    text: &str,
    span: &Range<usize>,
    names: &Names,
    local: &[Local<'_>],
) -> Option<String> {
    let mut out = Some(String::new());
    for piece in pieces(text) {
        let value = match piece {
            Piece::Text(text) => Ok(text),
            Piece::Placeholder(name) => names.value(name, local),
            Piece::Open => {
                Err(("a `{` without `}`".to_owned(), "close it, or write {{ for a brace".to_owned()))
            }
        };
        match value {
            Ok(value) => out.iter_mut().for_each(|out| out.push_str(value)),
            Err((message, help)) => {
                problems.error(Code::Placeholder, span.clone(), message, help);
                out = None;
            }
        }
    }
    out
}

impl Names {
    /// Returns what a placeholder stands for, or message and help.
    fn value<'v>(&'v self, name: &str, local: &[Local<'v>]) -> Result<&'v str, (String, String)> {
        if let Some((_, meaning)) = local.iter().find(|(each, _)| *each == name) {
            return meaning.clone();
        }
        if name == "device" {
            return Ok(&self.device);
        }
        let var = name.strip_prefix("vars.").map(|var| (var, self.vars.get(var)));
        if let Some((_, Some(value))) = var {
            return Ok(value);
        }
        let here = local.iter().filter(|(_, meaning)| meaning.is_ok()).map(|&(name, _)| name.to_owned());
        let vars = self.vars.keys().map(|name| format!("vars.{name}"));
        let mut known: Vec<String> = std::iter::once("device".to_owned()).chain(here).chain(vars).collect();
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let help = match (nearest(name, &names), var) {
            (Some(near), _) => format!("did you mean {{{near}}}?"),
            (None, Some((var, None))) => format!("add `{var}` to [vars]"),
            _ => {
                let is_var = |(name, _): &Local<'_>| name.starts_with("vars.");
                if self.vars.is_empty() && !local.iter().any(is_var) {
                    known.push("vars.NAME".to_owned());
                }
                format!("possible here: {{{}}}", known.join("}, {"))
            }
        };
        Err((format!("`{{{name}}}` stands for nothing here"), help))
    }
}

/// Texts with placeholders, beside topics and the labels of sensors: the path to each.
const PLACES: &[&[&str]] = &[
    &["device", "label"],
    &["mqtt", "broker"],
    &["mqtt", "client-id"],
    &["mqtt", "username"],
    &["mqtt", "prefix"],
    &["mqtt", "password", "env"],
    &["mqtt", "password", "file"],
];

/// Replaces the placeholders of a file's [`PLACES`], before anything reads it.
pub(super) fn resolve_file(problems: &mut Problems, root: &mut DeTable<'_>, names: &Names) {
    for path in PLACES {
        let Some(value) = value_at(root, path) else { continue };
        let span = value.span();
        if let DeValue::String(text) = value.get_mut() {
            // What can't be replaced is told; what reads it has nothing more to say.
            *text = resolve(problems, text, &span, names, &[]).unwrap_or_else(|| "x".to_owned()).into();
        }
    }
}

fn value_at<'r, 'd>(table: &'r mut DeTable<'d>, path: &[&str]) -> Option<&'r mut Spanned<DeValue<'d>>> {
    let (first, rest) = path.split_first()?;
    let value = table.get_mut(*first)?;
    if rest.is_empty() {
        return Some(value);
    }
    match value.get_mut() {
        DeValue::Table(table) => value_at(table, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_texts_placeholders_and_braces() {
        use Piece::{Open, Placeholder, Text};
        assert_eq!(pieces("a"), [Text("a")]);
        assert_eq!(pieces("a/{b}"), [Text("a/"), Placeholder("b"), Text("")]);
        assert_eq!(pieces("{b"), [Text(""), Open, Text("b")]);
        assert_eq!(
            pieces("}{{}}"),
            [Text(""), Text("}"), Text(""), Text("{"), Text(""), Text("}"), Text("")]
        );
        assert!(has("x/{reading}", "reading") && !has("x/{{reading}}", "reading"));
    }

    #[test]
    fn what_is_escaped_comes_back() {
        let names = Names { device: "n".to_owned(), vars: BTreeMap::new() };
        for text in ["", "{", "}", "{device}", "}}{{", "a{b}c", "{{{", "äö{ü"] {
            let mut problems = Problems::default();
            let back = resolve(&mut problems, &escaped(text), &(0..0), &names, &[]);
            assert_eq!((back.as_deref(), problems.noted.len()), (Some(text), 0));
        }
    }
}
