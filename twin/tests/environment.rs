//! The world's quantities over time, and recordings of them.
#![cfg(test)]

use dunlin_twin::world::environment::{
    Course, Day, Environment, ILLUMINANCE_COLUMN, InvalidCourse, Noise, Quantity, Replay, ReplayError, Step,
};
use embassy_time::{Duration, Instant};
use proptest::prelude::*;

const fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

fn summer_day() -> Day {
    Day { start: hours(10), sunrise: hours(6), sunset: hours(20), night: 0.2, noon: 20_000.0 }
}

fn quantity(course: Course) -> Quantity {
    Quantity { course, noise: None }
}

#[test]
fn a_day_rises_and_falls_between_sunrise_and_sunset() {
    let light = quantity(Course::Day(summer_day()));
    let at = |hour: u64| light.at(Instant::from_secs(3600 * hour));
    assert!((at(3) - 20_000.0).abs() < 1e-6, "noon, three hours after the start at ten: {}", at(3));
    assert_eq!([at(10), at(15), at(20)], [0.2; 3], "sunset, night, sunrise");
    assert!((at(1) - at(5)).abs() < 1e-6, "as long before noon as after");
    // Haurwitz: s·exp(0.057 − 0.057/s) at s = sin(π·5/14).
    assert!((at(1) / 20_000.0 - 0.895).abs() < 0.001, "{}", at(1));
    assert_eq!(at(1), at(25), "every day");
}

#[test]
fn steps_hold_from_their_time_on() {
    let step = |from: u64, value| Step { from: Duration::from_secs(from), value };
    let light = quantity(Course::Steps(vec![step(1, 5.0), step(10, 7.0)]));
    let values = [0, 1, 9, 10, 99].map(|second| light.at(Instant::from_secs(second)));
    assert_eq!(values, [5.0, 5.0, 5.0, 7.0, 7.0]);
}

#[test]
fn the_room_is_lively_and_near_284_lux() {
    let room = Environment::room(1);
    let values: Vec<f64> = (0..3600).map(|second| room.illuminance_lx(Instant::from_secs(second))).collect();
    let mean = values.iter().sum::<f64>() / 3600.0;
    assert!((mean / 284.13 - 1.0).abs() < 0.01, "{mean}");
    assert!(values.iter().all(|value| (value / 284.13 - 1.0).abs() < 0.061));
    assert!(
        values.windows(2).all(|pair| (pair[1] / pair[0] - 1.0).abs() < 0.02),
        "no jumps from second to second"
    );
    let spread = values.iter().fold(0.0f64, |most, value| most.max((value / mean - 1.0).abs()));
    assert!(spread > 0.03, "{spread}");
}

#[test]
fn equal_seeds_are_equal_and_different_ones_differ() {
    let series = |seed| {
        let room = Environment::room(seed);
        (0..100).map(|second| room.illuminance_lx(Instant::from_secs(second)).to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(series(4), series(4));
    assert_ne!(series(4), series(5));
}

#[test]
fn a_recording_is_replayed_in_straight_lines() {
    let text = "\u{feff}seconds, temperature, illuminance\n# from a window sill\n0, 20, 100\n\n10, 21, 200\r\n20,22,50";
    let once = Replay::parse(text, ILLUMINANCE_COLUMN, false).unwrap();
    let values = [0, 4, 10, 15, 20, 27].map(|second| once.at(Instant::from_secs(second)));
    assert_eq!(values, [100.0, 140.0, 200.0, 125.0, 50.0, 50.0]);
    let again = Replay::parse(text, ILLUMINANCE_COLUMN, true).unwrap();
    assert_eq!(again.at(Instant::from_secs(24)), 140.0);
    assert_eq!(Replay::parse(text, "temperature", false).unwrap().at(Instant::from_secs(5)), 20.5);
}

#[test]
fn a_bad_recording_is_refused_with_its_line() {
    let parse = |text: &str| Replay::parse(text, ILLUMINANCE_COLUMN, false).unwrap_err();
    let text = |found: &str| found.to_owned();
    assert_eq!(parse(""), ReplayError::Empty);
    assert_eq!(parse("seconds,illuminance\n# nothing\n"), ReplayError::Empty);
    assert_eq!(parse("1,2\n"), ReplayError::Header { found: text("1,2") });
    let column = ReplayError::Column { wanted: text("illuminance"), found: text("seconds,lux") };
    assert_eq!(parse("seconds,lux\n0,1"), column);
    assert_eq!(parse("seconds,illuminance\n0,1\n1"), ReplayError::Missing { line: 3 });
    assert_eq!(parse("seconds,illuminance\n0,1\n0,2"), ReplayError::Order { line: 3 });
    for found in ["x", "NaN", "inf", "-1", "1e99", ""] {
        let lines = format!("seconds,illuminance\n\n{found},1");
        assert_eq!(parse(&lines), ReplayError::Number { line: 3, found: text(found) });
    }
    let number = ReplayError::Number { line: 2, found: text("bright") };
    assert_eq!(parse("seconds,illuminance\n0,bright"), number);
    assert_eq!(number.to_string(), "line 2: `bright` is not a number, or out of range");
}

#[test]
fn impossible_courses_are_refused() {
    let refusal = |course, noise| Quantity { course, noise }.validate();
    let step = |from: u64, value| Step { from: Duration::from_secs(from), value };
    assert_eq!(refusal(Course::Constant(f64::NAN), None), Err(InvalidCourse::NotFinite));
    assert_eq!(refusal(Course::Steps(vec![]), None), Err(InvalidCourse::NoSteps));
    assert_eq!(refusal(Course::Steps(vec![step(1, 1.0), step(1, 2.0)]), None), Err(InvalidCourse::StepOrder));
    let day = Day { sunset: hours(6), ..summer_day() };
    assert_eq!(refusal(Course::Day(day), None), Err(InvalidCourse::TimeOfDay));
    let noise =
        |deviation, period_s| Some(Noise { deviation, period: Duration::from_secs(period_s), seed: 0 });
    assert_eq!(refusal(Course::Constant(1.0), noise(0.4, 2)), Err(InvalidCourse::Deviation));
    assert_eq!(refusal(Course::Constant(1.0), noise(0.1, 0)), Err(InvalidCourse::Period));
    assert_eq!(refusal(Course::Day(summer_day()), noise(0.1, 1)), Ok(()));
    let world = Environment { infrared_share: f64::NAN, ..Environment::constant(1.0) };
    assert_eq!(world.validate(), Err(InvalidCourse::InfraredShare));
}

proptest! {
    /// Every valid world answers every moment with light that exists, the same each time.
    #[test]
    fn every_moment_has_light(ticks in any::<u64>(), seed in any::<u64>(), deviation in 0.0f64..0.3, noon in 0.0f64..1e5) {
        let mut world = Environment::constant(0.0);
        world.illuminance = Quantity {
            course: Course::Day(Day { noon, ..summer_day() }),
            noise: Some(Noise { deviation, period: Duration::from_secs(9), seed }),
        };
        let at = Instant::from_ticks(ticks);
        let light = world.illuminance_lx(at);
        prop_assert!((0.0..=2.0 * noon + 1.0).contains(&light));
        prop_assert_eq!(light.to_bits(), world.illuminance_lx(at).to_bits());
        prop_assert!(world.irradiance(at).white_uw_per_cm2 >= 0.0);
    }

    /// No text does harm.
    #[test]
    fn any_text_is_read_or_refused(text in "(seconds,illuminance\n)?[0-9eE,.# \n\u{e4}-]{0,80}", ticks in any::<u64>()) {
        if let Ok(replay) = Replay::parse(&text, ILLUMINANCE_COLUMN, true) {
            prop_assert!(!replay.at(Instant::from_ticks(ticks)).is_nan());
        }
    }
}
