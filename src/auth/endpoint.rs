//! The token endpoint (RFC 6749 section 3.2), as a port and as the real thing.
//!
//! The port delivers one request and says how sure it is that the server has seen it: a refresh
//! token that is good for one use must not be presented twice without a reason.

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, Method};
use reqwest::Client;
use url::Url;
use zeroize::Zeroizing;

use super::answer::{Class, Refusal, Reply};
use super::form::{Form, Ready};
use super::revocation::Revoked;
use super::{ClientAuth, OAuthSettings};
use crate::clock::BoxFuture;
use crate::percent;
use crate::secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_BODY: usize = 1 << 20;

/// Where tokens come from.
///
/// What must never happen: a request that is sent more than once, or [`Delivery::NotSent`] although
/// the server may have seen it. What is always fine: failing.
pub(crate) trait TokenEndpoint: Send + Sync + 'static {
    /// One request.
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery>;

    /// One request to the revocation endpoint (RFC 7009 section 2.1).
    fn revoke<'a>(&'a self, revoked: Revoked<'a>) -> BoxFuture<'a, Delivery>;
}

/// What is presented to get a token: an authorization grant (RFC 6749 section 1.3). No `Debug`: all
/// of it is secret.
#[derive(Clone, Copy)]
pub(crate) enum Presentation<'a> {
    /// The client's own credentials, which authenticate it anyway (section 4.4).
    ClientCredentials,
    /// Section 6.
    RefreshToken(&'a str),
    /// Section 4.1.3, with the verifier of RFC 7636 section 4.5.
    AuthorizationCode {
        code: &'a str,
        redirect_uri: &'a str,
        verifier: &'a str,
    },
    /// Section 4.3.
    Password { user: &'a str, password: &'a str },
    /// RFC 7523 section 2.1.
    Assertion(&'a str),
}

impl Presentation<'_> {
    /// Whether the token request names the scope. On a refresh, none means that of the original
    /// grant (RFC 6749 section 6), and that of a code was asked for at the authorization endpoint.
    fn takes_scope(self) -> bool {
        !matches!(self, Self::RefreshToken(_) | Self::AuthorizationCode { .. })
    }
}

/// How a token request ended.
pub(crate) enum Delivery {
    /// The server answered; `secrets` are what was sent and must not show in messages.
    Answered {
        reply: Reply,
        secrets: Vec<Zeroizing<String>>,
    },
    /// The server has not seen it.
    NotSent(Refusal),
    /// It left, and the answer is lost.
    Lost(Refusal),
}

/// The client for token requests of accounts that bring none: one for all of them, away from the
/// API's connections and quotas. It follows no redirect: a form with a secret in it must not
/// travel.
///
/// # Errors
/// As `Client::new` would panic: without a TLS backend or system configuration.
pub(crate) fn default_client() -> Result<Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    CLIENT.get_or_init(build_client).clone()
}

fn build_client() -> Result<Client, String> {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .build()
        .map_err(|error| format!("cannot be made: {error}; give one"))
}

/// The endpoint at a URL.
pub(crate) struct HttpEndpoint {
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) revocation_url: Option<Url>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) scope: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) fields: Vec<(String, Secret)>,
}

impl HttpEndpoint {
    pub(crate) fn new(settings: &OAuthSettings) -> Self {
        Self {
            client: settings.token_client.clone(),
            url: settings.token_url.clone(),
            revocation_url: settings.revocation_url.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            client_auth: settings.client_auth,
            scope: settings.scope.clone(),
            headers: settings.token_headers.clone(),
            fields: settings.token_fields.clone(),
        }
    }

    async fn deliver(&self, url: &Url, form: Result<Ready, String>) -> Delivery {
        let form = match form {
            Ok(form) => form,
            Err(sentence) => return Delivery::NotSent(misconfigured(sentence)),
        };
        let mut request = reqwest::Request::new(Method::POST, url.clone());
        *request.headers_mut() = form.headers;
        *request.body_mut() = Some(form.body.into());
        // A pooled connection that was dead already is no error here: hyper-util notices that
        // nothing was written and takes another one.
        match self.client.execute(request).await {
            Ok(response) => receive(response, form.secrets).await,
            Err(error) if error.is_connect() || error.is_builder() => {
                Delivery::NotSent(unanswered("cannot be reached", &error))
            }
            Err(error) => Delivery::Lost(unanswered("did not answer", &error)),
        }
    }

    /// Secrets given by reference are read anew for each request, so a rotated one is found.
    fn form(&self, presentation: Presentation<'_>) -> Result<Ready, String> {
        let mut form = Form::new(&self.headers);
        form.present(presentation);
        if let Some(scope) = self.scope.as_ref().filter(|_| presentation.takes_scope()) {
            form.field("scope", scope);
        }
        for (name, value) in &self.fields {
            form.secret_field(name, value.read()?);
        }
        self.authenticate(&mut form)?;
        Ok(form.finish())
    }

    fn revocation(&self, revoked: Revoked<'_>) -> Result<Ready, String> {
        let mut form = Form::new(&self.headers);
        let (token, hint) = revoked.parts();
        form.secret_field("token", Zeroizing::new(token.to_owned()));
        form.field("token_type_hint", hint);
        self.authenticate(&mut form)?;
        Ok(form.finish())
    }

    fn authenticate(&self, form: &mut Form) -> Result<(), String> {
        let Some(client_id) = &self.client_id else {
            return Ok(());
        };
        let secret = match &self.client_secret {
            Some(secret) => secret.read()?,
            // A public client has nothing to prove; it only says who it is.
            None => {
                form.field("client_id", client_id);
                return Ok(());
            }
        };
        match self.client_auth {
            ClientAuth::Basic => {
                let encoded = Zeroizing::new(percent::encode(&secret));
                form.basic(&percent::encode(client_id), &encoded)?;
                form.secrets.push(encoded);
            }
            ClientAuth::BasicRaw => form.basic(client_id, &secret)?,
            ClientAuth::Body => {
                form.field("client_id", client_id);
                form.secret_field("client_secret", secret.clone());
            }
        }
        form.secrets.push(secret);
        Ok(())
    }
}

impl TokenEndpoint for HttpEndpoint {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        Box::pin(self.deliver(&self.url, self.form(presentation)))
    }

    fn revoke<'a>(&'a self, revoked: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        let url = self.revocation_url.as_ref();
        let form = url.map(|_| self.revocation(revoked));
        let form = form.unwrap_or_else(|| Err("revocation_url: is missing".to_owned()));
        Box::pin(self.deliver(url.unwrap_or(&self.url), form))
    }
}

async fn receive(mut response: reqwest::Response, secrets: Vec<Zeroizing<String>>) -> Delivery {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                let refusal =
                    Refusal::new(Class::Transient, "the token endpoint answered too much");
                return Delivery::Lost(refusal);
            }
            Ok(None) => break,
            // An error's body says nothing that its status does not say; the status must not be
            // lost with it, or a refused grant would be presented again.
            Err(_) if !response.status().is_success() => break,
            Err(error) => {
                return Delivery::Lost(unanswered("broke off its answer", &error));
            }
        }
    }
    let reply = Reply {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    };
    Delivery::Answered { reply, secrets }
}

fn misconfigured(sentence: String) -> Refusal {
    Refusal::new(Class::Misconfigured, sentence)
}

/// Without the error's own text where that could show the URL: a tenant's token URL may hold a key.
fn unanswered(what: &str, error: &reqwest::Error) -> Refusal {
    let why = match error {
        error if error.is_timeout() => ": timed out".to_owned(),
        error => innermost(error).map_or_else(String::new, |text| format!(": {text}")),
    };
    Refusal::new(Class::Transient, format!("the token endpoint {what}{why}"))
}

fn innermost(error: &reqwest::Error) -> Option<String> {
    let mut source = std::error::Error::source(error)?;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    Some(source.to_string())
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
