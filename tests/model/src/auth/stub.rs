//! A token endpoint and a cache, for scenarios.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, StatusCode};
use shuttle::future::yield_now;
use zeroize::Zeroizing;

use crate::auth::cache::Cache;
use crate::auth::cache::budget::TokenLimit;
use crate::auth::login::revoke::Revoked;
use crate::auth::oauth::endpoint::{Delivery, Presentation, TokenEndpoint};
use crate::auth::oauth::response::Reply;
use crate::auth::store::TokenStore;
use crate::auth::testing::{self, Log};
use crate::auth::{AuthSettings, Grant, OAuthSettings};
use crate::clock::manual::HandClock;
use crate::clock::{BoxFuture, Moment, Now};

/// What the endpoint and the limits have seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: usize,
    pub(super) under_way: usize,
    pub(super) taken: usize,
    pub(super) ended: usize,
    pub(super) revoked: Vec<String>,
    /// Refresh tokens and codes, with the refresh token that was issued for each.
    pub(super) presented: Vec<(String, Option<String>)>,
    /// Several processes may ask at once.
    pub(super) many_processes: bool,
    acts: VecDeque<u16>,
    look: Option<Look>,
}

/// Looks at a refresh token or a code that is being presented.
type Look = Arc<dyn Fn(&str) + Send + Sync>;

/// A token endpoint by script: a status each, then 200 for ever. It tells if two requests are
/// under way at once.
#[derive(Clone, Default)]
pub(super) struct Endpoint(Arc<Mutex<Seen>>);

impl Endpoint {
    pub(super) fn of(acts: &[u16]) -> Self {
        let endpoint = Self::default();
        endpoint.with(|seen| seen.acts.extend(acts));
        endpoint
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        // What failed is told by the panic itself.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn requests(&self) -> usize {
        self.with(|seen| seen.requests)
    }

    /// Whoever presents a refresh token or a code is looked at first.
    pub(super) fn look_with(&self, look: impl Fn(&str) + Send + Sync + 'static) {
        self.with(|seen| seen.look = Some(Arc::new(look)));
    }

    /// The newest refresh token that left.
    pub(super) fn newest(&self) -> Option<String> {
        let issued = |seen: &mut Seen| {
            let mut presented = seen.presented.iter().rev();
            presented.find_map(|(_, issued)| issued.clone())
        };
        self.with(issued)
    }

    /// Whether that refresh token was issued for the other token, or for one that was.
    pub(super) fn descends(&self, token: &str, from: &str) -> bool {
        let parents = self.with(|seen| seen.presented.clone());
        let mut token = token.to_owned();
        for _ in 0..=parents.len() {
            if token == from {
                return true;
            }
            let mut parents = parents.iter();
            match parents.find(|(_, issued)| issued.as_ref() == Some(&token)) {
                Some((parent, _)) => token.clone_from(parent),
                None => return false,
            }
        }
        false
    }

    fn serve(&self, presented: Option<String>) -> BoxFuture<'static, Delivery> {
        let endpoint = self.clone();
        Box::pin(async move {
            let under_way = UnderWay::new(endpoint);
            let number = under_way.1;
            if let Some(presented) = &presented {
                let look = under_way.0.with(|seen| {
                    seen.presented.push((presented.clone(), None));
                    seen.look.clone()
                });
                look.iter().for_each(|look| look(presented));
            }
            yield_now().await;
            let status = under_way.0.with(|seen| {
                let status = seen.acts.pop_front().unwrap_or(200);
                let place = seen.presented.iter_mut().rev();
                let mut place = place.filter(|(token, _)| Some(token) == presented.as_ref());
                if let Some((_, issued)) = place.next().filter(|_| status == 200) {
                    *issued = Some(format!("r{number}"));
                }
                status
            });
            yield_now().await;
            let body = match status {
                200 => format!(
                    r#"{{"access_token":"t{number}","refresh_token":"r{number}","expires_in":600}}"#
                ),
                _ => "{}".to_owned(),
            };
            Delivery::Answered {
                reply: Reply {
                    status: StatusCode::from_u16(status).expect("a status"),
                    headers: HeaderMap::new(),
                    body: Zeroizing::new(body.into_bytes()),
                },
                secrets: Vec::new(),
            }
        })
    }
}

impl TokenEndpoint for Endpoint {
    fn request<'a>(&'a self, presentation: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        self.serve(match presentation {
            Presentation::RefreshToken(token) => Some(token.to_owned()),
            Presentation::AuthorizationCode { code, .. } => Some(code.to_owned()),
            _ => None,
        })
    }

    fn revoke<'a>(&'a self, revoked: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        let token = revoked.parts().0.to_owned();
        self.with(|seen| seen.revoked.push(token));
        self.serve(None)
    }
}

impl TokenLimit for Endpoint {
    fn room(&self) -> Moment {
        Moment::ZERO
    }

    fn look(&self, _: Now) {}

    fn take(&self, _: Now) -> bool {
        self.with(|seen| seen.taken += 1);
        true
    }

    fn end(&self, _: bool, _: Now) {
        self.with(|seen| seen.ended += 1);
    }
}

/// A request, and its number.
struct UnderWay(Endpoint, usize);

impl UnderWay {
    fn new(endpoint: Endpoint) -> Self {
        let number = endpoint.with(|seen| {
            seen.requests += 1;
            seen.under_way += 1;
            let alone = seen.under_way == 1 || seen.many_processes;
            assert!(alone, "two requests at once");
            seen.requests
        });
        Self(endpoint, number)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.with(|seen| seen.under_way -= 1);
    }
}

/// A cache at that endpoint, whose limits it asks too.
pub(super) fn cache(endpoint: &Endpoint, clock: &HandClock) -> Arc<Cache> {
    let oauth = oauth(Grant::client_credentials(), endpoint);
    cache_with(oauth, endpoint, clock)
}

pub(super) fn cache_with(
    oauth: OAuthSettings,
    endpoint: &Endpoint,
    clock: &HandClock,
) -> Arc<Cache> {
    let settings = settings(clock);
    Arc::new(Cache::new(
        &settings,
        Arc::new(oauth),
        Box::new(endpoint.clone()),
    ))
}

pub(super) fn with_store(endpoint: &Endpoint, store: impl TokenStore) -> OAuthSettings {
    OAuthSettings {
        store: Some(Arc::new(store)),
        ..oauth(Grant::refresh_token("r0"), endpoint)
    }
}

pub(super) fn oauth(grant: Grant, endpoint: &Endpoint) -> OAuthSettings {
    OAuthSettings {
        limit: Some(Arc::new(endpoint.clone())),
        ..testing::oauth(grant)
    }
}

fn settings(clock: &HandClock) -> AuthSettings {
    AuthSettings {
        clock: Arc::new(clock.clone()),
        ..testing::settings(None, &Log::default())
    }
}
