//! Reads tables key by key, notes every problem, and never stops at one.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Lack};
use super::foreign::{Later, elsewhere};
use super::keys::TABLES;
use super::nearest::nearest;
use super::problems::{Problems, TOLD};
use super::scenario;
use super::value::{Value, boolean, duration_ms, integer, list, wrong_type};

/// What the table of all tables is called.
pub(super) const THE_FILE: &str = "the file";

/// A table that is being read.
#[derive(Clone)]
pub(super) struct Table<'d> {
    pub(super) table: &'d DeTable<'d>,
    /// Where the table is, for what is missing in it.
    pub(super) span: Range<usize>,
    /// What people call it: `[mqtt]`, `[sensor.lux-1]`.
    pub(super) name: String,
    /// Where the values are that it does not have itself.
    defaults: Option<&'d DeTable<'d>>,
}

impl<'d> Table<'d> {
    pub(super) fn new(table: &'d DeTable<'d>, span: Range<usize>, name: impl Into<String>) -> Self {
        Table { table, span, name: name.into(), defaults: None }
    }

    /// Returns the table that has the values of `defaults` where it has none itself.
    pub(super) fn with(self, defaults: Option<&Table<'d>>) -> Self {
        Table { defaults: defaults.map(|defaults| defaults.table), ..self }
    }

    /// Returns the value of a key: its own, or else that of the defaults.
    pub(super) fn get(&self, key: &str) -> Option<Value<'d>> {
        self.own(key).or_else(|| self.defaults?.get(key))
    }

    /// Returns the value of a key that the table has itself.
    pub(super) fn own(&self, key: &str) -> Option<Value<'d>> {
        self.table.get(key)
    }

    /// Returns the table without its defaults, and the defaults as a table.
    pub(super) fn layers(&self) -> (Table<'d>, Option<Table<'d>>) {
        let defaults = self.defaults.map(|table| Table::new(table, self.span.clone(), "[defaults]"));
        (Table { defaults: None, ..self.clone() }, defaults)
    }

    /// Returns keys and values in the order of the text.
    pub(super) fn entries(&self) -> Vec<(&'d str, Range<usize>, Value<'d>)> {
        let mut entries: Vec<_> =
            self.table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// Notes every key that is not one of `known`; those in `later` are known and do not work yet.
    pub(super) fn refuse_others(&self, problems: &mut Problems, known: &[&str], later: &[Later]) {
        let mut refused = 0;
        for (key, span, value) in self.entries() {
            if known.contains(&key) {
                continue;
            }
            refused += 1;
            if refused > TOLD {
                problems.further += 1;
                continue;
            }
            if let Some(later) = later.iter().find(|(name, _)| *name == key.replace('_', "-")) {
                problems.later(span, later);
                continue;
            }
            let is_file = self.name == THE_FILE;
            let near = nearest(key, known).map(|near| format!("did you mean `{near}`?"));
            let other = || elsewhere(key, known).filter(|_| self.is_of_configuration());
            let help = self.of_other_file(key).or(near).or_else(other).unwrap_or_else(|| match is_file {
                true => format!("a file has the tables {}", known.join(", ")),
                false => format!("{} has: {}", self.name, known.join(", ")),
            });
            // Where the text is misread, a piece of a secret may look like a key.
            let is_misread = problems.noted.first().is_some_and(|problem| problem.code == Code::Syntax);
            let shown = if is_misread && self.name == "[mqtt]" { String::new() } else { format!(" `{key}`") };
            let is_table = is_file && matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            let what = if is_table { "table" } else { "key" };
            problems.error(Code::UnknownKey, span, format!("unknown {what}{shown} in {}", self.name), help);
        }
    }

    /// Returns what to do about a key that belongs in the other of Dunlin's two kinds of files.
    fn of_other_file(&self, key: &str) -> Option<String> {
        let help = match self.name.as_str() {
            THE_FILE if scenario::KEYS.contains(&key) => {
                "it belongs in a scenario, a file beside this one: `dunlin simulate FILE --scenario SCENARIO`"
            }
            scenario::THE_SCENARIO if TABLES.iter().any(|table| table.name == key) => {
                "it belongs in the configuration, a file beside this one: `dunlin simulate FILE --scenario SCENARIO`"
            }
            _ => return None,
        };
        Some(help.to_owned())
    }

    /// Whether the table is one of a configuration's, and not one of a scenario or of a filter.
    fn is_of_configuration(&self) -> bool {
        let first = self.name.strip_prefix('[').and_then(|name| name.split(['.', ']']).next());
        self.name == THE_FILE || TABLES.iter().any(|table| Some(table.name) == first)
    }

    /// Returns a text.
    pub(super) fn text(&self, problems: &mut Problems, key: &str) -> Option<(&'d str, Range<usize>)> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), value.span())),
            other => {
                wrong_type(problems, key, value.span(), other, "a text in quotation marks");
                None
            }
        }
    }

    /// Returns yes or no.
    pub(super) fn boolean(&self, problems: &mut Problems, key: &str) -> Option<bool> {
        boolean(problems, key, self.get(key)?)
    }

    /// Returns an integer in a range.
    pub(super) fn integer(
        &self,
        problems: &mut Problems,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.get(key)?;
        integer(problems, key, value, range)
    }

    /// Returns a list.
    pub(super) fn list(&self, problems: &mut Problems, key: &str) -> Option<Vec<Value<'d>>> {
        list(problems, key, self.get(key)?)
    }

    /// Returns milliseconds in a range.
    pub(super) fn duration_ms(
        &self,
        problems: &mut Problems,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u32> {
        duration_ms(problems, key, self.get(key)?, range)
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&self, problems: &mut Problems, key: &str, example: &str) {
        let help = format!("add `{key} = {example}`");
        let message = format!("{} has no `{key}`", self.name);
        problems.missing(Code::MissingKey, self.span.clone(), Lack::Key(key.to_owned()), message, help);
    }
}
