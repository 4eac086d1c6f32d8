//! `dunlin read`: measures a sensor now, without touching its filters or its schedule.

use dunlin_config_format::driver::Driver;
use dunlin_config_format::message::{ReadRequest, Refusal};
use serde_json::json;

use super::node::{self, NodeArguments};
use super::{CommandError, Exit, Outcome, number, pin};
use crate::compile::nearest;
use crate::device::{Fact, InfoTask, Measurement, ReadTask};
use crate::line::LineError;
use crate::remote::Remote;

/// Measure a sensor now: one of the running configuration, or any chip by driver and pins
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// Identifier of a sensor of the running configuration; those that there are, without it
    #[arg(conflicts_with = "driver")]
    sensor: Option<String>,
    /// Driver of a chip that no configuration names
    #[arg(long, conflicts_with = "broker")]
    driver: Option<String>,
    /// GPIO number of the data line, with --driver
    #[arg(long, value_name = "GPIO", default_value_t = 4, value_parser = pin, requires = "driver")]
    sda: u8,
    /// GPIO number of the clock line, with --driver
    #[arg(long, value_name = "GPIO", default_value_t = 5, value_parser = pin, requires = "driver")]
    scl: u8,
    /// Address on the bus, such as 0x29, with --driver
    #[arg(long, value_parser = address, requires = "driver")]
    address: Option<u8>,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<u8, String> {
    let parsed =
        text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u8::from_str_radix(digits, 16));
    parsed
        .ok()
        .filter(|address| (0x08..=0x77).contains(address))
        .ok_or_else(|| "write 0x08 to 0x77".to_owned())
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(mut remote) = arguments.node.remote()? {
        let Some(sensor) = &arguments.sensor else { return list(arguments, &sensors(&mut remote)?) };
        let measured = over_mqtt(&mut remote, sensor)?;
        return Ok(tell(arguments, sensor, &measured));
    }
    let driver = arguments.driver.as_deref().map(driver_named).transpose()?;
    driver.zip(arguments.address).map_or(Ok(()), |(driver, address)| can_have(driver, address))?;
    let (mut connection, _) = arguments.node.line.meet(None)?;
    if arguments.sensor.is_none() && driver.is_none() {
        let facts = connection.run(&mut InfoTask::new()?)?;
        let have: Vec<String> = facts.iter().filter_map(Fact::sensor).map(str::to_owned).collect();
        return list(arguments, &have);
    }
    let request = ReadRequest {
        sensor: arguments.sensor.as_deref(),
        driver: driver.map(Driver::number),
        sda: driver.map(|_| arguments.sda),
        scl: driver.map(|_| arguments.scl),
        address: arguments.address,
    };
    let measured = match connection.run(&mut ReadTask::new(&request)?) {
        Err(LineError::Device(failure, _)) if failure.is(Refusal::NoSuchSensor) => {
            let facts = connection.run(&mut InfoTask::new()?)?;
            let have: Vec<&str> = facts.iter().filter_map(Fact::sensor).collect();
            let wanted = arguments.sensor.as_deref().unwrap_or_default();
            return Err(no_such_sensor(wanted, &have));
        }
        measured => measured?,
    };
    let name = arguments.sensor.as_deref().or(arguments.driver.as_deref()).unwrap_or_default();
    let exit = tell(arguments, name, &measured);
    // What did not answer is not worth a place in a file.
    let has_answered = measured.iter().any(|item| item.name.is_some());
    if let Some(driver) = driver.filter(|_| has_answered && !arguments.json) {
        print!("{}", snippet(arguments, driver));
    }
    Ok(exit)
}

/// Tells which sensors there are.
fn list(arguments: &Arguments, have: &[String]) -> Outcome {
    if arguments.json {
        println!("{}", json!({ "version": 1, "sensors": have }));
    } else if have.is_empty() {
        println!("the device runs no sensor: name a chip with `--driver`, `--sda` and `--scl`");
    } else {
        have.iter().for_each(|id| println!("{id}"));
    }
    Ok(Exit::Done)
}

/// Refuses an address that the driver's chip cannot have.
fn can_have(driver: Driver, address: u8) -> Result<(), CommandError> {
    let info = driver.info();
    if info.addresses.contains(&address) {
        return Ok(());
    }
    let possible: Vec<String> = info.addresses.iter().map(|address| format!("{address:#04x}")).collect();
    let have = if possible.is_empty() { "none".to_owned() } else { possible.join(" or ") };
    let text = format!("`{}` cannot have the address {address:#04x}; it has {have}", info.name);
    Err(CommandError::new(Exit::Usage, text))
}

/// Asks over MQTT which sensors there are.
fn sensors(remote: &mut Remote) -> Result<Vec<String>, CommandError> {
    let text = remote.ask("info", "").map_err(|error| CommandError::new(Exit::Device, error))?;
    let birth = node::answer(&text)?;
    let sensors = birth.get("sensors").and_then(serde_json::Value::as_array).into_iter().flatten();
    Ok(sensors.filter_map(|id| id.as_str().map(str::to_owned)).collect())
}

fn no_such_sensor(wanted: &str, have: &[&str]) -> CommandError {
    let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
    CommandError::new(Exit::Device, format!("the device has no sensor `{wanted}`; it has: {have}"))
}

fn tell(arguments: &Arguments, sensor: &str, measured: &[Measurement]) -> Exit {
    if arguments.json {
        println!("{}", as_json(sensor, measured));
    } else {
        measured.iter().for_each(|item| println!("{}", line(sensor, item)));
    }
    let is_well = measured.iter().all(|item| item.name.is_some() && item.health == "ok");
    if is_well { Exit::Done } else { Exit::Device }
}

/// Asks over MQTT: `{"sensor":…,"health":…,READING:…,"raw":{READING:…}}`, or an error.
fn over_mqtt(remote: &mut Remote, sensor: &str) -> Result<Vec<Measurement>, CommandError> {
    let text = remote.ask("read", sensor).map_err(|error| CommandError::new(Exit::Device, error))?;
    let answer = node::answer(&text)?;
    let value =
        |value: Option<&serde_json::Value>| value.and_then(serde_json::Value::as_f64).map(|v| v as f32);
    let health = answer.get("health").and_then(|health| health.as_str()).unwrap_or("unknown").to_owned();
    let raw = answer.get("raw").and_then(|raw| raw.as_object());
    let order = || Driver::ALL.iter().flat_map(|driver| driver.info().readings);
    let mut measured: Vec<Measurement> = raw
        .into_iter()
        .flatten()
        .map(|(name, raw)| Measurement {
            health: health.clone(),
            name: Some(name.clone()),
            raw: value(Some(raw)),
            filtered: value(answer.get(name)),
            unit: order().find(|reading| reading.name == name).map(|reading| reading.unit.to_owned()),
        })
        .collect();
    // As the driver has them; JSON has no order.
    measured.sort_by_key(|item| order().position(|reading| Some(reading.name) == item.name.as_deref()));
    if measured.is_empty() {
        return Ok(vec![Measurement { health, name: None, raw: None, filtered: None, unit: None }]);
    }
    Ok(measured)
}

fn driver_named(name: &str) -> Result<Driver, CommandError> {
    Driver::ALL.iter().copied().find(|driver| driver.info().name == name).ok_or_else(|| {
        let names: Vec<&str> = Driver::ALL.iter().map(|driver| driver.info().name).collect();
        let help = nearest(name, &names).map_or_else(
            || format!("there are {}", names.join(" and ")),
            |near| format!("did you mean `{near}`?"),
        );
        CommandError::new(Exit::Usage, format!("there is no driver `{name}`; {help}"))
    })
}

fn line(sensor: &str, item: &Measurement) -> String {
    let (Some(name), Some(raw)) = (&item.name, item.raw) else { return format!("{sensor}: {}", item.health) };
    let unit = item.unit.as_deref().unwrap_or_default();
    let filtered = match item.filtered {
        Some(filtered) if filtered.to_bits() == raw.to_bits() => String::new(),
        Some(filtered) => format!("  filtered {filtered} {unit}"),
        None => "  filtered: dropped".to_owned(),
    };
    format!("{name:<16} {raw} {unit}{filtered}").trim_end().to_owned()
}

fn as_json(sensor: &str, measured: &[Measurement]) -> serde_json::Value {
    let readings: Vec<_> = measured
        .iter()
        .filter(|item| item.name.is_some())
        .map(|item| json!({ "name": item.name, "raw": item.raw.map(number), "filtered": item.filtered.map(number), "unit": item.unit }))
        .collect();
    let health = measured.first().map(|item| item.health.as_str());
    json!({ "version": 1, "sensor": sensor, "health": health, "readings": readings })
}

/// The lines of TOML that would use the chip that was read.
fn snippet(arguments: &Arguments, driver: Driver) -> String {
    let (name, sda, scl) = (driver.info().name, arguments.sda, arguments.scl);
    let address = arguments.address.map_or_else(String::new, |address| format!("address = {address:#04x}\n"));
    format!(
        "\n[i2c.main]\nsda = {sda}\nscl = {scl}\n\n[sensor.{name}-1]\ndriver  = \"{name}\"\n{address}period  = \"10s\"\n"
    )
}
