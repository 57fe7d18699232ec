//! Processes that share a file store are killed at random while they renew, as in `tests/kill`, at
//! a server that ends the whole grant, access tokens included, when a spent refresh token comes
//! back. `TOLLGATE_KILL_SECONDS` and `--nocapture` work here too.
//!
//! A program of its own: beside eight busy processes the crawls of `real_servers` come too late.

#![cfg(unix)] // Elsewhere the lease of a killed process lasts until it runs out.
#![allow(clippy::expect_used)] // The lint spares tests, but not what they share.

#[path = "../kill/killing/mod.rs"]
mod killing;
#[path = "../real_servers/node.rs"]
mod node;

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;

use crate::killing::{Aim, Authority, Counts, Place, Scene};
use crate::node::Server;

#[async_trait]
impl Authority for Server {
    fn place(&self) -> Place {
        Place {
            url: self.url().to_owned(),
            token_path: "/token".to_owned(),
            client_id: "native".to_owned(),
            client_secret: None,
            resource: "/api/parts".to_owned(),
        }
    }

    async fn log_in(&self) -> String {
        let url = format!("{}/seed", self.url());
        let answer = reqwest::get(url).await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        answer["refresh_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    async fn counts(&self) -> Counts {
        let stats = self.stats().await.expect("an answer");
        let count = |name: &str| stats[name].as_u64().expect("a number");
        Counts {
            rotations: count("rotations"),
            families_revoked: count("grants_revoked"),
        }
    }
}

/// Tokens of a second, the shortest that it gives. It counts in whole seconds, so such a token ends
/// after half a second on average, and requests in between are answered 401.
async fn scene(name: &'static str, grace: Duration) -> Result<Option<Scene<Server>>> {
    let grace = grace.as_millis().to_string();
    let settings = [("TOKEN_TTL", "1"), ("TOKEN_DELAY", "80"), ("GRACE", &grace)];
    match Server::start("oidc", &settings)? {
        Some(server) => Ok(Some(Scene::new(name, server).await)),
        None => Ok(None),
    }
}

#[tokio::test]
async fn killed_at_oidc_provider_outside_of_a_renewal_nobody_has_to_log_in() -> Result<()> {
    if let Some(scene) = scene("oidc-provider, kills outside of a renewal", Duration::ZERO).await? {
        killing::survive_everything(scene, Aim::Outside).await;
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_oidc_provider_only_a_renewal_under_way_costs_a_login() -> Result<()> {
    if let Some(scene) = scene("oidc-provider", Duration::ZERO).await? {
        killing::lose_only_inside(scene).await;
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_oidc_provider_with_a_storage_that_forgives_every_kill_is_survived() -> Result<()>
{
    let grace = Duration::from_secs(60);
    if let Some(scene) = scene("oidc-provider whose storage forgives", grace).await? {
        killing::survive_everything(scene, Aim::Anywhere).await;
    }
    Ok(())
}
