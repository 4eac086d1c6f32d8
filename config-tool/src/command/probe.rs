//! `dunlin probe`: which addresses of an I2C bus answer. Works with nothing stored.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::{self, ProbeReply, ProbeRequest, bus};
use serde_json::json;

use super::{CommandError, Exit, LineArguments, Outcome, pin};
use crate::device::{Ask, Failure, Patience};

/// Tell which addresses of an I2C bus answer; nothing needs to be stored on the board
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    line: LineArguments,
    /// GPIO number of the data line
    #[arg(long, value_name = "GPIO", default_value_t = 4, value_parser = pin)]
    sda: u8,
    /// GPIO number of the clock line
    #[arg(long, value_name = "GPIO", default_value_t = 5, value_parser = pin)]
    scl: u8,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let (sda, scl) = (arguments.sda, arguments.scl);
    let (mut connection, _) = arguments.line.meet(None)?;
    let reply = connection.run(&mut Ask::new(&ProbeRequest { sda, scl }, Patience::MEASURE)?)?;
    let reply: ProbeReply<'_> = message::decode(&reply).map_err(|_| Failure::Garbled)?;
    if arguments.json {
        let found = reply.addresses.iter().map(|at| json!({ "address": at, "could-be": could_be(*at) }));
        let found: Vec<_> = found.collect();
        println!(
            "{}",
            json!({ "version": 1, "sda": sda, "scl": scl, "bus": bus_name(reply.bus), "found": found })
        );
        return Ok(if reply.bus == bus::FREE { Exit::Done } else { Exit::Device });
    }
    match reply.bus {
        bus::FREE => {
            print!("{}", report(sda, scl, reply.addresses));
            Ok(Exit::Done)
        }
        bus::SDA_LOW => Err(stuck("data", sda)),
        _ => Err(stuck("clock", scl)),
    }
}

fn stuck(line: &str, pin: u8) -> CommandError {
    let text = format!(
        "the {line} line (GPIO {pin}) is held low: check for a short, a missing pull-up, a sensor without supply"
    );
    CommandError::new(Exit::Device, text)
}

/// What answered, and the lines of TOML that would use it.
fn report(sda: u8, scl: u8, addresses: &[u8]) -> String {
    if addresses.is_empty() {
        return format!(
            "nothing answers on GPIO {sda} (data) and {scl} (clock): check wiring and supply, or swap them\n"
        );
    }
    let mut text = String::new();
    for address in addresses {
        let drivers = could_be(*address);
        let words = match (drivers.as_slice(), companion_of(*address, addresses)) {
            ([], Some((name, own))) => format!("the {name} at {own:#04x} answers here as well"),
            ([], None) => "no driver here uses it".to_owned(),
            (drivers, _) => format!("could be {}", drivers.join(" or ")),
        };
        text += &format!("{address:#04x}  {words}\n");
    }
    let known = addresses.iter().filter_map(|address| Some((*address, *could_be(*address).first()?)));
    let known: Vec<(u8, &str)> = known.collect();
    if !known.is_empty() {
        text += &format!("\n[i2c.main]\nsda = {sda}\nscl = {scl}\n");
    }
    for (index, (address, driver)) in known.iter().enumerate() {
        let number = index + 1;
        text += &format!(
            "\n[sensor.{driver}-{number}]\ndriver  = \"{driver}\"\naddress = {address:#04x}\nperiod  = \"10s\"\n"
        );
    }
    text
}

/// The drivers whose chip can have this address. An address alone identifies nothing.
fn could_be(address: u8) -> Vec<&'static str> {
    let infos = Driver::ALL.iter().map(|driver| driver.info());
    infos.filter(|info| info.addresses.contains(&address)).map(|info| info.name).collect()
}

/// The driver whose chip answers at `address` beside its own, and that one, if it is among those `found`.
fn companion_of(address: u8, found: &[u8]) -> Option<(&'static str, u8)> {
    Driver::ALL.iter().map(|driver| driver.info()).find_map(|info| {
        let own = info.addresses.iter().find(|own| found.contains(own))?;
        info.companions.contains(&address).then_some((info.name, *own))
    })
}

fn bus_name(number: u8) -> &'static str {
    match number {
        bus::FREE => "free",
        bus::SDA_LOW => "sda-low",
        bus::SCL_LOW => "scl-low",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::report;

    #[test]
    fn a_found_address_ends_in_toml_that_uses_it() {
        let text = report(4, 5, &[0x29, 0x3c]);
        let (lines, toml) = text.split_once("\n\n").unwrap();
        assert_eq!(lines, "0x29  could be tsl2591\n0x3c  no driver here uses it");
        assert_eq!(report(4, 5, &[0x28]), "0x28  no driver here uses it\n");
        assert!(
            report(4, 5, &[0x28, 0x29])
                .starts_with("0x28  the tsl2591 at 0x29 answers here as well\n0x29  could")
        );
        let table: toml::Table = toml.parse().unwrap();
        assert_eq!(table["sensor"]["tsl2591-1"]["address"].as_integer(), Some(0x29));
        assert_eq!(table["i2c"]["main"]["sda"].as_integer(), Some(4));
    }

    #[test]
    fn nothing_found_says_what_to_check() {
        assert!(report(4, 5, &[]).contains("check wiring"));
    }
}
