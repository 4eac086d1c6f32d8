//! The rules of a configuration, as a device checks them.
//!
//! The host finds the same faults earlier and in the words of the user's file; these rules are the last line, so that a
//! board never runs what it cannot keep.

use super::{Config, Device, Filter, Link, List, Mqtt, Payload, Report, Sensor};
use crate::limits;

/// A value that breaks a rule: where and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Where.
    pub part: Part,
    /// Which rule.
    pub fault: Fault,
}

/// A part of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The device.
    Device,
    /// The MQTT session.
    Mqtt,
    /// The link.
    Link,
    /// The I2C bus with this index.
    Bus(usize),
    /// The sensor with this index.
    Sensor(usize),
    /// The report with this index.
    Report(usize),
    /// All parts together.
    Whole,
}

/// A rule that a value breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An identifier is not `[a-z0-9-]{1,32}`.
    Identifier,
    /// An identifier, an option or a reading is there twice, or numbers do not rise where they must.
    Duplicate,
    /// A string is empty, too long, or has a character that it must not have.
    Text,
    /// A topic name is empty, too long, or has `+`, `#`, a leading `$` or a control character.
    Topic,
    /// A number is out of its range.
    Range,
    /// Too many elements.
    Count,
    /// An index points at nothing, or a driver has no such reading, option or address.
    Reference,
    /// A bus is missing where the driver has one, or there where it has none.
    Bus,
    /// A pin that carries the flash or the host's serial line, does not exist, or is used twice.
    Pin,
    /// Two sensors have one address on one bus.
    Address,
    /// A period is shorter than the conversion.
    Period,
    /// The payload does not go with the number of members.
    Payload,
    /// A filter's parameter is out of its range, or the filters need too much memory.
    Filter,
}

impl Config<'_> {
    /// Checks every rule and returns the first that is broken.
    ///
    /// # Errors
    /// The part and the rule.
    pub fn validate(&self) -> Result<(), Invalid> {
        let at = |part: Part| move |fault: Fault| Invalid { part, fault };
        device(&self.device).map_err(at(Part::Device))?;
        mqtt(&self.mqtt).map_err(at(Part::Mqtt))?;
        link(&self.link).map_err(at(Part::Link))?;
        self.counts().map_err(at(Part::Whole))?;
        for index in 0..self.i2c.len() {
            self.bus(index).map_err(at(Part::Bus(index)))?;
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            self.sensor(index, &sensor).map_err(at(Part::Sensor(index)))?;
        }
        for (index, report) in self.reports.iter().enumerate() {
            self.report(index, &report).map_err(at(Part::Report(index)))?;
        }
        require(self.filter_words() <= limits::FILTER_WORDS, Fault::Filter).map_err(at(Part::Whole))
    }

    fn counts(&self) -> Result<(), Fault> {
        require(self.i2c.len() <= limits::BUSES, Fault::Count)?;
        require(self.sensors.len() <= limits::SENSORS, Fault::Count)?;
        require(self.reports.len() <= limits::REPORTS, Fault::Count)
    }

    fn bus(&self, index: usize) -> Result<(), Fault> {
        let mut before = self.i2c.iter().take(index);
        let Some(bus) = self.i2c.get(index) else { return Ok(()) };
        identifier(bus.id)?;
        require(before.clone().all(|other| other.id != bus.id), Fault::Duplicate)?;
        let shared = |other: super::I2cBus<'_>| {
            [other.sda, other.scl].iter().any(|pin| [bus.sda, bus.scl].contains(pin))
        };
        require(is_free_pin(bus.sda) && is_free_pin(bus.scl) && bus.sda != bus.scl, Fault::Pin)?;
        require(!before.any(shared), Fault::Pin)?;
        let range = limits::I2C_FREQUENCY_MIN_HZ..=limits::I2C_FREQUENCY_MAX_HZ;
        require(range.contains(&bus.frequency_hz.0), Fault::Range)
    }

    fn sensor(&self, index: usize, sensor: &Sensor<'_>) -> Result<(), Fault> {
        let info = sensor.driver.info();
        identifier(sensor.id)?;
        label(sensor.label)?;
        let mut before = self.sensors.iter().take(index);
        require(before.clone().all(|other| other.id != sensor.id), Fault::Duplicate)?;
        require(sensor.bus.is_some() != info.addresses.is_empty(), Fault::Bus)?;
        require(sensor.bus.is_none_or(|bus| usize::from(bus) < self.i2c.len()), Fault::Reference)?;
        require(sensor.address.is_none_or(|address| info.addresses.contains(&address)), Fault::Reference)?;
        let same = |other: Sensor<'_>| other.bus == sensor.bus && other.address() == sensor.address();
        require(sensor.bus.is_none() || !before.any(same), Fault::Address)?;
        period(sensor.period_ms)?;
        require(sensor.options.len() <= limits::OPTIONS, Fault::Count)?;
        let mut last = None;
        for option in sensor.options.iter() {
            require(last.is_none_or(|last| last < option.key), Fault::Duplicate)?;
            last = Some(option.key);
            let known = info.options.iter().find(|known| known.key == option.key).ok_or(Fault::Reference)?;
            require(known.accepts(option.value), Fault::Range)?;
        }
        require(sensor.period_ms >= sensor.driver.conversion_ms(|key| sensor.option(key)), Fault::Period)?;
        require(sensor.readings.len() <= limits::READINGS, Fault::Count)?;
        let mut last = None;
        for reading in sensor.readings.iter() {
            require(usize::from(reading.number) < info.readings.len(), Fault::Reference)?;
            require(last.is_none_or(|last| last < reading.number), Fault::Duplicate)?;
            last = Some(reading.number);
            filters(&reading.filters)?;
        }
        Ok(())
    }

    fn report(&self, index: usize, report: &Report<'_>) -> Result<(), Fault> {
        if let Some(id) = report.id {
            identifier(id)?;
            require(self.reports.iter().take(index).all(|other| other.id != Some(id)), Fault::Duplicate)?;
        }
        if let Some(name) = report.topic {
            topic(name)?;
        }
        require((1..=limits::MEMBERS).contains(&report.members.len()), Fault::Count)?;
        let mut sensors = report.members.iter().map(|member| member.sensor);
        let first = sensors.next();
        // A message for each sample needs one sensor whose samples they are.
        require(report.every_ms.is_some() || sensors.all(|sensor| Some(sensor) == first), Fault::Reference)?;
        for (place, member) in report.members.iter().enumerate() {
            require(report.members.iter().take(place).all(|other| other != member), Fault::Duplicate)?;
            let sensor = self.sensors.get(usize::from(member.sensor)).ok_or(Fault::Reference)?;
            require(usize::from(member.reading) < sensor.driver.info().readings.len(), Fault::Reference)?;
        }
        if let Some(every_ms) = report.every_ms {
            period(every_ms)?;
        }
        let single = report.members.len() == 1;
        require(single || report.payload == Payload::Json, Fault::Payload)?;
        require(single || report.filters.is_empty(), Fault::Filter)?;
        filters(&report.filters)
    }
}

fn device(device: &Device<'_>) -> Result<(), Fault> {
    identifier(device.name)?;
    label(device.label)
}

fn mqtt(mqtt: &Mqtt<'_>) -> Result<(), Fault> {
    let text = |text: &str, most: usize| require(is_text(text, most), Fault::Text);
    text(mqtt.host, limits::HOST_LEN)?;
    require(!mqtt.host.bytes().any(|byte| byte == b' ' || byte == b'/'), Fault::Text)?;
    require((1..=65_535).contains(&mqtt.port.0), Fault::Range)?;
    mqtt.client_identifier.map_or(Ok(()), |id| text(id, limits::CLIENT_IDENTIFIER_LEN))?;
    mqtt.username.map_or(Ok(()), |name| text(name, limits::CREDENTIAL_LEN))?;
    require(
        (limits::KEEP_ALIVE_MIN_S..=limits::KEEP_ALIVE_MAX_S).contains(&mqtt.keep_alive_s.0),
        Fault::Range,
    )?;
    if let Some(prefix) = mqtt.prefix {
        require(prefix.len() <= limits::PREFIX_LEN, Fault::Topic)?;
        topic(prefix)?;
    }
    let confirm = limits::CONFIRM_WITHIN_MIN_S..=limits::CONFIRM_WITHIN_MAX_S;
    require(confirm.contains(&mqtt.confirm_within_s.0), Fault::Range)?;
    require(mqtt.stats_every_s.0 <= limits::PERIOD_MAX_MS / 1000, Fault::Range)
}

fn link(link: &Link) -> Result<(), Fault> {
    let Some(fixed) = link.address else { return Ok(()) };
    require((1..=30).contains(&fixed.prefix_len), Fault::Range)?;
    // Unicast only: class D and E, loopback and "this network" are no node's address (RFC 6890).
    let [first, ..] = fixed.address;
    require(first != 0 && first != 127 && first < 224, Fault::Range)
}

fn filters(filters: &List<'_, Filter>) -> Result<(), Fault> {
    require(filters.len() <= limits::FILTERS, Fault::Count)?;
    require(filters.iter().all(|filter| filter.is_valid()), Fault::Filter)
}

fn period(ms: u32) -> Result<(), Fault> {
    require((limits::PERIOD_MIN_MS..=limits::PERIOD_MAX_MS).contains(&ms), Fault::Range)
}

fn identifier(id: &str) -> Result<(), Fault> {
    require(is_identifier(id), Fault::Identifier)
}

fn label(label: Option<&str>) -> Result<(), Fault> {
    require(label.is_none_or(|label| is_text(label, limits::LABEL_LEN)), Fault::Text)
}

fn topic(name: &str) -> Result<(), Fault> {
    require(is_topic(name), Fault::Topic)
}

fn require(holds: bool, fault: Fault) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(fault) }
}

/// Returns whether `text` is an identifier: `[a-z0-9-]{1,32}`.
pub fn is_identifier(text: &str) -> bool {
    (1..=limits::IDENTIFIER_LEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Returns whether `text` is 1 to `most` bytes without control characters.
pub fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Returns whether `text` is a topic name that a node may publish to (MQTT 5, section 4.7).
pub fn is_topic(text: &str) -> bool {
    is_text(text, limits::TOPIC_LEN) && !text.contains(['+', '#']) && !text.starts_with('$')
}

/// Returns whether GPIO `pin` can be a line of a bus: it exists, carries neither the flash (6 to 11) nor the host's serial line
/// (1, 3), and does not belong to the real-time clock (16), whose pad knows no open drain.
pub fn is_free_pin(pin: u8) -> bool {
    matches!(pin, 0 | 2 | 4 | 5 | 12..=15)
}
