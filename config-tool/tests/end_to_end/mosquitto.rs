//! A real mosquitto on loopback, and its clients.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A broker of its own for one test. Ends with the value.
pub(crate) struct Mosquitto {
    child: Child,
    folder: PathBuf,
    pub(crate) port: u16,
}

impl Mosquitto {
    /// Starts a broker on a free port of the loopback interface.
    pub(crate) fn start(name: &str) -> Mosquitto {
        Self::on_port(name, free_port(), "")
    }

    /// Starts a broker on `port` with further lines of its configuration.
    pub(crate) fn on_port(name: &str, port: u16, further: &str) -> Mosquitto {
        let folder = std::env::temp_dir().join(format!("dunlin-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("mosquitto.log");
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nlog_type all\nlog_dest file {}\nuser root\nset_tcp_nodelay true\n{further}\n",
            log.display()
        );
        fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let child = Command::new("/usr/sbin/mosquitto")
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto must be installed: `cargo xtask test` does it, or `apt-get install mosquitto mosquitto-clients`");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto did not start on port {port}");
            thread::sleep(Duration::from_millis(20));
        }
        Mosquitto { child, folder, port }
    }

    /// Returns the address as `dunlin --broker` takes it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the broker's log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mosquitto.log")).unwrap_or_default()
    }

    /// Subscribes with `mosquitto_sub`; `-v` prints `topic payload`.
    pub(crate) fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub must be installed");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Subscriber { child, lines }
    }

    /// Runs another client to its end and returns its standard output.
    pub(crate) fn client(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A running `mosquitto_sub`.
pub(crate) struct Subscriber {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Subscriber {
    /// Waits for the next line and returns it with the time of its arrival.
    pub(crate) fn next(&self, within: Duration) -> Option<(Instant, String)> {
        self.lines.recv_timeout(within).ok()
    }

    /// Waits for a line that `is_wanted` and returns it.
    pub(crate) fn find(
        &self,
        within: Duration,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<(Instant, String)> {
        let deadline = Instant::now() + within;
        loop {
            let (at, line) = self.next(deadline.saturating_duration_since(Instant::now()))?;
            if is_wanted(&line) {
                return Some((at, line));
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a TCP port of the loopback interface that nobody uses.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Returns a file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
