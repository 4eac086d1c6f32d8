//! Filters against models that keep every value.

extern crate std;

use std::vec::Vec;

use super::*;
use dunlin_config_format::limits::DECIMALS;
use proptest::prelude::*;

/// Runs a chain over values, one a second.
fn run(chain: &[Filter], values: &[f32]) -> Vec<Option<f32>> {
    let chain = List::new(chain);
    let mut state = std::vec![0; words(&chain)];
    let step_at =
        |(index, value): (usize, &f32)| step(&chain, &mut state, *value, Instant::from_secs(index as u64));
    values.iter().enumerate().map(step_at).collect()
}

#[test]
fn median_removes_an_outlier() {
    let out = run(&[Filter::Median { window: 3 }], &[1.0, 100.0, 2.0, 3.0]);
    assert_eq!(out, [Some(1.0), Some(50.5), Some(2.0), Some(3.0)]);
}

#[test]
fn delta_passes_changes_only() {
    let out = run(&[Filter::Delta { change: 1.0 }], &[1.0, 1.5, 2.0, 2.9, 0.9]);
    assert_eq!(out, [Some(1.0), None, Some(2.0), None, Some(0.9)]);
    let out = run(&[Filter::DeltaPercent { percent: 10.0 }], &[100.0, 109.0, 110.0, 100.0]);
    assert_eq!(out, [Some(100.0), None, Some(110.0), None]);
}

#[test]
fn a_heartbeat_breaks_the_silence() {
    let chain = [Filter::Delta { change: 1000.0 }, Filter::Heartbeat { every_ms: 3000 }];
    let out = run(&chain, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(out, [Some(1.0), None, None, Some(4.0), None, None, Some(7.0)]);
}

#[test]
fn throttle_limits_the_rate() {
    let out = run(&[Filter::Throttle { every_ms: 2000 }], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(out, [Some(1.0), None, Some(3.0), None]);
}

#[test]
fn a_tumbling_mean_gives_one_value_a_span() {
    let out = run(&[Filter::MeanEvery { every_ms: 3000 }], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert_eq!(out, [None, None, None, Some(2.0), None, None, Some(5.0)]);
}

#[test]
fn rounding_is_half_away_from_zero() {
    assert_eq!(run(&[Filter::Round { decimals: 0 }], &[0.5, -0.5, 2.4]), [Some(1.0), Some(-1.0), Some(2.0)]);
    assert_eq!(run(&[Filter::Round { decimals: 2 }], &[284.1312, 1e30]), [Some(284.13), Some(1e30)]);
}

#[test]
fn calibration_is_a_straight_line() {
    let out = run(&[Filter::Calibrate { slope: 2.0, offset: -0.5 }], &[0.0, 1.0, -3.25]);
    assert_eq!(out, [Some(-0.5), Some(1.5), Some(-7.0)]);
    // What is no number any more is not passed.
    assert_eq!(run(&[Filter::Calibrate { slope: 1e30, offset: 0.0 }], &[1e30, 1.0]), [None, Some(1e30)]);
}

#[test]
fn clamp_limits_to_both_ends_of_its_range() {
    let out = run(&[Filter::Clamp { min: -1.0, max: 2.5 }], &[-1.5, -1.0, 0.5, 2.5, 3.0]);
    assert_eq!(out, [Some(-1.0), Some(-1.0), Some(0.5), Some(2.5), Some(2.5)]);
}

#[test]
fn after_a_fault_the_first_value_passes() {
    let chain = [Filter::Delta { change: 5.0 }, Filter::Throttle { every_ms: 100_000 }];
    let list = List::new(&chain);
    let mut state = std::vec![0; words(&list)];
    assert_eq!(step(&list, &mut state, 1.0, Instant::from_secs(0)), Some(1.0));
    assert_eq!(step(&list, &mut state, 9.0, Instant::from_secs(1)), None);
    clear(&mut state);
    assert_eq!(step(&list, &mut state, 9.0, Instant::from_secs(2)), Some(9.0));
}

/// Rounds with a double, in which all of this is exact.
fn rounded(value: f32, decimals: u8) -> f32 {
    let factor = 10f64.powi(i32::from(decimals));
    let scaled = f64::from(value) * factor;
    if scaled.abs() >= 9e15 {
        value
    } else {
        ((scaled + 0.5f64.copysign(scaled)) as i64 as f64 / factor) as f32
    }
}

proptest! {
    #[test]
    fn rounding_agrees_with_that_of_a_double(value in any::<f32>(), near in -1e4f32..1e4, decimals in 0..=DECIMALS) {
        for value in [value, near, rounded(near, 3), near + 0.5] {
            prop_assert_eq!(super::round(value, decimals).to_bits(), rounded(value, decimals).to_bits(), "{}", value);
        }
    }

    #[test]
    fn a_mean_is_as_exact_as_that_of_a_double(values in prop::collection::vec(any::<f32>().prop_filter("finite", |value| value.is_finite()), 1..300)) {
        let sum = values.iter().fold(super::Sum::default(), |sum, &value| sum.add(value));
        let mean = f64::from(sum.mean(values.len() as u32));
        let expected = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        let most = values.iter().fold(0f64, |most, &value| most.max(f64::from(value).abs()));
        // One of 24 digits, and one of 40 of the greatest value, which others may have taken away; 1e-28 is less than any unit.
        let near = expected.abs() / 8_388_608.0 + most / 1e12 + 1e-28;
        prop_assert!((mean - expected).abs() <= near, "{} {}", mean, expected);
    }

    #[test]
    fn windows_agree_with_a_model(values in prop::collection::vec(-1e6f32..1e6, 1..200), half in 1u16..15) {
        let window = 2 * half + 1;
        let medians = run(&[Filter::Median { window }], &values);
        let means = run(&[Filter::Mean { window }], &values);
        for index in 0..values.len() {
            let start = (index + 1).saturating_sub(window.into());
            let mut held = values[start..=index].to_vec();
            let mean = held.iter().map(|&value| f64::from(value)).sum::<f64>() / held.len() as f64;
            prop_assert!((f64::from(means[index].unwrap()) - mean).abs() <= 1e-3 + mean.abs() * 1e-6);
            held.sort_by(f32::total_cmp);
            if held.len() % 2 == 1 {
                prop_assert_eq!(medians[index], Some(held[held.len() / 2]));
            }
        }
    }

    #[test]
    fn nothing_but_finite_values_comes_out(values in prop::collection::vec(any::<f32>(), 1..50)) {
        let chain = [
            Filter::Calibrate { slope: 1e30, offset: 0.0 },
            Filter::Mean { window: 5 },
            Filter::Delta { change: 1.0 },
            Filter::Heartbeat { every_ms: 1000 },
            Filter::Round { decimals: 6 },
        ];
        let finite: Vec<f32> = values.into_iter().filter(|value| value.is_finite()).collect();
        for out in run(&chain, &finite).into_iter().flatten() {
            prop_assert!(out.is_finite());
        }
    }
}
