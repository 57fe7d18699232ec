//! What a refused request says about its token. Pure.
//!
//! A 401 need not mean that the token is bad: DigiKey answers 401 to a client id that has no
//! subscription for the API product. To renew on those would cost a token for each such request and
//! cure none.

use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, StatusCode};

use super::RejectionTable;
use super::cache::bucket::Bucket;
use crate::header_value::Budget;
use crate::phrase::{Folded, folded};
use crate::response_rules::Verdict;

/// What a refusal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// The token is bad: the server says so (RFC 6750 section 3.1).
    Certain,
    /// It may be.
    Possible,
    /// It is not the token.
    None,
}

/// Retries of refused requests with the same credential. One that is not refused again is given
/// back, so that spurious refusals cost nothing in the long run (1 % of 20 requests a second: 0.2
/// retries a second, of which one in 500 s is refused too), while those of a revoked token, or of
/// requests that are refused with every token, are five and then six a minute.
const RETRY_BURST: u32 = 5;
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// The budget of an account for them, full.
pub(crate) const fn retries() -> Bucket {
    Bucket::new(RETRY_BURST, RETRY_EVERY)
}

/// What is known of a refused token beside the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A newer one is there, or its renewal for a refusal has begun.
    Replaced,
    /// No other request has succeeded with it of late.
    Unproved,
    /// Another request has succeeded with it of late.
    Works,
    /// Likewise, and a replay with it was refused before: some requests are refused whatever token
    /// they carry.
    Exonerated,
}

/// What a refused request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It is sent once more with the same token.
    RetrySameToken,
    /// It is sent once more with another token, if there is one or one can be got.
    Renew,
    /// Its answer is returned.
    Return,
}

/// What a refused request does about its token: the table.
///
/// | the token  | not the token | certain | possible, with a retry | possible, without one |
/// |------------|---------------|---------|------------------------|-----------------------|
/// | replaced   | return        | renew   | renew                  | renew                 |
/// | unproved   | return        | renew   | renew                  | renew                 |
/// | works      | return        | renew   | same token             | renew                 |
/// | exonerated | return        | renew   | same token             | return                |
///
/// There is no retry for a request that had one, for one that cannot be sent twice, and where the
/// budget is empty. Refused again with the same token, it is the token or the request, and the last
/// column decides. `take_retry` takes one from the budget: it is called only where the cell says
/// "same token", so that none is taken in vain.
///
/// Keys that are no token cannot be renewed: where it says so they are read again, where they are
/// kept elsewhere, and else the answer is returned.
///
/// A revoked token costs as many further requests as the budget allows, at most one for each
/// refused request: once its renewal has begun it is replaced, and soon no success is recent.
pub(crate) fn course(
    suspicion: Suspicion,
    standing: Standing,
    take_retry: impl FnOnce() -> bool,
) -> Course {
    match (suspicion, standing) {
        (Suspicion::None, _) => Course::Return,
        (Suspicion::Certain, _) => Course::Renew,
        (Suspicion::Possible, Standing::Replaced | Standing::Unproved) => Course::Renew,
        (Suspicion::Possible, _) if take_retry() => Course::RetrySameToken,
        (Suspicion::Possible, Standing::Works) => Course::Renew,
        (Suspicion::Possible, Standing::Exonerated) => Course::Return,
    }
}

/// Whether a response with this status may mean "token refused".
pub(crate) fn concerns(table: &RejectionTable, status: StatusCode) -> bool {
    table.statuses.contains(&status) || table.rules.may_reject_token(status)
}

/// What headers and body say: by the account's rules, then the plainest words first.
pub(crate) fn classify(
    table: &RejectionTable,
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Suspicion {
    match table.rules.verdict(status, headers, body) {
        Some(Verdict::TokenRejected) => return Suspicion::Certain,
        Some(_) => return Suspicion::None,
        None => {}
    }
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut budget = Budget::default();
    let challenges: Vec<String> = challenges
        .filter_map(|value| budget.text(value))
        .map(folded)
        .collect();
    let says = |code: &str| challenges.iter().any(|challenge| says(challenge, code));
    if says("invalid_token") {
        return Suspicion::Certain;
    }
    if says("insufficient_scope") {
        return Suspicion::None;
    }
    match body {
        _ if !table.statuses.contains(&status) => Suspicion::None,
        Some(body) if names_another_cause(table, body) => Suspicion::None,
        _ => Suspicion::Possible,
    }
}

fn says(challenge: &str, code: &str) -> bool {
    let quoted = format!("error=\"{code}\"");
    // Some servers leave the quotes out, which RFC 9110 allows for a token.
    let mut bare = challenge
        .split(',')
        .filter_map(|part| part.rsplit_once("error="));
    challenge.contains(&quoted) || bare.any(|(_, value)| value == code)
}

fn names_another_cause(table: &RejectionTable, body: &[u8]) -> bool {
    if table.not_the_token.is_empty() {
        return false;
    }
    let body = Folded::new(&String::from_utf8_lossy(body));
    let mut phrases = table.not_the_token.iter();
    phrases.any(|phrase| body.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn table() -> RejectionTable {
        RejectionTable {
            not_the_token: vec!["invalidclientid".into(), "notsubscribed".into()],
            ..RejectionTable::default()
        }
    }

    fn by_challenge(challenge: &'static str) -> Suspicion {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=x"));
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        classify(&table(), StatusCode::UNAUTHORIZED, &headers, None)
    }

    fn by_body(body: &str) -> Suspicion {
        classify(
            &table(),
            StatusCode::UNAUTHORIZED,
            &HeaderMap::new(),
            Some(body.as_bytes()),
        )
    }

    #[test]
    fn the_challenge_is_believed() {
        for challenge in [
            r#"Bearer realm="x", error="invalid_token", error_description="expired""#,
            r#"Bearer error = "invalid_token""#,
            "bearer error=invalid_token",
            "Bearer realm=x,error=invalid_token",
        ] {
            assert_eq!(by_challenge(challenge), Suspicion::Certain, "{challenge}");
        }
        let scope = r#"Bearer error="insufficient_scope", scope="a b""#;
        assert_eq!(by_challenge(scope), Suspicion::None);
        assert_eq!(by_challenge("Bearer realm=x"), Suspicion::Possible);
        let other = r#"Bearer error="invalid_token_format""#;
        assert_eq!(by_challenge(other), Suspicion::Possible);
    }

    #[test]
    fn a_challenge_of_a_megabyte_says_what_its_beginning_says() {
        let says = |begin: &str, end: &str| {
            let filler = ", a=b".repeat(200_000);
            let challenge = format!("Bearer {begin}{filler}, {end}");
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, challenge.parse().expect("a value"));
            classify(&table(), StatusCode::UNAUTHORIZED, &headers, None)
        };
        let told = r#"error="invalid_token""#;
        assert_eq!(says(told, "c=d"), Suspicion::Certain);
        assert_eq!(says("c=d", told), Suspicion::Possible);
    }

    #[test]
    fn digikeys_bodies_are_told_apart() {
        let old = r#"{"StatusCode":401,"ErrorMessage":"Bearer token  expired"}"#;
        assert_eq!(by_body(old), Suspicion::Possible);
        let new = r#"{"status":401,"detail":"Bearer token is expired. Please use …"}"#;
        assert_eq!(by_body(new), Suspicion::Possible);
        assert_eq!(
            by_body(r#"{"ErrorMessage":"Invalid clientId"}"#),
            Suspicion::None
        );
        assert_eq!(by_body("You are NOT\n subscribed to this"), Suspicion::None);
        assert_eq!(by_body(""), Suspicion::Possible);
        let other = StatusCode::NOT_FOUND;
        let unconcerned = classify(&table(), other, &HeaderMap::new(), Some(b""));
        assert_eq!(unconcerned, Suspicion::None);
    }

    #[test]
    fn every_cell_of_the_table_of_courses() {
        use Course::{Renew, RetrySameToken, Return};
        let rows = [
            (Standing::Replaced, [Return, Renew, Renew, Renew]),
            (Standing::Unproved, [Return, Renew, Renew, Renew]),
            (Standing::Works, [Return, Renew, RetrySameToken, Renew]),
            (
                Standing::Exonerated,
                [Return, Renew, RetrySameToken, Return],
            ),
        ];
        let columns = [
            (Suspicion::None, true),
            (Suspicion::Certain, true),
            (Suspicion::Possible, true),
            (Suspicion::Possible, false),
        ];
        for (standing, cells) in rows {
            for ((suspicion, left), cell) in columns.into_iter().zip(cells) {
                let mut taken = false;
                let course = course(suspicion, standing, || {
                    taken = left;
                    left
                });
                let text = format!("{standing:?} {suspicion:?}, a retry is left: {left}");
                assert_eq!(course, cell, "{text}");
                assert_eq!(taken, cell == RetrySameToken, "{text}");
            }
        }
    }

    #[test]
    fn the_plainest_words_come_first() {
        let mut headers = HeaderMap::new();
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        headers.insert(WWW_AUTHENTICATE, challenge);
        let suspicion = classify(
            &table(),
            StatusCode::UNAUTHORIZED,
            &headers,
            Some(b"Invalid clientId"),
        );
        assert_eq!(suspicion, Suspicion::Certain);
    }

    /// Apigee's, where the application has no subscription: a new token would not help.
    #[test]
    fn a_rule_goes_before_a_challenge() {
        let rules = [crate::Rule::new(401, Verdict::NotTheToken)
            .header("WWW-Authenticate", "InvalidAPICallAsNoApiProductMatchFound")];
        let rules =
            crate::response_rules::Rules::new(&rules, crate::response_rules::RuleTarget::Api);
        let table = RejectionTable {
            rules: std::sync::Arc::new(rules.expect("good rules")),
            ..table()
        };
        let mut headers = HeaderMap::new();
        let said = "Bearer error=\"invalid_token\",error_description=\"keymanagement.service.\
                    InvalidAPICallAsNoApiProductMatchFound: Invalid API call\"";
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(said));
        let suspicion = classify(&table, StatusCode::UNAUTHORIZED, &headers, None);
        assert_eq!(suspicion, Suspicion::None);
    }

    #[test]
    fn a_rule_decides_where_no_challenge_does() {
        let rules = [
            crate::Rule::new(406, Verdict::TokenRejected),
            crate::Rule::new(401, Verdict::NotTheToken).header("X-Why", "plan"),
        ];
        let table = RejectionTable {
            rules: std::sync::Arc::new(
                crate::response_rules::Rules::new(&rules, crate::response_rules::RuleTarget::Api)
                    .expect("good rules"),
            ),
            ..table()
        };
        let mut headers = HeaderMap::new();
        assert!(concerns(&table, StatusCode::NOT_ACCEPTABLE));
        assert!(!concerns(&table, StatusCode::FORBIDDEN));
        let expired = classify(&table, StatusCode::NOT_ACCEPTABLE, &headers, None);
        assert_eq!(expired, Suspicion::Certain);
        let plain = classify(&table, StatusCode::UNAUTHORIZED, &headers, None);
        assert_eq!(plain, Suspicion::Possible);
        headers.insert("x-why", HeaderValue::from_static("not in your plan"));
        let plan = classify(&table, StatusCode::UNAUTHORIZED, &headers, None);
        assert_eq!(plan, Suspicion::None);
    }
}
