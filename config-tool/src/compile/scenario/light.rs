//! `[light]`: how bright it is, and when.

use dunlin_twin::world::environment::{
    Course, DAYLIGHT_INFRARED_SHARE, Day, Environment, ILLUMINANCE_COLUMN, Noise, Quantity, Replay, Step,
};
use embassy_time::Duration;

use super::super::diagnostic::Code;
use super::super::problems::Problems;
use super::super::reader::Table;
use super::super::value::{Value, duration_in_ms, number};
use super::{TIMES, share, table, time};

/// The ways to say how bright it is.
const COURSES: &[&str] = &["illuminance", "day", "steps", "replay"];
/// A time of day, to the last minute, in milliseconds.
const TIMES_OF_DAY: std::ops::RangeInclusive<u64> = 0..=86_340_000;
/// The usual illuminance, in lux.
const USUAL: f64 = 284.0;
/// Largest deviation of the noise, in percent.
const DEVIATION_MAX: u32 = 30;
/// Usual time from one level of the noise to the next.
const NOISE_PERIOD: Duration = Duration::from_secs(12);

pub(super) fn environment(
    problems: &mut Problems,
    light: &Table<'_>,
    seed: u64,
    file: impl Fn(&str) -> Result<String, String>,
) -> Environment {
    light.refuse_others(problems, &[COURSES, &["noise", "infrared-share"]].concat(), &[]);
    let said: Vec<_> = light.entries().into_iter().filter(|(key, ..)| COURSES.contains(key)).collect();
    if let [(first, ..), others @ ..] = said.as_slice() {
        for (key, span, _) in others {
            let message = format!("both `{first}` and `{key}` say how bright it is");
            problems.error(Code::Duplicate, span.clone(), message, "keep one of them");
        }
    }
    let mut course = None;
    for (key, _, value) in said {
        // Each is read, so that all of its problems are told; the first counts.
        let read = match key {
            "illuminance" => level(problems, key, value).map(Course::Constant),
            "day" => table(problems, light, key).and_then(|day| self::day(problems, &day)),
            "steps" => steps(problems, light),
            _ => table(problems, light, key).and_then(|replay| self::replay(problems, &replay, &file)),
        };
        course = course.or(read);
    }
    let noise = table(problems, light, "noise").and_then(|noise| self::noise(problems, &noise, seed));
    let infrared_share = light.get("infrared-share").and_then(|value| {
        let share = number(problems, "infrared-share", value)?;
        let is_share = (0.0..=1.0).contains(&share);
        if !is_share {
            let message = format!("`infrared-share` is {share}");
            problems.error(Code::OutOfRange, value.span(), message, "it must be from 0.0 to 1.0");
        }
        is_share.then_some(f64::from(share))
    });
    Environment {
        illuminance: Quantity { course: course.unwrap_or(Course::Constant(USUAL)), noise },
        infrared_share: infrared_share.unwrap_or(DAYLIGHT_INFRARED_SHARE),
    }
}

/// Reads an illuminance in lux.
fn level(problems: &mut Problems, key: &str, value: Value<'_>) -> Option<f64> {
    let level = number(problems, key, value)?;
    if level < 0.0 {
        problems.error(
            Code::OutOfRange,
            value.span(),
            format!("`{key}` is {level}"),
            "light is 0 lx or more",
        );
        return None;
    }
    Some(level.into())
}

fn day(problems: &mut Problems, day: &Table<'_>) -> Option<Course> {
    day.refuse_others(problems, &["start", "sunrise", "sunset", "night", "noon"], &[]);
    for (key, example) in [("sunrise", "\"6h\""), ("sunset", "\"20h\""), ("noon", "20000.0")] {
        if day.get(key).is_none() {
            day.missing(problems, key, example);
        }
    }
    let mut of_day = |key: &str| time(problems, day, key, TIMES_OF_DAY);
    let (start, sunrise, sunset) = (of_day("start"), of_day("sunrise"), of_day("sunset"));
    let mut light = |key: &str| day.get(key).and_then(|value| level(problems, key, value));
    let (night, noon) = (light("night"), light("noon"));
    let (sunrise, sunset) = (sunrise?, sunset?);
    if sunset <= sunrise {
        let span = day.get("sunset").map_or_else(|| day.span.clone(), |value| value.span());
        problems.error(
            Code::OutOfRange,
            span,
            "`sunset` is not after `sunrise`",
            "write a later time of day",
        );
        return None;
    }
    let start = start.unwrap_or(Duration::from_ticks(0));
    Some(Course::Day(Day { start, sunrise, sunset, night: night.unwrap_or(0.0), noon: noon? }))
}

fn steps(problems: &mut Problems, light: &Table<'_>) -> Option<Course> {
    let values = light.list(problems, "steps")?;
    if values.is_empty() {
        let span = light.get("steps").map_or_else(|| light.span.clone(), |value| value.span());
        problems.error(
            Code::OutOfRange,
            span,
            "`steps` is empty",
            "write [[\"0s\", 284.0], [\"30s\", 12.5]]",
        );
    }
    let mut steps: Vec<Step> = Vec::new();
    for value in values {
        let Some(step) = step(problems, value) else { continue };
        if steps.last().is_none_or(|before| before.from < step.from) {
            steps.push(step);
            continue;
        }
        let message = "the step does not come after the one before it";
        problems.error(
            Code::OutOfRange,
            value.span(),
            message,
            "write the steps in the order of their times",
        );
    }
    (!steps.is_empty()).then_some(Course::Steps(steps))
}

/// Reads `["30s", 12.5]`.
fn step(problems: &mut Problems, value: Value<'_>) -> Option<Step> {
    let pair = value.get_ref().as_array().filter(|pair| pair.len() == 2);
    let Some((from, light)) = pair.and_then(|pair| pair.iter().next().zip(pair.get(1))) else {
        problems.error(Code::WrongType, value.span(), "not a time and a value", "write [\"30s\", 12.5]");
        return None;
    };
    let from = duration_in_ms(problems, "steps", from, TIMES)?;
    Some(Step { from: Duration::from_millis(from), value: level(problems, "steps", light)? })
}

fn replay(
    problems: &mut Problems,
    replay: &Table<'_>,
    file: impl Fn(&str) -> Result<String, String>,
) -> Option<Course> {
    replay.refuse_others(problems, &["file", "repeat"], &[]);
    let repeat = replay.boolean(problems, "repeat").unwrap_or(false);
    if replay.get("file").is_none() {
        replay.missing(problems, "file", "\"light.csv\"");
    }
    let (path, span) = replay.text(problems, "file")?;
    let read = file(path)
        .and_then(|text| Replay::parse(&text, ILLUMINANCE_COLUMN, repeat).map_err(|error| error.to_string()));
    match read {
        Ok(replay) => Some(Course::Replay(replay)),
        Err(error) => {
            let help = "it needs the columns seconds,illuminance";
            problems.error(Code::Reference, span, format!("`{path}`: {error}"), help);
            None
        }
    }
}

fn noise(problems: &mut Problems, noise: &Table<'_>, seed: u64) -> Option<Noise> {
    noise.refuse_others(problems, &["deviation", "period"], &[]);
    if noise.get("deviation").is_none() {
        noise.missing(problems, "deviation", "\"2%\"");
    }
    let period = time(problems, noise, "period", 1_000..=*TIMES.end());
    let deviation = share(problems, noise, "deviation", DEVIATION_MAX)?;
    Some(Noise { deviation, period: period.unwrap_or(NOISE_PERIOD), seed })
}
