//! A simulated node in real time, through its gateway and the host's sockets, at a real mosquitto.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration as StdDuration, Instant as WallClock};

use dunlin_twin::host::real_time::RealTime;
use dunlin_twin::host::streams::HostStreams;
use dunlin_twin::host::wait::WaitSet;
use dunlin_twin::native::executor::{Executor, Rest};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::gateway::GatewaySettings;
use dunlin_twin::world::network::lan::Lan;
use embassy_net::Stack;
use embassy_net::tcp::{ConnectError, TcpSocket};
use embassy_time::{Duration, with_timeout};
use minimq::{Buffers, ConfigBuilder, Publication, QoS, Session, SubscriptionOptions, TopicFilter};

use support::server::{Running, tool};
use support::session::dhcp;

/// The computer at the other end of the cable, for the node.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 47, 0, 1);

/// Runs `node` in real time until it ends, with loopback behind the router's address and nothing behind others.
fn run(node: impl AsyncFnOnce(Stack<'_>)) {
    let clock = Clock::following(RealTime::new());
    let _entered = clock.enter();
    let (port, mut lan) = Lan::new(&clock, GatewaySettings::default(), [2, 0, 0, 0, 0, 1], 1);
    let mut resources = embassy_net::StackResources::<3>::new();
    let (stack, mut runner) = embassy_net::new(port, dhcp(), &mut resources, 7);
    let mut streams = HostStreams::new(Box::new(|destination| {
        (*destination.ip() == ROUTER).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, destination.port())))
    }))
    .unwrap();
    let mut executor = Executor::new();
    let node = executor.spawn(async {
        stack.wait_config_up().await;
        with_timeout(Duration::from_secs(20), node(stack)).await.expect("the node takes too long");
    });
    executor.spawn(async move { runner.run().await });
    let mut waits = 0;
    loop {
        clock.wake_due();
        assert_eq!(executor.run(), Ok(Rest::Waiting));
        if executor.is_finished(node) {
            break;
        }
        if lan.step(clock.now(), &mut streams) || executor.is_woken() {
            continue;
        }
        let next = [clock.next_alarm(), lan.next_event()].into_iter().flatten().min();
        let mut set = WaitSet::new();
        streams.register(&mut set);
        set.wait(next.map(|at| at.saturating_duration_since(clock.now()))).unwrap();
        waits += 1;
    }
    assert!(waits < 20_000, "{waits} waits: a descriptor is ready for ever");
}

/// Starts mosquitto on a free port, without a password.
fn mosquitto() -> (Running, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = tool("mosquitto");
    command.args(["-p", &port.to_string()]);
    let broker = Running::start(command, &[]);
    let start = WallClock::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < StdDuration::from_secs(10), "mosquitto does not listen on port {port}");
        std::thread::sleep(StdDuration::from_millis(5));
    }
    (broker, port)
}

#[test]
fn every_qos_passes_through_the_hosts_sockets() {
    let (_broker, port) = mosquitto();
    let mut command = tool("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "2", "-t", "node/#", "-F", "%t %q %p"]);
    let subscriber = Running::start(command, &[]);
    let publish = |topic: &str, qos: &str, payload: &str| {
        let mut command = tool("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", qos, "-t", topic, "-m", payload]);
        assert!(command.stdin(Stdio::null()).status().unwrap().success());
    };
    // Subscribed once a message comes back.
    let mut turn = 0;
    while subscriber.is_silent() {
        turn += 1;
        publish("node/ready", "0", &turn.to_string());
    }
    while !subscriber.is_silent() {}
    run(async |stack| {
        let (mut receive, mut send) = ([0; 2048], [0; 2048]);
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        socket.set_nagle_enabled(false);
        let address = stack.dns_query("localhost", embassy_net::dns::DnsQueryType::A).await.unwrap();
        assert_eq!(address.first(), Some(&Ipv4Addr::LOCALHOST.into()));
        socket.connect((ROUTER, port)).await.unwrap();
        let (mut rx, mut tx) = ([0; 2048], [0; 2048]);
        let buffers = Buffers::new(&mut rx, &mut tx);
        let mut session = Session::new(ConfigBuilder::new(buffers).client_id("node").unwrap());
        let mut connection = session.connect(socket).await.unwrap();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let payload = vec![b'a' + qos as u8; 1_000];
            let topic = format!("node/{}", qos as u8);
            connection.publish(Publication::new(&topic, payload.as_slice()).qos(qos)).await.unwrap();
            while !connection.session().is_publish_quiescent() {
                connection.poll().await.unwrap();
            }
            let line = subscriber.line();
            assert_eq!(line, format!("{topic} {} {}", qos as u8, String::from_utf8_lossy(&payload)));
        }
        let options = SubscriptionOptions::default().maximum_qos(QoS::AtLeastOnce);
        let subscribed =
            connection.subscribe(&[TopicFilter::new("request").options(options)], &[]).await.unwrap();
        while connection.is_pending(&subscribed) {
            connection.poll().await.unwrap();
        }
        publish("request", "1", "lux-1");
        assert_eq!(connection.recv().await.unwrap().payload(), b"lux-1");
    });
}

#[test]
fn a_closed_port_refuses_the_node() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for destination in [(ROUTER, closed), (Ipv4Addr::new(203, 0, 113, 7), 1883)] {
        run(async |stack| {
            let (mut receive, mut send) = ([0; 512], [0; 512]);
            let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
            assert_eq!(socket.connect(destination).await, Err(ConnectError::ConnectionReset));
        });
    }
}

#[test]
fn the_hosts_end_is_the_nodes_end() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let far = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"good night").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    run(async |stack| {
        let (mut receive, mut send) = ([0; 512], [0; 512]);
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        socket.connect((ROUTER, port)).await.unwrap();
        let mut buffer = [0; 64];
        let mut received = Vec::new();
        loop {
            match socket.read(&mut buffer).await.unwrap() {
                0 => break,
                len => received.extend_from_slice(&buffer[..len]),
            }
        }
        assert_eq!(received, b"good night");
        socket.write(b"sleep well").await.unwrap();
        socket.close();
        socket.flush().await.unwrap();
    });
    assert_eq!(far.join().unwrap(), b"sleep well");
}
