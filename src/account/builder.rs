//! What an account is made of: the setters.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::{Account, Settings, build};
use crate::auth::credentials::keys::HeaderPlace;
use crate::auth::credentials::scheme::{Make, Scheme};
use crate::auth::persistence::refresh_chain::PATIENCE;
use crate::auth::store::TokenStore;
use crate::auth::{ClientAuth, Grant, Signer};
use crate::clock::Clock;
use crate::error::Error;
use crate::observe::event::Observer;
use crate::options::RequestOptions;
use crate::rate_limit::{Quota, QuotaStore, Window};
use crate::response_rules::Rule;
use crate::secret::Secret;

/// Which of a vendor's environments; the word `sandbox` alone means this crate's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// The real one.
    #[default]
    Production,
    /// The vendor's sandbox, with its own host, token endpoint and clients.
    Sandbox,
}

/// Makes an [`Account`]. Setters never fail; [`build`](Self::build) checks everything, and refuses
/// what would have no effect, such as a `scope` without a `token_url`.
#[must_use]
pub struct AccountBuilder {
    pub(crate) settings: Settings,
}
impl AccountBuilder {
    /// How long before its expiry a token is renewed: see [`refresh_lead`](Self::refresh_lead).
    pub const DEFAULT_REFRESH_LEAD: Duration = Duration::from_secs(5 * 60);
    /// See [`orphan_patience`](Self::orphan_patience).
    pub const DEFAULT_ORPHAN_PATIENCE: Duration = PATIENCE;
    /// See [`max_replays`](Self::max_replays).
    pub const DEFAULT_MAX_REPLAYS: u32 = 3;
    /// See [`unanswered_after`](Self::unanswered_after).
    pub const DEFAULT_UNANSWERED_AFTER: Duration = Duration::from_secs(5 * 60);

    /// What stores, events and errors call the account. With a refresh token it is all that tells
    /// two persons of one client apart in a store: give each account a name of its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The vendor's environment: every URL of a preset at once. An own [`base_url`](Self::base_url)
    /// goes before it.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.settings.environment = environment;
        self
    }

    /// The URL whose origin is the account's; a relative token URL follows it. It goes before the
    /// [`environment`](Self::environment).
    pub fn base_url(mut self, url: impl AsRef<str>) -> Self {
        url.as_ref().clone_into(&mut self.settings.base_url);
        self.settings.has_own_base_url = true;
        self.settings.sandbox_url = None;
        self
    }

    /// One more origin (scheme, host, port) that gets the account's credentials and is metered.
    pub fn origin(mut self, origin: impl AsRef<str>) -> Self {
        self.settings.origins.push(origin.as_ref().to_owned());
        self
    }

    /// A header on every request to the account's origins; it does not replace one that the
    /// request has already. Its value is marked sensitive, so that it does not show in `Debug`.
    ///
    /// Take the client from [`Account::client`] or
    /// [`http_client_builder`](crate::http_client_builder), or give yours
    /// [`same_origin_redirects`](crate::same_origin_redirects): else reqwest sends the header along
    /// when it follows a redirect to another origin.
    pub fn header(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.settings.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A key in the query of every request to the account's origins; one that the request has
    /// already stays. It does not show: the URL of the response and that of an error are the ones
    /// that the caller gave, a `Location` comes without the key, and a layer beneath whose error
    /// would show it has its error replaced by one with the same texts, less the key. Logs that a
    /// layer beneath writes itself are its own.
    ///
    /// Take the client from [`Account::client`] or
    /// [`http_client_builder`](crate::http_client_builder), or give yours
    /// [`same_origin_redirects`](crate::same_origin_redirects): else reqwest sends the key along as
    /// `Referer` when it follows a redirect to another origin.
    pub fn query(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.settings.query.push((name.to_owned(), value.into()));
        self
    }

    /// A token that does not come from a token endpoint, as `Authorization: Bearer` (RFC 6750).
    pub fn bearer(mut self, token: impl Into<Secret>) -> Self {
        self.settings.note("bearer");
        self.settings.authorization = Some(HeaderPlace::Bearer(token.into()));
        self
    }

    /// A user and a password, as `Authorization: Basic` (RFC 7617).
    pub fn basic(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.settings.note("basic");
        self.settings.authorization = Some(HeaderPlace::Basic {
            user: user.into(),
            password: password.into(),
        });
        self
    }

    /// Who signs each attempt of a request to the account's origins, after everything else is on
    /// it.
    pub fn signer(mut self, signer: impl Signer) -> Self {
        self.settings.signer = Some(Arc::new(signer));
        self
    }

    /// Signed in a preset's way, once the secrets of it are known.
    pub(crate) fn signed_by(mut self, make: Make) -> Self {
        self.settings.scheme = Some(Scheme::new(make));
        self
    }

    /// One of the secrets that the preset's signature is made of.
    pub(crate) fn signing_secret(mut self, name: &'static str, secret: Secret) -> Self {
        if let Some(scheme) = &mut self.settings.scheme {
            scheme.set(name, secret);
        }
        self
    }

    /// What some answer means; the first rule that matches decides. Rules given later come before
    /// those given earlier, so that a preset's can be overruled.
    ///
    /// Where a rule for the status of an answer has a phrase for the body ([`Rule::body`]), the
    /// answer is handed on once its body is there, which stays untouched. One that says its length
    /// (`Content-Length`) is waited for as long as the client itself would: its timeouts hold. One
    /// that does not is waited for 30 s at most. No phrase is looked for in a body of more than
    /// 64 KiB, which is handed on at once, or where it does not say its length, after the first
    /// 64 KiB; nor in a stream (`text/event-stream`, `application/x-ndjson`, `application/grpc`,
    /// `multipart/x-mixed-replace` and the like).
    pub fn rule(mut self, rule: Rule) -> Self {
        self.settings.rules.insert(0, rule);
        self
    }

    /// The OAuth client's id (RFC 6749 section 2.2).
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.settings.note("client_id");
        self.settings.client_id = Some(id.into());
        self
    }

    /// The OAuth client's secret; without one it is a public client (RFC 6749 section 2.1).
    pub fn client_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.settings.note("client_secret");
        self.settings.client_secret = Some(secret.into());
        self
    }

    /// How the client authenticates itself at the token endpoint; default
    /// [`ClientAuth::Basic`].
    pub fn client_auth(mut self, how: ClientAuth) -> Self {
        self.settings.note("client_auth");
        self.settings.client_auth = how;
        self
    }

    /// How tokens are got; default [`Grant::client_credentials`] where there is a token URL.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.settings.note("grant");
        self.settings.grant = Some(grant);
        self
    }

    /// The token endpoint (RFC 6749 section 3.2), absolute or relative to the base URL.
    pub fn token_url(mut self, url: impl AsRef<str>) -> Self {
        self.settings.token_url = Some(url.as_ref().to_owned());
        self
    }

    /// The authorization endpoint (RFC 6749 section 3.1), where a person logs in; absolute or
    /// relative to the base URL. Only a login uses it
    /// ([`Account::authorization_request`]).
    pub fn authorization_url(mut self, url: impl AsRef<str>) -> Self {
        self.settings.note("authorization_url");
        self.settings.authorization_url = Some(url.as_ref().to_owned());
        self
    }

    /// The same for a preset, most of whose accounts nobody logs in to.
    pub(crate) fn login_at(mut self, authorization_url: &str) -> Self {
        self.settings.authorization_url = Some(authorization_url.to_owned());
        self
    }

    /// The revocation endpoint (RFC 7009), absolute or relative to the base URL; only
    /// [`Account::revoke`] uses it.
    pub fn revocation_url(mut self, url: impl AsRef<str>) -> Self {
        self.settings.note("revocation_url");
        self.settings.revocation_url = Some(url.as_ref().to_owned());
        self
    }

    /// Who the authorization server says it is when it sends a person back (`iss`, RFC 9207). A
    /// callback that names another one, or none, is then refused; default: not checked.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.note("issuer");
        self.settings.issuer = Some(issuer.into());
        self
    }

    /// Whether a login is bound to this process by a code verifier (PKCE, RFC 7636); default: yes.
    /// No for a server that refuses parameters which it does not know, although RFC 6749 section
    /// 3.1 has it ignore them. Without it only `state` and the client's secret keep a stolen code
    /// from being used.
    pub fn pkce(mut self, used: bool) -> Self {
        self.settings.note("pkce");
        self.settings.pkce = used;
        self
    }

    /// The scope to ask for (RFC 6749 section 3.3); default: none.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.settings.note("scope");
        self.settings.scope = Some(scope.into());
        self
    }

    /// Whether the [`scope`](Self::scope) is sent on a refresh too, for servers that want it there;
    /// default: no, since without it the new token has the scope of the old one (RFC 6749
    /// section 6).
    pub fn scope_on_refresh(mut self, sent: bool) -> Self {
        self.settings.note("scope_on_refresh");
        self.settings.scope_on_refresh = sent;
        self
    }

    /// For how long the authorization server accepts a refresh token once more after its use, as
    /// some do so that a lost answer costs no login; default: unknown. Where it is known, the login
    /// of a process that was ended in the middle of a renewal is taken up within that time instead
    /// of after [`orphan_patience`](Self::orphan_patience).
    ///
    /// State what your server documents and no more: a server that forgives nothing takes the
    /// second use for theft, and revokes the login (RFC 9700 section 4.14.2). Zero says that it
    /// forgives nothing, also where a preset says otherwise; so does less than a second.
    pub fn refresh_token_grace(mut self, span: Duration) -> Self {
        self.settings.note("refresh_token_grace");
        self.settings.terms.grace = Some(span);
        self
    }

    /// How long a renewal that another process has begun is left alone, where the token store
    /// cannot tell whether that process is alive; default
    /// [`DEFAULT_ORPHAN_PATIENCE`](Self::DEFAULT_ORPHAN_PATIENCE), in which every living process
    /// has its answer. A [`FileStore`](crate::FileStore) can tell and needs none of it. Processes
    /// on machines that sleep want more (300 s): one that wakes later with its answer has lost the
    /// login. Zero is refused.
    ///
    /// It is counted by the process that waits, from when it first saw the other's renewal. Its
    /// access token is used meanwhile.
    pub fn orphan_patience(mut self, span: Duration) -> Self {
        self.settings.note("orphan_patience");
        self.settings.terms.patience = span;
        self
    }

    /// One more header on the token request. `User-Agent` is `reqwest-tollgate/VERSION` unless it
    /// is set here; a [`token_client`](Self::token_client) of your own has its own.
    pub fn token_header(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.settings.note("token_headers");
        self.settings
            .token_headers
            .push((name.to_owned(), value.into()));
        self
    }

    /// One more field in the token request's form.
    pub fn token_field(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.settings.note("token_fields");
        self.settings
            .token_fields
            .push((name.to_owned(), value.into()));
        self
    }

    /// What some answer of the token endpoint means, whose words are not those of RFC 6749:
    /// [`Verdict::GrantRejected`], [`ClientRejected`], [`RateExceeded`] or [`Unavailable`]. The
    /// first rule that matches decides; rules given later come before those given earlier.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, Rule, Verdict};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .token_url("/oauth/token")
    ///     .client_id("my-client-id")
    ///     .token_rule(Rule::new(422, Verdict::GrantRejected).body("token is used up"))
    ///     .token_rule(Rule::new(403, Verdict::Unavailable))
    ///     .build()?;
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    ///
    /// [`Verdict::GrantRejected`]: crate::Verdict::GrantRejected
    /// [`ClientRejected`]: crate::Verdict::ClientRejected
    /// [`RateExceeded`]: crate::Verdict::RateExceeded
    /// [`Unavailable`]: crate::Verdict::Unavailable
    pub fn token_rule(mut self, rule: Rule) -> Self {
        self.settings.note("token_rules");
        self.settings.token_rules.insert(0, rule);
        self
    }

    /// The client for token requests, for a proxy or a private CA. It should not follow redirects:
    /// a redirected token request carries the client's secret along. An answer from another origin
    /// than the token URL's is refused.
    ///
    /// Default: one client for all accounts of the process, redirects off, 10 s to connect, 60 s in
    /// all; no proxy where the token URL is on this machine.
    pub fn token_client(mut self, client: reqwest::Client) -> Self {
        self.settings.note("token_client");
        self.settings.token_client = Some(client);
        self
    }

    /// A limit that the token endpoint publishes; may be called several times (Nexar: 2/s,
    /// 200/15min and 3000/12h). Default: none; an account alone never asks more than three times at
    /// once and then once a second.
    ///
    /// Accounts of one process that have such windows and whose token URLs share an origin count
    /// together, and each keeps to the windows of all, as long as one of them lives. Every request
    /// to the endpoint counts until it is answered and so long after: renewals, the repetition
    /// after a lost answer, logins and revocations; only one that could not be sent does not. While
    /// there is no room a usable token stays in use; who has none waits, or fails with the time as
    /// [`RequestOptions::max_wait`] says.
    ///
    /// Only limit and length matter; `build()` refuses pacing, a reserve, headers and another unit
    /// than requests here.
    pub fn token_window(mut self, window: Window) -> Self {
        self.settings.note("token_windows");
        self.settings.token_windows.push(window);
        self
    }

    /// Where tokens survive the process. An account whose refresh token is good for one use has no
    /// default: `build()` asks for one.
    pub fn token_store(mut self, store: impl TokenStore) -> Self {
        self.settings.note("token_store");
        self.settings.token_store = Some(Arc::new(store));
        self
    }

    /// Whether a token is renewed also while nobody asks for it, so that the first request after a
    /// pause finds a fresh one; default: no, the first request after a long pause waits for one
    /// token request.
    ///
    /// It begins with the first request or [`Account::warm_up`], renews no earlier or more often
    /// than requests would, and ends with the account: with its last handle and layer. A token
    /// that was revoked is not replaced before somebody asks for one.
    pub fn keep_warm(mut self, keep: bool) -> Self {
        self.settings.note("keep_warm");
        self.settings.keep_warm = keep;
        self
    }

    /// How long before its expiry a token is renewed; default
    /// [`DEFAULT_REFRESH_LEAD`](Self::DEFAULT_REFRESH_LEAD), or a quarter of the token's lifetime,
    /// if that is less (TME's tokens live 300 s: a fixed lead of that much would fetch one per
    /// request). By chance up to a fifth earlier, so that a fleet does not renew together; and at
    /// least 30 s, or a tenth of the lifetime if that is less.
    pub fn refresh_lead(mut self, lead: Duration) -> Self {
        self.settings.note("refresh_lead");
        self.settings.refresh_lead = lead;
        self
    }

    /// The lifetime of a token whose endpoint does not say it (`expires_in` missing or unusable).
    ///
    /// Default: it is renewed as if it lived 300 s, or less after one that was refused earlier, but
    /// never taken for expired. [`build`](Self::build) refuses zero.
    pub fn fallback_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.note("fallback_lifetime");
        self.settings.fallback_lifetime = Some(lifetime);
        self
    }

    /// One more status that can mean "token refused", beside 401; some servers say 403. Of 400 to
    /// 499, but not 429, which is about the rate.
    pub fn rejection_status(mut self, status: StatusCode) -> Self {
        self.settings.note("rejection_statuses");
        self.settings.rejection_statuses.push(status);
        self
    }

    /// A refused request whose body contains this phrase was not refused for its token: the answer
    /// is returned, and no token renewed. It is compared as those of a [`Rule`] are: as whole
    /// words, and letter case and white space do not count.
    pub fn not_the_token(mut self, phrase: impl Into<String>) -> Self {
        self.settings.note("not_the_token");
        self.settings.not_the_token.push(phrase.into());
        self
    }

    /// Whether a request whose token was refused is sent again; default: yes. With a new token; or
    /// first with the same one, where that has just worked for another request and the answer does
    /// not say that it is invalid (at most five such retries that are refused too, and six more a
    /// minute). If it is not sent again, the token is renewed all the same.
    pub fn replay_unauthorized(mut self, replay: bool) -> Self {
        self.settings.note("replay_unauthorized");
        self.settings.replay_unauthorized = replay;
        self
    }

    /// Adds a window to the default quota; it replaces the one of the same length and unit, and if
    /// it names no response headers, those of the replaced one go on reporting on it.
    ///
    /// Quotas without windows of their own have these windows too, each counting for itself: with
    /// a preset that limits each API product alike, `.window(Window::per_minute(60))` changes the
    /// minute of all its products.
    pub fn window(mut self, window: Window) -> Self {
        self.settings.windows.push(window);
        self
    }

    /// Adds a quota; it replaces the one of that name. Without windows of its own it has those of
    /// the default quota, counted for itself.
    ///
    /// One named [`Quota::DEFAULT`] replaces the default quota and with it all windows so far.
    pub fn quota(mut self, quota: Quota) -> Self {
        if quota.name == Quota::DEFAULT {
            self.settings.windows.clear();
        }
        self.settings.quotas.push(quota);
        self
    }

    /// Where what is used of the quotas survives the process, so that a restart does not forget the
    /// day; default: nowhere. What the server told of its limits, pauses and paces go along.
    ///
    /// It is read by [`build`](Self::build), which blocks for that moment, 5 s at most, and written
    /// about a second after each change, by [`Account::flush`](crate::Account::flush), and when the
    /// last handle of the account is dropped. Each write has a thread of its own, and there is one
    /// at a time: a store that hangs (a dead mount) holds that one thread and nothing else, and is
    /// written to again once it answers. Dropped outside of a runtime, the last handle waits for
    /// the store, 10 s at most. After a crash the last second is forgotten: where that matters,
    /// configure a little less than the limit. What cannot be read, or is not written within 10 s,
    /// is an [`Event::QuotaStoreFailed`](crate::Event::QuotaStoreFailed), and the account goes on.
    ///
    /// What was saved of a quota that the account does not have is kept for another run, for as
    /// long as anything of it counts.
    ///
    /// It is kept by the host of the base URL and the client id; without one, by what the account's
    /// keys show of the customer (the user of [`basic`](Self::basic), or fingerprints of 32 bits);
    /// and without any, by the account's name. So an account may be renamed. One with another key
    /// is another customer's.
    ///
    /// It is the memory of one account of one process, not a way to share a quota: of two processes
    /// with one folder only the first one saves, until its account ends, and each counts for
    /// itself.
    ///
    /// ```
    /// use reqwest_tollgate::{Account, FileStore, Window};
    ///
    /// let account = Account::builder("acme", "https://api.acme.example")
    ///     .window(Window::per_utc_day(1000))
    ///     .quota_store(FileStore::new("/var/lib/crawler/quotas"))
    ///     .build()?;
    /// # Ok::<(), reqwest_tollgate::Error>(())
    /// ```
    pub fn quota_store(mut self, store: impl QuotaStore) -> Self {
        self.settings.quota_store = Some(Arc::new(store));
        self
    }

    /// How often a request is sent again after a 429; default
    /// [`DEFAULT_MAX_REPLAYS`](Self::DEFAULT_MAX_REPLAYS). After the last one the caller gets the
    /// server's answer.
    pub fn max_replays(mut self, replays: u32) -> Self {
        self.settings.max_replays = replays;
        self
    }

    /// How many requests of a quota may be on the wire at once, at least 1; default: any number. A
    /// request is on the wire until the body of its answer has ended, or was dropped.
    ///
    /// A body that is not read yet is read ahead, 64 KiB of it, so that small answers may be kept
    /// unread. A larger one keeps its place until it is read or dropped, or for
    /// [`unanswered_after`](Self::unanswered_after) from its head.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.settings.max_in_flight = Some(requests);
        self
    }

    /// How many requests of a quota may wait at once; one more fails with
    /// [`ErrorKind::QueueFull`](crate::ErrorKind::QueueFull). Default: any number.
    pub fn max_queue(mut self, requests: usize) -> Self {
        self.settings.max_queue = Some(requests);
        self
    }

    /// A request that has no answer after so long counts as answered, so that one which hangs does
    /// not hold its place for ever; more than zero, default
    /// [`DEFAULT_UNANSWERED_AFTER`](Self::DEFAULT_UNANSWERED_AFTER).
    pub fn unanswered_after(mut self, span: Duration) -> Self {
        self.settings.unanswered_after = span;
        self
    }

    /// The response header with the distributor's name for the exchange, for events and errors;
    /// may be called several times. The first that an answer has counts, and those named later go
    /// before those named earlier. Where it has none, the id in the body of an error counts, if
    /// that was read (`requestId`, `correlationId`, `traceId` and the like).
    pub fn request_id_header(mut self, name: &str) -> Self {
        self.settings.request_id_headers.insert(0, name.to_owned());
        self
    }

    /// Whether every response carries a [`QuotaSnapshot`](crate::QuotaSnapshot); default: yes.
    pub fn snapshots(mut self, carried: bool) -> Self {
        self.settings.snapshots = carried;
        self
    }

    /// Defaults for all requests, beneath those of a handle, a task or a request. Given again, the
    /// later ones win field by field, so that a preset's stay where nothing is said.
    ///
    /// [`build`](Self::build) refuses a [cost](RequestOptions::cost) in a unit that no window of
    /// the account counts.
    pub fn options(mut self, defaults: RequestOptions) -> Self {
        let units = defaults.costs.units().map(str::to_owned);
        self.settings.cost_units.extend(units);
        self.settings.options = defaults.over(&self.settings.options);
        self
    }

    /// What a request costs that says nothing, for a preset whose windows may be replaced by others
    /// that do not count this unit.
    pub(crate) fn usual_cost(mut self, unit: &str, amount: u64) -> Self {
        let cost = RequestOptions::new().cost(unit, amount);
        self.settings.options = cost.over(&self.settings.options);
        self
    }

    /// Somebody who sees the account's events; may be called several times.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.settings.observers.push(Arc::new(observer));
        self
    }

    /// Another clock, for tests under paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Some(Arc::new(clock));
        self
    }

    /// Checks everything and makes the account. It sends nothing and needs no runtime; a
    /// [`quota_store`](Self::quota_store) is read.
    ///
    /// # Errors
    /// One [`ErrorKind::Config`](crate::ErrorKind::Config) that lists every problem, each with its
    /// field.
    pub fn build(self) -> Result<Account, Error> {
        build::build(self.settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_given_again_win_field_by_field() {
        let builder = Account::builder("acme", "https://api.acme.example")
            .options(RequestOptions::new().quota("q").timeout(Duration::ZERO))
            .options(RequestOptions::new().timeout(Duration::MAX));
        let options = builder.settings.options;
        assert_eq!(options.quota.as_deref(), Some("q"));
        assert_eq!(options.timeout, Some(Duration::MAX));
    }
}
