//! Each preset against a sandbox that behaves as its vendor does: over real sockets, on the base
//! URL of the sandbox, with windows so short that nobody waits long.
//!
//! The sandbox's manners are written down by themselves, so a slip in a preset (a header's name, a
//! path, a word of a refusal) fails here.
//!
//! The fixtures of the distributors' survey, section 27, and where each is a test:
//!
//! 1. 401s of DigiKey: [`refused`] (both shapes of an expired token, and the client's id), and
//!    `distributors::tokens::digikeys_expired_token_is_renewed_and_a_missing_subscription_is_not`
//! 2. 429s of DigiKey: [`spent`] (with and without headers), and `distributors::quotas`
//! 3. resets in all units, garbage, none: `distributors::headers`, and [`spent`] for those of
//!    Sourcengine and TE
//! 4. token responses: `src/auth/oauth/response` (`expires_in` of every kind, no token, errors,
//!    HTML),
//!    [`admitted`] (599 s, 300 s with a refresh token)
//! 5. a rotating server and 100 requests at once: `tokens`, `stack` and `src/auth/tests.rs`
//! 6. Mouser's 403 and 200, Mashery's page, Nexar's 200: [`spent`], `distributors::quotas`
//! 7. many workers, one token: [`admitted::twenty_requests_at_once_are_admitted_with_one_token`]
//! 8. tokens of 300 s, one token request: the same, at `tme_v2`
//! 9. a redirect to another host: [`leaks::a_redirect_elsewhere_is_not_followed`]

// Tests may panic, and read time.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;

mod admitted;
mod leaks;
mod refused;
mod spent;
mod vendors;

use std::sync::LazyLock;

use common::Events;
use futures_util::future::join_all;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, RequestBuilder};
use reqwest_tollgate::sandbox::{Manners, Sandbox, SandboxBuilder};
use reqwest_tollgate::{Account, AccountBuilder, Window, http_client_builder};
use url::Url;

use vendors::{VENDORS, Vendor};

/// A client of each account's own would read the certificates of the system each time.
static POOL: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let builder = http_client_builder();
    builder.build().unwrap()
});

/// One account at its vendor's sandbox.
struct Scene {
    vendor: &'static Vendor,
    manners: Manners,
    sandbox: Sandbox,
    account: Account,
    client: ClientWithMiddleware,
    events: Events,
}

impl Scene {
    async fn new(vendor: &'static Vendor, builder: SandboxBuilder) -> Self {
        let secrets = [Sandbox::CLIENT_SECRET, Sandbox::KEY];
        Self::with(vendor, builder, (vendor.account)(secrets)).await
    }

    async fn with(
        vendor: &'static Vendor,
        builder: SandboxBuilder,
        account: AccountBuilder,
    ) -> Self {
        let manners = Manners::of(vendor.name).unwrap();
        let sandbox = builder.manners(manners).start().await.unwrap();
        let events = Events::default();
        let account = vendor
            .at(account, &sandbox)
            // Instead of a vendor's two a second; and a short one to pause for.
            // Of no limit that a sandbox tells: it would be taken for theirs.
            .window(Window::per_second(1001))
            .window("1001/200ms".parse().unwrap())
            .observer(events.observer())
            .build()
            .unwrap();
        let client = account.attach(ClientBuilder::new(POOL.clone())).build();
        Self {
            vendor,
            manners,
            sandbox,
            account,
            client,
            events,
        }
    }

    /// A request as the vendor's customers make it, to this origin.
    fn request_to(&self, origin: &Url) -> RequestBuilder {
        let url = origin.join(&self.manners.path().replace("{part}", "LM358P"));
        let request = self.client.request(self.manners.method(), url.unwrap());
        match self.manners.body() {
            None => request,
            Some((media_type, body)) => request
                .header(CONTENT_TYPE, media_type)
                .body(body.replace("{part}", "LM358P")),
        }
    }

    async fn send(&self) -> reqwest_middleware::Result<Response> {
        self.request_to(self.account.base_url()).send().await
    }

    async fn send_all(&self, count: usize) -> Vec<u16> {
        let all = join_all((0..count).map(|_| self.send())).await;
        let status = |answer: &reqwest_middleware::Result<Response>| match answer {
            Ok(answer) => answer.status().as_u16(),
            Err(error) => panic!("{}: {error:?}", self.vendor.name),
        };
        all.iter().map(status).collect()
    }
}

/// The same story for every vendor that it concerns, all at once.
async fn for_each<F: Future<Output = ()>>(
    concerns: impl Fn(&Vendor) -> bool,
    story: impl Fn(&'static Vendor) -> F,
) {
    let concerned: Vec<_> = VENDORS.iter().filter(|vendor| concerns(vendor)).collect();
    assert!(!concerned.is_empty());
    join_all(concerned.into_iter().map(story)).await;
}

fn manners(vendor: &Vendor) -> Manners {
    Manners::of(vendor.name).unwrap()
}

fn has_tokens(vendor: &Vendor) -> bool {
    manners(vendor).token_endpoint().is_some()
}
