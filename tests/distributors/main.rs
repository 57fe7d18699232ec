//! Stories about the presets: what goes on the wire, and what each vendor's own way to refuse
//! means.

// Tests may panic.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;

mod headers;
mod keys;
mod quotas;
mod token_requests;
mod tokens;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Stub, client, noon};
use reqwest::Response;
use reqwest_middleware::ClientWithMiddleware;
use reqwest_tollgate::{Account, AccountBuilder, Error, ErrorKind, PausedClock, Recovery};

const CANARY: &str = "canary-4711";

/// Under paused time. Requests bring a token of their own, so that none is fetched.
struct Scene {
    account: Account,
    client: ClientWithMiddleware,
    stub: Arc<Stub>,
}

impl Scene {
    fn new(builder: AccountBuilder, stub: Arc<Stub>) -> Self {
        let clock = PausedClock::starting_at(noon());
        Self::of(builder.clock(clock).build().unwrap(), stub)
    }

    fn of(account: Account, stub: Arc<Stub>) -> Self {
        let client = client(&account, &stub);
        Self {
            account,
            client,
            stub,
        }
    }

    async fn get(&self, path: &str) -> reqwest_middleware::Result<Response> {
        let url = self.account.base_url().join(path).unwrap();
        self.client.get(url).bearer_auth("brought").send().await
    }

    /// The error of a spent quota, and how long after noon it ends.
    async fn spent(&self, path: &str) -> Duration {
        let error = self.get(path).await.expect_err("a spent quota");
        let error = Error::find(&error).expect("ours");
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
        after_noon(error.recovery())
    }
}

fn after_noon(recovery: Recovery) -> Duration {
    let Recovery::WaitUntil(until) = recovery else {
        panic!("{recovery:?}")
    };
    since_noon(until)
}

fn since_noon(time: SystemTime) -> Duration {
    time.duration_since(noon()).unwrap()
}
