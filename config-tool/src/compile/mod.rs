//! From the user's file to an image. Every problem of a file is told in one run, each with its place.
//!
//! The text is read as a spanned tree and walked by hand. serde would stop at the first problem and lose the places of
//! those that concern two tables.

mod budget;
pub mod diagnostic;
mod difference;
mod filters;
pub(crate) mod foreign;
mod hidden;
pub(crate) mod keys;
mod meant;
mod model;
mod nearest;
mod placeholder;
mod problems;
mod reader;
mod readings;
mod scenario;
mod schema;
mod settings;
mod show;
mod syntax;
mod topics;
mod twins;
mod value;

use std::ops::Range;

use dunlin_config_format::limits::{REPORTS, SENSORS};
use toml::de::DeValue;

pub use budget::{Budget, budget};
pub use diagnostic::{Code, Diagnostic, Severity, Source, more, told};
pub use difference::{Difference, Line, difference};
use keys::TableKeys;
use model::Model;
pub(crate) use nearest::nearest;
use placeholder::Names;
use problems::Problems;
use reader::{THE_FILE, Table};
pub(crate) use scenario::fault_kind;
pub use scenario::{idle_faults, parse_scenario};
pub use schema::schema;
pub use show::{Shown, show, show_with};
pub(crate) use syntax::FILE_SIZE;
pub use twins::Node;
pub(crate) use value::shown_ms;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment.
    Env(String),
    /// A file, relative to the configuration.
    File(String),
    /// The file itself. Its `Debug` tells nothing.
    Plain(Plain),
}

/// A secret that stands in the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain(pub(crate) String);

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

/// What came of a file.
#[derive(Debug)]
pub struct Compiled {
    /// Problems, in the order of their places; the first hundred where there are more.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more problems there are.
    pub untold: usize,
    /// The image, unless there are errors.
    pub image: Option<Vec<u8>>,
    /// The device's name, where it could be read.
    pub device: Option<String>,
    /// Secrets that the image names, and where they come from.
    pub secrets: Vec<(&'static str, SecretSource)>,
    /// Where the device's name is.
    name_span: Range<usize>,
    /// What of the text no output may show.
    hidden: Vec<Range<usize>>,
}

impl Compiled {
    /// Returns whether there are errors.
    pub fn is_refused(&self) -> bool {
        self.image.is_none()
    }
}

/// Compiles a file.
pub fn compile(source: &Source) -> Compiled {
    let mut problems = Problems::default();
    let (root, hidden) = syntax::parse(&mut problems, &source.text);
    let mut compiled = Compiled {
        diagnostics: Vec::new(),
        untold: 0,
        image: None,
        device: None,
        secrets: Vec::new(),
        name_span: 0..0,
        hidden,
    };
    let Some(mut root) = root else {
        (compiled.diagnostics, compiled.untold) = problems.finish(&source.text, &compiled.hidden);
        return compiled;
    };
    if let Some((span, message, help)) = meant::scenario(root.get_ref(), &source.name) {
        problems.error(Code::UnknownKey, span, message, help);
        (compiled.diagnostics, compiled.untold) = problems.finish(&source.text, &compiled.hidden);
        return compiled;
    }
    let names = settings::names(&mut problems, &Table::new(root.get_ref(), 0..0, THE_FILE));
    placeholder::resolve_file(&mut problems, root.get_mut(), &names);
    let root = Table::new(root.get_ref(), 0..0, THE_FILE);
    refuse_unknown_tables(&mut problems, &root);
    let model = read(&mut problems, &root, &names, &mut compiled);
    if let Some(model) = &model {
        check_whole(&mut problems, &root, model);
    }
    if let Some(model) = model.filter(|_| !problems.has_errors()) {
        match model.image() {
            Ok(image) => compiled.image = Some(image),
            Err(error) => problems.error(
                Code::Budget,
                0..0,
                error,
                "use fewer sensors and reports, or shorter topics and filters",
            ),
        }
    }
    (compiled.diagnostics, compiled.untold) = problems.finish(&source.text, &compiled.hidden);
    compiled
}

/// Notes every table that a file can't have, and every one that is a list.
fn refuse_unknown_tables(problems: &mut Problems, root: &Table<'_>) {
    let mut known: Vec<&str> = keys::TABLES.iter().map(|table| table.name).collect();
    let entries = root.entries();
    for (key, span, value) in &entries {
        let means = |name: &str| *key == name || key.strip_suffix('s') == Some(name);
        let Some(table) = keys::TABLES.iter().find(|table| means(table.name)) else { continue };
        let name = table.name;
        if *key != name {
            known.push(key);
            let help =
                if table.is_named { format!("write `[{name}.ID]`") } else { format!("write `[{name}]`") };
            problems.error(
                Code::Shape,
                span.clone(),
                format!("tables are singular, and this is `{key}`"),
                help,
            );
        } else if let DeValue::Array(_) = value.get_ref() {
            list(problems, span.clone(), table);
        }
    }
    root.refuse_others(problems, &known, foreign::TABLES_LATER);
}

/// Notes that a table is a list.
fn list(problems: &mut Problems, span: Range<usize>, table: &TableKeys) {
    let name = table.name;
    let help = match table.is_named {
        true => format!("write `[{name}.ID]`, each with an identifier of its own"),
        false => format!("there is one: write `[{name}]`"),
    };
    problems.error(Code::Shape, span, format!("`{name}` is a list"), help);
}

/// Reads every table; none where something that the rest needs is missing.
fn read<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    names: &Names,
    compiled: &mut Compiled,
) -> Option<Model<'t>> {
    let device = settings::device(problems, root);
    compiled.device = device.map(|device| device.name.to_owned());
    let name = root.get("device").and_then(|device| device.get_ref().as_table()?.get("name"));
    compiled.name_span = name.map_or(0..0, |name| name.span());
    let mqtt = settings::mqtt(problems, root, &mut compiled.secrets);
    let link = settings::usb(problems, root);
    let board = settings::board(root);
    let i2c = settings::i2c(problems, root, board);
    let (sensors, reports) = readings::read(problems, root, &i2c, names);
    Some(Model { device: device?, mqtt: mqtt?, link, i2c, sensors, reports })
}

/// Checks what concerns the configuration as a whole.
fn check_whole(problems: &mut Problems, root: &Table<'_>, model: &Model<'_>) {
    let whole = |key: &str| root.get(key).map_or(0..0, |value| value.span().start..value.span().start + 1);
    let sensors =
        root.get("sensor").and_then(|value| value.get_ref().as_table()).map_or(0, |table| table.len());
    if sensors > SENSORS {
        let message = format!("{sensors} sensors");
        problems.error(Code::Budget, whole("sensor"), message, format!("a device holds {SENSORS}"));
        return;
    }
    if model.reports.len() > REPORTS {
        let message = format!("{} reports", model.reports.len());
        problems.error(Code::Budget, whole("report"), message, format!("a device holds {REPORTS}"));
    }
    topics::check(problems, model);
    if sensors == 0 && problems.noted.iter().all(|problem| problem.severity == Severity::Warning) {
        let help = "add `[sensor.ID]` with `driver` and `period`";
        problems.warning(Code::NoSensor, 0..0, "the file has no sensors: the node measures nothing", help);
    }
    let (words, busy) = model.with_config(|config| (config.filter_words(), budget::busy(config)));
    check_buses(problems, root, &busy);
    let most = dunlin_config_format::limits::FILTER_WORDS;
    if words > most {
        let message = format!("the filters need {words} words of memory");
        problems.error(
            Code::Budget,
            whole("sensor"),
            message,
            format!("a device has {most}: use smaller windows"),
        );
    }
}

/// Refuses more samples than there is time for on a bus, and on all of them: one processor drives their lines in turn.
fn check_buses(problems: &mut Problems, root: &Table<'_>, busy: &[(String, f64)]) {
    let help = "write longer periods, or a higher `frequency`";
    let seconds = |share: f64| format!("{share:.2} s of every second");
    for (id, share) in busy.iter().filter(|(_, share)| *share > 1.0) {
        let bus = root.get("i2c").and_then(|i2c| i2c.get_ref().as_table()?.get_key_value(id.as_str()));
        let span = bus.map_or(0..0, |(key, _)| key.span());
        problems.error(Code::Budget, span, format!("[i2c.{id}] would be busy for {}", seconds(*share)), help);
    }
    let all: f64 = busy.iter().map(|(_, share)| share).sum();
    if all > 1.0 && busy.iter().all(|(_, share)| *share <= 1.0) {
        let span = root.get("i2c").map_or(0..0, |value| value.span().start..value.span().start + 1);
        let message = format!("the buses would be busy for {} together", seconds(all));
        problems.error(Code::Budget, span, message, help);
    }
}
