//! What an account's builder was told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::builder::{AccountBuilder, Environment};
use crate::auth::credentials::keys::HeaderPlace;
use crate::auth::credentials::scheme::Scheme;
use crate::auth::persistence::refresh_chain::Terms;
use crate::auth::store::TokenStore;
use crate::auth::{ClientAuth, Grant, Signer};
use crate::clock::Clock;
use crate::observe::event::Observer;
use crate::options::RequestOptions;
use crate::rate_limit::{Quota, QuotaStore, Window};
use crate::response_rules::Rule;
use crate::secret::Secret;

/// What a builder was told, unchecked.
pub(crate) struct Settings {
    /// What was set by name, by a user or from a configuration file: it must have an effect. What a
    /// preset fills in beside may have none.
    pub(crate) noted: BTreeSet<&'static str>,
    pub(crate) name: String,
    pub(crate) base_url: String,
    /// Whether the base URL was set after the builder was made, which puts it before any
    /// environment's.
    pub(crate) has_own_base_url: bool,
    /// The vendor's sandbox, where a preset knows one.
    pub(crate) sandbox_url: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) origins: Vec<String>,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) query: Vec<(String, Secret)>,
    pub(crate) authorization: Option<HeaderPlace>,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    /// How a preset signs; an own signer goes before it.
    pub(crate) scheme: Option<Scheme>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) client_id: Option<String>,
    /// Headers whose value is the client id, on every request (DigiKey).
    pub(crate) client_id_headers: Vec<String>,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) client_auth: ClientAuth,
    pub(crate) grant: Option<Grant>,
    pub(crate) token_url: Option<String>,
    pub(crate) authorization_url: Option<String>,
    pub(crate) revocation_url: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) scope_on_refresh: bool,
    pub(crate) pkce: bool,
    pub(crate) token_headers: Vec<(String, Secret)>,
    pub(crate) token_fields: Vec<(String, Secret)>,
    pub(crate) token_rules: Vec<Rule>,
    pub(crate) token_client: Option<reqwest::Client>,
    pub(crate) token_store: Option<Arc<dyn TokenStore>>,
    pub(crate) terms: Terms,
    pub(crate) token_windows: Vec<Window>,
    pub(crate) keep_warm: bool,
    pub(crate) refresh_lead: Duration,
    pub(crate) fallback_lifetime: Option<Duration>,
    pub(crate) rejection_statuses: Vec<StatusCode>,
    pub(crate) not_the_token: Vec<String>,
    pub(crate) replay_unauthorized: bool,
    pub(crate) windows: Vec<Window>,
    pub(crate) quotas: Vec<Quota>,
    pub(crate) quota_store: Option<Arc<dyn QuotaStore>>,
    pub(crate) max_replays: u32,
    pub(crate) max_in_flight: Option<usize>,
    pub(crate) max_queue: Option<usize>,
    pub(crate) unanswered_after: Duration,
    /// The first that an answer has counts.
    pub(crate) request_id_headers: Vec<String>,
    pub(crate) snapshots: bool,
    pub(crate) options: RequestOptions,
    /// The units of the costs among them that no preset has filled in.
    pub(crate) cost_units: BTreeSet<String>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    /// Keys of a configuration file whose literal values are secrets.
    pub(crate) literals: Vec<String>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl Settings {
    pub(super) fn new(name: String, base_url: String) -> Self {
        Self {
            noted: BTreeSet::new(),
            name,
            base_url,
            has_own_base_url: false,
            sandbox_url: None,
            environment: Environment::default(),
            origins: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            authorization: None,
            signer: None,
            scheme: None,
            rules: Vec::new(),
            client_id: None,
            client_id_headers: Vec::new(),
            client_secret: None,
            client_auth: ClientAuth::default(),
            grant: None,
            token_url: None,
            authorization_url: None,
            revocation_url: None,
            issuer: None,
            scope: None,
            scope_on_refresh: false,
            pkce: true,
            token_headers: Vec::new(),
            token_fields: Vec::new(),
            token_rules: Vec::new(),
            token_client: None,
            token_store: None,
            terms: Terms::default(),
            token_windows: Vec::new(),
            keep_warm: false,
            refresh_lead: AccountBuilder::DEFAULT_REFRESH_LEAD,
            fallback_lifetime: None,
            rejection_statuses: vec![StatusCode::UNAUTHORIZED],
            not_the_token: Vec::new(),
            replay_unauthorized: true,
            windows: Vec::new(),
            quotas: Vec::new(),
            quota_store: None,
            max_replays: AccountBuilder::DEFAULT_MAX_REPLAYS,
            max_in_flight: None,
            max_queue: None,
            unanswered_after: AccountBuilder::DEFAULT_UNANSWERED_AFTER,
            request_id_headers: Vec::new(),
            snapshots: true,
            cost_units: BTreeSet::new(),
            options: RequestOptions::default(),
            observers: Vec::new(),
            literals: Vec::new(),
            clock: None,
        }
    }

    /// This field was set by name.
    pub(crate) fn note(&mut self, field: &'static str) {
        self.noted.insert(field);
    }
}
