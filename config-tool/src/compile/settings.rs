//! The tables `device`, `mqtt`, `usb`, `i2c` and `vars`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use dunlin_config_format::config::{
    Device, I2cBus, Link, LinkKind, Mqtt, Or, StaticIpv4, is_free_pin, is_identifier, is_text, is_topic,
};
use dunlin_config_format::limits::{
    BUSES, CLIENT_IDENTIFIER_LEN, CONFIRM_WITHIN_MAX_S, CONFIRM_WITHIN_MIN_S, CREDENTIAL_LEN, HOST_LEN,
    I2C_FREQUENCY_MAX_HZ, I2C_FREQUENCY_MIN_HZ, KEEP_ALIVE_MAX_S, KEEP_ALIVE_MIN_S, LABEL_LEN, PERIOD_MAX_MS,
    PREFIX_LEN, TOPIC_LEN,
};
use toml::de::DeValue;

use super::diagnostic::Code;
use super::hidden::has_credentials;
use super::keys;
use super::reader::{Problems, Table, Value, nearest, parsed, type_name, wrong_type};
use super::{Plain, SecretSource};

/// Boards whose pins have names.
pub(super) const BOARDS: &[&str] = &["d1-mini", "nodemcu"];
/// The names D0 to D8 on these boards, as GPIO numbers.
const D_PINS: [u8; 9] = [16, 5, 4, 0, 2, 14, 12, 13, 15];

/// Returns a table at the top of the file.
pub(super) fn table<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    key: &'t str,
) -> Option<(Table<'t>, Range<usize>)> {
    let value = root.get(key)?;
    match value.get_ref() {
        DeValue::Table(_) => Some((as_table(value, key)?, value.span())),
        DeValue::Array(_) => None,
        other => {
            wrong_type(problems, key, value.span(), other, &format!("a table: `[{key}]`"));
            None
        }
    }
}

fn as_table<'t>(value: Value<'t>, name: &'t str) -> Option<Table<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(Table { table, span: value.span(), name: format!("[{name}]") }),
        _ => None,
    }
}

/// Checks an identifier.
pub(super) fn identifier(problems: &mut Problems, span: Range<usize>, id: &str) -> bool {
    if !is_identifier(id) {
        let better: String =
            id.to_lowercase().chars().map(|c| if c == '_' || c == ' ' { '-' } else { c }).collect();
        let help = if is_identifier(&better) {
            format!("write `{better}`")
        } else {
            "use 1 to 32 of the characters a-z, 0-9 and -".to_owned()
        };
        problems.error(Code::Identifier, span, format!("`{id}` is no identifier"), help);
    }
    is_identifier(id)
}

/// Reads a text of limited length.
pub(super) fn short_text<'t>(
    problems: &mut Problems,
    table: &Table<'t>,
    key: &str,
    most: usize,
) -> Option<&'t str> {
    let (text, span) = table.text(problems, key)?;
    if !is_text(text, most) {
        let message = if text.is_empty() {
            format!("`{key}` is empty")
        } else {
            format!("`{key}` has {} bytes", text.len())
        };
        problems.error(
            Code::Text,
            span,
            message,
            format!("1 to {most} bytes without control characters are possible"),
        );
        return None;
    }
    Some(text)
}

pub(super) fn device<'t>(problems: &mut Problems, root: &Table<'t>) -> Option<Device<'t>> {
    let Some((device, span)) = table(problems, root, "device") else {
        if root.get("device").is_none() {
            problems.error(
                Code::MissingKey,
                0..0,
                "the file has no [device]",
                "add `[device]` with `name = \"node-1\"`",
            );
        }
        return None;
    };
    let device = Table { span: span.clone(), name: "[device]".to_owned(), ..device };
    device.refuse_others(problems, &keys::DEVICE.names(), &["time-zone"]);
    if let Some((board, span)) = device.text(problems, "board")
        && !BOARDS.contains(&board)
    {
        let help = nearest(board, BOARDS).map_or_else(
            || format!("known boards: {}", BOARDS.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        problems.error(Code::UnknownName, span, format!("unknown board `{board}`"), help);
    }
    let label = short_text(problems, &device, "label", LABEL_LEN);
    if device.get("name").is_none() {
        device.missing(problems, "name", "\"node-1\"");
    }
    let (name, span) = device.text(problems, "name")?;
    identifier(problems, span, name).then_some(Device { name, label })
}

/// Returns the board's name, where it is one whose pins have names.
pub(super) fn board<'t>(root: &Table<'t>) -> Option<&'t str> {
    let DeValue::Table(device) = root.get("device")?.get_ref() else { return None };
    let board = device.iter().find(|(key, _)| key.get_ref() == "board")?.1.get_ref().as_str()?;
    BOARDS.contains(&board).then_some(board)
}

pub(super) fn mqtt<'t>(
    problems: &mut Problems,
    root: &Table<'t>,
    secrets: &mut Vec<(&'static str, SecretSource)>,
) -> Option<Mqtt<'t>> {
    let Some((mqtt, span)) = table(problems, root, "mqtt") else {
        if root.get("mqtt").is_none() {
            problems.error(
                Code::MissingKey,
                0..0,
                "the file has no [mqtt]",
                "add `[mqtt]` with `broker = \"192.168.1.10\"`",
            );
        }
        return None;
    };
    let mqtt = Table { span: span.clone(), name: "[mqtt]".to_owned(), ..mqtt };
    mqtt.refuse_others(problems, &keys::MQTT.names(), &["tls"]);
    let client_identifier = short_text(problems, &mqtt, "client-id", CLIENT_IDENTIFIER_LEN);
    let username = short_text(problems, &mqtt, "username", CREDENTIAL_LEN);
    let password = mqtt.get("password").and_then(|value| secret(problems, "password", value));
    if let (Some(_), None, Some(value)) = (&password, username, mqtt.get("password")) {
        problems.error(Code::MissingKey, value.span(), "a password without a user name", "add `username`");
    }
    let has_password = password.is_some();
    secrets.extend(password.map(|source| (Mqtt::PASSWORD_SECRET, source)));
    let seconds = |ms: Option<u32>, default: u32| ms.map_or(default, |ms| ms / 1000);
    let range = |low: u32, high: u32| u64::from(low) * 1000..=u64::from(high) * 1000;
    let keep_alive = mqtt.duration_ms(problems, "keep-alive", range(KEEP_ALIVE_MIN_S, KEEP_ALIVE_MAX_S));
    let confirm =
        mqtt.duration_ms(problems, "confirm-within", range(CONFIRM_WITHIN_MIN_S, CONFIRM_WITHIN_MAX_S));
    let stats_every_s = match mqtt.get("stats").map(|value| value.get_ref()) {
        Some(DeValue::Boolean(false)) => 0,
        Some(DeValue::Boolean(true)) | None => Or::<60>::DEFAULT,
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
    Some((host, port))
}

fn secret(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<SecretSource> {
    let help = "write { env = \"NAME\" } or { file = \"PATH\" }";
    match value.get_ref() {
        DeValue::String(text) if text.is_empty() => {
            problems.error(Code::Secret, value.span(), format!("`{key}` is empty"), help);
            None
        }
        DeValue::String(text) => {
            problems.warning(Code::Secret, value.span(), format!("`{key}` stands in the file"), help);
            Some(SecretSource::Plain(Plain(text.to_string())))
        }
        DeValue::Table(table) => {
            let mut entries = table.iter();
            let source = match (entries.next(), entries.next()) {
                (Some((key, value)), None) => match (key.get_ref().as_ref(), value.get_ref().as_str()) {
                    ("env", Some(name)) if !name.is_empty() => Some(SecretSource::Env(name.to_owned())),
                    ("file", Some(path)) if !path.is_empty() => Some(SecretSource::File(path.to_owned())),
                    _ => None,
                },
                _ => None,
            };
            if source.is_none() {
                problems.error(Code::Secret, value.span(), format!("`{key}` names no source"), help);
            }
            source
        }
        other => {
            problems.error(Code::Secret, value.span(), format!("`{key}` is {}", type_name(other)), help);
            None
        }
    }
}

/// Reads the link: the address keys of `[usb]`.
pub(super) fn usb(problems: &mut Problems, root: &Table<'_>) -> Link {
    let Some((usb, span)) = table(problems, root, "usb") else { return Link::default() };
    let usb = Table { span: span.clone(), name: "[usb]".to_owned(), ..usb };
    usb.refuse_others(problems, &keys::USB.names(), &["policy"]);
    let ip = |problems: &mut Problems, key: &str| {
        let (text, span) = usb.text(problems, key)?;
        let parsed = text.parse::<Ipv4Addr>().ok();
        if parsed.is_none() {
            problems.error(
                Code::Address,
                span,
                format!("`{key}` is \"{text}\""),
                "write an IPv4 address such as \"192.168.7.1\"",
            );
        }
        parsed.map(|address| address.octets())
    };
    let (gateway, dns) = (ip(problems, "gateway"), ip(problems, "dns"));
    let Some((text, span)) = usb.text(problems, "address") else {
        for key in ["gateway", "dns"] {
            if let Some(value) = usb.get(key) {
                problems.error(
                    Code::Address,
                    value.span(),
                    format!("`{key}` without `address`"),
                    "add `address = \"192.168.7.2/24\"`, or leave both to DHCP",
                );
            }
        }
        return Link::default();
    };
    let parsed = text.split_once('/').and_then(|(address, prefix)| {
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix_len: u8 = prefix.parse().ok().filter(|prefix| (1..=30).contains(prefix))?;
        let [first, ..] = address.octets();
        (first != 0 && first != 127 && first < 224).then_some((address.octets(), prefix_len))
    });
    let Some((address, prefix_len)) = parsed else {
        problems.error(
            Code::Address,
            span,
            format!("`address` is \"{text}\""),
            "write address and length of the network's prefix, such as \"192.168.7.2/24\"",
        );
        return Link::default();
    };
    Link { kind: LinkKind::Usb, address: Some(StaticIpv4 { address, prefix_len, gateway, dns }) }
}

pub(super) fn i2c<'t>(problems: &mut Problems, root: &Table<'t>, board: Option<&str>) -> Vec<I2cBus<'t>> {
    let mut buses: Vec<I2cBus<'t>> = Vec::new();
    let Some((i2c, _)) = table(problems, root, "i2c") else { return buses };
    for (id, key_span, value) in i2c.entries() {
        let span = value.span();
        let DeValue::Table(inner) = value.get_ref() else {
            let help = "name the bus: `[i2c.main]` with `sda` and `scl`".to_owned();
            problems.error(Code::Shape, key_span, format!("`{id}` stands directly in [i2c]"), help);
            continue;
        };
        identifier(problems, key_span.clone(), id);
        let name = format!("[i2c.{id}]");
        let bus = Table { table: inner, span: key_span.clone(), name: name.clone() };
        bus.refuse_others(problems, &keys::I2C.names(), &[]);
        let frequency_hz = frequency(problems, &bus).unwrap_or(Or::<100_000>::DEFAULT);
        let (sda, scl) = (pin(problems, &bus, "sda", board), pin(problems, &bus, "scl", board));
        for key in ["sda", "scl"] {
            if bus.get(key).is_none() {
                bus.missing(problems, key, if key == "sda" { "4" } else { "5" });
            }
        }
        let (Some(sda), Some(scl)) = (sda, scl) else {
            // Its sensors have nothing to do with that: they find the bus.
            buses.push(I2cBus { id, sda: u8::MAX, scl: u8::MAX, frequency_hz: Or(frequency_hz) });
            continue;
        };
        let taken =
            |pin: u8| buses.iter().find(|other| other.sda == pin || other.scl == pin).map(|other| other.id);
        if sda == scl {
            problems.error(
                Code::Duplicate,
                span.clone(),
                format!("{name} has GPIO{sda} as sda and as scl"),
                "give each a pin of its own",
            );
        }
        for (key, pin) in [("sda", sda), ("scl", scl)] {
            if let (Some(other), Some(value)) = (taken(pin), bus.get(key)) {
                problems.error(
                    Code::Duplicate,
                    value.span(),
                    format!("GPIO{pin} belongs to [i2c.{other}] already"),
                    "give each bus pins of its own",
                );
            }
        }
        buses.push(I2cBus { id, sda, scl, frequency_hz: Or(frequency_hz) });
    }
    if buses.len() > BUSES {
        problems.error(
            Code::Budget,
            0..0,
            format!("{} I2C buses", buses.len()),
            format!("a device has at most {BUSES}"),
        );
    }
    buses
}

fn pin(problems: &mut Problems, bus: &Table<'_>, key: &str, board: Option<&str>) -> Option<u8> {
    let value = bus.get(key)?;
    let gpio = match value.get_ref() {
        DeValue::Integer(number) => parsed(number).and_then(|number| u8::try_from(number).ok()),
        DeValue::String(text) => {
            let number = text.strip_prefix(['D', 'd']).and_then(|number| number.parse::<usize>().ok());
            let gpio = number.and_then(|number| D_PINS.get(number).copied());
            match (gpio, board) {
                (Some(gpio), Some(_)) => Some(gpio),
                (Some(gpio), None) => {
                    let help = format!(
                        "on a D1 mini and a NodeMCU that is GPIO{gpio}: write `{gpio}`, or `board = \"d1-mini\"` in [device]"
                    );
                    problems.error(
                        Code::Pin,
                        value.span(),
                        format!("`{key}` is \"{text}\", and the board is not known"),
                        help,
                    );
                    return None;
                }
                (None, _) => None,
            }
        }
        other => {
            wrong_type(problems, key, value.span(), other, "a GPIO number");
            return None;
        }
    };
    let Some(gpio) = gpio.filter(|gpio| is_free_pin(*gpio)) else {
        let found = gpio.map_or_else(
            || "no pin of the ESP8266".to_owned(),
            |gpio| match gpio {
                1 | 3 => format!("GPIO{gpio}, which carries the serial line"),
                6..=11 => format!("GPIO{gpio}, which carries the flash chip"),
                16 => "GPIO16 (D0), which belongs to the real-time clock and can't be a line of a bus"
                    .to_owned(),
                _ => format!("GPIO{gpio}, which the ESP8266 does not have"),
            },
        );
        problems.error(
            Code::Pin,
            value.span(),
            format!("`{key}` is {found}"),
            "use GPIO 4, 5, 12, 13 or 14 (D2, D1, D6, D7, D5)",
        );
        return None;
    };
    if matches!(gpio, 0 | 2 | 15) {
        let why = match gpio {
            15 => "GPIO15 (D8) must be low at power-on, and I2C pulls it high",
            _ => "the pin must be high at power-on",
        };
        problems.warning(
            Code::BootPin,
            value.span(),
            format!("`{key}` is GPIO{gpio}"),
            format!("{why}; GPIO 4 and 5 (D2, D1) are safe"),
        );
    }
    Some(gpio)
}

fn frequency(problems: &mut Problems, bus: &Table<'_>) -> Option<u32> {
    let (text, span) = bus.text(problems, "frequency")?;
    let hertz = text
        .strip_suffix("kHz")
        .map(|number| (number, 1_000))
        .or_else(|| text.strip_suffix("MHz").map(|number| (number, 1_000_000)))
        .and_then(|(number, unit)| number.trim().parse::<u32>().ok()?.checked_mul(unit));
    let hertz = hertz.filter(|hertz| (I2C_FREQUENCY_MIN_HZ..=I2C_FREQUENCY_MAX_HZ).contains(hertz));
    if hertz.is_none() {
        problems.error(
            Code::OutOfRange,
            span,
            format!("`frequency` is \"{text}\""),
            "write \"10kHz\" to \"400kHz\"",
        );
    }
    hertz
}

pub(super) fn vars<'t>(problems: &mut Problems, root: &Table<'t>) -> BTreeMap<&'t str, &'t str> {
    let mut vars = BTreeMap::new();
    let Some((table, _)) = table(problems, root, "vars") else { return vars };
    for (key, _, value) in table.entries() {
        match value.get_ref() {
            DeValue::String(text) if is_text(text, TOPIC_LEN) => {
                vars.insert(key, text.as_ref());
            }
            DeValue::String(_) => {
                let help = format!("1 to {TOPIC_LEN} bytes without control characters are possible");
                problems.error(Code::Text, value.span(), format!("`{key}` can stand for nothing"), help);
                vars.insert(key, "x");
            }
            other => wrong_type(problems, key, value.span(), other, "a text in quotation marks"),
        }
    }
    vars
}
