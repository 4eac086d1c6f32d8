//! What a person should know besides a verdict: sensors at fault, and whether it may be the broker's fault.

use dunlin_config_format::config::{Config, Sensor};
use dunlin_config_format::image::Image;
use dunlin_config_format::reason::Reason;

use crate::device::{Fact, InfoTask, Package, PullTask, Pushed};
use crate::line::Connection;

/// Remarks on a verdict.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// Sensors that are not well.
    pub(super) faults: Vec<SensorFault>,
    /// Whether the broker, which could not be reached, is that of the configuration that runs again.
    pub(super) is_same_broker: bool,
}

/// A sensor that is not well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SensorFault {
    pub(super) sensor: String,
    pub(super) health: String,
    pub(super) words: String,
}

impl Remarks {
    /// Asks the board what belongs to a verdict. The verdict stands: a board that does not answer gets no remarks.
    pub(super) fn on(pushed: &Pushed, package: &Package, connection: &mut Connection) -> Self {
        match pushed {
            Pushed::Confirmed | Pushed::Unchanged => {
                let facts = InfoTask::new().ok().and_then(|mut task| connection.run(&mut task).ok());
                Remarks { faults: faults(package, &facts.unwrap_or_default()), ..Remarks::default() }
            }
            Pushed::Rejected { reason } if is_unreachable(*reason) => {
                let old = PullTask::new().ok().and_then(|mut task| connection.run(&mut task).ok());
                let old = old.as_ref().and_then(|old| broker(&old.bytes));
                Remarks {
                    is_same_broker: old.is_some() && old == broker(&package.image),
                    ..Remarks::default()
                }
            }
            _ => Remarks::default(),
        }
    }
}

fn is_unreachable(code: Option<u16>) -> bool {
    let unreachable = [Reason::NameNotResolved, Reason::BrokerUnreachable, Reason::BrokerSilent];
    code.and_then(Reason::from_code).is_some_and(|reason| unreachable.contains(&reason))
}

fn config(image: &[u8]) -> Option<Config<'_>> {
    Config::decode(Image::parse(image).ok()?.body).ok()
}

fn broker(image: &[u8]) -> Option<(&str, u32)> {
    let mqtt = config(image)?.mqtt;
    Some((mqtt.host, mqtt.port.0))
}

fn faults(package: &Package, facts: &[Fact]) -> Vec<SensorFault> {
    let Some(config) = config(&package.image) else { return Vec::new() };
    let mut found = Vec::new();
    for fact in facts {
        let (Some(id), Some(health)) = (fact.sensor(), &fact.value) else { continue };
        if let Some(sensor) = config.sensors.iter().find(|sensor| sensor.id == id)
            && health != "ok"
        {
            let words = words(&config, &sensor, health);
            found.push(SensorFault { sensor: id.to_owned(), health: health.clone(), words });
        }
    }
    found
}

/// What is wrong with a sensor, and where.
fn words(config: &Config<'_>, sensor: &Sensor<'_>, health: &str) -> String {
    let bus = sensor.bus.and_then(|index| config.i2c.get(index.into()));
    let (sda, scl) = bus.map_or((0, 0), |bus| (bus.sda, bus.scl));
    let address = sensor.address.or(sensor.driver.info().addresses.first().copied()).unwrap_or_default();
    match health {
        "absent" => format!("nothing answers at {address:#04x} on GPIO{sda}/{scl}"),
        "nack" => format!("the chip at {address:#04x} on GPIO{sda}/{scl} has stopped to acknowledge"),
        "stuck-bus" => format!("GPIO{sda} or GPIO{scl} is held low: check for a short or a missing pull-up"),
        "saturated" => "there is more than it can measure".to_owned(),
        "crc" => "what it sends is damaged on the way: check its wires and pull-ups".to_owned(),
        "range" => "it gives values that its data sheet does not allow".to_owned(),
        "stale" => "it gives no new values".to_owned(),
        _ => "`dunlin read` measures it again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package;

    #[test]
    fn a_fault_says_where_to_look() {
        let text = include_str!("../../../../examples/configs/tutorial.toml");
        let package = package::from_text("tutorial", text).unwrap();
        let fact = |value: &str| Fact {
            name: "health.lux-1".to_owned(),
            value: Some(value.to_owned()),
            is_text: true,
        };
        let found = faults(&package, &[fact("absent")]);
        assert_eq!(found[0].words, "nothing answers at 0x29 on GPIO4/5");
        assert_eq!(faults(&package, &[fact("ok")]), []);
        assert_eq!(broker(&package.image), Some(("192.168.1.10", 1883)));
    }
}
