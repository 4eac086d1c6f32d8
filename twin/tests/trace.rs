//! The record of a run: CSV, counts, and the plot.
#![cfg(test)]

mod bench;

use bench::Bench;
use dunlin_twin::devices::tsl2591::{ADDRESS, Part, Tsl2591};
use dunlin_twin::world::environment::Environment;
use dunlin_twin::world::scenario::{Edge, Fault, FaultKind, Scenario, Schedule, carry_out_on_wires};
use dunlin_twin::world::trace::{FlashOperation, Happening, Trace, plot};
use embassy_time::{Duration, Instant};
use embedded_hal::i2c::I2c;
use proptest::prelude::*;

fn reading(value: f32) -> Happening<'static> {
    Happening::Reading { sensor: "lux-1", reading: "illuminance", unit: "lx", value }
}

#[test]
fn every_happening_is_a_line() {
    let mut trace = Trace::with_csv();
    let happenings = [
        Happening::Started { cause: "power-on" },
        Happening::Truth { quantity: "illuminance", unit: "lx", value: 284.25 },
        reading(284.1312),
        Happening::Session { begins: true },
        Happening::Message {
            topic: "test-topic",
            payload: br#"["lux-1", 624, 284.1312]"#,
            qos: 0,
            retained: false,
        },
        Happening::Message { topic: "raw", payload: &[0, 0xff], qos: 1, retained: true },
        Happening::FaultBegins { name: "unplugged", kind: "sensor-gone", lasts: true, cuts_power: false },
        Happening::SampleFailed { sensor: "lux-1", reason: "nack" },
        Happening::FaultEnds { name: "unplugged", kind: "sensor-gone" },
        Happening::Flash { operation: FlashOperation::Erase, address: 0xac000, len: 4096 },
        Happening::Flash { operation: FlashOperation::Program, address: 0xac000, len: 256 },
        Happening::Session { begins: false },
    ];
    for (index, happening) in happenings.into_iter().enumerate() {
        trace.add(Instant::from_micros(index as u64 * 1_000_001), happening);
    }
    let expected = r#"seconds,kind,name,value,detail
0.000000,start,,,power-on
1.000001,truth,illuminance,284.25,lx
2.000002,reading,lux-1.illuminance,284.1312,lx
3.000003,session,,begins,
4.000004,message,test-topic,"[""lux-1"", 624, 284.1312]",qos=0
5.000005,message,raw,hex:00ff,qos=1 retained
6.000006,fault,unplugged,begins,sensor-gone
7.000007,failure,lux-1,,nack
8.000008,fault,unplugged,ends,sensor-gone
9.000009,flash,erase,0xac000,4096
10.000010,flash,program,0xac000,256
11.000011,session,,ends,
"#;
    assert_eq!(String::from_utf8(trace.take_csv(Instant::MAX)).unwrap(), expected);
    assert!(trace.take_csv(Instant::MAX).is_empty(), "lines are handed out once");
    trace.add(Instant::from_secs(21), Happening::Started { cause: "external" });
    trace.add(Instant::from_secs(20), Happening::Truth { quantity: "illuminance", unit: "lx", value: 1.0 });
    assert_eq!(trace.take_csv(Instant::from_secs(21)), b"20.000000,truth,illuminance,1,lx\n", "told late");
    assert_eq!(trace.take_csv(Instant::MAX), b"21.000000,start,,,external\n");
    let counts = trace.counts();
    assert_eq!((counts.readings, counts.failures, counts.messages, counts.payload_bytes), (1, 1, 2, 26));
    assert_eq!(
        (counts.sessions, counts.faults, counts.erases, counts.programs, counts.starts),
        (1, 1, 1, 1, 2)
    );
}

/// Two minutes of a sensor with faults, sampled every 2 s.
fn eventful() -> Trace {
    let fault = |name: &str, at_s, duration_s: Option<u64>, kind| Fault {
        name: name.to_owned(),
        at: Instant::from_secs(at_s),
        duration: duration_s.map(Duration::from_secs),
        kind,
    };
    let scenario = Scenario {
        faults: vec![
            fault("loose-contact", 21, None, FaultKind::Nack { address: ADDRESS, times: Some(3) }),
            fault("unplugged", 40, Some(15), FaultKind::SensorGone { address: ADDRESS }),
            fault("broker-restart", 48, Some(20), FaultKind::BrokerAway),
            fault("bad-wire", 85, Some(25), FaultKind::Loss { rate: 0.1 }),
            fault("button", 100, None, FaultKind::Reset),
        ],
        ..Scenario::quiet(Environment::room(7))
    };
    let environment = scenario.environment.clone();
    let mut schedule = Schedule::new(&scenario);
    let mut bench = Bench::with_chip(Tsl2591::new(Part { noise: Some(1), ..Part::default() }, move |at| {
        environment.irradiance(at)
    }));
    let mut trace = Trace::new();
    trace.add(Instant::from_ticks(0), Happening::Started { cause: "power-on" });
    trace.add(Instant::from_millis(300), Happening::Session { begins: true });
    for second in 0..=120 {
        let now = Instant::from_secs(second);
        bench.clock.wait_until(now);
        while let Some(event) = schedule.due(now) {
            let (name, kind) = (event.fault.name.as_str(), event.fault.kind.name());
            let happening = match event.edge {
                Edge::Begin => Happening::FaultBegins {
                    name,
                    kind,
                    lasts: event.fault.duration.is_some(),
                    cuts_power: false,
                },
                Edge::End => Happening::FaultEnds { name, kind },
            };
            trace.add(event.at, happening);
            match (event.fault.kind, event.edge) {
                (FaultKind::BrokerAway, edge) => {
                    trace.add(now, Happening::Session { begins: edge == Edge::End })
                }
                (FaultKind::Reset, _) => trace.add(now, Happening::Started { cause: "software" }),
                _ => {
                    assert!(carry_out_on_wires(&event, &bench.wiring, now) || event.fault.name == "bad-wire")
                }
            }
        }
        let truth = scenario.environment.illuminance_lx(now);
        trace.add(now, Happening::Truth { quantity: "illuminance", unit: "lx", value: truth });
        if second % 2 == 0 {
            sample(&mut bench, &mut trace, now, !schedule.has(FaultKind::BrokerAway));
        }
    }
    let erase = Happening::Flash { operation: FlashOperation::Erase, address: 0xac000, len: 4096 };
    trace.add(Instant::from_secs(120), erase);
    trace
}

fn sample(bench: &mut Bench, trace: &mut Trace, now: Instant, online: bool) {
    let mut data = [0xa5; 4];
    let mut measure = || {
        bench.bus().write(ADDRESS, &[0xa1, 0x10])?;
        bench.bus().write(ADDRESS, &[0xa0, 0x03])?;
        bench.wait_ms(110);
        bench.bus().write_read(ADDRESS, &[0xb4], &mut data)?;
        bench.bus().write(ADDRESS, &[0xa0, 0x00])
    };
    if measure().is_err() {
        trace.add(now, Happening::SampleFailed { sensor: "lux-1", reason: "nack" });
        return;
    }
    let [full, infrared] =
        [[data[0], data[1]], [data[2], data[3]]].map(|bytes| f32::from(u16::from_le_bytes(bytes)));
    let lux = (full - infrared) * (1.0 - infrared / full) * 408.0 / 2500.0;
    trace.add(now, reading(lux));
    if online {
        let message = Happening::Message { topic: "test-topic", payload: b"...", qos: 0, retained: false };
        trace.add(now, message);
    }
}

#[test]
fn an_eventful_run_is_drawn_the_same_each_time() {
    let drawing = plot(&eventful(), "esp8266");
    assert_eq!(drawing, plot(&eventful(), "esp8266"));
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/eventful.svg"), &drawing).unwrap();
    for text in [
        "lux-1.illuminance",
        "illuminance in the world",
        ">lx<",
        "time since start (seconds)",
        ">unplugged<",
        "lux-1 gives no readings",
        "test-topic \u{b7} 44 messages",
        "connected to the broker",
    ] {
        assert!(drawing.contains(text), "`{text}` is missing");
    }
    assert_eq!(drawing.matches("<polyline").count(), 5, "the world, and readings interrupted three times");
}

/// A board without power is connected to nobody, whatever the broker believes, and starts as it did first.
#[test]
fn a_blackout_ends_the_session_and_both_starts_are_drawn() {
    let mut trace = Trace::new();
    let second = Instant::from_secs;
    trace.add(second(0), Happening::Started { cause: "power-on" });
    trace.add(second(1), Happening::Session { begins: true });
    let kind = "power-cut";
    trace.add(second(40), Happening::FaultBegins { name: "dark", kind, lasts: true, cuts_power: true });
    trace.add(second(60), Happening::FaultEnds { name: "dark", kind });
    trace.add(second(60), Happening::Started { cause: "power-on" });
    trace.finish(second(90));
    let drawing = plot(&trace, "n");
    // 90 s are 900 pixels behind the first 76.
    let bars: Vec<&str> = drawing.lines().filter(|line| line.contains("#188038")).collect();
    assert_eq!(bars.len(), 2, "{drawing}");
    assert!(bars[0].contains("x=\"86.0\"") && bars[0].contains("width=\"390.0\""), "{}", bars[0]);
    assert!(bars[1].contains("x=\"676.0\"") && bars[1].contains("width=\"300.0\""), "{}", bars[1]);
    assert!(drawing.contains(">2 starts \u{b7} power-on<") && drawing.contains("M76.0"), "{drawing}");
    assert!(drawing.contains("class=\"off\">dark<"), "{drawing}");
}

#[test]
fn a_simulated_month_is_drawn_in_bounded_size() {
    let mut trace = Trace::new();
    for index in 0..1_296_000_u64 {
        trace.add(Instant::from_secs(2 * index), reading((index % 1000) as f32));
        trace.add(
            Instant::from_secs(2 * index),
            Happening::Message { topic: "t", payload: b"1", qos: 0, retained: false },
        );
    }
    let drawing = plot(&trace, "month");
    assert!(drawing.len() < 300_000, "{} bytes", drawing.len());
    assert!(drawing.contains("1,296,000 messages") && drawing.contains("time since start (days)"));
}

#[test]
fn an_empty_trace_has_an_axis() {
    let drawing = plot(&Trace::new(), "nothing & <no one>");
    assert!(drawing.contains("nothing &amp; &lt;no one&gt;") && drawing.contains("time since start"));
}

proptest! {
    /// Whatever happens is counted, written and drawn.
    #[test]
    fn anything_can_happen(happenings in proptest::collection::vec((0u8..9, any::<u32>(), ".{0,8}"), 0..60)) {
        let mut trace = Trace::with_csv();
        let mut at = Instant::from_ticks(0);
        for (kind, number, name) in &happenings {
            at += Duration::from_micros(u64::from(*number));
            let value = f32::from_bits(*number);
            trace.add(at, match kind {
                0 => Happening::Truth { quantity: name, unit: "lx", value: f64::from(value) },
                1 => Happening::Reading { sensor: name, reading: name, unit: name, value },
                2 => Happening::SampleFailed { sensor: name, reason: name },
                3 => Happening::Message { topic: name, payload: name.as_bytes(), qos: 2, retained: true },
                4 => Happening::Session { begins: number % 2 == 0 },
                5 => {
                    let (lasts, cuts_power) = (number % 2 == 0, number % 3 == 0);
                    Happening::FaultBegins { name, kind: name, lasts, cuts_power }
                }
                6 => Happening::FaultEnds { name, kind: name },
                7 => Happening::Flash { operation: FlashOperation::Erase, address: *number, len: 0 },
                _ => Happening::Started { cause: name },
            });
        }
        let drawing = plot(&trace, "anything");
        prop_assert!(!drawing.contains("NaN") && !drawing.contains("inf\""), "{}", drawing);
        prop_assert_eq!(drawing.matches("<text").count(), drawing.matches("</text>").count());
        let csv = String::from_utf8(trace.take_csv(Instant::MAX)).unwrap();
        prop_assert!(csv.lines().count() > happenings.len());
    }
}
