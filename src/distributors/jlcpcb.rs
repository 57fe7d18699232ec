//! JLCPCB's open platform: each request signed in its `Authorization` header, body included.
//!
//! `Authorization: JOP appid="…",accesskey="…",nonce="…",timestamp="…",signature="…"`, the last an
//! HMAC-SHA-256 of five lines: method, path, timestamp, nonce, body. The path is what the request
//! line holds, so it includes the query. Sources: the vendor's "API request signature", whose
//! worked example is a test of this preset; client code; for the query, clients that follow the
//! vendor's Java sample. A body that is a stream cannot be signed.
//!
//! 401 says that the key or the signature is wrong (observed: "The request signature verify
//! failed"); a key that is kept elsewhere is then read again. 403 says that the permission is
//! missing or that the address is not on the list of those allowed; no key would help.
//!
//! # Limits
//! None are published. [`PER_SECOND`] is this crate's own caution.

use std::sync::Arc;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::{BoxError, Error};
use crate::rate_limit::Window;
use crate::secret::Secret;
use crate::signing::{base64, hex, hmac_sha256};

/// The API. Source: client code; the vendor's portal is at another host, api.jlcpcb.com.
pub const PRODUCTION_URL: &str = "https://open.jlcpcb.com";
/// Requests a second: not the vendor's number but this crate's caution. A public client of the
/// vendor's web shop (go-jlcpcb-parts) keeps to as many.
pub const PER_SECOND: u64 = 5;

/// The vendor's name for an exchange. Source: client code that reads it.
const REQUEST_ID_HEADER: &str = "J-Trace-ID";

pub(crate) const PRESET: Preset = Preset {
    name: "jlcpcb",
    keys: &[APP_ID, ACCESS_KEY, SECRET_KEY],
    sandbox_variable: None,
    builder,
};

const APP_ID: Key = Key::text("app_id", &["JLCPCB_APP_ID"], |builder, id| {
    builder.signing_secret("app_id", id.into())
});

const ACCESS_KEY: Key = Key::secret("access_key", &["JLCPCB_ACCESS_KEY"], |builder, key| {
    builder.signing_secret("access_key", key)
});

const SECRET_KEY: Key = Key::secret("secret_key", &["JLCPCB_SECRET_KEY"], |builder, key| {
    builder.signing_secret("secret_key", key)
});

/// An account named `jlcpcb`.
pub fn account(
    app_id: impl Into<String>,
    access_key: impl Into<Secret>,
    secret_key: impl Into<Secret>,
) -> AccountBuilder {
    builder()
        .signing_secret(APP_ID.name, app_id.into().into())
        .signing_secret(ACCESS_KEY.name, access_key.into())
        .signing_secret(SECRET_KEY.name, secret_key.into())
}

/// The same from the environment: `JLCPCB_APP_ID`, `JLCPCB_ACCESS_KEY` and `JLCPCB_SECRET_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
        .request_id_header(REQUEST_ID_HEADER)
        .window(Window::per_second(PER_SECOND))
        .signed_by(signer)
}

fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(Jop {
        app_id: secrets.need(APP_ID.name)?,
        access_key: secrets.need(ACCESS_KEY.name)?,
        secret_key: secrets.need(SECRET_KEY.name)?,
    })))
}

struct Jop {
    app_id: Zeroizing<String>,
    access_key: Zeroizing<String>,
    secret_key: Zeroizing<String>,
}

impl Signer for Jop {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let nonce = hex(&attempt.nonce);
        let timestamp = attempt.unix_seconds();
        let signature = self.signature(attempt, timestamp, &nonce)?;
        let (app_id, access_key) = (&*self.app_id, &*self.access_key);
        let text = format!(
            "JOP appid=\"{app_id}\",accesskey=\"{access_key}\",nonce=\"{nonce}\",\
             timestamp=\"{timestamp}\",signature=\"{signature}\""
        );
        let mut value = HeaderValue::try_from(text)?;
        value.set_sensitive(true);
        attempt.request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl Jop {
    fn signature(
        &self,
        attempt: &Attempt<'_>,
        timestamp: u64,
        nonce: &str,
    ) -> Result<String, BoxError> {
        let (method, url) = (attempt.request.method(), attempt.request.url());
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut message = format!("{method}\n{path}\n{timestamp}\n{nonce}\n").into_bytes();
        message.extend_from_slice(attempt.body()?);
        message.push(b'\n');
        Ok(base64(&hmac_sha256(self.secret_key.as_bytes(), &message)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::Method;
    use reqwest::Request;

    use super::*;

    fn signature(secret_key: &str, mut request: Request, timestamp: u64, nonce: &str) -> String {
        let jop = Jop {
            app_id: "293992070061998081".to_owned().into(),
            access_key: "b6713a535d56412f805afadd7e818455".to_owned().into(),
            secret_key: secret_key.to_owned().into(),
        };
        let attempt = Attempt::new(&mut request, UNIX_EPOCH, [0; 16]);
        let signature = jop.signature(&attempt, timestamp, nonce);
        signature.expect("a body of bytes")
    }

    /// The worked example of the vendor's "API request signature"; several public clients have it
    /// as their test.
    #[test]
    fn the_vendors_example_is_signed_as_the_vendor_does() {
        let url = "https://open.jlcpcb.com/order/v1/createOrder";
        let mut request = Request::new(Method::POST, url.parse().expect("a URL"));
        let body = r#"{"goodsId":100,"quantity":52,"createdTime":"2024-03-21 10:03:20"}"#;
        *request.body_mut() = Some(body.into());
        let secret_key = "z0BWlikshimuyiwBsH1i2qwnzMb3j3kA";
        let nonce = "IZHEJYNIHYZIE8S0LLC0VWTPJVRRTO50";
        let signature = signature(secret_key, request, 1_625_208_260, nonce);
        assert_eq!(signature, "sygwKhKBkLwHVv0c7D+a/A7JTEJjGH/kLugFKh16918=");
    }

    /// Derived with OpenSSL 3: `printf 'GET\n/a/b?x=1%%20k&y=2\n1\nn\n\n' | openssl dgst -sha256
    /// -hmac secret -binary | base64`.
    #[test]
    fn the_query_is_signed_and_a_missing_body_is_an_empty_line() {
        let url = "https://open.jlcpcb.com/a/b?x=1%20k&y=2";
        let request = Request::new(Method::GET, url.parse().expect("a URL"));
        let signature = signature("secret", request, 1, "n");
        assert_eq!(signature, "7VXFmK8xveefZlCBEEL/9cmSPa0ZkwMEtABjaiCk1i4=");
    }
}
