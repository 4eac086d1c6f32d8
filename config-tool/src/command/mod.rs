//! The verbs, one file each, and what they share: how they end, and how they reach a board.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use dunlin_config_format::config::is_free_pin;

use crate::device::{Hello, HelloTask};
use crate::line::{Chosen, Connection, LineError, Target, Undecided, choose, folder};
pub(crate) use crate::package::DEFAULT_FILE;

pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod erase;
pub(crate) mod explain;
pub(crate) mod flash;
mod image_of;
pub(crate) mod info;
pub(crate) mod monitor;
pub(crate) mod new;
mod node;
pub(crate) mod ports;
pub(crate) mod probe;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod read;
pub(crate) mod restart;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod simulate;

/// The standard input or output, in place of a file.
pub(crate) const STANDARD: &str = "-";

/// What a command says at its end that carried a node's network.
pub(crate) const CARRIED: &str = "readings stop when this ends; keep `dunlin bridge` running";

/// How a command ends. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// The configuration is refused.
    Refused,
    /// The device or the line failed, or the configuration was rolled back; of `diff --exit-code`, nothing could be compared.
    Device,
    /// The command line is wrong, or a person has to choose.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Refused => 1,
            Exit::Device => 2,
            Exit::Usage => 64,
        })
    }
}

/// Why a command failed: how it ends, and what is said.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, text: impl fmt::Display) -> Self {
        CommandError { exit, text: text.to_string() }
    }
}

impl From<LineError> for CommandError {
    fn from(error: LineError) -> Self {
        CommandError::new(Exit::Device, error)
    }
}

impl From<crate::device::Failure> for CommandError {
    fn from(failure: crate::device::Failure) -> Self {
        CommandError::new(Exit::Device, failure)
    }
}

/// What a command ends with.
pub(crate) type Outcome = Result<Exit, CommandError>;

/// Which board.
#[derive(clap::Args, Debug)]
pub(crate) struct LineArguments {
    /// Serial port: /dev/ttyUSB0, COM5, tcp://HOST:PORT, or sim (a running simulation)
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<Target>,
}

impl LineArguments {
    /// Returns the line that is meant, without opening it.
    pub(crate) fn target(&self) -> Result<Target, CommandError> {
        self.chosen(None)
    }

    /// Opens the line: the one named, else the one that is clear. `device` is the name of the device that is wanted.
    pub(crate) fn connect(&self, device: Option<&str>) -> Result<Connection, CommandError> {
        Ok(Connection::open(self.chosen(device)?)?)
    }

    fn chosen(&self, device: Option<&str>) -> Result<Target, CommandError> {
        let chosen = match choose(self.port.as_ref(), device) {
            Ok(chosen) => chosen,
            Err(undecided) => ask(&undecided).ok_or_else(|| {
                let exit = if matches!(undecided, Undecided::None(_)) { Exit::Device } else { Exit::Usage };
                CommandError::new(exit, undecided)
            })?,
        };
        if let Some(because) = chosen.because {
            eprintln!("port {} ({because})", chosen.target);
        }
        Ok(chosen.target)
    }

    /// Opens the line and asks who is there; remembers the port for the device.
    pub(crate) fn meet(&self, device: Option<&str>) -> Result<(Connection, Hello), CommandError> {
        let mut connection = self.connect(device)?;
        let hello = connection.run(&mut HelloTask::new()?)?;
        if let Some(name) = &hello.device {
            folder::remember_port(name, &connection.target().to_string());
        }
        Ok((connection, hello))
    }
}

/// Lets a person at a terminal choose a port.
fn ask(undecided: &Undecided) -> Option<Chosen> {
    let Undecided::Several(found) = undecided else { return None };
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    for (index, candidate) in found.iter().enumerate() {
        eprintln!("  {}  {:<16} {}", index + 1, candidate.port, candidate.adapter);
    }
    eprint!("which port? ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    let index: usize = line.trim().parse().ok()?;
    let target = found.get(index.checked_sub(1)?)?.port.parse().ok()?;
    Some(Chosen { target, because: None })
}

/// Why a file was not written. The command line names it, so that a person has to name another.
pub(crate) fn not_written(path: &Path, error: &io::Error) -> CommandError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such folder: create it before, or name another file".to_owned()
        }
        io::ErrorKind::IsADirectory => "it is a folder: name a file in it".to_owned(),
        io::ErrorKind::PermissionDenied => "you may not write there: name another file".to_owned(),
        _ => error.to_string(),
    };
    CommandError::new(Exit::Usage, format!("`{}` can't be written: {why}", path.display()))
}

/// Reads the GPIO number of a bus's line from the command line.
pub(crate) fn pin(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|&pin| is_free_pin(pin)).ok_or_else(|| {
        "no GPIO number that can be a line of a bus; there are 0, 2, 4, 5, 12, 13, 14 and 15".to_owned()
    })
}

/// A hash for people: its first eight digits.
pub(crate) fn short(hash: &[u8]) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A reading's value in JSON, with no more digits than it has: the shortest decimal of the 32-bit value.
pub(crate) fn number(value: f32) -> serde_json::Value {
    value.to_string().parse::<f64>().ok().map_or(serde_json::Value::Null, serde_json::Value::from)
}

/// How often a board is asked until it has done what it was told: a node says goodbye to its broker first.
const LOOKS: u32 = 50;
/// The rest between two of them.
const LOOK: Duration = Duration::from_millis(100);

/// Asks a board who it is until it is as it should be; none where that takes too long.
fn hello_when(
    connection: &mut Connection,
    is_right: impl Fn(&Hello) -> bool,
) -> Result<Option<Hello>, CommandError> {
    for _ in 0..LOOKS {
        let hello = connection.run(&mut HelloTask::new()?)?;
        if is_right(&hello) {
            return Ok(Some(hello));
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}
