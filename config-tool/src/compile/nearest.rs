//! What a misspelt name was meant to be.

/// Returns the known name that is most like `name`, where one is like it.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase();
    let most = |candidate: &str| 1 + candidate.len().min(name.len()) / 4;
    // As many changes as the lengths differ are needed in any case.
    let may_be = |candidate: &&&str| candidate.len().abs_diff(name.len()) <= most(candidate);
    let near =
        known.iter().filter(may_be).map(|candidate| (distance(&name, &candidate.to_lowercase()), *candidate));
    near.filter(|(distance, candidate)| *distance <= most(candidate))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, near)| near)
}

/// The number of single-character changes between two names (Levenshtein 1966), with a swap as one (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let width = b.len() + 1;
    let mut cost: Vec<usize> = vec![0; (a.len() + 1) * width];
    for row in 0..=a.len() {
        for column in 0..=b.len() {
            cost[row * width + column] = if row == 0 || column == 0 {
                row + column
            } else {
                let change = usize::from(a[row - 1] != b[column - 1]);
                let mut best = (cost[(row - 1) * width + column] + 1)
                    .min(cost[row * width + column - 1] + 1)
                    .min(cost[(row - 1) * width + column - 1] + change);
                if row > 1 && column > 1 && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                    best = best.min(cost[(row - 2) * width + column - 2] + 1);
                }
                best
            };
        }
    }
    cost[a.len() * width + b.len()]
}
