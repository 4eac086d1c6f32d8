//! Every key that a file may have: what it means and what it may be.
//!
//! The compiler refuses other keys by these tables; `dunlin explain` and `dunlin schema` tell them to people and editors.
//! The options of a sensor are not here: they are its driver's.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::limits::{
    CLIENT_IDENTIFIER_LEN, CONFIRM_WITHIN_MAX_S, CONFIRM_WITHIN_MIN_S, CREDENTIAL_LEN, HOST_LEN,
    KEEP_ALIVE_MAX_S, KEEP_ALIVE_MIN_S, LABEL_LEN, PERIOD_MAX_MS, PERIOD_MIN_MS, PREFIX_LEN, TOPIC_LEN,
};

use super::foreign::{DEEP_SLEEP, Later};
use super::settings::BOARDS;

/// What a key may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `[a-z0-9-]`, 1 to 32 characters.
    Identifier,
    /// A text of 1 to so many bytes.
    Text(usize),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
    /// An integer in a range.
    Integer(i64, i64),
    /// A duration in a range of milliseconds.
    Duration(u64, u64),
    /// A duration, or `false` for never.
    DurationOrOff(u64, u64),
    /// A frequency, such as `"400kHz"`.
    Frequency,
    /// A GPIO number, or a name such as `"D2"` where the board is known.
    Pin,
    /// An IPv4 address.
    Ipv4,
    /// An IPv4 address and the length of the network's prefix.
    Ipv4Network,
    /// A value from elsewhere: `{ env = "NAME" }` or `{ file = "PATH" }`.
    Secret,
    /// A list of texts.
    Texts,
    /// A chain of filters.
    Filters,
    /// `false`.
    Off,
    /// A table for each reading, with its `filters`.
    Readings,
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Name in the file.
    pub(crate) name: &'static str,
    /// What it is for, in one line.
    pub(crate) summary: &'static str,
    /// What it may be.
    pub(crate) kind: Kind,
    /// What holds without it, as it is written in a file, or in words in brackets; none where it must be there.
    pub(crate) default: Option<&'static str>,
}

/// A table of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableKeys {
    /// Name in the file.
    pub(crate) name: &'static str,
    /// What it is for, in one line.
    pub(crate) summary: &'static str,
    /// Whether there are several, each with an identifier: `[sensor.ID]`.
    pub(crate) is_named: bool,
    /// Its keys.
    pub(crate) keys: &'static [Key],
    /// Keys that it will have.
    pub(crate) later: &'static [Later],
}

impl TableKeys {
    /// Returns the names of the keys.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

const fn key(name: &'static str, kind: Kind, default: Option<&'static str>, summary: &'static str) -> Key {
    Key { name, summary, kind, default }
}

const PERIODS: (u64, u64) = (PERIOD_MIN_MS as u64, PERIOD_MAX_MS as u64);
const PERIOD: Kind = Kind::Duration(PERIODS.0, PERIODS.1);
const QOS: Key =
    key("qos", Kind::Integer(0, 2), Some("0"), "quality of service of its messages (MQTT 5, section 4.3)");
const RETAIN: Key = key(
    "retain",
    Kind::Boolean,
    Some("false"),
    "whether the broker keeps the newest message for later subscribers",
);
const PAYLOAD: Key = key(
    "payload",
    Kind::OneOf(&["json", "plain", "thingflow"]),
    Some("\"json\""),
    "how a message looks: {\"illuminance\":284.1,…}, 284.1, or [\"lux-1\", 624, 284.1]",
);

pub(crate) const DEVICE: TableKeys = TableKeys {
    name: "device",
    summary: "the node itself",
    is_named: false,
    keys: &[
        key(
            "name",
            Kind::Identifier,
            None,
            "what the node is called, in topics as well; unique at its broker",
        ),
        key(
            "label",
            Kind::Text(LABEL_LEN),
            Some("(none)"),
            "a name for people; {device} and {vars.NAME} are replaced",
        ),
        key("board", Kind::OneOf(BOARDS), Some("(none)"), "the board, so that pins may be written as \"D2\""),
    ],
    later: &[
        ("time-zone", "a node counts from its start; let whoever receives its messages add the time"),
        DEEP_SLEEP,
    ],
};

pub(crate) const MQTT: TableKeys = TableKeys {
    name: "mqtt",
    summary: "the broker, and the session with it; {device} and {vars.NAME} are replaced in its texts",
    is_named: false,
    keys: &[
        key(
            "broker",
            Kind::Text(HOST_LEN + 6),
            None,
            "host or host:port (1883 unless given); \"usb-host\" is the computer at the other end of the cable",
        ),
        key(
            "client-id",
            Kind::Text(CLIENT_IDENTIFIER_LEN),
            Some("(the device's name)"),
            "client identifier (MQTT 5, section 3.1.3.1)",
        ),
        key("username", Kind::Text(CREDENTIAL_LEN), Some("(none)"), "user name at the broker"),
        key("password", Kind::Secret, Some("(none)"), "password at the broker; it travels in clear"),
        key(
            "keep-alive",
            Kind::Duration(KEEP_ALIVE_MIN_S as u64 * 1000, KEEP_ALIVE_MAX_S as u64 * 1000),
            Some("\"60s\""),
            "longest silence; a dead link is noticed within one and a half of it (MQTT 5, section 3.1.2.10)",
        ),
        key("prefix", Kind::Text(PREFIX_LEN), Some("\"dunlin\""), "first part of the node's own topics"),
        key(
            "confirm-within",
            Kind::Duration(CONFIRM_WITHIN_MIN_S as u64 * 1000, CONFIRM_WITHIN_MAX_S as u64 * 1000),
            Some("\"60s\""),
            "time that a new configuration has to reach the broker in each of three attempts, before the one before returns",
        ),
        key(
            "stats",
            Kind::DurationOrOff(1000, PERIODS.1),
            Some("\"60s\""),
            "how often the node tells its counters; `false` for never",
        ),
    ],
    later: &[("tls", "keep broker and node in a network that you trust")],
};

pub(crate) const USB: TableKeys = TableKeys {
    name: "usb",
    summary: "the link over the USB cable; DHCP unless an address is given",
    is_named: false,
    keys: &[
        key(
            "address",
            Kind::Ipv4Network,
            Some("(from DHCP)"),
            "the node's address and the network's prefix length",
        ),
        key("gateway", Kind::Ipv4, Some("(none)"), "where packets to other networks go"),
        key("dns", Kind::Ipv4, Some("(none)"), "who resolves names"),
    ],
    later: &[("policy", "what holds the port carries the node's whole network")],
};

pub(crate) const I2C: TableKeys = TableKeys {
    name: "i2c",
    summary: "an I2C bus on any two pins",
    is_named: true,
    keys: &[
        key("sda", Kind::Pin, None, "the data line's pin"),
        key("scl", Kind::Pin, None, "the clock line's pin"),
        key("frequency", Kind::Frequency, Some("\"100kHz\""), "clock frequency, 10 kHz to 400 kHz"),
    ],
    later: &[],
};

const DRIVER: Key = key("driver", Kind::Text(32), None, "what it is; `dunlin explain` lists the drivers");
const BUS: Key = key("bus", Kind::Identifier, Some("(the only one)"), "identifier of its bus");
const ADDRESS: Key =
    key("address", Kind::Integer(0, 0x7f), Some("(the driver's usual one)"), "7-bit address on the bus");
const SENSOR_PERIOD: Key =
    key("period", PERIOD, None, "how often it is read: at start, and on multiples of the period since then");
const SENSOR_LABEL: Key = key(
    "label",
    Kind::Text(LABEL_LEN),
    Some("(none)"),
    "a name for people; {device}, {sensor} and {vars.NAME} are replaced",
);
const TOPIC: Key = key(
    "topic",
    Kind::Text(TOPIC_LEN),
    Some("\"dunlin/{device}/reading/{sensor}\""),
    "whole topic of its messages; {device}, {sensor}, {reading} and {vars.NAME} are replaced; unless given, `prefix` of \
     [mqtt] stands in the place of `dunlin`",
);
const FILTER_CHAIN: Key = key(
    "filters",
    Kind::Filters,
    Some("[]"),
    "what its values pass before anyone sees them, in this order; `false`: nothing, whatever the defaults say",
);
const READINGS: Key =
    key("readings", Kind::Texts, Some("(the driver's primary ones)"), "which of its readings are reported");
const READING: Key =
    key("reading", Kind::Readings, Some("(none)"), "filters of single readings: [sensor.ID.reading.NAME]");
const AUTOMATIC: Key = key(
    "report",
    Kind::Off,
    Some("(a report of its own)"),
    "`false`: only reports that name it tell its values; a `topic` of its own keeps its report",
);

pub(crate) const SENSOR: TableKeys = TableKeys {
    name: "sensor",
    summary: "a sensor: what it is, where it is, how often it is read, and how its messages look",
    is_named: true,
    keys: &[
        DRIVER,
        BUS,
        ADDRESS,
        SENSOR_PERIOD,
        SENSOR_LABEL,
        TOPIC,
        QOS,
        RETAIN,
        PAYLOAD,
        FILTER_CHAIN,
        READINGS,
        READING,
        AUTOMATIC,
    ],
    later: &[("label-de", "write one `label`"), DEEP_SLEEP],
};

const OF: Key = key(
    "of",
    Kind::Texts,
    None,
    "its readings: \"a\" is those that the sensor a reports (its `readings`, else the driver's primary ones), \"a.gain\" \
     one, and \"a.*\" every one of its driver, whatever `readings` says",
);
const EVERY: Key = key(
    "every",
    PERIOD,
    Some("(with each value)"),
    "how often the newest values are sent; needed for several readings",
);

pub(crate) const REPORT: TableKeys = TableKeys {
    name: "report",
    summary: "a message of one or several readings",
    is_named: true,
    keys: &[
        OF,
        EVERY,
        key(
            "topic",
            Kind::Text(TOPIC_LEN),
            Some("(\"dunlin/{device}/reading/ID\", with the report's identifier)"),
            "whole topic of its messages; {device} and {vars.NAME} are replaced, {sensor} where there is one, and \
             {reading} where there is one; unless given, `prefix` of [mqtt] stands in the place of `dunlin`",
        ),
        QOS,
        RETAIN,
        PAYLOAD,
        key(
            "filters",
            Kind::Filters,
            Some("[]"),
            "filters behind those of the sensor, where it has one reading; each sample runs through them, and \
             `every` sends the newest value that passed",
        ),
    ],
    later: &[],
};

/// Returns a key of sensors or reports as a default of all of them.
const fn of(summary: &'static str, key: Key) -> Key {
    let default = match key.default {
        Some(default) => default,
        None => "(none)",
    };
    Key { summary, default: Some(default), ..key }
}

pub(crate) const DEFAULTS: TableKeys = TableKeys {
    name: "defaults",
    summary: "what sensors and reports have unless they say otherwise; options of drivers as well",
    is_named: false,
    keys: &[
        of("of sensors", DRIVER),
        of("of sensors that are on a bus", BUS),
        of("of sensors that are on a bus", ADDRESS),
        of("of sensors", SENSOR_PERIOD),
        of("of sensors; {device}, {sensor} and {vars.NAME} are replaced", SENSOR_LABEL),
        of("of sensors and reports; {device}, {sensor}, {reading} and {vars.NAME} are replaced", TOPIC),
        QOS,
        RETAIN,
        PAYLOAD,
        of("of sensors", FILTER_CHAIN),
        of("of sensors that have one of these", READINGS),
        of("filters of readings, wherever there are such: [defaults.reading.NAME]", READING),
        of("`false`: sensors have no report unless they have a `topic` of their own", AUTOMATIC),
        of("of reports", OF),
        of("of reports of several readings", EVERY),
    ],
    later: SENSOR.later,
};

pub(crate) const VARS: TableKeys = TableKeys {
    name: "vars",
    summary: "texts of your own, for {vars.NAME} in topics and labels, and in [mqtt]",
    is_named: false,
    keys: &[],
    later: &[],
};

/// Every table, in the order in which a file has them.
pub(crate) const TABLES: &[TableKeys] = &[DEVICE, MQTT, USB, I2C, SENSOR, REPORT, DEFAULTS, VARS];

/// Returns the names of every driver's options.
pub(crate) fn options() -> Vec<&'static str> {
    Driver::ALL.iter().flat_map(|driver| driver.info().options).map(|option| option.name).collect()
}
