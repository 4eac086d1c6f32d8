//! How messages look: topic, quality of service, payload.

use std::ops::Range;

use dunlin_config_format::config::{Payload, QoS};

use super::super::diagnostic::Code;
use super::super::nearest::nearest;
use super::super::problems::Problems;
use super::super::reader::Table;

/// How messages look.
#[derive(Clone)]
pub(super) struct Shape<'t> {
    pub(super) topic: Option<(&'t str, Range<usize>)>,
    /// Whether the topic is not that of the defaults.
    pub(super) has_own_topic: bool,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    pub(super) payload: Payload,
    pub(super) payload_span: Range<usize>,
    /// Which of these keys the table has itself, but for `topic`, and where; in the order of the text.
    pub(super) own_keys: Vec<(&'t str, Range<usize>)>,
}

pub(super) fn shape<'t>(problems: &mut Problems, table: &Table<'t>) -> Shape<'t> {
    let qos = table.integer(problems, "qos", 0..=2);
    let retain = table.boolean(problems, "retain").unwrap_or(false);
    let payload_text = table.text(problems, "payload");
    let payload = payload_text.as_ref().and_then(|(text, span)| {
        let found = Payload::NAMES.iter().find(|(_, name)| name == text).map(|&(payload, _)| payload);
        if found.is_none() {
            let names: Vec<&str> = Payload::NAMES.iter().map(|&(_, name)| name).collect();
            let help = nearest(text, &names).map_or_else(
                || format!("possible: {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            problems.error(Code::UnknownName, span.clone(), format!("unknown payload `{text}`"), help);
        }
        found
    });
    Shape {
        topic: table.text(problems, "topic"),
        has_own_topic: table.own("topic").is_some(),
        qos: match qos {
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            _ => QoS::AtMostOnce,
        },
        retain,
        payload: payload.unwrap_or_default(),
        payload_span: payload_text.map_or(table.span.clone(), |(_, span)| span),
        own_keys: own_keys(table),
    }
}

fn own_keys<'t>(table: &Table<'t>) -> Vec<(&'t str, Range<usize>)> {
    let entries = table.entries().into_iter().map(|(key, span, _)| (key, span));
    entries.filter(|(key, _)| matches!(*key, "qos" | "retain" | "payload")).collect()
}
