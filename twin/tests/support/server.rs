//! The world's broker on loopback, in a thread of its own, and mosquitto's clients as processes.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration as StdDuration, Instant as WallClock};

use dunlin_twin::host::broker_server::BrokerServer;
use dunlin_twin::host::real_time::RealTime;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::world::broker::{Activity, Broker, BrokerFaults};
use dunlin_twin::world::clock::Clock;
use embassy_time::Duration;

/// Longer than anything here takes on a busy machine.
const PATIENCE: StdDuration = StdDuration::from_secs(20);

/// A broker that serves on loopback until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    faults: Sender<Option<BrokerFaults>>,
    log: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start() -> Self {
        let (faults, commands) = channel();
        let (tell_address, address) = channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        let thread = thread::spawn(move || {
            let mut broker = Broker::new();
            broker.observe(move |_, activity| seen.lock().unwrap().push(line(activity)));
            let mut server = BrokerServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            tell_address.send(server.address()).unwrap();
            serve(&mut broker, &mut server, &commands);
        });
        Server { address: address.recv().unwrap(), faults, log, thread: Some(thread) }
    }

    /// Changes the broker's faults, soon.
    pub fn set_faults(&self, faults: BrokerFaults) {
        self.faults.send(Some(faults)).unwrap();
        // Longer than the serving loop waits at a time.
        thread::sleep(StdDuration::from_millis(50));
    }

    /// Waits until the broker has seen `activity`, by its line.
    pub fn wait_for(&self, activity: &str) {
        let start = WallClock::now();
        while !self.log().iter().any(|line| line == activity) {
            assert!(start.elapsed() < PATIENCE, "no `{activity}` among {:#?}", self.log());
            thread::sleep(StdDuration::from_millis(2));
        }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Returns a client of mosquitto, to be given more arguments.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = tool(program);
        command.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]).args(arguments);
        command
    }

    /// Runs `mosquitto_pub` to its end.
    pub fn publish(&self, arguments: &[&str]) -> Output {
        self.client("mosquitto_pub", arguments).output().unwrap()
    }

    /// Starts `mosquitto_sub` as client `name` and waits until it has subscribed to `filter`.
    pub fn subscribe(&self, name: &str, filter: &str, arguments: &[&str]) -> Running {
        let command = self.client("mosquitto_sub", &["-i", name, "-t", filter]);
        let running = Running::start(command, arguments);
        self.wait_for(&format!("subscribed {name} {filter}"));
        running
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread is gone already where a test has failed in it.
        let _ = self.faults.send(None);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the broker panicked");
    }
}

fn serve(broker: &mut Broker, server: &mut BrokerServer, commands: &Receiver<Option<BrokerFaults>>) {
    let clock = Clock::following(RealTime::new());
    loop {
        let now = clock.now();
        match commands.try_recv() {
            Ok(Some(faults)) => broker.set_faults(now, faults),
            Ok(None) => return,
            Err(_) => {}
        }
        broker.step(now);
        if server.step(now, broker) {
            continue;
        }
        let mut set = WaitSet::new();
        server.register(broker, &mut set);
        let next = [broker.next_event(), server.next_event()].into_iter().flatten().min();
        let timeout = next.map_or(Duration::MAX, |at| at.saturating_duration_since(now));
        set.wait(Some(timeout.min(Duration::from_millis(20)))).unwrap();
    }
}

fn line(activity: &Activity<'_>) -> String {
    match activity {
        Activity::Connected { client, .. } => format!("connected {client}"),
        Activity::Refused { reason, .. } => format!("refused {reason:#04x}"),
        Activity::Disconnected { client, reason } => format!("disconnected {client} {reason:?}"),
        Activity::Subscribed { client, filter, .. } => format!("subscribed {client} {filter}"),
        Activity::Unsubscribed { client, filter } => format!("unsubscribed {client} {filter}"),
        Activity::Published { topic, payload, qos, .. } => {
            format!("published {topic} {} {}", qos.number(), String::from_utf8_lossy(payload))
        }
        Activity::PublishRefused { topic, .. } => format!("publish refused {topic}"),
        Activity::Delivered { client, topic, qos } => {
            format!("delivered {client} {topic} {}", qos.number())
        }
    }
}

/// Returns a program of mosquitto, or says what is missing.
pub fn tool(program: &str) -> Command {
    let found = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        panic!("`{program}` is not installed: run `apt-get install mosquitto mosquitto-clients`");
    }
    // In a pipe, mosquitto's clients keep their output back.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", program]);
    command
}

/// A client that runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub fn start(mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, lines }
    }

    /// Writes to the client's standard input and closes it.
    pub fn feed(&mut self, text: &[u8]) {
        self.child.stdin.take().unwrap().write_all(text).unwrap();
    }

    /// Returns the next line that the client prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the client printed no line")
    }

    /// Returns whether the client prints nothing more for a while.
    pub fn is_silent(&self) -> bool {
        self.lines.recv_timeout(StdDuration::from_millis(150)).is_err()
    }

    /// Ends the client without a goodbye.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the client ends by itself; returns whether it says that all is well.
    pub fn wait(&mut self) -> bool {
        let start = WallClock::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(start.elapsed() < PATIENCE, "the client does not end");
            thread::sleep(StdDuration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
