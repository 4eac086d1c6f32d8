//! mosquitto's own clients against the world's broker, over loopback.
mod support;

use dunlin_twin::world::broker::{BrokerFaults, Presence};
use support::server::{Running, Server};

const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

#[test]
fn the_lower_qos_holds() {
    let server = Server::start();
    for version in VERSIONS {
        let subscribers: Vec<_> = ["0", "1", "2"]
            .into_iter()
            .map(|qos| {
                let name = format!("sub-{version}-{qos}");
                let format = ["-V", version, "-q", qos, "-F", "%t %q %r %p"];
                (qos, server.subscribe(&name, &format!("{version}/+/light"), &format))
            })
            .collect();
        for published in ["0", "1", "2"] {
            let topic = format!("{version}/{published}/light");
            let sent = server.publish(&["-V", version, "-q", published, "-t", &topic, "-m", "284.1312"]);
            assert!(sent.status.success(), "{sent:?}");
            for (subscribed, subscriber) in &subscribers {
                let lower = published.min(subscribed);
                assert_eq!(subscriber.line(), format!("{topic} {lower} 0 284.1312"));
            }
        }
    }
}

#[test]
fn many_messages_arrive_in_order() {
    let server = Server::start();
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let name = format!("many-{version}-{qos}");
            let subscriber = server.subscribe(&name, &name, &["-V", version, "-q", qos]);
            let publisher = server.client("mosquitto_pub", &["-V", version, "-q", qos, "-t", &name, "-l"]);
            let mut publisher = Running::start(publisher, &[]);
            let text: String = (0..2_000).map(|number| format!("{number}\n")).collect();
            publisher.feed(text.as_bytes());
            for number in 0..2_000 {
                assert_eq!(subscriber.line(), number.to_string(), "{name}");
            }
            assert!(publisher.wait());
        }
    }
}

#[test]
fn large_messages_arrive_whole() {
    let server = Server::start();
    let payload = "0123456789".repeat(50_000);
    let subscriber = server.subscribe("large", "large", &["-V", "mqttv5", "-q", "2"]);
    let publisher = server.client("mosquitto_pub", &["-V", "mqttv5", "-q", "2", "-t", "large", "-s"]);
    let mut publisher = Running::start(publisher, &[]);
    publisher.feed(payload.as_bytes());
    assert!(subscriber.line() == payload);
    assert!(publisher.wait());
}

#[test]
fn retained_messages_wait_for_subscribers() {
    let server = Server::start();
    for version in VERSIONS {
        let topic = format!("status/{version}");
        let retain = ["-V", version, "-q", "1", "-r", "-t", &topic];
        assert!(server.publish(&[&retain[..], &["-m", "online"]].concat()).status.success());
        let format = ["-V", version, "-q", "1", "-F", "%t %q %r %p"];
        let first = server.subscribe(&format!("first-{version}"), "status/#", &format);
        assert_eq!(first.line(), format!("{topic} 1 1 online"));
        // To those who are there it comes as an ordinary message.
        assert!(server.publish(&[&retain[..], &["-m", "offline"]].concat()).status.success());
        assert_eq!(first.line(), format!("{topic} 1 0 offline"));
        assert!(server.publish(&[&retain[..], &["-n"]].concat()).status.success());
        let second = server.subscribe(&format!("second-{version}"), "status/#", &format);
        assert!(second.is_silent());
    }
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let server = Server::start();
    assert!(server.publish(&["-r", "-t", "r", "-m", "kept"]).status.success());
    let subscriber = server.subscribe("r", "r", &["-V", "mqttv5", "-F", "%r %p", "--retain-as-published"]);
    assert_eq!(subscriber.line(), "1 kept");
    assert!(server.publish(&["-r", "-t", "r", "-m", "new"]).status.success());
    assert_eq!(subscriber.line(), "1 new");
}

#[test]
fn wildcards_and_dollar_topics() {
    let server = Server::start();
    let all = server.subscribe("all", "#", &["-v"]);
    let level = server.subscribe("level", "+/b", &["-v"]);
    let below = server.subscribe("below", "a/#", &["-v"]);
    let dollar = server.subscribe("dollar", "$dunlin/#", &["-v"]);
    for topic in ["$dunlin/a", "a", "a/b", "c/b", "/b", "a/b/c"] {
        assert!(server.publish(&["-t", topic, "-m", "x"]).status.success());
    }
    let expect = |subscriber: &Running, topics: &[&str]| {
        for topic in topics {
            assert_eq!(subscriber.line(), format!("{topic} x"));
        }
        assert!(subscriber.is_silent());
    };
    expect(&all, &["a", "a/b", "c/b", "/b", "a/b/c"]);
    expect(&level, &["a/b", "c/b", "/b"]);
    expect(&below, &["a", "a/b", "a/b/c"]);
    expect(&dollar, &["$dunlin/a"]);
}

#[test]
fn wills_are_published_for_lost_clients_only() {
    let server = Server::start();
    for version in VERSIONS {
        let topic = format!("will/{version}");
        let watcher = server.subscribe(&format!("watcher-{version}"), &topic, &["-q", "1", "-F", "%q %p"]);
        let will = ["--will-topic", &topic, "--will-payload", "gone", "--will-qos", "1", "-V", version];
        let mut polite =
            server.subscribe(&format!("polite-{version}"), "x", &[&will[..], &["-C", "1"]].concat());
        assert!(server.publish(&["-t", "x", "-m", "go"]).status.success());
        assert!(polite.wait());
        assert!(watcher.is_silent());
        let mut lost = server.subscribe(&format!("lost-{version}"), "x", &will);
        lost.kill();
        assert_eq!(watcher.line(), "1 gone");
    }
}

#[test]
fn sessions_keep_messages_for_clients_that_are_away() {
    let server = Server::start();
    for (version, keep) in [("mqttv311", &["-c"][..]), ("mqttv5", &["-c", "-x", "3600"][..])] {
        let name = format!("away-{version}");
        let session = [&["-V", version, "-q", "1"][..], keep].concat();
        let mut there = server.subscribe(&name, "kept", &[&session[..], &["-C", "1"]].concat());
        assert!(server.publish(&["-q", "1", "-t", "kept", "-m", "first"]).status.success());
        assert_eq!(there.line(), "first");
        assert!(there.wait());
        for payload in ["second", "third"] {
            assert!(server.publish(&["-q", "1", "-t", "kept", "-m", payload]).status.success());
        }
        let back = server.client("mosquitto_sub", &["-i", &name, "-t", "kept"]);
        let back = Running::start(back, &session);
        assert_eq!((back.line(), back.line()), ("second".to_owned(), "third".to_owned()));
        assert!(back.is_silent());
    }
}

#[test]
fn properties_of_version_5_are_passed_on() {
    let server = Server::start();
    let format = "%t|%C|%D|%P|%R|%F|%p";
    let subscriber = server.subscribe("properties", "p", &["-V", "mqttv5", "-F", format]);
    let properties = [
        ["content-type", "text/plain"],
        ["correlation-data", "abc"],
        ["response-topic", "answers"],
        ["payload-format-indicator", "1"],
    ];
    let mut arguments = vec!["-V", "mqttv5", "-t", "p", "-m", "x"];
    for property in &properties {
        arguments.extend(["-D", "publish", property[0], property[1]]);
    }
    arguments.extend(["-D", "publish", "user-property", "key", "value"]);
    assert!(server.publish(&arguments).status.success());
    assert_eq!(subscriber.line(), "p|text/plain|abc|key:value|answers|1|x");
}

#[test]
fn a_request_is_answered() {
    let server = Server::start();
    let node = server.subscribe("node", "request", &["-V", "mqttv5", "-F", "%R %D %p"]);
    let arguments = ["-V", "mqttv5", "-t", "request", "-e", "reply", "-m", "lux-1"];
    let correlation = ["-D", "publish", "correlation-data", "q7"];
    let requester = Running::start(server.client("mosquitto_rr", &arguments), &correlation);
    assert_eq!(node.line(), "reply q7 lux-1");
    assert!(server.publish(&["-V", "mqttv5", "-t", "reply", "-m", "42"]).status.success());
    assert_eq!(requester.line(), "42");
}

#[test]
fn a_second_client_takes_the_session_over() {
    let server = Server::start();
    for version in VERSIONS {
        let name = format!("twin-{version}");
        let first = server.subscribe(&name, "a", &["-V", version]);
        let second = server.subscribe(&name, "b", &["-V", version]);
        server.wait_for(&format!("disconnected {name} Broker(142)"));
        assert!(server.publish(&["-t", "b", "-m", "x"]).status.success());
        assert_eq!(second.line(), "x");
        drop(first);
    }
}

#[test]
fn faults_are_what_clients_are_told() {
    let server = Server::start();
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();

    server.set_faults(BrokerFaults { refuse_credentials: true, ..BrokerFaults::default() });
    for (version, code) in [("mqttv311", "refused 0x04"), ("mqttv5", "refused 0x86")] {
        let refused = server.publish(&["-V", version, "-t", "t", "-m", "x"]);
        assert!(!refused.status.success());
        server.wait_for(code);
        assert!(text(&refused).to_lowercase().contains("bad user name or password"), "{refused:?}");
    }

    server.set_faults(BrokerFaults { refused_topics: vec!["no/#".into()], ..BrokerFaults::default() });
    for qos in ["1", "2"] {
        let refused = server.publish(&["-V", "mqttv5", "-q", qos, "-t", "no/entry", "-m", "x"]);
        assert!(text(&refused).contains("Not authorized"), "{refused:?}");
    }

    server.set_faults(BrokerFaults { presence: Presence::Away, ..BrokerFaults::default() });
    let refused = server.publish(&["-t", "t", "-m", "x"]);
    assert!(text(&refused).contains("Connection refused"), "{refused:?}");

    server.set_faults(BrokerFaults::default());
    assert!(server.publish(&["-t", "t", "-m", "back"]).status.success());
    server.wait_for("published t 0 back");
}

#[test]
fn an_old_protocol_is_refused_in_words_it_knows() {
    let server = Server::start();
    let refused = server.publish(&["-V", "mqttv31", "-t", "t", "-m", "x"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("unacceptable protocol version"), "{refused:?}");
    server.wait_for("refused 0x01");
}
