//! LCSC's API for partners: each request signed in its query.
//!
//! `key`, `nonce`, `timestamp` and `signature` go into the query, the last a plain SHA-1 (no HMAC)
//! of the others with the secret among them. All four are new for every attempt, and none shows in
//! the response's URL. Sources: copies of the vendor's documentation (5zh.info,
//! docs.roboalch.com/lcsc-api) and client code.
//!
//! An error is an envelope `{"success":false,"code":…,"message":…}`: 424 the key, 425 the nonce,
//! 426 the timestamp, 427 the signature. After 424 and 427 a key that is kept elsewhere is read
//! again; the other two are no matter of the key. The status around the envelope is not
//! documented, so the rules are for 200 and, as for any other account, 401.
//!
//! # Limits
//! None are published. [`PER_SECOND`] is this crate's own caution.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::{BoxError, Error};
use crate::rate_limit::Window;
use crate::response_rules::{Rule, Verdict};
use crate::secret::Secret;
use crate::signing::{hex, sha1};

/// The API; its paths begin with `/rest/wmsc2agent/`. Source: as above.
pub const PRODUCTION_URL: &str = "https://ips.lcsc.com";
/// Requests a second: not the vendor's number but this crate's caution. A public client of the
/// vendor's web shop (go-lcsc) keeps to as many.
pub const PER_SECOND: u64 = 5;

/// Bytes of a nonce, which the vendor wants to be 16 characters long: two for each byte.
const NONCE_BYTES: usize = 8;

/// The codes in the envelope of an error, and what they mean.
const CODES: [(&str, Verdict); 4] = [
    ("424", Verdict::TokenRejected),
    ("425", Verdict::NotTheToken),
    ("426", Verdict::NotTheToken),
    ("427", Verdict::TokenRejected),
];

pub(crate) const PRESET: Preset = Preset {
    name: "lcsc",
    keys: &[KEY, SECRET],
    sandbox_variable: None,
    builder,
};

const KEY: Key = Key::secret("api_key", &["LCSC_API_KEY"], |builder, key| {
    builder.signing_secret("api_key", key)
});

const SECRET: Key = Key::secret("api_secret", &["LCSC_API_SECRET"], |builder, secret| {
    builder.signing_secret("api_secret", secret)
});

/// An account named `lcsc`.
pub fn account(api_key: impl Into<Secret>, api_secret: impl Into<Secret>) -> AccountBuilder {
    builder()
        .signing_secret(KEY.name, api_key.into())
        .signing_secret(SECRET.name, api_secret.into())
}

/// The same from the environment: `LCSC_API_KEY` and `LCSC_API_SECRET`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    let builder = Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND))
        .signed_by(signer);
    CODES.into_iter().fold(builder, |builder, (code, verdict)| {
        let envelope = Rule::new(200, verdict).body(r#""success":false"#);
        let number = envelope.clone().body(&format!(r#""code":{code}"#));
        let text = envelope.body(&format!(r#""code":"{code}""#));
        builder.rule(number).rule(text)
    })
}

fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(InQuery {
        key: secrets.need(KEY.name)?,
        secret: secrets.need(SECRET.name)?,
    })))
}

struct InQuery {
    key: Zeroizing<String>,
    secret: Zeroizing<String>,
}

impl Signer for InQuery {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let nonce = hex(&attempt.nonce[..NONCE_BYTES]);
        let timestamp = attempt.unix_seconds().to_string();
        let (key, secret) = (&*self.key, &*self.secret);
        let text = format!("key={key}&nonce={nonce}&secret={secret}&timestamp={timestamp}");
        let signature = hex(&sha1(Zeroizing::new(text).as_bytes()));
        attempt.set_query("key", key);
        attempt.set_query("nonce", &nonce);
        attempt.set_query("timestamp", &timestamp);
        attempt.set_query("signature", &signature);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::Method;
    use reqwest::Request;

    use super::*;

    /// Derived with Python 3: `hashlib.sha1(text).hexdigest()` for the text
    /// `key=user123&nonce=0001020304050607&secret=mysecret456&timestamp=1704700800`.
    #[test]
    fn the_signature_is_the_hash_of_all_four() {
        let signer = InQuery {
            key: "user123".to_owned().into(),
            secret: "mysecret456".to_owned().into(),
        };
        let url = "https://ips.lcsc.com/rest/wmsc2agent/search/product?keyword=TL072%20CP";
        let mut request = Request::new(Method::GET, url.parse().expect("a URL"));
        let nonce = std::array::from_fn(|index| u8::try_from(index).unwrap_or_default());
        let now = UNIX_EPOCH + Duration::from_secs(1_704_700_800);
        let mut attempt = Attempt::new(&mut request, now, nonce);
        signer.sign(&mut attempt).expect("signed");
        let expected = "keyword=TL072%20CP&key=user123&nonce=0001020304050607\
            &timestamp=1704700800&signature=0dc3d49aeabd9efe11432ffc1406e90eac6760bb";
        assert_eq!(request.url().query(), Some(expected));
    }
}
