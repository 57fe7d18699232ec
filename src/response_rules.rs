//! What an answer means where its status does not say it: rules as data.
//!
//! HTTP has a status for "too many requests" and one for "bad credential", and vendors have their
//! own ways: Mouser says 403 for a spent quota, DigiKey 401 for a missing subscription, Nexar 200
//! with an error inside. A [`Rule`] names the status, what a header or the body has to contain, and
//! the [`Verdict`]. The first rule that matches decides; where none does, HTTP's own meaning holds.
//!
//! The token endpoint has rules of its own ([`AccountBuilder::token_rule`]), since its answers mean
//! other things: a rule says whose fault a refusal is.
//!
//! Only answers from the account's own origins and from its token endpoint are judged. A body is
//! looked at only for a status that a rule with a phrase names, and only if it is small: 64 KiB,
//! and where it does not tell its length 30 s ([`AccountBuilder::rule`]); of a token endpoint's
//! answer the first MiB. The caller gets it untouched in any case.
//!
//! [`AccountBuilder::rule`]: crate::AccountBuilder::rule
//! [`AccountBuilder::token_rule`]: crate::AccountBuilder::token_rule

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::phrase::{Folded, folded};

/// What an answer means: one of the API's ([`AccountBuilder::rule`]) or one of the token endpoint's
/// ([`AccountBuilder::token_rule`]). [`RateExceeded`](Self::RateExceeded) can be said of both, the
/// others of one; `build()` refuses a rule for the wrong one.
///
/// [`AccountBuilder::rule`]: crate::AccountBuilder::rule
/// [`AccountBuilder::token_rule`]: crate::AccountBuilder::token_rule
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It is what it is: no rejection by a quota, and no refusal of a credential.
    Fine,
    /// The credential is bad: it is renewed, and the request sent again, once.
    TokenRejected,
    /// Refused, but not for the credential: a new one would not help.
    NotTheToken,
    /// Too many requests for the quota's shortest window. Without a time to wait (`Retry-After`, a
    /// reset) the quota pauses for that window's length.
    ///
    /// From the token endpoint: no token request before `Retry-After`, or a short back-off.
    RateExceeded,
    /// Perhaps [`RateExceeded`](Self::RateExceeded), and perhaps a refusal of another kind in the
    /// same words: the quota pauses, and the request is sent again once. If that is answered so
    /// too, the answer is returned and counts as [`Fine`](Self::Fine).
    RateSuspected,
    /// The quota's longest window is spent. Without a time to wait the quota pauses until the
    /// window ends by the calendar, or else for [`LOOK_AGAIN`](Self::LOOK_AGAIN); then one request
    /// goes first to see.
    QuotaSpent,
    /// From the token endpoint: the refresh token or the code of a login is no good (any more). A
    /// person has to log in again. To a request without either it means
    /// [`ClientRejected`](Self::ClientRejected).
    GrantRejected,
    /// From the token endpoint: id, secret, scope or grant type are wrong.
    ClientRejected,
    /// From the token endpoint: it cannot answer now, or a gateway in between answered. The request
    /// is tried again after a short back-off.
    Unavailable,
}

impl Verdict {
    /// How long a spent quota pauses of which nobody knows when it ends. This crate's own caution.
    pub const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60 * 60);

    /// What it means of an attempt, the first or one after a rejection.
    pub(crate) fn on_attempt(self, is_replay: bool) -> Self {
        match self {
            Self::RateSuspected if is_replay => Self::Fine,
            other => other,
        }
    }
}

/// "An answer like this means that."
///
/// All conditions have to hold. Phrases are compared without regard to letter case and white space
/// (DigiKey writes "Bearer token  expired" with two spaces), and as whole words: `0` is not in
/// `4990`, nor `minute` in `appminute`. A word ends where no letter or digit follows, and before
/// the hump in `clientId`.
///
/// ```
/// use reqwest_tollgate::{Account, Rule, Verdict, Window};
///
/// let account = Account::builder("acme", "https://api.acme.example")
///     .query("key", "my-key")
///     .window(Window::per_second(2))
///     .rule(Rule::new(403, Verdict::RateExceeded).body("Developer Over Qps"))
///     .build()?;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    status: u16,
    headers: Vec<(String, Expected)>,
    phrases: Vec<String>,
    verdict: Verdict,
}

/// So much of a header's value is compared, in bytes: a server may send megabytes, and each rule
/// reads them.
const LONGEST_VALUE: usize = 4096;

/// What a header has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Phrase(String),
    /// This and nothing else.
    Value(String),
}

impl Rule {
    /// Every answer of this status, until a condition is added.
    pub fn new(status: u16, verdict: Verdict) -> Self {
        Self {
            status,
            headers: Vec::new(),
            phrases: Vec::new(),
            verdict,
        }
    }

    /// One of the headers of this name contains the phrase; an empty phrase asks only for the
    /// header.
    #[must_use]
    pub fn header(mut self, name: &str, phrase: &str) -> Self {
        let expected = Expected::Phrase(phrase.to_owned());
        self.headers.push((name.to_owned(), expected));
        self
    }

    /// One of the headers of this name is this value and nothing else, in the same comparison.
    ///
    /// ```
    /// use reqwest_tollgate::{Rule, Verdict};
    ///
    /// let spent = Rule::new(403, Verdict::RateExceeded).header_is("X-RateLimit-Remaining", "0");
    /// ```
    #[must_use]
    pub fn header_is(mut self, name: &str, value: &str) -> Self {
        let expected = Expected::Value(value.to_owned());
        self.headers.push((name.to_owned(), expected));
        self
    }

    /// The body contains the phrase.
    #[must_use]
    pub fn body(mut self, phrase: &str) -> Self {
        self.phrases.push(phrase.to_owned());
        self
    }

    /// The rule as answers are compared with it.
    ///
    /// # Errors
    /// A sentence on what is wrong with it.
    fn checked(&self, target: RuleTarget) -> Result<CheckedRule, String> {
        if !target.verdicts().contains(&self.verdict) {
            return Err(format!(
                "found {:?}, which no answer of {target} means; expected one of {:?}",
                self.verdict,
                target.verdicts()
            ));
        }
        let status = StatusCode::from_u16(self.status)
            .map_err(|_| format!("found status {}; expected 100 to 999", self.status))?;
        if self.phrases.iter().any(|phrase| folded(phrase).is_empty()) {
            return Err("found an empty phrase, which every body contains".to_owned());
        }
        let is_bare = self.phrases.is_empty() && self.headers.is_empty();
        if status.is_success() && is_bare && self.verdict != Verdict::Fine {
            return Err(format!(
                "found status {} alone; a rule for a success needs a header or a phrase",
                self.status
            ));
        }
        let header = |(name, expected): &(String, Expected)| match name.parse() {
            Ok(name) => Ok((name, expected.folded())),
            Err(_) => Err(format!("{name:?} is not a header name")),
        };
        Ok(CheckedRule {
            status,
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
            phrases: self.phrases.iter().map(|phrase| folded(phrase)).collect(),
            verdict: self.verdict,
        })
    }
}

impl Expected {
    fn folded(&self) -> Self {
        match self {
            Self::Phrase(phrase) => Self::Phrase(folded(phrase)),
            Self::Value(value) => Self::Value(folded(value)),
        }
    }

    fn is_in(&self, value: &HeaderValue) -> bool {
        let all = value.as_bytes();
        let read = all.get(..LONGEST_VALUE).unwrap_or(all);
        let text = String::from_utf8_lossy(read);
        match self {
            Self::Phrase(phrase) => Folded::new(&text).contains(phrase),
            Self::Value(expected) => read.len() == all.len() && folded(&text) == *expected,
        }
    }
}

/// Whose answers a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleTarget {
    Api,
    TokenEndpoint,
}

impl RuleTarget {
    fn verdicts(self) -> &'static [Verdict] {
        match self {
            Self::Api => &[
                Verdict::Fine,
                Verdict::TokenRejected,
                Verdict::NotTheToken,
                Verdict::RateExceeded,
                Verdict::RateSuspected,
                Verdict::QuotaSpent,
            ],
            Self::TokenEndpoint => &[
                Verdict::GrantRejected,
                Verdict::ClientRejected,
                Verdict::RateExceeded,
                Verdict::Unavailable,
            ],
        }
    }
}

impl fmt::Display for RuleTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Api => "the API",
            Self::TokenEndpoint => "the token endpoint",
        })
    }
}

#[derive(Clone, Debug)]
struct CheckedRule {
    status: StatusCode,
    headers: Vec<(HeaderName, Expected)>,
    phrases: Vec<String>,
    verdict: Verdict,
}

impl CheckedRule {
    fn matches(&self, status: StatusCode, headers: &HeaderMap, body: Option<&Folded>) -> bool {
        let in_header = |(name, expected): &(HeaderName, Expected)| {
            let mut values = headers.get_all(name).iter();
            values.any(|value| expected.is_in(value))
        };
        let in_body = |phrase: &String| body.is_some_and(|body| body.contains(phrase));
        self.status == status
            && self.headers.iter().all(in_header)
            && self.phrases.iter().all(in_body)
    }
}

/// A distributor's rules, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<CheckedRule>);

impl Rules {
    /// # Errors
    /// What is wrong with which rule.
    pub(crate) fn new(rules: &[Rule], target: RuleTarget) -> Result<Self, Vec<(usize, String)>> {
        let mut checked = Vec::with_capacity(rules.len());
        let mut wrong = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            match rule.checked(target) {
                Ok(rule) => checked.push(rule),
                Err(text) => wrong.push((index, text)),
            }
        }
        if wrong.is_empty() {
            Ok(Self(checked))
        } else {
            Err(wrong)
        }
    }

    /// Whether a rule is about this status at all.
    pub(crate) fn concern(&self, status: StatusCode) -> bool {
        self.0.iter().any(|rule| rule.status == status)
    }

    /// Whether an answer of this status may mean that the credential is bad.
    pub(crate) fn may_reject_token(&self, status: StatusCode) -> bool {
        let mut rules = self.0.iter();
        rules.any(|rule| rule.status == status && rule.verdict == Verdict::TokenRejected)
    }

    /// Whether a rule for this status asks for the body.
    pub(crate) fn need_body(&self, status: StatusCode) -> bool {
        let mut rules = self.0.iter();
        rules.any(|rule| rule.status == status && !rule.phrases.is_empty())
    }

    /// What an answer means, by the first rule that matches; `body` is none where it is not known.
    pub(crate) fn verdict(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Option<Verdict> {
        if !self.concern(status) {
            return None;
        }
        let body = body.filter(|_| self.need_body(status));
        let body = body.map(|body| Folded::new(&String::from_utf8_lossy(body)));
        let mut rules = self.0.iter();
        let rule = rules.find(|rule| rule.matches(status, headers, body.as_ref()))?;
        Some(rule.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[Rule]) -> Rules {
        Rules::new(rules, RuleTarget::Api).expect("good rules")
    }

    fn verdict(rules: &Rules, status: u16, headers: &HeaderMap, body: &str) -> Option<Verdict> {
        let status = StatusCode::from_u16(status).expect("a status");
        rules.verdict(status, headers, Some(body.as_bytes()))
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = rules(&[
            Rule::new(403, Verdict::QuotaSpent)
                .body("TooManyRequests")
                .body("per day"),
            Rule::new(403, Verdict::RateExceeded).body("TooManyRequests"),
        ]);
        let none = HeaderMap::new();
        let minute = r#"{"Code":"TooManyRequests","Message":"Maximum calls per minute"}"#;
        let day = r#"{"Code":"TooManyRequests","Message":"Maximum calls PER  DAY exceeded."}"#;
        assert_eq!(
            verdict(&rules, 403, &none, minute),
            Some(Verdict::RateExceeded)
        );
        assert_eq!(verdict(&rules, 403, &none, day), Some(Verdict::QuotaSpent));
        assert_eq!(verdict(&rules, 403, &none, "Access denied"), None);
        assert_eq!(verdict(&rules, 429, &none, minute), None);
    }

    #[test]
    fn a_header_is_compared_like_a_body() {
        let rules = rules(&[
            Rule::new(403, Verdict::RateExceeded).header("X-Mashery-Error-Code", "over_qps"),
            Rule::new(403, Verdict::NotTheToken).header("X-Other", ""),
        ]);
        let mut headers = HeaderMap::new();
        assert_eq!(verdict(&rules, 403, &headers, ""), None);
        headers.insert("x-other", http::HeaderValue::from_static("7"));
        assert_eq!(
            verdict(&rules, 403, &headers, ""),
            Some(Verdict::NotTheToken)
        );
        let code = http::HeaderValue::from_static("ERR_403_DEVELOPER_OVER_QPS");
        headers.insert("x-mashery-error-code", code);
        assert_eq!(
            verdict(&rules, 403, &headers, ""),
            Some(Verdict::RateExceeded)
        );
    }

    #[test]
    fn what_stands_far_behind_in_a_header_is_not_read_and_such_a_header_is_no_value() {
        let phrase = rules(&[Rule::new(403, Verdict::RateExceeded).header("X-Left", "none")]);
        let exact = rules(&[Rule::new(403, Verdict::RateExceeded).header_is("X-Left", "0")]);
        let found = |rules: &Rules, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert("x-left", value.parse().unwrap());
            verdict(rules, 403, &headers, "").is_some()
        };
        let blank = |count: usize| " ".repeat(count);
        let fits = LONGEST_VALUE - "none".len();
        assert!(found(&phrase, format!("{}none", blank(fits))));
        assert!(!found(&phrase, format!("{}none", blank(LONGEST_VALUE))));
        assert!(found(&exact, format!("0{}", blank(LONGEST_VALUE - 1))));
        assert!(!found(&exact, format!("0{}4990", blank(LONGEST_VALUE))));
    }

    #[test]
    fn a_header_that_ends_in_zero_is_not_zero() {
        let phrase = rules(&[Rule::new(403, Verdict::RateExceeded).header("X-Left", "0")]);
        let exact = rules(&[Rule::new(403, Verdict::RateExceeded).header_is("X-Left", "0")]);
        let zero = rules(&[Rule::new(403, Verdict::RateExceeded).header_is("X-Left", "NONE")]);
        for (value, by_phrase, by_value, by_word) in [
            ("0", true, true, false),
            (" 0 ", true, true, false),
            ("4990", false, false, false),
            ("0.5", false, false, false),
            ("0, 4990", true, false, false),
            ("none", false, false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("x-left", http::HeaderValue::from_static("7"));
            headers.append("x-left", http::HeaderValue::from_static(value));
            let found = [&phrase, &exact, &zero]
                .map(|rules| verdict(rules, 403, &headers, "") == Some(Verdict::RateExceeded));
            assert_eq!(found, [by_phrase, by_value, by_word], "{value:?}");
        }
    }

    #[test]
    fn a_longer_word_is_another_word() {
        let rules = rules(&[Rule::new(403, Verdict::RateExceeded).body("per minute")]);
        let none = HeaderMap::new();
        let minute = Some(Verdict::RateExceeded);
        assert_eq!(verdict(&rules, 403, &none, "calls per minute."), minute);
        assert_eq!(verdict(&rules, 403, &none, "calls per appminute"), None);
        assert_eq!(verdict(&rules, 403, &none, "super minutes"), None);
    }

    #[test]
    fn a_body_that_is_not_known_matches_no_phrase() {
        let rules = rules(&[Rule::new(200, Verdict::QuotaSpent).body("part limit")]);
        let status = StatusCode::OK;
        assert!(rules.need_body(status) && !rules.need_body(StatusCode::FORBIDDEN));
        assert_eq!(rules.verdict(status, &HeaderMap::new(), None), None);
    }

    #[test]
    fn a_rule_that_would_take_every_success_is_refused() {
        let given = [
            Rule::new(200, Verdict::RateExceeded),
            Rule::new(403, Verdict::RateExceeded).body(" \n"),
            Rule::new(403, Verdict::RateExceeded).header("no name", "x"),
            Rule::new(7, Verdict::Fine),
        ];
        let wrong = Rules::new(&given, RuleTarget::Api);
        let texts: Vec<_> = wrong.expect_err("all wrong").into_iter().collect();
        let indexes: Vec<_> = texts.iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, [0, 1, 2, 3], "{texts:?}");
    }

    #[test]
    fn a_rule_for_the_wrong_server_is_refused() {
        let all = [
            (Verdict::Fine, true, false),
            (Verdict::TokenRejected, true, false),
            (Verdict::NotTheToken, true, false),
            (Verdict::RateExceeded, true, true),
            (Verdict::RateSuspected, true, false),
            (Verdict::QuotaSpent, true, false),
            (Verdict::GrantRejected, false, true),
            (Verdict::ClientRejected, false, true),
            (Verdict::Unavailable, false, true),
        ];
        for (verdict, of_api, of_token_endpoint) in all {
            let rules = [Rule::new(400, verdict)];
            assert_eq!(Rules::new(&rules, RuleTarget::Api).is_ok(), of_api);
            let checked = Rules::new(&rules, RuleTarget::TokenEndpoint);
            assert_eq!(checked.is_ok(), of_token_endpoint);
        }
        let wrong = Rules::new(&[Rule::new(400, Verdict::Fine)], RuleTarget::TokenEndpoint);
        let text = wrong.expect_err("of the API")[0].1.clone();
        assert!(
            text.contains("Fine") && text.contains("GrantRejected"),
            "{text}"
        );
    }
}
