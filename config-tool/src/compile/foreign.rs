//! Names that a file can't have: those that will work later, and those of other tables and other systems. Each has a cure.

use super::keys::TABLES;

/// A name that is known and does not work yet, and what to do instead.
pub(crate) type Later = (&'static str, &'static str);

pub(super) const DEEP_SLEEP: Later = ("deep-sleep", "the node stays awake between two samples");

const BY_CABLE: &str =
    "the network goes over the USB cable: keep `dunlin bridge` running on the computer there";

/// Tables that a file will have.
pub(crate) const TABLES_LATER: &[Later] = &[
    ("include", "copy the tables into this file"),
    ("fleet", "keep a file for each node"),
    ("time", "a node counts from its start; let whoever receives its messages add the time"),
    ("home-assistant", "add the node there by hand, as MQTT sensors with these topics"),
    ("remote", "push over the USB cable"),
    ("one-wire", "sensors are on I2C buses: `[i2c.main]`"),
    ("wifi", BY_CABLE),
    ("ethernet", BY_CABLE),
    ("generic", "`dunlin explain` lists the drivers that there are"),
    DEEP_SLEEP,
];

/// Drivers that there will be.
pub(crate) const DRIVERS_LATER: &[&str] = &["generic", "generic-i2c"];

/// What other systems call a key, and what it is here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("host", "broker"),
    ("server", "broker"),
    ("user", "username"),
    ("type", "driver"),
    ("platform", "driver"),
    ("model", "driver"),
    ("interval", "period"),
    ("update-interval", "period"),
    ("update_interval", "period"),
    ("scan-interval", "period"),
    ("interval", "every"),
    ("period", "every"),
    ("name", "label"),
    ("id", "name"),
    ("hostname", "name"),
    ("publish", "topic"),
    ("state-topic", "topic"),
    ("state_topic", "topic"),
    ("retained", "retain"),
    ("format", "payload"),
    ("sensors", "of"),
    ("topic-prefix", "prefix"),
    ("topic_prefix", "prefix"),
    ("esphome", "device"),
    ("esp8266", "device"),
];

/// Keys that are a part of a value here: the key with that value, and how it is written.
const PARTS: &[(&str, &str, &str)] =
    &[("port", "broker", "write it behind the host: `broker = \"host:port\"`")];

/// Returns which of `known` a key is that other systems have.
pub(super) fn called<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let pairs = ELSEWHERE.iter().copied().chain(PARTS.iter().map(|&(part, whole, _)| (part, whole)));
    let mut names = pairs.filter(|(other, _)| *other == key);
    names.find_map(|(_, here)| known.iter().copied().find(|name| *name == here))
}

/// Returns what to do about a key that is none of `known`: the name that it has here, or the table that has it.
pub(crate) fn elsewhere(key: &str, known: &[&str]) -> Option<String> {
    let part = PARTS.iter().find(|(part, whole, _)| *part == key && known.contains(whole));
    if let Some((_, _, help)) = part {
        return Some((*help).to_owned());
    }
    if let Some(here) = called(key, known) {
        return Some(format!("here it is called `{here}`"));
    }
    let owner = TABLES.iter().find(|table| table.names().contains(&key))?;
    let id = if owner.is_named { ".ID" } else { "" };
    Some(format!("it belongs to [{}{id}]", owner.name))
}
