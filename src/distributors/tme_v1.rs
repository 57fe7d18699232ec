//! TME's API version 1: each request a form that is signed.
//!
//! **Until 2027-06-30**, and only for tokens made before 2026-05-14: newer ones work with version 2
//! alone, and are answered `E_AUTHORIZATION_FAILED` here (Part-DB pull request 1447, quoting
//! api-doc.tme.eu).
//!
//! A request is a `POST` to `/{Action}.json` with a form. The preset adds `Token`, `Country` and
//! `Language` where the form has none of its own, puts the fields in order, and adds
//! `ApiSignature`: base64 of the HMAC-SHA-1 of `POST&url&fields`, both percent-encoded. Source:
//! tme-dev/TME-API. Fields of one list (`SymbolList[0]`, `SymbolList[1]`, …) keep their order;
//! write the numbers, as `SymbolList[]` is not what the server makes of it.
//!
//! # Limits
//! 10 requests a second, of which 2 for prices and stocks (copies of the vendor's documentation).
//! Here each request counts in one quota, so prices and stocks have theirs, [`PRICES`], and all
//! else has what they leave: [`PER_SECOND`] less [`PRICES_PER_SECOND`]. Together that is the
//! vendor's number in full; `.window(Window::per_second(10))` gives it to a client that never asks
//! for prices.
//!
//! 429, or 400 or 403 with `E_TOO_MANY_REQUESTS`, pauses for a second. `E_INVALID_SIGNATURE` and
//! `E_AUTHORIZATION_FAILED` refuse the credential: a secret that is kept elsewhere is read again.
//! `E_ACTION_FORBIDDEN` does not: the token has no right to that action.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, header};
use reqwest::Request;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::{BoxError, Error};
use crate::rate_limit::{Quota, Window};
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;
use crate::signing::{base64, hmac_sha1, percent_encode};

/// The API. Source: tme-dev/TME-API.
pub const PRODUCTION_URL: &str = "https://api.tme.eu";
/// Requests a second in all. Source: copies of the vendor's documentation.
pub const PER_SECOND: u64 = 10;
/// Requests a second for prices and stocks, same source.
pub const PRICES_PER_SECOND: u64 = 2;
/// The quota of prices and stocks.
pub const PRICES: &str = "prices";
/// `Country` and `Language` where neither the form nor the configuration says them.
pub const COUNTRY: &str = "PL";
/// See [`COUNTRY`].
pub const LANGUAGE: &str = "EN";

/// `GetPrices`, `GetPricesAndStocks` and `GetStocks`.
const PRICES_PATHS: [&str; 2] = ["/Products/GetPrices", "/Products/GetStocks"];
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const SIGNATURE: &str = "ApiSignature";

/// The `Status` in the body of an error, where it came, and what it means. Which of the statuses
/// comes with too many requests is not documented.
const ERRORS: [(u16, &str, Verdict); 6] = [
    (400, "E_TOO_MANY_REQUESTS", Verdict::RateExceeded),
    (403, "E_TOO_MANY_REQUESTS", Verdict::RateExceeded),
    (403, "E_ACTION_FORBIDDEN", Verdict::NotTheToken),
    (403, "E_INVALID_SIGNATURE", Verdict::TokenRejected),
    (403, "E_AUTHORIZATION_FAILED", Verdict::TokenRejected),
    (401, "E_ACTION_FORBIDDEN", Verdict::NotTheToken),
];

pub(crate) const PRESET: Preset = Preset {
    name: "tme_v1",
    keys: &[TOKEN, SECRET, COUNTRY_KEY, LANGUAGE_KEY],
    sandbox_variable: None,
    builder,
};

const TOKEN: Key = Key::secret(
    "token",
    &["TME_TOKEN", "TME_API_TOKEN", "PROVIDER_TME_KEY"],
    |builder, token| builder.signing_secret("token", token),
);

const SECRET: Key = Key::secret(
    "app_secret",
    &["TME_APP_SECRET", "TME_API_SECRET", "PROVIDER_TME_SECRET"],
    |builder, secret| builder.signing_secret("app_secret", secret),
);

const COUNTRY_KEY: Key = Key::text("country", &["TME_COUNTRY"], |builder, country| {
    builder.signing_secret("country", country.into())
})
.optional();

const LANGUAGE_KEY: Key = Key::text("language", &["TME_LANGUAGE"], |builder, language| {
    builder.signing_secret("language", language.into())
})
.optional();

/// An account named `tme_v1`, for [`COUNTRY`] and [`LANGUAGE`] unless a form says others.
///
/// `token` and `app_secret` are those of the application at developers.tme.eu.
pub fn account(token: impl Into<Secret>, app_secret: impl Into<Secret>) -> AccountBuilder {
    builder()
        .signing_secret(TOKEN.name, token.into())
        .signing_secret(SECRET.name, app_secret.into())
}

/// The same from the environment: `TME_TOKEN`, `TME_API_TOKEN` or `PROVIDER_TME_KEY`;
/// `TME_APP_SECRET`, `TME_API_SECRET` or `PROVIDER_TME_SECRET`; and if set `TME_COUNTRY` and
/// `TME_LANGUAGE`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let prices = Quota::new(PRICES).window(Window::per_second(PRICES_PER_SECOND));
    let prices = PRICES_PATHS.into_iter().fold(prices, Quota::path);
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND - PRICES_PER_SECOND))
        .quota(prices)
        .signed_by(signer)
        .signing_secret(COUNTRY_KEY.name, COUNTRY.into())
        .signing_secret(LANGUAGE_KEY.name, LANGUAGE.into());
    let rule = |builder: AccountBuilder, (status, code, verdict): (u16, &str, _)| {
        builder.rule(Rule::new(status, verdict).body(code))
    };
    ERRORS.into_iter().fold(builder, rule)
}

fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(Form {
        added: [
            ("Token", secrets.need(TOKEN.name)?),
            ("Country", secrets.need(COUNTRY_KEY.name)?),
            ("Language", secrets.need(LANGUAGE_KEY.name)?),
        ],
        secret: secrets.need(SECRET.name)?,
    })))
}

struct Form {
    added: [(&'static str, Zeroizing<String>); 3],
    secret: Zeroizing<String>,
}

impl Signer for Form {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        check(attempt.request)?;
        let fields = encoded(self.fields(attempt.body()?));
        let url = percent_encode(attempt.request.url().as_str());
        let message = Zeroizing::new(format!("POST&{url}&{}", percent_encode(&fields)));
        let signature = base64(&hmac_sha1(self.secret.as_bytes(), message.as_bytes()));
        let signature = percent_encode(&signature);
        let body = format!("{}&{SIGNATURE}={signature}", *fields);
        attempt.set_body(body);
        attempt.request.headers_mut().insert(CONTENT_TYPE, FORM);
        Ok(())
    }
}

impl Form {
    /// What the form holds, and what it lacks, in the order in which it is signed.
    fn fields(&self, body: &[u8]) -> Vec<(String, String)> {
        let given = form_urlencoded::parse(body).into_owned();
        let mut fields: Vec<_> = given.filter(|(name, _)| name != SIGNATURE).collect();
        for (name, value) in &self.added {
            if fields.iter().all(|(other, _)| other != name) {
                fields.push(((*name).to_owned(), value.to_string()));
            }
        }
        // The server reads a list's fields into one array and sorts by the names of arrays, so
        // those keep their order: [10] comes after [9].
        fields.sort_by(|(a, _), (b, _)| array_name(a).cmp(array_name(b)));
        fields
    }
}

fn array_name(field: &str) -> &str {
    field.split('[').next().unwrap_or(field)
}

/// As PHP's `http_build_query` does by RFC 3986, which is what the vendor signs.
fn encoded(fields: Vec<(String, String)>) -> Zeroizing<String> {
    let pair = |(name, value): (String, String)| {
        format!("{}={}", percent_encode(&name), percent_encode(&value))
    };
    let pairs: Vec<_> = fields.into_iter().map(pair).collect();
    Zeroizing::new(pairs.join("&"))
}

/// What is signed is a `POST` of a form, and nothing else.
fn check(request: &Request) -> Result<(), BoxError> {
    if request.method() != Method::POST || request.url().query().is_some() {
        return Err("a signed request is a POST with a form and without a query".into());
    }
    let other = request.headers().get(header::CONTENT_TYPE);
    let is_form = |value: &HeaderValue| value.as_bytes().starts_with(FORM.as_bytes());
    match other.is_none_or(is_form) {
        true => Ok(()),
        false => Err("the body has a Content-Type other than that of a form".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn signed(method: Method, url: &str, body: &'static str) -> Result<Request, BoxError> {
        let owned = |text: &str| Zeroizing::new(text.to_owned());
        let form = Form {
            added: [
                ("Token", owned("t0ken")),
                ("Country", owned("PL")),
                ("Language", owned("EN")),
            ],
            secret: owned("s3cr3t"),
        };
        let mut request = Request::new(method, url.parse()?);
        *request.body_mut() = Some(body.into());
        form.sign(&mut Attempt::new(&mut request, UNIX_EPOCH, [0; 16]))?;
        Ok(request)
    }

    fn body(request: &Request) -> &str {
        let bytes = request.body().and_then(reqwest::Body::as_bytes);
        std::str::from_utf8(bytes.expect("bytes")).expect("text")
    }

    /// Derived with Python 3 as the vendor's own example does it: `hmac` with `hashlib.sha1`, and
    /// `urllib.parse.quote(text, safe="-._~")` for the sorted fields and again for the whole.
    #[test]
    fn the_form_is_completed_ordered_and_signed() {
        let url = "https://api.tme.eu/Products/Search.json";
        let given = "SearchPlain=LM358+%C5%BC&Language=PL&ApiSignature=old";
        let request = signed(Method::POST, url, given).expect("signed");
        let expected = "Country=PL&Language=PL&SearchPlain=LM358%20%C5%BC&Token=t0ken\
            &ApiSignature=2t2iZR5sLlUWEH3Q2YEpG6xiAXg%3D";
        assert_eq!(body(&request), expected);
        assert_eq!(request.headers()[CONTENT_TYPE], FORM);
    }

    #[test]
    fn the_fields_of_a_list_keep_their_order() {
        let url = "https://api.tme.eu/Products/GetPrices.json";
        let given = "SymbolList%5B9%5D=a&SymbolList%5B10%5D=b&Currency=PLN";
        let request = signed(Method::POST, url, given).expect("signed");
        let expected = "Country=PL&Currency=PLN&Language=EN&SymbolList%5B9%5D=a\
            &SymbolList%5B10%5D=b&Token=t0ken&ApiSignature=";
        assert!(body(&request).starts_with(expected), "{}", body(&request));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let url = "https://api.tme.eu/Utils/Ping.json";
        assert!(signed(Method::GET, url, "").is_err());
        assert!(signed(Method::POST, &format!("{url}?a=1"), "").is_err());
        assert!(signed(Method::POST, url, "").is_ok());
    }
}
