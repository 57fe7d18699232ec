//! Arrow's list search, which wants the credentials inside a JSON text in its query.
//!
//! `/itemservice/v4/en/search/list?req={"request":{"login":…,"apikey":…,"parts":[…]}}`, up to 100
//! parts, where all other searches have `login` and `apikey` as pairs of the query. Sources:
//! developers.arrow.com, "Itemservice"; client code.

use std::sync::Arc;

use serde_json::Value;

use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::BoxError;

/// The pairs that move; the preset puts them on every request.
const CREDENTIALS: [&str; 2] = ["login", "apikey"];
/// The parameter that holds the JSON text.
const PARAMETER: &str = "req";

/// Moves the query keys `login` and `apikey` into the JSON text of `req`, where a request has one.
///
/// The caller writes `req` without them; one that is there already stays. Neither the keys nor the
/// changed text show in the response's URL or in an error.
struct IntoList;

pub(super) fn signer(_: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(IntoList)))
}

impl Signer for IntoList {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let url = attempt.request.url();
        let Some((_, text)) = url.query_pairs().find(|(name, _)| name == PARAMETER) else {
            return Ok(());
        };
        // The error would show the text, which may hold a key of the caller's.
        let mut list: Value = serde_json::from_str(&text).map_err(|_| "req is not JSON")?;
        let request = list.get_mut("request").and_then(Value::as_object_mut);
        let request = request.ok_or("req has no object named request")?;
        for name in CREDENTIALS {
            if let Some(value) = attempt.take_query(name) {
                request.entry(name).or_insert(Value::String(value));
            }
        }
        attempt.set_query(PARAMETER, &list.to_string());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::Method;
    use reqwest::Request;
    use url::Url;

    use super::*;

    fn signed(query: &[(&str, &str)]) -> Result<Vec<(String, String)>, BoxError> {
        let url = "https://api.arrow.com/itemservice/v4/en/search/list";
        let url = Url::parse_with_params(url, query)?;
        let mut request = Request::new(Method::GET, url);
        IntoList.sign(&mut Attempt::new(&mut request, UNIX_EPOCH, [0; 16]))?;
        Ok(request.url().query_pairs().into_owned().collect())
    }

    #[test]
    fn the_keys_move_into_the_list() {
        let list = r#"{"request":{"parts":[{"partNum":"LM358"}]}}"#;
        let keys = [("login", "me"), ("apikey", "k")];
        let pairs = signed(&[("req", list), keys[0], keys[1], ("rows", "5")]).expect("signed");
        assert_eq!(pairs[0], ("rows".into(), "5".into()));
        let expected = r#"{"request":{"apikey":"k","login":"me","parts":[{"partNum":"LM358"}]}}"#;
        assert_eq!(pairs[1..], [("req".into(), expected.into())]);
    }

    #[test]
    fn a_key_that_the_caller_wrote_stays() {
        let pairs = signed(&[("req", r#"{"request":{"login":"mine"}}"#), ("login", "me")]);
        let pairs = pairs.expect("signed");
        assert_eq!(
            pairs,
            [("req".into(), r#"{"request":{"login":"mine"}}"#.into())]
        );
    }

    #[test]
    fn other_searches_keep_their_pairs_and_a_broken_list_is_refused() {
        let pairs = signed(&[("search_token", "x"), ("login", "me")]).expect("untouched");
        assert_eq!(pairs.len(), 2);
        let error = signed(&[("req", "canary")]).expect_err("no JSON");
        assert_eq!(error.to_string(), "req is not JSON");
        assert!(signed(&[("req", "[]")]).is_err());
    }
}
