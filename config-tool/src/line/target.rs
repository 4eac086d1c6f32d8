//! Which line: what a user writes after `--port`, and what is chosen when nothing is written.

use std::fmt;
use std::str::FromStr;

use super::{folder, port};

/// A serial target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A serial port of this computer: `/dev/ttyUSB0`, `COM5`.
    Port(String),
    /// A serial line behind a TCP socket: `tcp://host:port`.
    Tcp(String),
    /// The simulation that runs on this computer: `sim`.
    Simulation,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "sim" {
            return Ok(Target::Simulation);
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            let port =
                address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
            return match port {
                Some((host, _)) if !host.is_empty() => Ok(Target::Tcp(address.to_owned())),
                _ => Err("write `tcp://HOST:PORT`".to_owned()),
            };
        }
        if text.is_empty() || text.contains("://") {
            return Err("write `/dev/ttyUSB0`, `COM5`, `tcp://HOST:PORT` or `sim`".to_owned());
        }
        Ok(Target::Port(text.to_owned()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Port(path) => f.write_str(path),
            Target::Tcp(address) => write!(f, "tcp://{address}"),
            Target::Simulation => f.write_str("sim"),
        }
    }
}

/// A serial port that this computer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its path or name.
    pub port: String,
    /// What the USB adapter says it is; empty where it says nothing.
    pub adapter: String,
    /// Whether a board may be behind it: a USB adapter, rather than a port of the main board.
    pub is_usb: bool,
}

impl Candidate {
    /// Returns what stands in the way of using the port, found without opening it; none where nothing does.
    pub fn obstacle(&self) -> Option<String> {
        if !self.is_usb {
            Some("not a USB adapter: name it with `--port` if a board is behind it".to_owned())
        } else if !port::is_permitted(&self.port) {
            let group = port::group(&self.port).unwrap_or_else(|| "dialout".to_owned());
            Some(format!("may not be opened by you: `sudo usermod -aG {group} $USER`, then log in anew"))
        } else {
            None
        }
    }
}

/// Why no target could be chosen without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// There is no candidate among the ports that there are.
    None(Vec<Candidate>),
    /// There are several.
    Several(Vec<Candidate>),
    /// `DUNLIN_PORT` is not a target.
    Variable(String),
}

/// A target and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The target.
    pub target: Target,
    /// Words for the user, such as `the only serial port`; none where the user named it.
    pub because: Option<&'static str>,
}

/// Lists the serial ports of this computer without opening any.
pub fn candidates() -> Vec<Candidate> {
    let mut found: Vec<Candidate> = serialport::available_ports()
        .unwrap_or_default()
        .into_iter()
        .map(|port| match port.port_type {
            serialport::SerialPortType::UsbPort(usb) => {
                let words =
                    [usb.manufacturer, usb.product].into_iter().flatten().collect::<Vec<_>>().join(" ");
                let adapter =
                    if words.is_empty() { format!("USB {:04x}:{:04x}", usb.vid, usb.pid) } else { words };
                Candidate { port: port.port_name, adapter, is_usb: true }
            }
            _ => {
                let is_usb =
                    ["ttyUSB", "ttyACM", "cu.usb", "cu.wchusb"].iter().any(|n| port.port_name.contains(n));
                Candidate { port: port.port_name, adapter: String::new(), is_usb }
            }
        })
        .collect();
    found.sort_by(|a, b| a.port.cmp(&b.port));
    found
}

/// Chooses a target: the one named, else `DUNLIN_PORT`, else the one remembered for `device`, else the only candidate. No
/// port is opened to find out: other people's boards restart when their port is opened.
///
/// # Errors
/// [`Undecided`] where a person has to choose.
pub fn choose(named: Option<&Target>, device: Option<&str>) -> Result<Chosen, Undecided> {
    if let Some(target) = named {
        return Ok(Chosen { target: target.clone(), because: None });
    }
    if let Some(text) = std::env::var("DUNLIN_PORT").ok().filter(|text| !text.is_empty()) {
        let target =
            text.parse().map_err(|error| Undecided::Variable(format!("DUNLIN_PORT is `{text}`: {error}")))?;
        return Ok(Chosen { target, because: Some("from DUNLIN_PORT") });
    }
    let found = candidates();
    let remembered = device.and_then(folder::remembered_port);
    pick(found, remembered, super::share::simulation_runs())
}

/// The rule of [`choose`], apart from where its facts come from.
fn pick(found: Vec<Candidate>, remembered: Option<String>, simulation: bool) -> Result<Chosen, Undecided> {
    if let Some(port) = remembered {
        if port == "sim" && simulation {
            return Ok(Chosen { target: Target::Simulation, because: Some("used for this device before") });
        }
        // What is behind a socket is on no list of ports.
        if let Ok(target @ Target::Tcp(_)) = port.parse() {
            return Ok(Chosen { target, because: Some("used for this device before") });
        }
        if found.iter().any(|candidate| candidate.port == port) {
            return Ok(Chosen { target: Target::Port(port), because: Some("used for this device before") });
        }
    }
    let (mut usb, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|candidate| candidate.is_usb);
    match (usb.len(), simulation) {
        (0, true) => Ok(Chosen { target: Target::Simulation, because: Some("a simulation is running") }),
        (1, false) => {
            Ok(Chosen { target: Target::Port(usb.remove(0).port), because: Some("the only serial port") })
        }
        (0, false) => Err(Undecided::None(others)),
        _ => {
            if simulation {
                let adapter = "the simulation that is running".to_owned();
                usb.push(Candidate { port: "sim".to_owned(), adapter, is_usb: false });
            }
            Err(Undecided::Several(usb))
        }
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecided::None(others) => {
                f.write_str(
                    "no serial port with a board: plug one in (a charging cable has no data lines), or start `dunlin simulate`",
                )?;
                list(f, others)
            }
            Undecided::Variable(text) => f.write_str(text),
            Undecided::Several(found) => {
                f.write_str("several ports: choose one with `--port`")?;
                list(f, found)
            }
        }
    }
}

/// Ports with what their adapters say, and what stands in the way.
fn list(f: &mut fmt::Formatter<'_>, found: &[Candidate]) -> fmt::Result {
    for candidate in found {
        write!(f, "\n  {:<16} {}", candidate.port, candidate.adapter)?;
        if let Some(obstacle) = candidate.obstacle().filter(|_| candidate.port != "sim") {
            write!(f, " ({obstacle})")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usb(port: &str) -> Candidate {
        Candidate { port: port.to_owned(), adapter: "CP2102".to_owned(), is_usb: true }
    }

    #[test]
    fn targets_are_read_and_written_alike() {
        for text in ["sim", "/dev/ttyUSB0", "COM5", "tcp://localhost:7000", "tcp://[::1]:7000"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["", "tcp://localhost", "tcp://:7000", "tcp://host:99999", "mqtt://host:1"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_only_port_is_taken_and_of_several_none() {
        assert_eq!(pick(vec![], None, false), Err(Undecided::None(vec![])));
        assert_eq!(pick(vec![], None, true).unwrap().target, Target::Simulation);
        let only = pick(vec![usb("/dev/ttyUSB0")], None, false).unwrap();
        assert_eq!(only.target, Target::Port("/dev/ttyUSB0".to_owned()));
        assert!(only.because.is_some());
        let both = vec![usb("/dev/ttyUSB0"), usb("/dev/ttyUSB1")];
        assert!(
            matches!(pick(both.clone(), None, false), Err(Undecided::Several(found)) if found.len() == 2)
        );
        assert!(
            matches!(pick(vec![usb("/dev/ttyUSB0")], None, true), Err(Undecided::Several(found)) if found.len() == 2)
        );
        let remembered = pick(both.clone(), Some("/dev/ttyUSB1".to_owned()), false).unwrap();
        assert_eq!(remembered.target, Target::Port("/dev/ttyUSB1".to_owned()));
        let socket = pick(both.clone(), Some("tcp://localhost:7000".to_owned()), false).unwrap();
        assert_eq!(socket.target, Target::Tcp("localhost:7000".to_owned()));
        // A remembered port that is gone is no reason to take another.
        assert!(pick(both, Some("/dev/ttyUSB7".to_owned()), false).is_err());
    }

    #[test]
    fn a_port_of_the_main_board_is_never_taken_unasked() {
        let serial = Candidate { port: "/dev/ttyS0".to_owned(), adapter: String::new(), is_usb: false };
        let error = pick(vec![serial.clone()], None, false).unwrap_err();
        assert_eq!(error, Undecided::None(vec![serial]));
        assert!(error.to_string().contains("/dev/ttyS0"), "each port is named with its reason");
    }
}
