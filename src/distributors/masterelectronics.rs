//! Master Electronics, and e-Sonic with the same scheme: the key is the last part of the path.
//!
//! The caller writes [`PLACEHOLDER`] where the key belongs, as the URLs in client code do:
//!
//! ```no_run
//! # use reqwest_tollgate::distributors::masterelectronics;
//! # async fn ask(client: reqwest_middleware::ClientWithMiddleware) -> anyhow::Result<()> {
//! let url = "https://api.masterelectronics.com/wapi/v2/cgpriceavailability/LM358/0/1/10/{apiKey}";
//! let found = client.get(url).send().await?;
//! assert!(found.url().path().ends_with("%7BapiKey%7D")); // no log shows the key
//! # Ok(())
//! # }
//! ```
//!
//! A request without it is not sent: it would have no key. Source: client code
//! (Rselectronic/webapp); no documentation of the vendor's was found.
//!
//! e-Sonic has a key of its own: `.base_url(E_SONIC_URL)`, and a name of its own for the account.
//!
//! # Limits
//! None are known. [`PER_SECOND`] is this crate's own caution. 401 also answers a wrong path.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Key, Preset};
use crate::account::{Account, AccountBuilder};
use crate::auth::credentials::scheme::Ingredients;
use crate::auth::{Attempt, Signer};
use crate::error::{BoxError, Error};
use crate::percent;
use crate::rate_limit::Window;
use crate::secret::Secret;

/// The API. Source: client code.
pub const PRODUCTION_URL: &str = "https://api.masterelectronics.com";
/// The API of e-Sonic. Source: client code.
pub const E_SONIC_URL: &str = "https://api.e-sonic.com";
/// What stands for the key in the path of a request.
pub const PLACEHOLDER: &str = "{apiKey}";
/// Requests a second: not the vendor's number but this crate's caution.
pub const PER_SECOND: u64 = 2;

/// The placeholder as a URL spells it.
const SPELLED: &str = "%7BapiKey%7D";

pub(crate) const PRESET: Preset = Preset {
    name: "masterelectronics",
    keys: &[KEY],
    sandbox_variable: None,
    builder,
};

const KEY: Key = Key::secret("api_key", &["MASTERELECTRONICS_API_KEY"], |builder, key| {
    builder.signing_secret("api_key", key)
});

/// An account named `masterelectronics`.
pub fn account(api_key: impl Into<Secret>) -> AccountBuilder {
    builder().signing_secret(KEY.name, api_key.into())
}

/// The same from the environment: `MASTERELECTRONICS_API_KEY`.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every variable which is missing or
/// cannot be read.
pub fn from_env() -> Result<AccountBuilder, Error> {
    PRESET.built_from_env()
}

fn builder() -> AccountBuilder {
    Account::builder(PRESET.name, PRODUCTION_URL)
        .window(Window::per_second(PER_SECOND))
        .signed_by(signer)
}

/// Puts the key into the path, for the vendors of this scheme.
pub(super) fn signer(secrets: &Ingredients) -> Result<Option<Arc<dyn Signer>>, &'static str> {
    Ok(Some(Arc::new(IntoPath {
        key: secrets.need(KEY.name)?,
    })))
}

struct IntoPath {
    key: Zeroizing<String>,
}

impl Signer for IntoPath {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let url = attempt.request.url_mut();
        let is_placeholder = |part: &&str| part.eq_ignore_ascii_case(SPELLED);
        if url.path().split('/').filter(is_placeholder).count() != 1 {
            return Err(format!("the path needs {PLACEHOLDER} once, for the key").into());
        }
        let key = percent::encode(&self.key);
        let parts = url
            .path()
            .split('/')
            .map(|part| match is_placeholder(&part) {
                true => key.as_str(),
                false => part,
            });
        let path = parts.collect::<Vec<_>>().join("/");
        url.set_path(&path);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::Method;
    use reqwest::Request;

    use super::*;

    fn signed(path: &str) -> Result<String, BoxError> {
        let url = format!("{PRODUCTION_URL}/wapi/v2/cgpriceavailability/{path}");
        let mut request = Request::new(Method::GET, url.parse()?);
        let signer = IntoPath {
            key: "k/1".to_owned().into(),
        };
        signer.sign(&mut Attempt::new(&mut request, UNIX_EPOCH, [0; 16]))?;
        Ok(request.url().path().to_owned())
    }

    #[test]
    fn the_key_stands_where_the_placeholder_was() {
        let path = signed("LM358%2FN%20x/0/1/10/{apiKey}").expect("signed");
        let expected = "/wapi/v2/cgpriceavailability/LM358%2FN%20x/0/1/10/k%2F1";
        assert_eq!(path, expected);
        assert!(signed("LM358/0/1/10/%7BapiKey%7D").is_ok());
    }

    #[test]
    fn a_request_without_a_place_for_the_key_is_refused() {
        let error = signed("LM358/0/1/10").expect_err("no placeholder");
        assert_eq!(
            error.to_string(),
            "the path needs {apiKey} once, for the key"
        );
    }
}
