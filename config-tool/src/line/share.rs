//! The socket through which the holder of a line shares it. Unix only; elsewhere a port has one user.

use std::io;
use std::path::PathBuf;

use super::{Target, folder};

#[cfg(not(unix))]
pub(super) use absent::{ClientStream, Listener, join};
#[cfg(unix)]
pub(super) use unix::{ClientStream, Listener, join};

/// The socket through which a held line is shared.
///
/// # Errors
/// Where there is no folder for it; in words with the cure.
pub fn socket_path(target: &Target) -> io::Result<PathBuf> {
    let name = match target {
        Target::Simulation => "sim".to_owned(),
        Target::Port(path) => {
            // Two names of one port, such as /dev/serial/by-id/…, are one socket.
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
            format!("port{}", flat(&real.to_string_lossy()))
        }
        Target::Tcp(address) => format!("tcp-{}", flat(address)),
    };
    folder::socket(&(name + ".sock"))
}

fn flat(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// Returns whether a simulation on this computer can be joined.
pub fn simulation_runs() -> bool {
    socket_path(&Target::Simulation).is_ok_and(|path| join(&path).is_some())
}

#[cfg(unix)]
mod unix {
    use std::collections::BTreeMap;
    use std::io::{self, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::Duration;

    use super::super::port::{Halves, READ_TIMEOUT};
    use super::super::reader::{Event, Queue, read_all};

    /// A client that wants to share the line.
    pub(in super::super) type ClientStream = UnixStream;

    /// How long a client may take nothing before it is dropped: a stopped client must not stop the others.
    const WRITE_TIMEOUT: Duration = Duration::from_millis(500);

    /// Joins whoever shares a line at `path`; none where nobody does.
    pub(in super::super) fn join(path: &Path) -> Option<Halves> {
        let stream = UnixStream::connect(path).ok()?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).ok()?;
        let reader = stream.try_clone().ok()?;
        Some(Halves { reader: Box::new(reader), writer: Box::new(stream), set_rate: None })
    }

    /// Shares a line at a path until it is dropped.
    pub(in super::super) struct Listener {
        path: PathBuf,
        queue: Queue,
        clients: BTreeMap<u32, UnixStream>,
        last_id: u32,
    }

    impl Listener {
        /// Listens at `path`, in place of a holder that has ended without cleaning up.
        pub(in super::super) fn bind(path: PathBuf, queue: Queue) -> io::Result<Self> {
            if join(&path).is_some() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(&path)?;
            let joined = queue.clone();
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if !joined.put(Event::Joined(stream)) {
                        break;
                    }
                }
            });
            Ok(Listener { path, queue, clients: BTreeMap::new(), last_id: 0 })
        }

        /// Takes a client in and reads it in a thread of its own; returns its number, 1 or more.
        pub(in super::super) fn admit(&mut self, stream: UnixStream) -> u32 {
            self.last_id += 1;
            let (id, queue) = (self.last_id, self.queue.clone());
            let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
            if let Ok(mut reader) = stream.try_clone() {
                thread::spawn(move || {
                    let never = AtomicBool::new(false);
                    read_all(&mut reader, &never, |bytes| queue.put(Event::Client(id, bytes)));
                    queue.put(Event::Left(id));
                });
            }
            self.clients.insert(id, stream);
            id
        }

        /// Forgets a client that has gone.
        pub(in super::super) fn dismiss(&mut self, id: u32) {
            self.clients.remove(&id);
        }

        /// Writes to a client; one that does not take it is cut off and reported as gone by its reader.
        pub(in super::super) fn write(&mut self, id: u32, bytes: &[u8]) {
            if let Some(stream) = self.clients.get_mut(&id)
                && stream.write_all(bytes).is_err()
            {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            for stream in self.clients.values() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(not(unix))]
mod absent {
    use std::io;
    use std::path::{Path, PathBuf};

    use super::super::port::Halves;
    use super::super::reader::Queue;

    /// A client that can't exist.
    pub(in super::super) enum ClientStream {}

    pub(in super::super) fn join(_: &Path) -> Option<Halves> {
        None
    }

    /// A socket that can't exist.
    pub(in super::super) enum Listener {}

    impl Listener {
        pub(in super::super) fn bind(_: PathBuf, _: Queue) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn admit(&mut self, stream: ClientStream) -> u32 {
            match stream {}
        }

        pub(in super::super) fn dismiss(&mut self, _: u32) {
            match *self {}
        }

        pub(in super::super) fn write(&mut self, _: u32, _: &[u8]) {
            match *self {}
        }
    }
}
