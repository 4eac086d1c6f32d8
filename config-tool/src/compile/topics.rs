//! Topics that only one can have: those of two reports, and those that the node itself uses.

use std::collections::BTreeSet;

use dunlin_config_format::topic::Topics;

use super::diagnostic::Code;
use super::model::Model;
use super::problems::Problems;

/// Refuses topics that belong to the node itself or to another report.
pub(super) fn check(problems: &mut Problems, model: &Model<'_>) {
    let mut seen = BTreeSet::new();
    model.with_config(|config| {
        let topics = Topics::new(config);
        for (report, own) in config.reports.iter().zip(&model.reports) {
            let topic = topics.report(&report);
            if let Some(use_) = own_use(&topics, &topic) {
                let message = format!("`{topic}` belongs to the node itself: {use_}");
                problems.error(Code::Topic, own.span.clone(), message, "give the report a topic of its own");
            }
            if !seen.insert(topic.clone()) {
                let message = format!("another report sends to `{topic}` already");
                problems.error(
                    Code::Duplicate,
                    own.span.clone(),
                    message,
                    "give each report a topic of its own",
                );
            }
        }
    });
}

/// Returns what the node uses a topic for.
fn own_use(topics: &Topics<'_>, topic: &str) -> Option<&'static str> {
    [
        (topic == topics.status().as_str(), "whether it is online"),
        (topic == topics.info().as_str(), "its birth message"),
        (topic == topics.stats().as_str(), "its counters"),
        (topic == topics.reply().as_str(), "its answers"),
        (topic.starts_with(topics.health("").as_str()), "the health of its sensors"),
        (topics.request_name(topic).is_some(), "requests to it"),
    ]
    .into_iter()
    .find_map(|(is_used, use_)| is_used.then_some(use_))
}
