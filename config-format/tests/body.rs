//! Bodies: encoded and decoded, evolved, and mutilated.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dunlin_config_format::config::{
    Config, DecodeError, Device, Fault, Filter, I2cBus, Link, List, Member, Mqtt, Names, Or, Part, Payload,
    QoS, ReadingSettings, Report, Sensor,
};
use dunlin_config_format::driver::Driver;
use proptest::prelude::*;

const BUS: I2cBus<'_> = I2cBus { id: "main", sda: 4, scl: 5, frequency_hz: Or(100_000) };
const SENSOR: Sensor<'_> = Sensor {
    id: "lux-1",
    label: None,
    driver: Driver::Tsl2591,
    bus: Some(0),
    address: None,
    period_ms: 2_000,
    options: List::new(&[]),
    readings: List::new(&[]),
};
const REPORT: Report<'_> = Report {
    id: None,
    topic: Some("test-topic"),
    qos: QoS::AtMostOnce,
    retain: false,
    payload: Payload::ThingFlow,
    members: List::new(&[Member { sensor: 0, reading: 0 }]),
    every_ms: None,
    filters: List::new(&[]),
};
const TUTORIAL: Config<'_> = Config {
    device: Device { name: "esp8266", label: None },
    mqtt: Mqtt::at("192.168.1.10"),
    link: Link { kind: dunlin_config_format::config::LinkKind::Usb, address: None },
    i2c: List::new(&[BUS]),
    sensors: List::new(&[SENSOR]),
    reports: List::new(&[REPORT]),
};

fn encode(config: &Config<'_>) -> Vec<u8> {
    let mut buffer = [0xa5; 4096];
    let len = config.encode(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

/// The tutorial's body, by RFC 8949: maps of numbered keys, only what differs from the defaults.
const TUTORIAL_BODY: &[u8] = b"\xa5\
    \x00\xa1\x00\x67esp8266\
    \x01\xa1\x00\x6c192.168.1.10\
    \x03\x81\xa3\x00\x64main\x01\x04\x02\x05\
    \x04\x81\xa4\x00\x65lux-1\x02\x01\x03\x00\x05\x19\x07\xd0\
    \x05\x81\xa3\x01\x6atest-topic\x04\x02\x05\x81\x82\x00\x00";

#[test]
fn the_tutorial_has_the_documented_bytes_both_ways() {
    assert_eq!(encode(&TUTORIAL), TUTORIAL_BODY);
    assert_eq!(Config::decode(TUTORIAL_BODY).unwrap(), TUTORIAL);
}

#[test]
fn unknown_keys_are_skipped_and_kept_out_of_the_value() {
    // A later writer added key 9 to the top level: the map's head counts one pair more.
    let mut newer = TUTORIAL_BODY.to_vec();
    newer[0] = 0xa6;
    newer.extend_from_slice(b"\x09\xa1\x00\x63new");
    assert_eq!(Config::decode(&newer).unwrap(), TUTORIAL);
    // Whatever it holds: keys of any kind and order, a tag, an integer below zero, floats of 16 and 64 bits, null.
    newer.truncate(TUTORIAL_BODY.len());
    newer.extend_from_slice(b"\x09\x87\xa2\x61b\x01\x61a\x00\xc1\x00\x20\xf9\x3c\x00");
    newer.extend_from_slice(b"\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00\xf6\xf8\xff");
    assert_eq!(Config::decode(&newer).unwrap(), TUTORIAL);
}

#[test]
fn trailing_bytes_are_refused() {
    let mut body = TUTORIAL_BODY.to_vec();
    body.push(0);
    assert_eq!(Config::decode(&body), Err(DecodeError::Trailing { offset: TUTORIAL_BODY.len() }));
}

#[test]
fn each_rule_is_named() {
    let fault = |config: Config<'_>| match Config::decode(&encode(&config)) {
        Err(DecodeError::Invalid(invalid)) => (invalid.part, invalid.fault),
        other => panic!("{other:?}"),
    };
    let sensor = |sensor: Sensor<'static>| {
        let sensors = [sensor];
        fault(Config { sensors: List::new(&sensors), ..TUTORIAL })
    };
    let report = |report: Report<'static>| {
        let reports = [report];
        fault(Config { reports: List::new(&reports), ..TUTORIAL })
    };
    let device = Device { name: "Esp8266", label: None };
    assert_eq!(fault(Config { device, ..TUTORIAL }), (Part::Device, Fault::Identifier));
    assert_eq!(
        fault(Config { mqtt: Mqtt { host: "", ..TUTORIAL.mqtt }, ..TUTORIAL }),
        (Part::Mqtt, Fault::Text)
    );
    for sda in [6, 16] {
        let pins = [I2cBus { sda, ..BUS }];
        assert_eq!(fault(Config { i2c: List::new(&pins), ..TUTORIAL }), (Part::Bus(0), Fault::Pin));
    }
    assert_eq!(sensor(Sensor { period_ms: 99, ..SENSOR }), (Part::Sensor(0), Fault::Range));
    assert_eq!(sensor(Sensor { period_ms: 150, ..SENSOR }), (Part::Sensor(0), Fault::Period));
    assert_eq!(sensor(Sensor { bus: Some(1), ..SENSOR }), (Part::Sensor(0), Fault::Reference));
    assert_eq!(sensor(Sensor { bus: None, ..SENSOR }), (Part::Sensor(0), Fault::Bus));
    assert_eq!(sensor(Sensor { address: Some(0x28), ..SENSOR }), (Part::Sensor(0), Fault::Reference));
    let twice = [SENSOR, Sensor { id: "lux-2", ..SENSOR }];
    assert_eq!(fault(Config { sensors: List::new(&twice), ..TUTORIAL }), (Part::Sensor(1), Fault::Address));
    assert_eq!(report(Report { topic: Some("a/#"), ..REPORT }), (Part::Report(0), Fault::Topic));
    assert_eq!(report(Report { members: List::new(&[]), ..REPORT }), (Part::Report(0), Fault::Count));
    let pair = List::new(&[Member { sensor: 0, reading: 0 }, Member { sensor: 0, reading: 1 }]);
    assert_eq!(report(Report { members: pair, ..REPORT }), (Part::Report(0), Fault::Payload));
    let twice = List::new(&[Member { sensor: 0, reading: 0 }, Member { sensor: 0, reading: 0 }]);
    assert_eq!(report(Report { members: twice, ..REPORT }), (Part::Report(0), Fault::Duplicate));
    let absent = List::new(&[Member { sensor: 1, reading: 0 }]);
    assert_eq!(report(Report { members: absent, ..REPORT }), (Part::Report(0), Fault::Reference));
    let nan = List::new(&[Filter::Delta { change: f32::NAN }]);
    assert_eq!(report(Report { filters: nan, ..REPORT }), (Part::Report(0), Fault::Filter));
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let time = 100u32..=86_400_000;
    prop_oneof![
        (1u16..=30).prop_map(|half| Filter::Median { window: 2 * half + 1 }),
        (2u16..=61).prop_map(|window| Filter::Mean { window }),
        time.clone().prop_map(|every_ms| Filter::MeanEvery { every_ms }),
        (0.001f32..1e6).prop_map(|change| Filter::Delta { change }),
        (0.001f32..1e3).prop_map(|percent| Filter::DeltaPercent { percent }),
        time.clone().prop_map(|every_ms| Filter::Throttle { every_ms }),
        time.prop_map(|every_ms| Filter::Heartbeat { every_ms }),
        (0u8..=6).prop_map(|decimals| Filter::Round { decimals }),
        (0.1f32..10.0, -100.0f32..100.0).prop_map(|(slope, offset)| Filter::Calibrate { slope, offset }),
        (-100.0f32..0.0, 0.1f32..100.0).prop_map(|(min, max)| Filter::Clamp { min, max }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        filters in prop::collection::vec(any_filter(), 0..8),
        name in "[a-z0-9-]{1,32}",
        topic in "[a-z/]{1,128}",
        period_ms in 300u32..86_400_000,
        port in 1u32..=65_535,
    ) {
        let readings = [ReadingSettings { number: 0, filters: List::new(&filters) }];
        let sensors = [Sensor { period_ms, readings: List::new(&readings), ..SENSOR }];
        let reports = [Report { topic: Some(&topic), filters: List::new(&filters), ..REPORT }];
        let config = Config {
            device: Device { name: &name, label: Some("Küche") },
            mqtt: Mqtt { port: Or(port), ..TUTORIAL.mqtt },
            sensors: List::new(&sensors),
            reports: List::new(&reports),
            ..TUTORIAL
        };
        let body = encode(&config);
        prop_assert_eq!(Config::decode(&body).unwrap(), config);
        prop_assert_eq!(encode(&Config::decode(&body).unwrap()), body.clone());
        let start = &body[..body.len().min(Config::NAMES_SIZE)];
        let names = Names { device: &name, prefix: "dunlin", host: TUTORIAL.mqtt.host, port };
        prop_assert_eq!(Config::names(start), Some(names));
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Config::decode(&body);
        let _ = Config::names(&body);
    }

    #[test]
    fn the_longest_names_are_found(text in "[a-z]{64}", name in "[a-z]{32}", port: u32) {
        let mqtt = Mqtt {
            host: &text,
            port: Or(port),
            client_identifier: Some(&text),
            username: Some(&text),
            has_password: true,
            keep_alive_s: Or(65_535),
            prefix: Some(&name),
            confirm_within_s: Or(3600),
            stats_every_s: Or(86_400),
        };
        let body = encode(&Config { device: Device { name: &name, label: Some(&text) }, mqtt, ..TUTORIAL });
        let start = &body[..body.len().min(Config::NAMES_SIZE)];
        prop_assert_eq!(Config::names(start), Some(Names { device: &name, prefix: &name, host: &text, port }));
    }

    #[test]
    fn mutated_bodies_are_refused_or_stay_readable(at in 0..TUTORIAL_BODY.len(), value in any::<u8>()) {
        let mut body = TUTORIAL_BODY.to_vec();
        body[at] = value;
        if let Ok(config) = Config::decode(&body) {
            // Whatever was accepted can be written and read again.
            let again = encode(&config);
            prop_assert_eq!(Config::decode(&again).unwrap(), config);
            prop_assert!(config.sensors.iter().count() == config.sensors.len());
        }
    }
}
