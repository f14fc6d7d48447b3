//! What somebody who mistyped a name may have meant.

/// Longest text that hints are looked for: nobody mistypes more.
const LONGEST: usize = 64;

/// The candidate closest to `text`, if it is close enough that a slip explains it: one wrong character in three, and at
/// least two of a name of four or more.
#[must_use]
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = text.chars().count();
    if length > LONGEST {
        return None;
    }
    let allowed = if length < 4 { 1 } else { (length / 3).max(2) };
    let distances = candidates.into_iter().map(|candidate| (distance(text, candidate), candidate));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many characters must be put in, left out, replaced or swapped with their neighbour to get from `a` to `b`,
/// whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut rows: [Vec<usize>; 3] = [Vec::new(), (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 0..a.len() {
        rows[2] = vec![i + 1; b.len() + 1];
        for j in 0..b.len() {
            let mut cost = rows[1][j] + usize::from(a[i] != b[j]);
            cost = cost.min(rows[1][j + 1] + 1).min(rows[2][j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(rows[0][j - 1] + 1);
            }
            rows[2][j + 1] = cost;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("auot", "auto"), 1);
        assert_eq!(nearest("decide_grce", ["timeout_grace", "decide_grace"]), Some("decide_grace"));
        assert_eq!(nearest("Mode", ["mode"]), Some("mode"));
        assert_eq!(nearest("colour", ["mode", "linger"]), None);
    }
}
