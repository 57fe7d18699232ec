//! From what a builder was told to an account, or to the list of everything that is wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, StatusCode};
use url::Url;

use super::check::problems::Problems;
use super::check::{headers, oauth, quotas, unused, urls};
use super::registry::{self, Identity, TokenIdentity};
use super::{Account, Settings, Shared, endpoint_limits, token_store};
use crate::auth::credentials::Credentials;
use crate::auth::credentials::keys::{KeyPlaces, Keys};
use crate::auth::persistence::record;
use crate::auth::{AuthSettings, Authenticator, OAuthSettings, RejectionTable};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::layers::AccountId;
use crate::observe::event::{Event, Events};
use crate::origin::Origins;
use crate::phrase::folded;
use crate::printable;
use crate::rate_limit::{Keeper, Limiter, LimiterSettings, Quota};
use crate::response_rules::{RuleTarget, Rules};

pub(super) fn build(settings: Settings) -> Result<Account, Error> {
    let name: Arc<str> = printable::one_line(&settings.name).into();
    check(settings).map_err(|problems| problems.into_error().with_account(&name))
}

/// The same with the problems apart, for a configuration of many accounts.
pub(crate) fn check(settings: Settings) -> Result<Account, Problems> {
    let mut problems = Problems::default();
    check_values(&settings, &mut problems);
    let base_url = urls::base(&settings, &mut problems);
    unused::check(&settings, &mut problems);
    let parts = Parts {
        origins: Arc::new(Origins::new(urls::origins(
            &settings,
            base_url.as_ref(),
            &mut problems,
        ))),
        keys: headers::of_requests(&settings, &mut problems),
        rules: rules(&settings, &mut problems),
        oauth: oauth::oauth(&settings, base_url.as_ref(), &mut problems),
        quotas: quotas::quotas(&settings, &mut problems),
        request_id_headers: headers::request_ids(&settings, &mut problems),
    };
    if let Some(oauth) = parts.oauth.as_ref().filter(|_| problems.is_empty()) {
        token_store::check(&settings.name, oauth, &mut problems);
    }
    match base_url {
        Some(base_url) if problems.is_empty() => Ok(assemble(settings, base_url, parts)),
        _ => Err(problems),
    }
}

/// What was checked and turned into the types that the layers work with.
struct Parts {
    origins: Arc<Origins>,
    keys: (Keys, KeyPlaces),
    rules: Arc<Rules>,
    oauth: Option<OAuthSettings>,
    quotas: Vec<Quota>,
    request_id_headers: Vec<HeaderName>,
}

fn check_values(settings: &Settings, problems: &mut Problems) {
    if settings.name.trim().is_empty() {
        problems.add("name", "is empty");
    }
    if let Some(flaw) = printable::flaw_of_name(&settings.name) {
        problems.add("name", format!("found {flaw}"));
    }
    if settings.max_in_flight == Some(0) {
        problems.add("max_in_flight", "found 0; expected at least 1");
    }
    let spans = [
        ("unanswered_after", Some(settings.unanswered_after)),
        ("fallback_lifetime", settings.fallback_lifetime),
        // It would present a token that a living process is presenting.
        ("orphan_patience", Some(settings.terms.patience)),
    ];
    for (field, span) in spans {
        if span == Some(Duration::ZERO) {
            problems.add(field, "found 0; expected more");
        }
    }
    check_rejections(settings, problems);
}

fn check_rejections(settings: &Settings, problems: &mut Problems) {
    for status in settings
        .rejection_statuses
        .iter()
        .filter(|status| !status.is_client_error())
    {
        let text = format!("found {}; expected a status of 400 to 499", status.as_u16());
        problems.add("rejection_statuses", text);
    }
    // The rate-limit layer answers a 429; a new token would not help.
    if settings
        .rejection_statuses
        .contains(&StatusCode::TOO_MANY_REQUESTS)
    {
        problems.add("rejection_statuses", "found 429, which is about the rate");
    }
    // Every body contains the empty phrase.
    if settings
        .not_the_token
        .iter()
        .any(|phrase| folded(phrase).is_empty())
    {
        problems.add("not_the_token", "found an empty phrase");
    }
}

fn assemble(mut settings: Settings, base_url: Url, parts: Parts) -> Account {
    let costs = &mut settings.options.costs;
    costs.retain(|unit| quotas::is_counted(&parts.quotas, unit));
    let name: Arc<str> = settings.name.into();
    let id = next_id();
    let events = Events::new(name.clone(), settings.observers);
    let clock: Arc<dyn Clock> = settings.clock.unwrap_or_else(|| Arc::new(SystemClock));
    let told = events.clone();
    let literals = settings.literals;
    let identity = Identity {
        name: name.clone(),
        base_url: base_url.clone(),
        tokens: (parts.oauth.as_ref()).map(|oauth| TokenIdentity::of(&name, oauth)),
    };
    let limiter = LimiterSettings {
        account: name.clone(),
        id,
        origins: parts.origins.clone(),
        events: events.clone(),
        clock: clock.clone(),
        quotas: parts.quotas,
        max_replays: settings.max_replays,
        max_in_flight: settings.max_in_flight,
        max_queue: settings.max_queue,
        unanswered_after: settings.unanswered_after,
        has_credentials: parts.oauth.is_some()
            || settings.signer.is_some()
            || !parts.keys.0.are_none(),
        rules: parts.rules.clone(),
        keeper: settings.quota_store.map(|store| {
            let host = base_url.host_str().unwrap_or_default();
            let owner = parts.keys.1.owner(&parts.keys.0);
            let key = record::quota_key(&name, host, parts.oauth.as_ref(), owner);
            // As earlier versions called it.
            let former = format!("{name}@{host}");
            Keeper::new(store, [key, former], name.clone(), events.clone())
        }),
        request_id_headers: parts.request_id_headers.clone(),
        snapshots: settings.snapshots,
    };
    let now = clock.now();
    let limited = |mut oauth: OAuthSettings| {
        oauth.limit = endpoint_limits::enter(&oauth.token_url, &settings.token_windows, now);
        oauth
    };
    let auth = AuthSettings {
        account: name.clone(),
        id,
        origins: parts.origins,
        events,
        clock,
        credentials: Credentials::new(parts.keys.0, parts.keys.1, settings.signer),
        oauth: parts.oauth.map(limited),
        rejection: RejectionTable {
            statuses: settings.rejection_statuses,
            not_the_token: settings
                .not_the_token
                .iter()
                .map(|phrase| folded(phrase))
                .collect(),
            rules: parts.rules,
        },
        replay_unauthorized: settings.replay_unauthorized,
        request_id_headers: parts.request_id_headers,
    };
    let shared = Arc::new(Shared {
        name,
        base_url,
        authenticator: Arc::new(Authenticator::new(auth)),
        limiter: Arc::new(Limiter::new(limiter)),
        http: OnceLock::new(),
    });
    if registry::enter(identity, &shared) {
        told.emit(|| Event::SecondLedger);
    }
    for key in literals {
        told.emit(|| Event::LiteralSecret { key });
    }
    Account {
        shared,
        defaults: settings.options,
    }
}

fn next_id() -> AccountId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    AccountId(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn rules(settings: &Settings, problems: &mut Problems) -> Arc<Rules> {
    let rules = Rules::new(&settings.rules, RuleTarget::Api);
    Arc::new(problems.keep_list("rules", rules))
}
