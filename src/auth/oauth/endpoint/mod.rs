//! The token endpoint (RFC 6749 section 3.2), as a port and as the real thing.
//!
//! The port delivers one request and says how sure it is that the server has seen it: a refresh
//! token that is good for one use must not be presented twice without a reason.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{HeaderMap, Method};
use reqwest::{Client, ClientBuilder};
use url::Url;
use zeroize::Zeroizing;

use super::request::{Form, Ready};
use super::response::{Class, LONGEST_BODY, Refusal, Reply, holds_refresh_token, presentable};
use super::transport;
use crate::auth::login::revoke::Revoked;
use crate::auth::{ClientAuth, OAuthSettings};
use crate::clock::{BoxFuture, Clock, time_limit};
use crate::origin::{is_loopback, same_origin};
use crate::percent;
use crate::secret::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_ORIGIN: usize = 100;
/// How long the rest of an answer may take once its status is there. Of a success it may hold the
/// only refresh token that is good; of a refusal the status says nearly everything.
const SUCCESS_TIMEOUT: Duration = Duration::from_secs(30);
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("reqwest-tollgate/", env!("CARGO_PKG_VERSION"));

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
    /// Section 4.1.3, with the verifier of RFC 7636 section 4.5 where the login has one.
    AuthorizationCode {
        code: &'a str,
        redirect_uri: &'a str,
        verifier: Option<&'a str>,
    },
    /// Section 4.3.
    Password { user: &'a str, password: &'a str },
    /// RFC 7523 section 2.1.
    Assertion(&'a str),
}

impl Presentation<'_> {
    /// Whether the token request names the scope. On a refresh, none means that of the original
    /// grant (RFC 6749 section 6), and that of a code was asked for at the authorization endpoint.
    fn takes_scope(self, on_refresh: bool) -> bool {
        match self {
            Self::RefreshToken(_) => on_refresh,
            Self::AuthorizationCode { .. } => false,
            Self::ClientCredentials | Self::Password { .. } | Self::Assertion(_) => true,
        }
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
    /// It left, and the answer is lost. Where the class is [`Class::Misconfigured`] or
    /// [`Class::Untrusted`], a repetition would end alike.
    Lost {
        refusal: Refusal,
        /// The server closed the connection before any byte of an answer. Most servers have not
        /// seen the request then, but that is not sure.
        #[allow(dead_code)] // For the repetition at once.
        is_closed: bool,
    },
}

/// The client for token requests of accounts that bring none: one for all of them, away from the
/// API's connections and quotas, and another for endpoints on this machine, which no proxy reaches.
/// It follows no redirect: a form with a secret in it must not travel.
///
/// # Errors
/// As `Client::new` would panic: without a TLS backend or system configuration.
pub(crate) fn default_client(url: &Url) -> Result<Client, String> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    static LOOPBACK_CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let client = match is_loopback(url) {
        true => LOOPBACK_CLIENT.get_or_init(|| build_client(client_builder().no_proxy())),
        false => CLIENT.get_or_init(|| build_client(client_builder())),
    };
    client.clone()
}

fn client_builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
    // No timeout in all: reqwest's looks at the time before the answer, and a process that was
    // stopped would drop the one that waits in its socket. `LONGEST_REQUEST` ends a request.
}

fn build_client(builder: ClientBuilder) -> Result<Client, String> {
    builder
        .build()
        .map_err(|error| format!("cannot be made: {error}; give one"))
}

/// The endpoint at a URL.
pub(crate) struct HttpEndpoint {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) revocation_url: Option<Url>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) scope: Option<String>,
    pub(crate) scope_on_refresh: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) fields: Vec<(String, Secret)>,
}

impl HttpEndpoint {
    pub(crate) fn new(settings: &OAuthSettings, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            client: settings.token_client.clone(),
            url: settings.token_url.clone(),
            revocation_url: settings.revocation_url.clone(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            client_auth: settings.client_auth,
            scope: settings.scope.clone(),
            scope_on_refresh: settings.scope_on_refresh,
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
            Ok(response) => self.receive(response, url, form.secrets).await,
            Err(error) => transport::failed(&error, url, &form.secrets),
        }
    }

    async fn receive(
        &self,
        mut response: reqwest::Response,
        url: &Url,
        secrets: Vec<Zeroizing<String>>,
    ) -> Delivery {
        if !same_origin(response.url(), url) {
            return followed(response.url(), &secrets);
        }
        let is_success = response.status().is_success();
        let span = match is_success {
            true => SUCCESS_TIMEOUT,
            false => REFUSAL_TIMEOUT,
        };
        let (body, end) = read_body(&mut response, time_limit(&self.clock, span)).await;
        // A refusal's body says little that its status does not say; the status must not be lost
        // with it, or a refused grant would be presented again.
        let is_needed = is_success && !holds_refresh_token(&body);
        let refusal = match end {
            End::Broken(error) if is_needed => {
                transport::unanswered("broke off its answer", &error, url, &secrets)
            }
            End::Hanging if is_needed => Refusal::new(
                Class::Transient,
                "the token endpoint did not end its answer: timed out",
            ),
            _ => {
                let reply = Reply {
                    status: response.status(),
                    headers: std::mem::take(response.headers_mut()),
                    body,
                };
                return Delivery::Answered { reply, secrets };
            }
        };
        let is_closed = false;
        Delivery::Lost { refusal, is_closed }
    }

    /// Secrets given by reference are read anew for each request, so a rotated one is found.
    fn form(&self, presentation: Presentation<'_>) -> Result<Ready, String> {
        let mut form = Form::new(&self.headers);
        form.present(presentation);
        let takes_scope = presentation.takes_scope(self.scope_on_refresh);
        if let Some(scope) = self.scope.as_ref().filter(|_| takes_scope) {
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

/// How the body of an answer ended.
enum End {
    /// With its last byte, or at the limit.
    Read,
    Broken(reqwest::Error),
    /// It did not, in the time it had.
    Hanging,
}

/// As much of the body as comes in time and is read.
async fn read_body(
    response: &mut reqwest::Response,
    mut time: BoxFuture<'static, ()>,
) -> (Zeroizing<Vec<u8>>, End) {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        let chunk = match select(Box::pin(response.chunk()), &mut time).await {
            Either::Left((chunk, _)) => chunk,
            Either::Right(_) => return (body, End::Hanging),
        };
        match chunk {
            Ok(Some(chunk)) => {
                // One byte beyond the limit shows that there is more.
                let room = LONGEST_BODY + 1 - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() > LONGEST_BODY {
                    return (body, End::Read);
                }
            }
            Ok(None) => return (body, End::Read),
            Err(error) => return (body, End::Broken(error)),
        }
    }
}

/// A client that follows redirects came back from another origin: nothing there was asked.
fn followed(elsewhere: &Url, secrets: &[Zeroizing<String>]) -> Delivery {
    let secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    let origin = elsewhere.origin().ascii_serialization();
    let origin = presentable(&origin, LONGEST_ORIGIN, &secrets);
    let refusal = misconfigured(format!(
        "token_client: followed a redirect of the token endpoint to {origin}, whose answer is not \
         read; expected a client that follows no redirect, and a token_url that needs none"
    ));
    let is_closed = false;
    Delivery::Lost { refusal, is_closed }
}

fn misconfigured(sentence: String) -> Refusal {
    Refusal::new(Class::Misconfigured, sentence)
}

#[cfg(test)]
mod tests;
