//! Processes that share a file store are killed at random while they renew.
//!
//! The server ends a family of refresh tokens when a spent one comes back. So a kill between
//! sending the token request and the end of the save may cost a login, unless the server forgives a
//! repetition; a kill at any other moment costs nothing.

// Two test programs share this, and each uses a part.
#![allow(dead_code, unreachable_pub, unused_imports)]
#![allow(clippy::expect_used, clippy::print_stdout)] // The lints spare tests, but not what they share.
#![allow(clippy::disallowed_methods)] // Real processes have real time.

mod ills;
mod remote;
mod scene;
mod steps;
mod worker;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use ills::Ills;
pub use remote::serve;
pub use scene::{Aim, Scene};

/// A server that gives tokens, and an API that wants them.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Where it is, and who asks it.
    fn place(&self) -> Place;

    /// The first refresh token of a new family.
    async fn log_in(&self) -> String;

    /// What it has seen.
    async fn counts(&self) -> Counts;
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Place {
    pub url: String,
    pub token_path: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    /// What the workers ask for.
    pub resource: String,
}

#[derive(Clone, Debug)]
pub struct Counts {
    pub rotations: u64,
    pub families_revoked: u64,
}

/// Nobody has to log in, whatever is killed.
pub async fn survive_everything<A: Authority>(mut scene: Scene<A>, aim: Aim) {
    scene.run(aim).await;
    let well = scene.ends_well().await;
    scene.tell().await;
    assert!(well, "a fresh process gets a token");
    assert_eq!(scene.logins(), 0, "nobody had to log in");
    assert_eq!(scene.errors(), [""; 0]);
    assert_eq!(scene.kills(true) > 0, aim == Aim::Anywhere);
    assert!(scene.kills(false) > 0, "somebody was killed");
    assert_eq!(scene.counts().await.families_revoked, 0);
}

/// Each login that had to be follows a kill within a renewal, and each ended one family.
pub async fn lose_only_inside<A: Authority>(mut scene: Scene<A>) {
    scene.run(Aim::Anywhere).await;
    let well = scene.ends_well().await;
    scene.tell().await;
    assert!(well, "a login heals it");
    let counts = scene.counts().await;
    assert!(counts.rotations > 0 && scene.kills(true) > 0);
    assert!(scene.logins() <= scene.kills(true));
    assert_eq!(scene.errors(), [""; 0]);
    // A family may end after it has brought the last token.
    let silent = counts.families_revoked.checked_sub(scene.logins() as u64);
    assert!(matches!(silent, Some(0 | 1)), "{counts:?}");
}
