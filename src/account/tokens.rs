//! What an account tells of its token, and how a person logs in.

use super::Account;
use crate::auth::{AccessToken, AuthorizationRequest};
use crate::error::Error;

impl Account {
    /// Begins a login (RFC 6749 section 4.1 with PKCE, RFC 7636): send a person to its
    /// [`url`](AuthorizationRequest::url), and give it the address that they come back with. It
    /// sends nothing itself, and changes nothing until the login ends.
    ///
    /// Before the person goes, [`warm_up`](Self::warm_up) tells whether a login is needed, and
    /// proves that the token store could keep what it brings. [`AuthorizationRequest::exchange`]
    /// proves that once more before it sends the code.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, Grant, MemoryStore};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .authorization_url("oauth/authorize")
    ///     .token_url("oauth/token")
    ///     .client_id("my-client-id")
    ///     .grant(Grant::authorization_code("http://127.0.0.1:8139/callback"))
    ///     .token_store(MemoryStore::new())
    ///     .build()?;
    /// let request = account.authorization_request()?;
    /// let url = request.url().as_str();
    /// assert!(url.starts_with("https://api.acme.example/oauth/authorize?response_type=code&"));
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): the account has another grant, or no
    /// `authorization_url`.
    pub fn authorization_request(&self) -> Result<AuthorizationRequest, Error> {
        let request = match self.shared.authenticator.cache() {
            Some(cache) => cache.authorization_request(),
            None => Err(no_token_url("a login")),
        };
        request.map_err(|error| error.with_account(&self.shared.name))
    }

    /// Gets a token now unless there is one, so that a wrong secret or a missing login shows before
    /// the first request. An account without a token endpoint is always warm. Of this handle's
    /// defaults `timeout`, `deadline` and `max_wait` count.
    ///
    /// Where a person has to log in, it proves first, by a write, that the token store could keep
    /// what the login brings: call it before you send them. Each such call writes the record once
    /// and touches nothing of what it holds.
    ///
    /// # Errors
    /// Those of a request that needs a token:
    /// [`ErrorKind::TokenEndpoint`](crate::ErrorKind::TokenEndpoint), `ClientRejected`,
    /// `LoginRequired`, `Store`, `DeadlineExceeded`; `Config` if a secret cannot be read or the
    /// token is of a type other than Bearer. `Store` comes before `LoginRequired`: a login that
    /// nothing can keep is in vain.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait; a renewal that it began goes on.
    pub async fn warm_up(&self) -> Result<(), Error> {
        match self.shared.authenticator.cache() {
            Some(cache) => cache.warm_up(&self.defaults).await,
            None => Ok(()),
        }
    }

    /// An access token for use where the layers cannot be. It is renewed like that of a request, so
    /// ask anew each time, which costs next to nothing. Of this handle's defaults `timeout`,
    /// `deadline` and `max_wait` count.
    ///
    /// # Errors
    /// As [`warm_up`](Self::warm_up); [`ErrorKind::Config`](crate::ErrorKind::Config) for an
    /// account without a token endpoint too.
    ///
    /// # Cancel safety
    /// Dropping it ends the wait; a renewal that it began goes on.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        let token = self.shared.authenticator.token(&self.defaults).await?;
        token.ok_or_else(|| no_token_url("a token").with_account(&self.shared.name))
    }

    /// Takes the present token for refused: the next request waits for a new one. As with tokens
    /// that the API refuses, that happens twice at once and then once a minute at most; beyond that
    /// the present one stays in use.
    pub fn invalidate(&self) {
        if let Some(cache) = self.shared.authenticator.cache() {
            cache.invalidate();
        }
    }

    /// Gives the tokens back (RFC 7009) and forgets them, in the store too: the refresh token, with
    /// which the server ends the whole login, or the access token where there is no other. After
    /// that an account that a person logs in to waits for a login; any other gets new tokens. A
    /// store that fails to forget them is tried again in the background, which
    /// [`flush`](Self::flush) waits for.
    ///
    /// # Errors
    /// The account keeps its tokens:
    /// * [`ErrorKind::Config`](crate::ErrorKind::Config): there is no `revocation_url`, or a secret
    ///   cannot be read.
    /// * [`ErrorKind::ClientRejected`](crate::ErrorKind::ClientRejected): the server refused, as
    ///   for a wrong client secret.
    /// * [`ErrorKind::TokenEndpoint`](crate::ErrorKind::TokenEndpoint): the server could not be
    ///   reached or failed; or the published limits of the token endpoint leave no room within a
    ///   minute ([`Recovery::WaitUntil`](crate::Recovery::WaitUntil)).
    ///
    /// # Cancel safety
    /// Dropping it after its first poll does not stop the revocation; only the result is not told.
    pub async fn revoke(&self) -> Result<(), Error> {
        let revoked = match self.shared.authenticator.cache() {
            Some(cache) => cache.revoke().await,
            None => Err(no_token_url("a revocation")),
        };
        revoked.map_err(|error| error.with_account(&self.shared.name))
    }
}

fn no_token_url(what: &str) -> Error {
    Error::config(format!("token_url: is missing; {what} needs one"))
}
