//! Phrases of an answer, compared as people read them: without regard to letter case and white
//! space, and as whole words. Pure.

/// In lower case and without white space, as texts and phrases are compared.
pub(crate) fn folded(text: &str) -> String {
    let dense = text.chars().filter(|c| !c.is_whitespace());
    dense.flat_map(char::to_lowercase).collect()
}

/// A text as phrases are looked for in it.
pub(crate) struct Folded {
    text: String,
    /// For each byte of the text, and for its end: whether a word may begin or end there.
    limits: Vec<bool>,
}

impl Folded {
    pub(crate) fn new(text: &str) -> Self {
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            limits: Vec::with_capacity(text.len() + 1),
        };
        let mut before = [' '; 2];
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            if !character.is_whitespace() {
                let after = rest.peek().copied().unwrap_or(' ');
                folded.push(character, !is_within_word(before, character, after));
            }
            before = [before[1], character];
        }
        folded.limits.push(true);
        folded
    }

    fn push(&mut self, character: char, is_limit: bool) {
        self.text.extend(character.to_lowercase());
        self.limits.push(is_limit);
        self.limits.resize(self.text.len(), false);
    }

    /// Whether the [folded] phrase stands in it, and neither begins nor ends within a word.
    pub(crate) fn contains(&self, phrase: &str) -> bool {
        let mut from = 0;
        while let Some(at) = self.text.get(from..).and_then(|rest| rest.find(phrase)) {
            let begin = from + at;
            if self.limits[begin] && self.limits[begin + phrase.len()] {
                return true;
            }
            from = begin + phrase.chars().next().map_or(1, char::len_utf8);
        }
        false
    }
}

/// Whether `character` goes on with the word before it: a letter or digit after another one. The
/// hump in `clientId` begins a word, the point in `4.0` does not. Letters without case make no
/// words: in Chinese nothing stands between them.
fn is_within_word(before: [char; 2], character: char, after: char) -> bool {
    let is_digit = |character: char| character.is_ascii_digit();
    match (before[1], character) {
        (digit, '.') => is_digit(digit) && is_digit(after),
        ('.', digit) => is_digit(before[0]) && is_digit(digit),
        (lower, upper) if lower.is_lowercase() && upper.is_uppercase() => false,
        (one, other) => is_of_word(one) && is_of_word(other),
    }
}

fn is_of_word(character: char) -> bool {
    character.is_lowercase() || character.is_uppercase() || character.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str, phrase: &str) -> bool {
        Folded::new(text).contains(&folded(phrase))
    }

    #[test]
    fn letter_case_and_white_space_do_not_count() {
        assert!(says("Bearer token  expired", "bearer Token expired"));
        assert!(says("BurstLimit exceeded", "burst limit exceeded"));
        assert!(says("You are NOT\n subscribed", "not subscribed"));
    }

    #[test]
    fn a_phrase_stands_as_whole_words() {
        for (text, phrase) in [
            ("4990", "0"),
            ("0.5", "0"),
            ("4.0", "0"),
            ("appminute", "minute"),
            ("minutes", "minute"),
            ("subscribed", "subscribe"),
            ("größer", "gr"),
        ] {
            assert!(!says(text, phrase), "{phrase:?} in {text:?}");
        }
        for (text, phrase) in [
            ("0", "0"),
            ("0, 4990", "0"),
            ("4990 of 0.", "0"),
            ("limit=0;w=60", "0"),
            ("app-minute", "minute"),
            ("appminute per minute", "minute"),
            ("ERR_403_DEVELOPER_OVER_QPS", "over_qps"),
            ("Invalid clientId", "invalid client"),
            (
                r#"{"Code":"TooManyRequests"}"#,
                r#""Code":"TooManyRequests""#,
            ),
            (r#"{"Code":"TooManyRequests"}"#, "too many requests"),
        ] {
            assert!(says(text, phrase), "{phrase:?} in {text:?}");
        }
    }

    #[test]
    fn letters_without_case_are_words_of_their_own() {
        assert!(says("请求次数已达上限,请稍后再试", "上限"));
        assert!(says("アクセス制限", "制限"));
    }

    #[test]
    fn a_later_place_counts_where_an_earlier_one_is_within_a_word() {
        assert!(says("x0 00 0", "0"));
        assert!(!says("aaaa", "aa"));
        assert!(says("abab ab", "ab"));
    }

    #[test]
    fn nothing_is_in_every_text() {
        assert!(says("", "") && says("x", " \n"));
        assert!(!says("", "x"));
    }

    /// `İ` has two characters in lower case.
    #[test]
    fn a_letter_that_grows_in_lower_case_is_in_its_place() {
        assert!(says("İstanbul limit İ", "limit"));
        assert!(says("limit İ", "İ"));
    }
}
