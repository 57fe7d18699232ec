//! A login (RFC 6749 section 4.1 with PKCE, RFC 7636): the address where a person begins it, and
//! the exchange of the code that it ends with.
//!
//! The exchange takes the place of a flight, so there is still one token request at a time. It is a
//! task of its own, since a code is good for one use: a caller who goes away must not lose what it
//! brings. If it brings nothing, the account is as it was before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

use super::OAuthSettings;
use super::cache::refresh_task::{Shared, broken_off};
use super::oauth::grant::GrantKind;
use crate::error::{Error, ErrorKind, Recovery};
use crate::observe::span::Span;
use crate::sync::Handle;
use callback::Expected;
use exchange::{Code, Redeemed};
use exclusive::Place;

const STATE_BYTES: usize = 16;
/// As much as RFC 7636 section 7.1 asks for.
const VERIFIER_BYTES: usize = 32;

/// A login that somebody has begun: where to send the person, and what to do with the address they
/// come back with (RFC 6749 section 4.1).
///
/// It holds the login's secrets (`state`; the code verifier of RFC 7636), so it has to live from
/// the first step to the last. A web server keeps it by its [`state`](Self::state). It may be
/// dropped at any time: that only ends this attempt to log in.
pub struct AuthorizationRequest {
    shared: Arc<Shared>,
    url: Url,
    state: String,
    verifier: Zeroizing<String>,
    /// Whether the server hears of the verifier.
    pkce: bool,
    redirect_uri: (String, Url),
    issuer: Option<String>,
    /// The code has left.
    spent: Arc<AtomicBool>,
}

impl AuthorizationRequest {
    pub(super) fn new(shared: Arc<Shared>, settings: &OAuthSettings) -> Result<Self, Error> {
        let GrantKind::AuthorizationCode { redirect_uri } = &settings.grant.0 else {
            let text = "grant: a login needs Grant::authorization_code";
            return Err(Error::config(text));
        };
        let parsed = Url::parse(redirect_uri);
        let parsed = parsed.map_err(|_| Error::config("redirect_uri: is no URL"))?;
        let url = settings.authorization_url.clone();
        let url = url
            .ok_or_else(|| Error::config("authorization_url: is missing; a login begins there"))?;
        let state = random::<STATE_BYTES>()?.to_string();
        let verifier = random::<VERIFIER_BYTES>()?;
        let challenge = settings.pkce.then(|| challenge(&verifier));
        Ok(Self {
            url: address(url, settings, redirect_uri, &state, challenge.as_deref()),
            pkce: settings.pkce,
            shared,
            state,
            verifier,
            redirect_uri: (redirect_uri.clone(), parsed),
            issuer: settings.issuer.clone(),
            spent: Arc::default(),
        })
    }

    /// Where the person logs in: to be opened in a browser. It holds no secret that lasts longer
    /// than this login.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The random word that the server sends back with the person (RFC 6749 section 10.12), by
    /// which a web server finds this request again.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Where the person arrives in the end, as the grant names it: what a listener listens at.
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_uri.1
    }

    /// Whether an address, in the forms that [`exchange`](Self::exchange) takes, is of this login:
    /// it is the redirect URI and has the login's `state`, whatever else is wrong with it.
    ///
    /// Anybody can make a browser open an address, so a listener must not end with one that is not.
    /// One that is ends the login, unless its exchange fails with [`ErrorKind::TokenEndpoint`].
    pub fn is_answered_by(&self, callback_url: &str) -> bool {
        self.expected().own(callback_url).is_ok()
    }

    /// Ends the login with the address at which the person arrived: the whole one, as a browser
    /// shows it, or its path and query, as a web server sees it. When this returns `Ok`, the tokens
    /// are stored and all requests of the account use them.
    ///
    /// The code in the address is sent once and never again, and not before a write has proved that
    /// the store could keep what it brings. An address that does not belong to
    /// this login spends nothing, so that the right one may follow.
    ///
    /// # Errors
    /// * [`ErrorKind::LoginRequired`]: the person or the server said no, the code came too late or
    ///   its answer was lost: a new login has to begin. Or the address is not of this login (its
    ///   redirect URI, `state` or issuer differ): then the right one may follow.
    /// * [`ErrorKind::ClientRejected`]: the server does not know the client, the scope or the
    ///   redirect URI.
    /// * [`ErrorKind::TokenEndpoint`]: it could not be reached, or its published limits leave no
    ///   room within a minute ([`Recovery::WaitUntil`]); the same address may be given again.
    /// * [`ErrorKind::Config`]: a secret cannot be read, or the token is of a type other than
    ///   Bearer.
    /// * [`ErrorKind::Store`]: the store did not show that it could keep the login. The code is
    ///   unsent, and the same address may be given again. Or, where
    ///   [`Health::is_unsaved`](super::Health::is_unsaved) then holds, the login worked and
    ///   requests use its tokens, but the store has not taken them yet. It is tried again until it
    ///   does.
    ///
    /// Whatever fails, the tokens of an earlier login stay in use.
    ///
    /// # Cancel safety
    /// Dropping it after its first poll does not stop the exchange; only the result is not told.
    pub async fn exchange(&self, callback_url: &str) -> Result<(), Error> {
        let exchanged = self.exchange_once(callback_url).await;
        exchanged.map_err(|error| error.with_account(&self.shared.account))
    }

    async fn exchange_once(&self, callback_url: &str) -> Result<(), Error> {
        let code = Code {
            code: self.expected().code(callback_url)?,
            redirect_uri: self.redirect_uri.0.clone(),
            verifier: self.pkce.then(|| self.verifier.clone()),
        };
        let runtime = Handle::try_current().map_err(|_| broken_off())?;
        if self.spent.swap(true, Ordering::Relaxed) {
            return Err(spent());
        }
        let span = Span::login(&self.shared.account);
        let (shared, spending, seen) = (self.shared.clone(), self.spent.clone(), span.clone());
        let task = async move {
            let exchanged = exchange(shared, code, spending).await;
            seen.ended(match &exchanged {
                Ok(()) => "logged_in",
                Err(error) => error.kind().as_str(),
            });
            exchanged
        };
        let exchanged = runtime.spawn(span.around(task)).await;
        exchanged.unwrap_or_else(|_| Err(spent()))
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            redirect_uri: &self.redirect_uri.1,
            state: &self.state,
            issuer: self.issuer.as_deref(),
        }
    }
}

/// Without the verifier, and without the URL, whose query is the login's alone.
impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("account", &self.shared.account)
            .finish_non_exhaustive()
    }
}

/// RFC 6749 section 4.1.1 and RFC 7636 section 4.3; a query that the URL has already stays.
fn address(
    mut url: Url,
    settings: &OAuthSettings,
    redirect_uri: &str,
    state: &str,
    challenge: Option<&str>,
) -> Url {
    let mut query = url.query_pairs_mut();
    query.append_pair("response_type", "code");
    query.append_pair(
        "client_id",
        settings.client_id.as_deref().unwrap_or_default(),
    );
    query.append_pair("redirect_uri", redirect_uri);
    if let Some(scope) = &settings.scope {
        query.append_pair("scope", scope);
    }
    query.append_pair("state", state);
    if let Some(challenge) = challenge {
        query.append_pair("code_challenge", challenge);
        query.append_pair("code_challenge_method", "S256");
    }
    drop(query);
    url
}

/// RFC 7636 section 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// So many bytes that nobody can guess, as text.
pub(super) fn random<const BYTES: usize>() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    getrandom::fill(&mut *bytes).map_err(|_| {
        let text = "the system gives no random bytes";
        Error::new(ErrorKind::Config, Recovery::Retry, text)
    })?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

async fn exchange(shared: Arc<Shared>, code: Code, spent: Arc<AtomicBool>) -> Result<(), Error> {
    let (place, launch) = match Place::take(shared).await {
        Ok(taken) => taken,
        Err(error) => {
            spent.store(false, Ordering::Relaxed);
            return Err(error);
        }
    };
    let redeemed = place.shared.source.redeem(place.plan, launch, &code).await;
    if matches!(redeemed, Redeemed::Unsent(_)) {
        spent.store(false, Ordering::Relaxed);
    }
    place.end(redeemed)
}

fn spent() -> Error {
    let text = "log in again: the code of this login was sent already, and is good for one use";
    Error::new(ErrorKind::LoginRequired, Recovery::LogIn, text)
}

pub(super) mod callback;
pub(super) mod exchange;
pub(super) mod exclusive;
pub(super) mod revoke;
#[cfg(test)]
mod tests;
