//! The table `mqtt`: the broker, and the session with it.

use std::net::Ipv4Addr;
use std::ops::Range;

use dunlin_config_format::config::{Mqtt, Or, is_topic};
use dunlin_config_format::limits::{
    CLIENT_IDENTIFIER_LEN, CONFIRM_WITHIN_MAX_S, CONFIRM_WITHIN_MIN_S, CREDENTIAL_LEN, HOST_LEN,
    KEEP_ALIVE_MAX_S, KEEP_ALIVE_MIN_S, PERIOD_MAX_MS, PREFIX_LEN,
};
use toml::de::DeValue;

use super::super::diagnostic::{Code, Lack};
use super::super::hidden::has_credentials;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{Value, type_name};
use super::super::{Plain, SecretSource, keys};
use super::{short_text, table};

/// Where brokers take MQTT with TLS, by convention (IANA, secure-mqtt).
const TLS_PORT: u16 = 8883;

pub(in super::super) fn mqtt<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    secrets: &mut Vec<(&'static str, SecretSource)>,
) -> Option<Mqtt<'t>> {
    let Some(mqtt) = table(problems, root, "mqtt") else {
        if root.get("mqtt").is_none() {
            problems.missing(
                Code::MissingKey,
                0..0,
                Lack::Table("mqtt"),
                "the file has no [mqtt]",
                "add `[mqtt]` with `broker = \"192.168.1.10\"`",
            );
        }
        return None;
    };
    mqtt.refuse_others(problems, &keys::MQTT.names(), keys::MQTT.later);
    let client_identifier = short_text(problems, &mqtt, "client-id", CLIENT_IDENTIFIER_LEN);
    let username = short_text(problems, &mqtt, "username", CREDENTIAL_LEN);
    let password = mqtt.get("password").and_then(|value| secret(problems, "password", value));
    if let (Some(_), None, Some(value)) = (&password, username, mqtt.get("password")) {
        let lack = Lack::Key("username".to_owned());
        let message = "a password without a user name";
        problems.missing(Code::MissingKey, value.span(), lack, message, "add `username`");
    }
    let has_password = password.is_some();
    secrets.extend(password.map(|source| (Mqtt::PASSWORD_SECRET, source)));
    let seconds = |ms: Option<u32>, default: u32| ms.map_or(default, |ms| ms / 1000);
    let range = |low: u32, high: u32| u64::from(low) * 1000..=u64::from(high) * 1000;
    let keep_alive = mqtt.duration_ms(problems, "keep-alive", range(KEEP_ALIVE_MIN_S, KEEP_ALIVE_MAX_S));
    let confirm =
        mqtt.duration_ms(problems, "confirm-within", range(CONFIRM_WITHIN_MIN_S, CONFIRM_WITHIN_MAX_S));
    let stats_every_s = match mqtt.get("stats").map(|value| (value.get_ref(), value.span())) {
        None => Or::<60>::DEFAULT,
        Some((DeValue::Boolean(false), _)) => 0,
        Some((DeValue::Boolean(true), span)) => {
            let help = "write a duration such as \"60s\", or `false` for never";
            problems.error(Code::WrongType, span, "`stats` is `true`", help);
            Or::<60>::DEFAULT
        }
        Some(_) => {
            seconds(mqtt.duration_ms(problems, "stats", 1000..=u64::from(PERIOD_MAX_MS)), Or::<60>::DEFAULT)
        }
    };
    let prefix = mqtt.text(problems, "prefix").and_then(|(prefix, span)| {
        if is_topic(prefix) && prefix.len() <= PREFIX_LEN && !prefix.ends_with('/') {
            return Some(prefix);
        }
        problems.error(
            Code::Topic,
            span,
            format!("`prefix` is \"{prefix}\""),
            format!("write 1 to {PREFIX_LEN} bytes of a topic, without + and #, not ending in /"),
        );
        None
    });
    if mqtt.get("broker").is_none() {
        mqtt.missing(problems, "broker", "\"192.168.1.10\"");
    }
    let (broker_text, span) = mqtt.text(problems, "broker")?;
    let (host, port) = broker(problems, broker_text, span)?;
    Some(Mqtt {
        host,
        port: Or(port.into()),
        client_identifier,
        username,
        has_password,
        keep_alive_s: Or(seconds(keep_alive, Or::<60>::DEFAULT)),
        prefix: prefix.filter(|prefix| *prefix != Mqtt::PREFIX),
        confirm_within_s: Or(seconds(confirm, Or::<60>::DEFAULT)),
        stats_every_s: Or(stats_every_s),
    })
}

/// Reads `host`, `host:port`.
fn broker<'t>(problems: &mut Problems, text: &'t str, span: Range<usize>) -> Option<(&'t str, u16)> {
    let mut refuse = |message: String, help: String| {
        problems.error(Code::Broker, span.clone(), message, help);
        None
    };
    if has_credentials(text) || text.contains('@') {
        let help =
            "write the host alone, and `username` and `password = { env = \"NAME\" }` in [mqtt]".to_owned();
        return refuse("the broker has a user name in it".to_owned(), help);
    }
    if let Some(rest) = text.strip_prefix("mqtt://") {
        return refuse("a broker is no URL".to_owned(), format!("write \"{}\"", rest.trim_end_matches('/')));
    }
    if let Some(rest) = text.strip_prefix("mqtts://") {
        let help =
            format!("there is no TLS on the device yet; without it write \"{}\"", rest.trim_end_matches('/'));
        return refuse("a broker with TLS".to_owned(), help);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let help = format!("the device speaks MQTT over TCP; write host or host:port, such as \"{host}\"");
        return refuse(format!("a broker is no URL, and `{scheme}` is not MQTT"), help);
    }
    if text.starts_with('[') || text.parse::<std::net::Ipv6Addr>().is_ok() {
        let help = "the device speaks IPv4 only so far; write a name or an IPv4 address".to_owned();
        return refuse(format!("the broker is the IPv6 address \"{text}\""), help);
    }
    let (host, port) = match text.split_once(':') {
        None => (text, Some(1883)),
        Some((host, port)) => (host, port.parse().ok().filter(|&port| port > 0)),
    };
    let Some(port) = port else {
        let is_number = text.bytes().skip(host.len() + 1).all(|byte| byte.is_ascii_digit());
        // What stands behind the colon is not repeated: it may be a password.
        let message = match text.matches(':').count() {
            _ if is_number => format!("the broker is \"{text}\""),
            1 => format!("the broker's port, behind \"{host}:\", is no number"),
            count => format!("the broker has {count} colons behind \"{host}\""),
        };
        return refuse(message, "write host:port, with a port from 1 to 65535".to_owned());
    };
    if host == "localhost" || host.starts_with("127.") {
        let help = format!(
            "on the device, that is the device itself; write the computer's address, or \"{}\" for the one at the other end of the cable",
            Mqtt::USB_HOST
        );
        return refuse(format!("the broker is \"{host}\""), help);
    }
    let looks_numeric = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if looks_numeric && host.parse::<Ipv4Addr>().is_err() {
        return refuse(
            format!("\"{host}\" is no IPv4 address"),
            "write four numbers from 0 to 255, such as \"192.168.1.10\"".to_owned(),
        );
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(is_label) || host.len() > HOST_LEN {
        let help = format!(
            "write a host name or an IPv4 address of at most {HOST_LEN} bytes, and :port where it is not 1883"
        );
        return refuse(format!("the broker is \"{text}\""), help);
    }
    if port == TLS_PORT {
        let help = "there is no TLS on the device yet; write the port where the broker takes plain MQTT, 1883 as a rule";
        problems.warning(Code::Broker, span, format!("port {port} is that of MQTT with TLS"), help);
    }
    Some((host, port))
}

fn secret(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<SecretSource> {
    let help = "write { env = \"NAME\" } or { file = \"PATH\" }";
    match value.get_ref() {
        DeValue::String(text) if text.is_empty() => {
            problems.error(Code::Secret, value.span(), format!("`{key}` is empty"), help);
            None
        }
        DeValue::String(text) if text.len() > CREDENTIAL_LEN => {
            let message = format!("`{key}` has {} bytes", text.len());
            problems.error(
                Code::Secret,
                value.span(),
                message,
                format!("at most {CREDENTIAL_LEN} are possible"),
            );
            None
        }
        DeValue::String(text) => {
            problems.warning(Code::Secret, value.span(), format!("`{key}` stands in the file"), help);
            Some(SecretSource::Plain(Plain(text.to_string())))
        }
        DeValue::Table(table) => {
            let mut entries = table.iter();
            let mut span = value.span();
            let source = match (entries.next(), entries.next()) {
                (Some((key, value)), None) => match (key.get_ref().as_ref(), value.get_ref().as_str()) {
                    ("env", Some(name)) if !name.is_empty() => Some(SecretSource::Env(name.to_owned())),
                    ("file", Some(path)) if !path.is_empty() => Some(SecretSource::File(path.to_owned())),
                    ("env" | "file", _) => {
                        span = value.span();
                        None
                    }
                    _ => None,
                },
                _ => None,
            };
            let message = match table.contains_key("env") && table.contains_key("file") {
                true => format!("`{key}` names two sources"),
                false => format!("`{key}` names no source"),
            };
            if source.is_none() {
                problems.error(Code::Secret, span, message, help);
            }
            source
        }
        other => {
            problems.error(Code::Secret, value.span(), format!("`{key}` is {}", type_name(other)), help);
            None
        }
    }
}
