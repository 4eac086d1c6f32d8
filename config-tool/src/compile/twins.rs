//! Files of one device: each is right by itself, and their nodes would be at odds at their broker.

use dunlin_config_format::config::Config;
use dunlin_config_format::image::Image;

use super::Compiled;
use super::diagnostic::{Code, Diagnostic, Severity, Source, printable};
use super::problems::hidden_in_line;

/// Who a node is, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    broker: (String, u32),
    device: String,
    client_identifier: String,
}

impl Node {
    /// Returns the node that a valid image makes.
    fn of(image: &[u8]) -> Option<Self> {
        let parsed = Image::parse(image).ok()?;
        let config = Config::decode(parsed.body).ok()?;
        let name = config.device.name;
        Some(Node {
            broker: (config.mqtt.host.to_lowercase(), config.mqtt.port.0),
            device: name.to_owned(),
            client_identifier: config.mqtt.client_identifier.unwrap_or(name).to_owned(),
        })
    }
}

impl Compiled {
    /// Warns of another file that makes a node with the same name at the same broker: `others` are the files before this one,
    /// by name, and this one joins them unless it is refused.
    pub fn compare(&mut self, source: &Source, others: &mut Vec<(String, Node)>) {
        let Some(node) = self.image.as_deref().and_then(Node::of) else { return };
        self.warn_of_twin(source, &node, others);
        others.push((source.name.clone(), node));
    }

    fn warn_of_twin(&mut self, source: &Source, node: &Node, others: &[(String, Node)]) {
        let is_twin = |other: &Node| other.broker == node.broker && other.device == node.device;
        let twin = others.iter().find(|(name, other)| *name != source.name && is_twin(other));
        let Some((name, other)) = twin else { return };
        let harm = match other.client_identifier == node.client_identifier {
            true => "each would end the other's session",
            false => "both would send to the same topics",
        };
        let span = self.name_span.clone();
        let hidden = hidden_in_line(&source.text, &self.hidden, span.start);
        let at = self.diagnostics.partition_point(|problem| problem.span.start <= span.start);
        let warning = Diagnostic {
            code: Code::Duplicate,
            severity: Severity::Warning,
            span,
            message: printable(&format!(
                "`{name}` is for a device `{}` at this broker as well: {harm}",
                node.device
            )),
            help: "give each device a `name` of its own".to_owned(),
            hidden,
            lack: None,
        };
        self.diagnostics.insert(at, warning);
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;

    /// Returns what is told of each of some files, given by name, `[device]` and `[mqtt]`.
    fn told(files: &[(&str, &str, &str)]) -> Vec<String> {
        let (mut nodes, mut told) = (Vec::new(), Vec::new());
        for (name, device, mqtt) in files {
            let text = format!(
                "[device]\n{device}\n[mqtt]\n{mqtt}\n[sensor.a]\ndriver = \"internal\"\nperiod = \"1m\"\n"
            );
            let source = Source { name: (*name).to_owned(), text };
            let mut compiled = compile(&source);
            compiled.compare(&source, &mut nodes);
            told.extend(compiled.diagnostics.iter().map(|problem| problem.short(&source)));
        }
        told
    }

    #[test]
    fn one_name_at_one_broker_is_told() {
        let (name, broker) = ("name = \"n\"", "broker = \"broker.home\"");
        assert_eq!(
            told(&[("a", name, broker), ("b", name, "broker = \"BROKER.home:1883\"")]),
            [
                "b:2:8: warning[D014]: `a` is for a device `n` at this broker as well: each would end the other's \
                 session; give each device a `name` of its own"
            ]
        );
        let own_client = "broker = \"broker.home\"\nclient-id = \"c\"";
        let of_topics = told(&[("a", name, broker), ("b", name, own_client)]);
        assert!(of_topics.concat().contains("the same topics"), "{of_topics:?}");
    }

    #[test]
    fn other_names_other_brokers_and_a_file_that_is_there_twice_are_not() {
        let (name, broker) = ("name = \"n\"", "broker = \"broker.home\"");
        for second in [
            ("b", "name = \"m\"", broker),
            ("b", name, "broker = \"broker.lab\""),
            ("b", name, "broker = \"broker.home:1884\""),
            ("a", name, broker),
        ] {
            assert!(told(&[("a", name, broker), second]).is_empty(), "{second:?}");
        }
    }

    #[test]
    fn what_stands_beside_the_name_stays_hidden() {
        let text = "device = { name = \"n\", label = \"user:horse@x\" }\n\
                    mqtt = { broker = \"10.0.0.1\" }\nsensor.a = { driver = \"internal\", period = \"1m\" }\n";
        let [first, second] = ["a", "b"].map(|name| Source { name: name.to_owned(), text: text.to_owned() });
        let mut others = Vec::new();
        compile(&first).compare(&first, &mut others);
        let mut compiled = compile(&second);
        compiled.compare(&second, &mut others);
        let [problem] = &compiled.diagnostics[..] else { panic!("{:?}", compiled.diagnostics) };
        assert!(!problem.human(&second, false).contains("horse"));
    }
}
