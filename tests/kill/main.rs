//! Processes that share a file store are killed at random while they renew, against the sandbox;
//! `kill_real` does the same against a certified server. `TOLLGATE_KILL_SECONDS=180` kills for
//! minutes, `--nocapture` shows where the kills have hit.

#![cfg(unix)] // Elsewhere the lease of a killed process lasts until it runs out.
#![allow(clippy::expect_used, clippy::print_stdout)] // The lints spare tests, but not what they share.

mod disk;
mod faults;
mod killing;

use std::time::Duration;

use async_trait::async_trait;
use reqwest_tollgate::sandbox::Sandbox;

use crate::killing::{Aim, Authority, Counts, Place, Scene};

struct Loopback(Sandbox);

impl Loopback {
    async fn with_grace(grace: Duration) -> Self {
        let latency = Duration::from_millis(40)..Duration::from_millis(120);
        let sandbox = Sandbox::builder()
            .refresh_grant(true)
            .token_lifetime(Duration::from_millis(400))
            .latency(latency)
            .grace(grace);
        Self(sandbox.start().await.expect("a sandbox"))
    }
}

#[async_trait]
impl Authority for Loopback {
    fn place(&self) -> Place {
        Place {
            url: self.0.url().as_str().trim_end_matches('/').to_owned(),
            token_path: "/v1/oauth2/token".to_owned(),
            client_id: Sandbox::CLIENT_ID.to_owned(),
            client_secret: Some(Sandbox::CLIENT_SECRET.to_owned()),
            resource: "/products/v4/search/LM358P/productdetails".to_owned(),
        }
    }

    async fn log_in(&self) -> String {
        self.0.refresh_token()
    }

    async fn counts(&self) -> Counts {
        let counters = self.0.counters();
        Counts {
            rotations: counters.rotations,
            families_revoked: counters.families_revoked,
        }
    }
}

#[tokio::test]
async fn processes_that_nobody_kills_share_a_family_that_forgives_nothing() {
    let sandbox = Loopback::with_grace(Duration::ZERO).await;
    let mut scene = Scene::new("sandbox, nobody killed", sandbox).await;
    scene.watch(8, Duration::from_secs(20)).await;
    let counts = scene.counts().await;
    assert!(counts.rotations >= 8, "{counts:?}");
    assert_eq!(counts.families_revoked, 0, "{counts:?}");
}

#[tokio::test]
async fn with_a_server_that_forgives_repetition_every_kill_is_survived() {
    let sandbox = Loopback::with_grace(Duration::from_secs(60)).await;
    let scene = Scene::new("sandbox that forgives repetition", sandbox).await;
    killing::survive_everything(scene, Aim::Anywhere).await;
}

#[tokio::test]
async fn without_grace_every_kill_outside_of_a_renewal_is_survived() {
    let sandbox = Loopback::with_grace(Duration::ZERO).await;
    let scene = Scene::new("sandbox, kills outside of a renewal", sandbox).await;
    killing::survive_everything(scene, Aim::Outside).await;
}

#[tokio::test]
async fn without_grace_a_kill_costs_a_login_only_between_sending_and_saving() {
    let sandbox = Loopback::with_grace(Duration::ZERO).await;
    let scene = Scene::new("sandbox that forgives nothing", sandbox).await;
    killing::lose_only_inside(scene).await;
}
