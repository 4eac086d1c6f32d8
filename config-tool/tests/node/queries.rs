//! What can be asked of a running node.

use dunlin::device::{
    Ask, Failure, HelloTask, InfoTask, MonitorTask, NodeEvent, Patience, PullTask, Pushed, ReadTask,
};
use dunlin_config_format::message::{
    self as m, EraseRequest, ProbeReply, ProbeRequest, ReadRequest, Refusal, RestartRequest, RollbackRequest,
    monitor, state, what,
};

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
    assert!(
        events.iter().any(|event| matches!(event, NodeEvent::Sent { topic, .. } if topic == "test-topic"))
    );
    assert!(!events.iter().any(|event| matches!(event, NodeEvent::Lost(_))));
}

#[test]
fn rollback_restart_and_erase() {
    let mut world = running();
    assert_eq!(world.push(package(Wish { topic: "other-topic", ..Wish::default() })), Ok(Pushed::Confirmed));
    let hello = world.run(&mut HelloTask::new().unwrap()).unwrap();
    assert_eq!(hello.generation, Some(2));
    world.run(&mut Ask::new(&RollbackRequest { generation: 2 }, Patience::ERASE).unwrap()).unwrap();
    world.run_s(3);
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
