//! Durations as people write them: an integer and a unit, combinable: `250ms`, `2s`, `1h30m`.

use embassy_time::Duration;

/// Units and their milliseconds, in the order in which they may follow each other.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration.
///
/// # Errors
/// What is wrong and how to write it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let help = "write an integer and a unit (`ms`, `s`, `m`, `h`, `d`), such as `2s` or `1h30m`";
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(format!("the duration is empty; {help}"));
    }
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{rest}` has no unit; write `{rest}s`"));
    }
    let mut total_ms: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| format!("`{text}` is no duration; {help}"))?;
        // Each unit once, the larger first.
        let &(_, unit_ms) = units
            .find(|&&(name, _)| name == unit)
            .ok_or_else(|| format!("`{text}` is no duration; {help}"))?;
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .ok_or_else(|| format!("`{text}` is too long"))?;
        rest = tail;
    }
    // A tick is a microsecond.
    let ticks = total_ms.checked_mul(1000).ok_or_else(|| format!("`{text}` is too long"))?;
    Ok(Duration::from_ticks(ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_with_units_combine() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(parse("2"), Err("`2` has no unit; write `2s`".to_owned()));
        for wrong in [
            "",
            "s",
            "2 s",
            "1.5s",
            "-1s",
            "1m1h",
            "1s1s",
            "2sec",
            "99999999999999999999s",
            "99999999999999999s",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
