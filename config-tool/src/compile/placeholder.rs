//! Placeholders in texts: `{device}`, `{sensor}`, `{reading}` and `{vars.NAME}`.

use std::collections::BTreeMap;
use std::ops::Range;

use dunlin_config_format::config::is_topic;
use dunlin_config_format::limits::TOPIC_LEN;

use super::diagnostic::Code;
use super::problems::Problems;

/// What placeholders stand for.
pub(super) struct Names<'t> {
    pub(super) device: &'t str,
    pub(super) vars: BTreeMap<&'t str, &'t str>,
}

/// Returns a topic with its placeholders replaced.
pub(super) fn resolved(
    problems: &mut Problems,
    text: &str,
    span: &Range<usize>,
    names: &Names<'_>,
    sensor: Option<&str>,
    reading: Option<&str>,
) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, tail) = rest.split_at(open);
        out.push_str(before);
        let Some((name, after)) = tail.get(1..).and_then(|tail| tail.split_once('}')) else {
            problems.error(
                Code::Placeholder,
                span.clone(),
                "a `{` without `}`",
                "write {device}, {sensor}, {reading} or {vars.NAME}",
            );
            return None;
        };
        let value = match name {
            "device" => Some(names.device),
            "sensor" => sensor,
            "reading" => reading,
            _ => name.strip_prefix("vars.").and_then(|name| names.vars.get(name).copied()),
        };
        let Some(value) = value else {
            let vars: Vec<String> = names.vars.keys().map(|name| format!("{{vars.{name}}}")).collect();
            let help = format!("there are: {{device}}, {{sensor}}, {{reading}} {}", vars.join(" "));
            problems.error(
                Code::Placeholder,
                span.clone(),
                format!("`{{{name}}}` stands for nothing here"),
                help.trim_end().to_owned(),
            );
            return None;
        };
        out.push_str(value);
        rest = after;
    }
    out.push_str(rest);
    if !is_topic(&out) {
        let help = format!("1 to {TOPIC_LEN} bytes, without + and #, not starting with $");
        problems.error(Code::Topic, span.clone(), format!("the topic is \"{out}\""), help);
        return None;
    }
    Some(out)
}
