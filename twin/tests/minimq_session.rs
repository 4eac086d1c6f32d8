//! minimq over embassy-net, as the agent uses them, against gateway and broker on a virtual clock.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant as WallClock;

use dunlin_twin::world::broker::{Activity, Broker, BrokerFaults, Presence, Qos};
use dunlin_twin::world::clock::Clock;
use dunlin_twin::world::network::gateway::GatewaySettings;
use dunlin_twin::world::network::lan::Lan;
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Instant, Timer, with_deadline, with_timeout};
use minimq::{
    Buffers, ConfigBuilder, Connection, Error, PeerError, Publication, QoS, ReasonCode, Session, TopicFilter,
    Will,
};

use support::session::{HARDWARE_ADDRESS, dhcp, drive, run_with};

const BROKER: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 168, 1, 10), 1883);

type Conn<'a, 'buf, 'stack> = Connection<'a, 'buf, TcpSocket<'stack>>;

/// Runs `node` with an address, until it ends.
fn run(broker: &RefCell<Broker>, node: impl AsyncFnOnce(Stack<'_>)) {
    let clock = Clock::virtual_time();
    run_with(
        &clock,
        1,
        dhcp(),
        broker,
        |_| {},
        async |stack| {
            stack.wait_config_up().await;
            node(stack).await;
        },
    );
}

fn client(name: &'static str, buffers: Buffers<'static>) -> ConfigBuilder<'static> {
    ConfigBuilder::new(buffers).client_id(name).unwrap().keepalive_interval(60)
}

fn buffers() -> Buffers<'static> {
    Buffers::new(Box::leak(Box::new([0; 1024])), Box::leak(Box::new([0; 1024])))
}

/// Connects a socket and runs `work` on the session's connection.
async fn connected<T>(
    stack: Stack<'_>,
    session: &mut Session<'_>,
    work: impl AsyncFnOnce(&mut Conn<'_, '_, '_>) -> T,
) -> T {
    let (mut receive, mut send) = ([0; 1024], [0; 1024]);
    let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
    socket.set_nagle_enabled(false);
    socket.connect(BROKER).await.unwrap();
    let mut connection = session.connect(socket).await.unwrap();
    work(&mut connection).await
}

#[test]
fn every_qos_arrives_both_ways() {
    let broker = RefCell::new(Broker::new());
    run(&broker, async |stack| {
        let mut session = Session::new(client("node", buffers()));
        connected(stack, &mut session, async |connection| {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let topic = format!("t/{}", qos as u8);
                let filter =
                    [TopicFilter::new(&topic)
                        .options(minimq::SubscriptionOptions::default().maximum_qos(qos))];
                let subscribed = connection.subscribe(&filter, &[]).await.unwrap();
                while connection.is_pending(&subscribed) {
                    assert!(connection.poll().await.unwrap().is_none());
                }
                let payload = format!("at {}", qos as u8);
                let publication = Publication::new(&topic, payload.as_bytes()).qos(qos);
                connection.publish(publication).await.unwrap();
                let message = with_timeout(Duration::from_secs(1), connection.recv()).await.unwrap().unwrap();
                assert_eq!((message.topic(), message.payload()), (topic.as_str(), payload.as_bytes()));
                while !connection.session().is_publish_quiescent() {
                    connection.poll().await.unwrap();
                }
            }
        })
        .await;
    });
    assert_eq!(broker.borrow().counts().published, [1, 1, 1]);
    assert_eq!(broker.borrow().counts().delivered, 3);
}

#[test]
fn a_request_is_answered_by_response_topic_and_correlation_data() {
    let broker = RefCell::new(Broker::new());
    run(&broker, async |stack| {
        let mut session = Session::new(client("node", buffers()));
        connected(stack, &mut session, async |connection| {
            connection
                .subscribe(&[TopicFilter::new("request"), TopicFilter::new("reply")], &[])
                .await
                .unwrap();
            let properties = [
                minimq::Property::ResponseTopic("reply"),
                minimq::Property::CorrelationData(b"\x01\x02"),
                minimq::Property::UserProperty("key", "value"),
            ];
            let request = Publication::new("request", b"lux-1".as_slice()).properties(&properties);
            connection.publish(request).await.unwrap();
            let reply = {
                let message = connection.recv().await.unwrap();
                assert_eq!(message.response_topic(), Some("reply"));
                assert_eq!(message.correlation_data(), Some(b"\x01\x02".as_slice()));
                message.reply_owned::<16, 16>().unwrap().unwrap()
            };
            connection.publish(reply.publication(b"42".as_slice())).await.unwrap();
            let message = connection.recv().await.unwrap();
            assert_eq!((message.topic(), message.payload()), ("reply", b"42".as_slice()));
            assert_eq!(message.correlation_data(), Some(b"\x01\x02".as_slice()));
        })
        .await;
    });
}

#[test]
fn a_session_is_resumed_and_what_came_meanwhile_is_delivered() {
    let broker = RefCell::new(Broker::new());
    run(&broker, async |stack| {
        let config = client("node", buffers()).session_expiry_interval(3_600);
        let mut session = Session::new(config);
        connected(stack, &mut session, async |connection| {
            let filter = [TopicFilter::new("in")
                .options(minimq::SubscriptionOptions::default().maximum_qos(QoS::AtLeastOnce))];
            let subscribed = connection.subscribe(&filter, &[]).await.unwrap();
            while connection.is_pending(&subscribed) {
                connection.poll().await.unwrap();
            }
        })
        .await;
        Timer::after_secs(5).await;
        broker.borrow_mut().publish(Instant::now(), "in", b"kept", Qos::AtLeastOnce, false);
        connected(stack, &mut session, async |connection| {
            assert_eq!(connection.connect_event(), minimq::ConnectEvent::Reconnected);
            assert_eq!(connection.recv().await.unwrap().payload(), b"kept");
        })
        .await;
    });
}

#[test]
fn a_silent_client_is_dropped_after_one_and_a_half_keep_alives_and_its_will_published() {
    let wills = Rc::new(RefCell::new(Vec::new()));
    let mut broker = Broker::new();
    let seen = Rc::clone(&wills);
    broker.observe(move |at, activity| {
        if let Activity::Published { topic, .. } = activity {
            seen.borrow_mut().push((at.as_secs(), (*topic).to_owned()));
        }
    });
    let broker = RefCell::new(broker);
    run(&broker, async |stack| {
        let will = Will::new("status", b"offline", &[]).unwrap().qos(QoS::AtLeastOnce).retained();
        let config = client("node", buffers()).keepalive_interval(10).will(will).unwrap();
        let mut session = Session::new(config);
        connected(stack, &mut session, async |connection| {
            // Alive for a minute by its pings, then not polled.
            let end = Instant::now() + Duration::from_secs(60);
            assert!(with_deadline(end, connection.recv()).await.is_err());
            Timer::after_secs(30).await;
        })
        .await;
    });
    let wills = wills.borrow();
    assert_eq!(wills.len(), 1, "{wills:?}");
    assert!((65..=75).contains(&wills[0].0), "{wills:?}");
    assert_eq!(broker.borrow().retained("status"), Some(b"offline".as_slice()));
}

/// Connects a node with a will, switches it off, and switches it on again or not; returns what the broker saw by when.
fn power_cut(back_at_s: Option<u64>) -> Vec<(u64, String)> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let mut broker = Broker::new();
    let log = Rc::clone(&seen);
    broker.observe(move |at, activity| {
        let line = match activity {
            Activity::Disconnected { reason, .. } => format!("{reason:?}"),
            Activity::Published { topic, .. } => (*topic).to_owned(),
            _ => return,
        };
        log.borrow_mut().push((at.as_secs(), line));
    });
    let broker = RefCell::new(broker);
    let clock = Clock::virtual_time();
    let (port, mut lan) = Lan::new(&clock, GatewaySettings::default(), HARDWARE_ADDRESS, 1);
    let node = async |stack: Stack<'_>| {
        stack.wait_config_up().await;
        let will = Will::new("will", b"offline", &[]).unwrap();
        let config = client("node", buffers()).keepalive_interval(10).will(will).unwrap();
        connected(stack, &mut Session::new(config), async |connection| {
            let publication = Publication::new("birth", b"online".as_slice()).qos(QoS::AtLeastOnce);
            connection.publish(publication).await.unwrap();
            while !connection.session().is_publish_quiescent() {
                connection.poll().await.unwrap();
            }
            if Instant::now() < Instant::from_secs(10) {
                std::future::pending().await
            }
        })
        .await;
    };
    let off_at = Instant::from_secs(5);
    assert!(!drive(&clock, &mut lan, port.clone(), 1, dhcp(), &broker, off_at, node));
    lan.lose_node();
    let end = Instant::from_secs(60);
    match back_at_s {
        Some(back_at_s) => {
            clock.wait_until(Instant::from_secs(back_at_s));
            assert!(drive(&clock, &mut lan, port, 2, dhcp(), &broker, end, node));
        }
        None => {
            while clock.now() < end {
                lan.step(clock.now(), &mut *broker.borrow_mut());
                clock.block_for(Duration::from_millis(100));
            }
        }
    }
    seen.take()
}

#[test]
fn a_node_without_power_is_missed_or_comes_back_under_its_own_name() {
    let owned = |expected: &[(u64, &str)]| -> Vec<_> {
        expected.iter().map(|&(at, line)| (at, line.to_owned())).collect()
    };
    // 15 s after the last packet; that was an acknowledgement at the start.
    let missed = power_cut(None);
    assert_eq!(missed[1..], owned(&[(15, "Broker(141)"), (15, "will")]), "{missed:?}");
    let back = power_cut(Some(12));
    assert_eq!(back[1..4], owned(&[(12, "Broker(142)"), (12, "will"), (12, "birth")]), "{back:?}");
}

#[test]
fn faults_are_what_a_client_sees() {
    let broker = RefCell::new(Broker::new());
    run(&broker, async |stack| {
        let set = |faults: BrokerFaults| broker.borrow_mut().set_faults(Instant::now(), faults);
        let mut session = Session::new(client("node", buffers()));

        set(BrokerFaults { refused_topics: vec!["forbidden/#".into()], ..BrokerFaults::default() });
        connected(stack, &mut session, async |connection| {
            let publication = Publication::new("forbidden/fruit", b"1".as_slice()).qos(QoS::AtLeastOnce);
            connection.publish(publication).await.unwrap();
            let refused = loop {
                match connection.poll().await {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, Error::Peer(PeerError::Rejected(ReasonCode::NotAuthorized)));
        })
        .await;

        set(BrokerFaults { refuse_credentials: true, ..BrokerFaults::default() });
        let (mut receive, mut send) = ([0; 512], [0; 512]);
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        socket.connect(BROKER).await.unwrap();
        assert!(matches!(session.connect(socket).await.map(|_| ()), Err(Error::Peer(_))));

        set(BrokerFaults { presence: Presence::Away, ..BrokerFaults::default() });
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        assert!(socket.connect(BROKER).await.is_err());
        drop(socket);

        set(BrokerFaults { presence: Presence::Mute, ..BrokerFaults::default() });
        let mut socket = TcpSocket::new(stack, &mut receive, &mut send);
        socket.connect(BROKER).await.unwrap();
        assert!(with_timeout(Duration::from_secs(60), session.connect(socket)).await.is_err());

        set(BrokerFaults::default());
        connected(stack, &mut session, async |_| {}).await;
    });
    assert_eq!(broker.borrow().counts().refused, 1);
}

/// Publishes `count` messages every 2 s, as the tutorial does; returns the wall-clock time it took.
fn simulate(count: u64, qos: QoS) -> std::time::Duration {
    let started = WallClock::now();
    let mut broker = Broker::new();
    let delivered = Rc::new(RefCell::new(0));
    let count_delivered = Rc::clone(&delivered);
    broker.observe(move |_, activity| {
        if matches!(activity, Activity::Published { topic: "test-topic", .. }) {
            *count_delivered.borrow_mut() += 1;
        }
    });
    let broker = RefCell::new(broker);
    run(&broker, async |stack| {
        let mut session = Session::new(client("node", buffers()));
        connected(stack, &mut session, async |connection| {
            let start = Instant::now();
            for turn in 1..=count {
                let at = start + Duration::from_secs(2 * turn);
                while let Ok(progress) = with_deadline(at, connection.poll()).await {
                    assert!(progress.unwrap().is_none());
                }
                let payload = format!("[\"lux-1\", {}, 284.1312]", 2 * turn);
                let publication = Publication::new("test-topic", payload.as_bytes()).qos(qos);
                connection.publish(publication).await.unwrap();
            }
            while !connection.session().is_publish_quiescent() {
                connection.poll().await.unwrap();
            }
            // The last QoS 0 message is on its way.
            Timer::after_millis(50).await;
        })
        .await;
        assert!(Instant::now() >= Instant::from_secs(2 * count));
    });
    assert_eq!(*delivered.borrow(), count);
    started.elapsed()
}

#[test]
fn a_day_of_the_tutorial() {
    let at_most_once = simulate(43_200, QoS::AtMostOnce);
    let at_least_once = simulate(43_200, QoS::AtLeastOnce);
    println!("43,200 messages at 2 s: QoS 0 in {at_most_once:?}, QoS 1 in {at_least_once:?}");
}

#[test]
fn equal_runs_make_equal_captures() {
    let capture = |seed: u64| {
        let clock = Clock::virtual_time();
        let broker = RefCell::new(Broker::new());
        let lan = run_with(
            &clock,
            seed,
            dhcp(),
            &broker,
            |lan| {
                let settings = lan.link().settings();
                lan.link().set(dunlin_twin::world::network::link::LinkSettings { loss: 0.05, ..settings });
                lan.link().start_capture();
            },
            async |stack| {
                stack.wait_config_up().await;
                let mut session = Session::new(client("node", buffers()));
                connected(stack, &mut session, async |connection| {
                    for _ in 0..100 {
                        let publication = Publication::new("t", b"payload".as_slice()).qos(QoS::AtLeastOnce);
                        connection.publish(publication).await.unwrap();
                        while !connection.session().is_publish_quiescent() {
                            connection.poll().await.unwrap();
                        }
                    }
                })
                .await;
            },
        );
        assert!(broker.borrow().counts().published[1] >= 100);
        lan.link().take_capture()
    };
    let first = capture(1);
    assert_eq!(first, capture(1));
    assert_ne!(first, capture(2));
}
