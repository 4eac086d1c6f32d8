//! What can be asked of a running node.

use dunlin::device::{
    Ask, Failure, HelloTask, InfoTask, MonitorTask, NodeEvent, Patience, PullTask, Pushed, ReadTask,
};
use dunlin_config_format::message::{
    self as m, EraseRequest, ProbeReply, ProbeRequest, ReadRequest, Refusal, RestartRequest, RollbackRequest,
    monitor, state, what,
};

use dunlin_twin::world::broker::Qos;
use dunlin_twin::world::scenario::{Fault, FaultKind};
use embassy_time::{Duration, Instant};

use crate::world::{Wish, World, package};

fn running() -> World {
    let mut world = World::new();
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world
}

#[test]
fn read_measures_the_light_there_is() {
    let mut world = running();
    let named = ReadRequest { sensor: Some("lux-1"), driver: None, sda: None, scl: None, address: None };
    let items = world.run(&mut ReadTask::new(&named).unwrap()).unwrap();
    let lux = items.iter().find(|item| item.name.as_deref() == Some("illuminance")).unwrap().raw.unwrap();
    assert!((lux / 284.0 - 1.0).abs() < 0.01, "{lux}");
    let unknown = ReadRequest { sensor: Some("lux-2"), ..named };
    let refused = world.run(&mut ReadTask::new(&unknown).unwrap()).unwrap_err();
    assert!(refused.is(Refusal::NoSuchSensor));
}

#[test]
fn an_empty_board_is_probed_and_read() {
    let mut world = World::new();
    world.run_s(1);
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!((hello.state, hello.generation, hello.device), (state::EMPTY, None, None));
    let reply =
        world.run(&mut Ask::new(&ProbeRequest { sda: 4, scl: 5 }, Patience::MEASURE).unwrap()).unwrap();
    assert!(m::decode::<ProbeReply<'_>>(&reply).unwrap().addresses.contains(&0x29));
    let bare = ReadRequest { sensor: None, driver: Some(1), sda: Some(4), scl: Some(5), address: None };
    let items = world.run(&mut ReadTask::new(&bare).unwrap()).unwrap();
    assert!((items[0].raw.unwrap() / 284.0 - 1.0).abs() < 0.01, "{items:?}");
    let refused = world.run(&mut Ask::new(&ProbeRequest { sda: 6, scl: 7 }, Patience::MEASURE).unwrap());
    assert!(refused.unwrap_err().is(Refusal::PinsRefused));
    assert!(world.run(&mut PullTask::new().unwrap()).unwrap_err().is(Refusal::NothingStored));
    let named = ReadRequest { sensor: Some("lux-9"), driver: None, sda: None, scl: None, address: None };
    let refused = world.run(&mut ReadTask::new(&named).unwrap());
    assert!(refused.unwrap_err().is(Refusal::NothingStored));
}

/// The simulator wires what the configuration names, and nothing else; 0x28 is the chip's own second address.
#[test]
fn sensors_are_where_the_configuration_has_them() {
    let mut world = World::new();
    let probed = |world: &mut World, sda, scl| {
        let reply = world.run(&mut Ask::new(&ProbeRequest { sda, scl }, Patience::MEASURE).unwrap()).unwrap();
        m::decode::<ProbeReply<'_>>(&reply).unwrap().addresses.to_vec()
    };
    world.run_s(1);
    assert_eq!(probed(&mut world, 4, 5), [0x28, 0x29], "a board without a configuration has one to try");
    assert!(probed(&mut world, 12, 13).is_empty());
    let elsewhere = Wish { pins: (12, 13), ..Wish::default() };
    assert_eq!(world.push(package(elsewhere)), Ok(Pushed::Confirmed));
    assert_eq!(probed(&mut world, 12, 13), [0x28, 0x29]);
    assert!(probed(&mut world, 14, 2).is_empty());
}

#[test]
fn info_and_pull_tell_what_was_pushed() {
    let mut world = running();
    let pushed = package(Wish::default());
    let facts = world.run(&mut InfoTask::new().unwrap()).unwrap();
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).and_then(|fact| fact.value.clone());
    assert_eq!(fact("device").as_deref(), Some("esp8266"));
    assert_eq!(fact("state").as_deref(), Some("confirmed"));
    assert_eq!(fact("health.lux-1").as_deref(), Some("ok"));
    // Nothing was lost on a good line, and a chip sleeps where a native board can't tell.
    for name in ["line-overruns", "line-framing-errors", "line-breaks"] {
        assert_eq!(fact(name).as_deref(), Some("0"), "{name}");
    }
    assert_eq!((fact("crash"), fact("entropy").as_deref()), (None, Some("good")));
    let asleep = fact("asleep-percent").map(|percent| percent.parse::<f32>().unwrap());
    assert_eq!(asleep.is_some(), std::env::var_os("DUNLIN_FIRMWARE").is_some());
    assert!(asleep.is_none_or(|percent| (70.0..100.0).contains(&percent)), "{asleep:?}");
    assert_eq!(world.run(&mut PullTask::new().unwrap()).unwrap().bytes, pushed.image);
}

#[test]
fn a_monitor_hears_readings_and_messages() {
    let mut world = running();
    let mut task = MonitorTask::new(monitor::READINGS | monitor::SENT | monitor::HEALTH | monitor::LOG);
    let mut events = Vec::new();
    let end = world.clock.now() + embassy_time::Duration::from_secs(9);
    let clock = world.clock.clone();
    let ended = world.run_watching(&mut task, |task| {
        events.extend(std::iter::from_fn(|| task.take_event()));
        clock.now() < end
    });
    assert!(ended.is_none());
    let readings = events
        .iter()
        .filter(|event| matches!(event, NodeEvent::Reading { name, .. } if name == "illuminance"));
    let readings = readings.count();
    assert!((4..=5).contains(&readings), "{readings} readings in 9 s at one in 2 s: {events:?}");
    // What the monitor tells is what the broker was sent.
    let sent = events.iter().filter_map(|event| match event {
        NodeEvent::Sent { topic, payload, .. } if topic == "test-topic" => {
            Some(String::from_utf8_lossy(payload).into_owned())
        }
        _ => None,
    });
    let (sent, published) = (sent.collect::<Vec<_>>(), world.payloads("test-topic"));
    assert!(sent.len() >= 4 && published.ends_with(&sent), "{sent:?}, {published:?}");
    assert!(!events.iter().any(|event| matches!(event, NodeEvent::Lost(_))));
}

#[test]
fn rollback_restart_and_erase() {
    let mut world = running();
    assert_eq!(world.push(package(Wish { topic: "other-topic", ..Wish::default() })), Ok(Pushed::Confirmed));
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!(hello.generation, Some(2));
    let request = RollbackRequest { generation: 2 };
    let reply = world.run(&mut Ask::new(&request, Patience::ERASE).unwrap()).unwrap();
    assert_eq!(m::decode::<m::RollbackReply>(&reply).unwrap().generation, Some(1));
    world.run_s(3);
    let facts = world.run(&mut InfoTask::new().unwrap()).unwrap();
    let fact = |name: &str| facts.iter().find(|fact| fact.name == name).and_then(|fact| fact.value.clone());
    assert_eq!(fact("rollback").as_deref(), Some("requested"));
    assert_eq!(fact("rollback-generation").as_deref(), Some("2"));
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!((hello.generation, hello.state), (Some(1), state::CONFIRMED));
    // Asked again for the generation that is left already: nothing happens.
    world.run(&mut Ask::new(&RollbackRequest { generation: 2 }, Patience::ERASE).unwrap()).unwrap();

    let request = RestartRequest { boot_id: hello.boot_id };
    world.run(&mut Ask::new(&request, Patience::QUICK).unwrap()).unwrap();
    world.run_s(1);
    let again = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_ne!(again.boot_id, hello.boot_id);
    assert_eq!(again.generation, Some(1));

    world.run(&mut Ask::new(&EraseRequest { what: what::CONFIGURATIONS }, Patience::ERASE).unwrap()).unwrap();
    world.run_s(1);
    let empty = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!((empty.state, empty.generation), (state::EMPTY, None));
    let refused = world.run(&mut Ask::new(&RollbackRequest { generation: 1 }, Patience::QUICK).unwrap());
    assert!(!matches!(refused, Err(Failure::NoAnswer)));
}

const NAMED: ReadRequest<'_> =
    ReadRequest { sensor: Some("lux-1"), driver: None, sda: None, scl: None, address: None };

/// Asks the node for a measurement over MQTT.
fn ask_over_mqtt(world: &mut World) {
    let now = world.clock.now();
    world.broker.publish(now, "dunlin/esp8266/request/read", b"lux-1", Qos::AtMostOnce, false);
}

#[test]
fn a_lost_session_does_not_keep_the_sensors_from_the_host() {
    let at = Instant::from_secs(30);
    let away = Fault {
        name: "away".to_owned(),
        at,
        duration: Some(Duration::from_secs(600)),
        kind: FaultKind::BrokerAway,
    };
    let mut world = World::with_faults(vec![away]);
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    // Between two samples, and shorter before the end of the session than a measurement takes.
    world.run_until(at - Duration::from_millis(100));
    ask_over_mqtt(&mut world);
    world.run_s(10);
    assert!(world.payloads("dunlin/esp8266/reply").is_empty());
    let items = world.run(&mut ReadTask::new(&NAMED).unwrap()).unwrap();
    assert!((items[0].raw.unwrap() / 284.0 - 1.0).abs() < 0.01, "{items:?}");
}

#[test]
fn a_request_that_comes_while_another_waits_is_told_so() {
    let mut world = running();
    world.run_s(5);
    for _ in 0..2 {
        ask_over_mqtt(&mut world);
    }
    world.run_s(5);
    let replies = world.payloads("dunlin/esp8266/reply");
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!(replies[0], "{\"error\":\"busy\"}");
    assert!(replies[1].starts_with("{\"sensor\":\"lux-1\",\"health\":\"ok\""), "{replies:?}");
    // Afterwards the next one is measured again.
    ask_over_mqtt(&mut world);
    world.run_s(5);
    assert_eq!(world.payloads("dunlin/esp8266/reply").len(), 3);
}

/// PUBLISH of MQTT 5 (section 3.3) with a response topic, QoS 0.
fn publish_with_response_topic(topic: &str, payload: &str, response_topic: &str) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let property = [&[0x08][..], &text(response_topic)].concat();
    let length = |length: usize| match length {
        0..128 => vec![length as u8],
        _ => vec![length as u8 | 0x80, (length >> 7) as u8],
    };
    let rest = [text(topic), length(property.len()), property, payload.as_bytes().to_vec()].concat();
    [vec![0x30], length(rest.len()), rest].concat()
}

#[test]
fn a_request_that_cannot_be_answered_is_logged_and_counted() {
    let mut world = running();
    world.run_s(5);
    let now = world.clock.now();
    let client = world.broker.open(now).unwrap();
    // CONNECT of MQTT 5 (section 3.1) as `asker`.
    world.broker.receive(now, client, b"\x10\x12\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x05asker");
    let long = "a".repeat(200);
    for response_topic in ["here", &long] {
        let publish = publish_with_response_topic("dunlin/esp8266/request/read", "lux-1", response_topic);
        let now = world.clock.now();
        world.broker.receive(now, client, &publish);
        world.run_s(3);
    }
    assert_eq!(world.payloads("here").len(), 1);
    assert!(world.payloads(&long).is_empty());
    let facts = world.run(&mut InfoTask::new().unwrap()).unwrap();
    let unanswered = facts.iter().find(|fact| fact.name == "unanswered").and_then(|fact| fact.value.clone());
    assert_eq!(unanswered.as_deref(), Some("1"));
    world.run_s(60);
    let stats = world.payloads("dunlin/esp8266/stats").pop().unwrap();
    assert!(stats.contains("\"unanswered\":1,"), "{stats}");
}

#[test]
fn a_probe_tells_the_line_that_is_held() {
    let stuck = Fault {
        name: "stuck".to_owned(),
        at: Instant::from_secs(5),
        duration: None,
        kind: FaultKind::StuckBus { sda: None, pulses: None },
    };
    let mut world = World::with_faults(vec![stuck]);
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_s(10);
    let request = ProbeRequest { sda: 4, scl: 5 };
    let reply = world.run(&mut Ask::new(&request, Patience::MEASURE).unwrap()).unwrap();
    let reply: ProbeReply<'_> = m::decode(&reply).unwrap();
    assert_eq!((reply.bus, reply.addresses), (m::bus::SDA_LOW, &[][..]));
}

#[test]
fn an_image_that_is_not_the_one_announced_is_refused() {
    let mut world = World::new();
    world.run_s(1);
    let image = package(Wish::default()).image;
    let mut ask = |length: usize, hash: [u8; 32]| {
        let length = length as u32;
        let begin = m::BeginRequest { length, hash, flags: 0, device: "esp8266" };
        world.run(&mut Ask::new(&begin, Patience::ERASE).unwrap()).unwrap();
        let bytes = [&image[..], &[0xff; 8]].concat();
        for (index, piece) in bytes[..length as usize].chunks(100).enumerate() {
            let data = m::DataRequest { offset: 100 * index as u32, bytes: piece };
            world.run(&mut Ask::new(&data, Patience::QUICK).unwrap()).unwrap();
        }
        world.run(&mut Ask::new(&m::EndRequest { length, hash }, Patience::ERASE).unwrap())
    };
    let hash: [u8; 32] = image[28..60].try_into().unwrap();
    assert!(ask(image.len(), [7; 32]).unwrap_err().is(Refusal::HashMismatch));
    assert!(ask(image.len() + 8, hash).unwrap_err().is(Refusal::HashMismatch));
    assert!(ask(image.len(), hash).is_ok());
}
