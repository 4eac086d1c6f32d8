//! What a misspelt name was meant to be.

/// Returns the known name that is most like `name`, where one is like it.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase();
    let name: Vec<char> = name.chars().collect();
    let near = known.iter().filter_map(|&candidate| {
        let len = candidate.chars().count();
        let most = 1 + len.min(name.len()) / 4;
        // As many changes as the lengths differ are needed in any case.
        if len.abs_diff(name.len()) > most {
            return None;
        }
        let letters: Vec<char> = candidate.chars().collect();
        Some((distance(&name, &letters, most)?, candidate))
    });
    near.min_by_key(|&(distance, _)| distance).map(|(_, near)| near)
}

/// The number of single-character changes between two names (Levenshtein 1966), with a swap as one (Damerau 1964); none
/// where there are more than `most`.
fn distance(a: &[char], b: &[char], most: usize) -> Option<usize> {
    let first: Vec<usize> = (0..=b.len()).collect();
    let (mut before, mut last, mut this) = (first.clone(), first.clone(), first);
    for row in 0..a.len() {
        this[0] = row + 1;
        let mut least = this[0].min(last[0]);
        for column in 0..b.len() {
            let change = usize::from(a[row] != b[column]);
            let mut best = (last[column + 1] + 1).min(this[column] + 1).min(last[column] + change);
            if row > 0 && column > 0 && a[row] == b[column - 1] && a[row - 1] == b[column] {
                best = best.min(before[column - 1] + 1);
            }
            this[column + 1] = best;
            least = least.min(best).min(last[column + 1]);
        }
        // No later row has less than the least of two rows that follow each other.
        if least > most {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut this);
    }
    last.last().copied().filter(|&distance| distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_swaps_are_counted_up_to_a_limit() {
        let distance = |a: &str, b: &str, most| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), most)
        };
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("medain", "median", 1),
            ("kitten", "sitting", 3),
            ("sensr", "sensor", 1),
            ("sesnor", "senso", 2),
            ("ba", "ab", 1),
            ("xyz", "abc", 3),
        ] {
            assert_eq!(distance(a, b, expected), Some(expected), "{a} {b}");
            assert_eq!(expected.checked_sub(1).and_then(|most| distance(a, b, most)), None, "{a} {b}");
        }
        assert_eq!(nearest("Sensors", &["sensor", "report"]), Some("sensor"));
        assert_eq!(nearest("x", &["sensor", "report"]), None);
    }
}
