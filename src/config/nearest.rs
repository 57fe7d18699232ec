//! "Did you mean …": the known word that a mistyped one is closest to.

/// The word that `text` becomes by the fewest edits, if they are few for its length.
pub(super) fn nearest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    let distances = words.iter().map(|word| (distance(text, word), *word));
    let (edits, word) = distances.min_by_key(|(edits, _)| *edits)?;
    (edits <= 1 + word.len() / 5).then_some(word)
}

/// How many characters must be inserted, deleted or replaced (Levenshtein), row by row.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, from) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_insertions_deletions_and_replacements() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("clent_id", "client_id", 1),
            ("kitten", "sitting", 3),
            ("scopes", "scope", 1),
            ("bäse_url", "base_url", 1),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn only_a_close_word_is_suggested() {
        let words = ["client_id", "client_secret", "scope"];
        assert_eq!(nearest("clinet_id", &words), Some("client_id"));
        assert_eq!(nearest("secret", &words), None);
        assert_eq!(nearest("colour", &words), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
