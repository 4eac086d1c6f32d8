//! Opens a line: a serial port, a TCP socket, or the socket of whoever holds it.
//!
//! Opening a port may restart the board: DTR and RTS reach its reset through two transistors, and equal levels mean "run".
//! The kernel raises both when it opens a port; nothing here touches either alone, and the hang-up at closing is switched off,
//! so that neither changes. That a restart may happen all the same is the protocol's business (the boot id).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Target;
use crate::device::USUAL_RATE;

/// How long a read waits: a line is closed this long after its last user has gone.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// How long to wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Both halves of an open line.
pub(super) struct Halves {
    /// Bytes from the device. A read that times out is an error of kind `TimedOut` or `WouldBlock`.
    pub(super) reader: Box<dyn Read + Send>,
    /// Bytes to the device.
    pub(super) writer: Box<dyn Write + Send>,
    /// Sets the port to so many bits per second; none where the line has no speed of its own.
    pub(super) set_rate: Option<SetRate>,
}

/// Sets a port's speed.
pub(super) type SetRate = Box<dyn FnMut(u32) -> io::Result<()> + Send>;

/// Why a line can't be opened, with the cure.
#[derive(Debug)]
pub struct OpenError {
    target: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Missing,
    Busy,
    Permission,
    NoSimulation,
    /// A file that is no serial port.
    NoPort,
    Other(io::Error),
}

impl OpenError {
    pub(super) fn no_simulation() -> Self {
        OpenError { target: "sim".to_owned(), cause: Cause::NoSimulation }
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self.cause, Cause::Busy)
    }

    fn new(target: &Target, error: io::Error) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::NotFound => Cause::Missing,
            io::ErrorKind::PermissionDenied => Cause::Permission,
            io::ErrorKind::ResourceBusy => Cause::Busy,
            io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => Cause::NoPort,
            _ => Cause::Other(error),
        };
        OpenError { target: target.to_string(), cause }
    }
}

impl std::error::Error for OpenError {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match &self.cause {
            Cause::Missing => write!(f, "`{target}` does not exist: `dunlin ports` lists what there is"),
            Cause::Busy => write!(
                f,
                "`{target}` is in use by another program: close it (a serial terminal, an IDE's monitor)"
            ),
            Cause::Permission => write!(
                f,
                "`{target}` may not be opened by you: join its group (`sudo usermod -aG {} $USER`, then log in anew)",
                group(target).as_deref().unwrap_or("dialout")
            ),
            Cause::NoSimulation => f.write_str("no simulation is running: start one with `dunlin simulate`"),
            Cause::NoPort => write!(f, "`{target}` is no serial port: `dunlin ports` lists what there is"),
            Cause::Other(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(f, "nothing listens at `{target}`: start what serves the port there, or name another")
            }
            Cause::Other(error) => write!(f, "`{target}` can't be opened: {error}"),
        }
    }
}

/// Opens the line itself.
pub(super) fn open(target: &Target) -> Result<Halves, OpenError> {
    match target {
        Target::Port(path) => open_serial(path).map_err(|error| OpenError::new(target, error)),
        Target::Tcp(address) => open_tcp(address).map_err(|error| OpenError::new(target, error)),
        Target::Simulation => Err(OpenError::no_simulation()),
    }
}

fn open_tcp(address: &str) -> io::Result<Halves> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(READ_TIMEOUT))?;
                let reader = Box::new(stream.try_clone()?);
                return Ok(Halves { reader, writer: Box::new(stream), set_rate: None });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open_serial(path: &str) -> io::Result<Halves> {
    keep_lines_at_close(path)?;
    let mut port = serialport::new(path, USUAL_RATE).timeout(READ_TIMEOUT).open().map_err(|error| {
        // `serialport` tells a port that is locked as "no device".
        if error.kind() == serialport::ErrorKind::NoDevice && std::path::Path::new(path).exists() {
            return io::Error::from(io::ErrorKind::ResourceBusy);
        }
        io::Error::from(error)
    })?;
    // What can't be told the speed that it has can't be told another.
    let set_rate =
        port.set_baud_rate(USUAL_RATE).and_then(|()| port.try_clone()).ok().map(|mut port| -> SetRate {
            Box::new(move |baud| port.set_baud_rate(baud).map_err(io::Error::from))
        });
    Ok(Halves { reader: Box::new(port.try_clone()?), writer: Box::new(port), set_rate })
}

/// Switches off the hang-up at closing, which would let DTR and RTS fall. A pseudo-terminal has no such lines, and what it
/// refuses is no error.
#[cfg(unix)]
fn keep_lines_at_close(path: &str) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::Errno;
    use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let port = open(path, flags, Mode::empty())?;
    match tcgetattr(&port) {
        Ok(mut settings) => {
            settings.control_modes.remove(ControlModes::HUPCL);
            let _ = tcsetattr(&port, OptionalActions::Now, &settings);
        }
        Err(Errno::NOTTY) => return Err(io::ErrorKind::InvalidInput.into()),
        Err(_) => {}
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_lines_at_close(_: &str) -> io::Result<()> {
    Ok(())
}

/// Returns whether this user may open a port, without opening it.
#[cfg(unix)]
pub(super) fn is_permitted(path: &str) -> bool {
    use rustix::fs::{Access, access};
    access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
pub(super) fn is_permitted(_: &str) -> bool {
    true
}

/// Returns the name of the group that a port belongs to: `dialout`, `uucp`, `plugdev`, by system.
#[cfg(unix)]
pub(super) fn group(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let number = std::fs::metadata(path).ok()?.gid().to_string();
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let mut fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.get(2) == Some(&number.as_str()))?;
    found.first().map(|name| (*name).to_owned())
}

#[cfg(not(unix))]
pub(super) fn group(_: &str) -> Option<String> {
    None
}
