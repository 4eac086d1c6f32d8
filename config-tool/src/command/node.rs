//! A node that a command asks: at the end of a serial line, or behind a broker.

use crate::remote::{Address, Remote};

use super::{CommandError, Exit, LineArguments};

/// Prefix of topics unless a configuration says otherwise.
const PREFIX: &str = dunlin_config_format::config::Mqtt::PREFIX;
/// Variable with the password for the broker: a command line is seen by everyone on a computer.
const PASSWORD: &str = "DUNLIN_BROKER_PASSWORD";

/// Which node, and how it is reached.
#[derive(clap::Args, Debug)]
pub(crate) struct NodeArguments {
    #[command(flatten)]
    pub(crate) line: LineArguments,
    /// Ask over MQTT, at this broker, in place of a serial line
    #[arg(long, value_name = "HOST:PORT", requires = "device", conflicts_with = "port")]
    broker: Option<String>,
    /// Name of the node, with --broker
    #[arg(long, value_name = "NAME", requires = "broker")]
    device: Option<String>,
    /// Prefix of the node's topics, with --broker
    #[arg(long, default_value = PREFIX, requires = "broker")]
    prefix: String,
    /// User name at the broker; its password is in the variable DUNLIN_BROKER_PASSWORD
    #[arg(long, value_name = "NAME", requires = "broker")]
    username: Option<String>,
}

impl NodeArguments {
    /// Connects to the broker, where one is named.
    pub(crate) fn remote(&self) -> Result<Option<Remote>, CommandError> {
        let (Some(broker), Some(device)) = (&self.broker, &self.device) else { return Ok(None) };
        if let Some((_, address)) = broker.split_once("://") {
            let text = format!("`{broker}` is a URL, and a broker has none: write `--broker {address}`");
            return Err(CommandError::new(Exit::Usage, text));
        }
        let (host, port) = match broker.rsplit_once(':') {
            None => (broker.as_str(), Some(1883)),
            Some((host, port)) => (host, port.parse().ok()),
        };
        let Some(port) = port.filter(|_| !host.is_empty()) else {
            return Err(CommandError::new(
                Exit::Usage,
                format!("`{broker}` is no broker: write `--broker HOST:PORT`"),
            ));
        };
        let password = std::env::var(PASSWORD).unwrap_or_default();
        let address = Address {
            host: host.to_owned(),
            port,
            prefix: self.prefix.clone(),
            device: device.clone(),
            credentials: self.username.clone().map(|username| (username, password)),
        };
        Remote::connect(address).map(Some).map_err(|error| CommandError::new(Exit::Device, error))
    }
}

/// Reads a node's answer, a JSON object; an error in it is one of the command.
pub(crate) fn answer(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, CommandError> {
    let refused = |text: String| CommandError::new(Exit::Device, text);
    let serde_json::Value::Object(object) =
        serde_json::from_str(text).map_err(|_| refused(format!("the answer is no JSON: {text}")))?
    else {
        return Err(refused(format!("the answer is no object: {text}")));
    };
    let Some(error) = object.get("error").and_then(serde_json::Value::as_str) else { return Ok(object) };
    let have: Vec<&str> = object
        .get("have")
        .and_then(|have| have.as_array())
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str())
        .collect();
    Err(refused(match error {
        "no-such-sensor" => format!("the node has no such sensor; it has: {}", have.join(", ")),
        "busy" => "the node measures for somebody else; ask again".to_owned(),
        other => format!("the node refuses: {other}"),
    }))
}
