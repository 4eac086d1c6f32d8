//! The board under test measures what the native board measures in the same world.

use dunlin::device::{Measurement, Pushed, ReadTask};
use dunlin_config_format::message::ReadRequest;
use dunlin_twin::world::environment::{Course, Day, Environment, Quantity};
use embassy_time::{Duration, Instant};

use crate::world::{Wish, World, package};

/// Counts of a TSL2591 for each lux at medium gain (25) and 100 ms, as its data sheet's formula has them: 100 · 25 / 408.
const COUNTS_PER_LUX: f64 = 6.127;
/// When the configuration comes, and when the node is looked at.
const PUSH_AT: Instant = Instant::from_secs(2);
const READ_AT: Instant = Instant::from_secs(61);

/// What was published in a minute, and what `read` measures then: illuminance and the counts of both channels.
type Minute = (Vec<f64>, Vec<Measurement>);

/// Pushes the tutorial at the same time everywhere.
fn minute(mut world: World) -> Minute {
    world.run_until(PUSH_AT);
    assert_eq!(world.push(package(Wish::default())), Ok(Pushed::Confirmed));
    world.run_until(READ_AT);
    let published =
        world.messages.borrow().iter().filter(|(_, topic, _)| topic == "test-topic").map(lux).collect();
    let request = ReadRequest { sensor: Some("lux-1"), driver: None, sda: None, scl: None, address: None };
    let items = world.run(&mut ReadTask::new(&request).unwrap()).unwrap();
    assert!(items.len() >= 3 && items.iter().all(|item| item.raw.is_some()), "{items:?}");
    (published, items)
}

fn lux((_, _, payload): &(Instant, String, String)) -> f64 {
    payload.trim_end_matches(']').rsplit(", ").next().unwrap().parse().unwrap()
}

fn both(environment: &Environment) -> [Minute; 2] {
    let tested = World::in_light(environment.clone(), Duration::from_millis(45));
    [minute(World::native(environment.clone())), minute(tested)]
}

#[test]
fn in_constant_light_every_board_counts_the_same() {
    let [(native, native_read), (tested, tested_read)] = both(&Environment::constant(284.0));
    let count = native.len().min(tested.len());
    assert!(count >= 28 && native.len().abs_diff(tested.len()) <= 1, "{} and {}", native.len(), tested.len());
    assert_eq!(native[..count], tested[..count]);
    assert_eq!(native_read, tested_read);
}

/// Both boards sample a few milliseconds apart, in which the light changes by less than a count.
#[test]
fn over_the_day_every_board_counts_the_same_within_one() {
    let hour = |hours: u64| Duration::from_secs(hours * 3600);
    for start in [8, 9, 16] {
        let day = Day { start: hour(start), sunrise: hour(6), sunset: hour(20), night: 0.0, noon: 600.0 };
        let light = Quantity { course: Course::Day(day), noise: None };
        let environment = Environment { illuminance: light, ..Environment::constant(0.0) };
        let [(native, native_read), (tested, tested_read)] = both(&environment);
        assert!(native.len().abs_diff(tested.len()) <= 1 && native.len() >= 28);
        // A count more of the visible channel adds a lux's part; one of the infrared channel takes up to two.
        let most = 3.0 / COUNTS_PER_LUX;
        for (a, b) in native.iter().zip(tested) {
            assert!((a - b).abs() <= most, "{a} lx and {b} lx from {start} o'clock");
        }
        for (a, b) in native_read.iter().zip(tested_read) {
            let most = if a.name.as_deref() == Some("illuminance") { most } else { 1.0 };
            let apart = f64::from(a.raw.unwrap()) - f64::from(b.raw.unwrap());
            assert!(apart.abs() <= most, "{a:?} and {b:?} from {start} o'clock");
        }
    }
}
