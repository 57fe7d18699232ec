//! What an account keeps in its token store. Pure.
//!
//! JSON that only this crate reads. Fields that a later version adds are ignored by an earlier one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::OAuthSettings;
use super::grant::GrantKind;
use super::token::{Lifetime, Times, Token, fingerprint};
use crate::clock::Now;

/// The tokens of one account. No `Debug`: all of it is secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_token: Option<String>,
    /// Seconds since 1970, of the moment before the token request was sent.
    pub(crate) issued_at: Option<f64>,
    /// Seconds since 1970; none if the endpoint did not say it.
    pub(crate) expires_at: Option<f64>,
    /// Fingerprint of the configured refresh token that this chain began with.
    pub(crate) seed: Option<String>,
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.refresh_token.zeroize();
        self.access_token.zeroize();
    }
}

impl Tokens {
    pub(crate) fn new(token: Option<&Token>, refresh_token: Option<&str>) -> Self {
        let times = token.map(Token::times);
        Self {
            refresh_token: refresh_token.map(str::to_owned),
            access_token: token.map(|token| token.secret().to_owned()),
            issued_at: times.map(|times| seconds(times.issued_at())),
            expires_at: times.and_then(Times::expires_at).map(seconds),
            seed: None,
        }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn refresh_token(&self) -> Option<Zeroizing<String>> {
        let text = self.refresh_token.as_deref()?.trim();
        Some(Zeroizing::new(text.to_owned())).filter(|text| !text.is_empty())
    }

    /// The access token, if it is worth taking over: still fresh, and not the one just refused.
    pub(crate) fn fresh_token(
        &self,
        generation: u64,
        settings: &OAuthSettings,
        refused: Option<&Token>,
        draw: f64,
        now: Now,
    ) -> Option<Token> {
        let access_token = self.access_token.as_deref()?;
        if refused.is_some_and(|token| token.fingerprint() == fingerprint(access_token)) {
            return None;
        }
        let issued_at = time(self.issued_at?)?;
        let stated = match self.expires_at {
            Some(end) => Some(time(end)?.duration_since(issued_at).ok()?),
            None => None,
        };
        // A clock set back, or another machine's that is ahead, makes no token from the future.
        let wall = issued_at.min(now.wall);
        let start = Now {
            moment: now.moment_at(wall),
            wall,
        };
        let lifetime = Lifetime::new(stated, settings.fallback_lifetime, None);
        let times = Times::new(start, lifetime, settings.refresh_lead, draw);
        match times.is_stale(now) || times.is_expired(now) {
            true => None,
            false => Token::new(generation, access_token, times),
        }
    }
}

/// Tells configured refresh tokens apart.
pub(crate) fn seed(initial: &str) -> String {
    hex(&fingerprint(initial))
}

/// The key of an account in a store: its name, for people, and a digest of who asks where for what:
/// two people may log in through one client.
pub(crate) fn key(account: &str, settings: &OAuthSettings) -> String {
    let mut digest = Sha256::new();
    let scope = settings.scope.as_deref().unwrap_or_default();
    let client_id = settings.client_id.as_deref().unwrap_or_default();
    let client = [settings.token_url.as_str(), client_id, scope];
    for part in client.into_iter().chain(identity(&settings.grant.0)) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("{account}-{}", hex(&digest.finalize()))
}

/// Who asks, where the grant says it.
fn identity(grant: &GrantKind) -> Vec<&str> {
    match grant {
        GrantKind::Password { user, .. } => vec![user],
        GrantKind::JwtBearer(assertion) => assertion.identity().to_vec(),
        _ => Vec::new(),
    }
}

/// The first half of a digest: more than enough to tell accounts apart.
fn hex(digest: &[u8]) -> String {
    let half = digest.iter().take(16);
    half.map(|byte| format!("{byte:02x}")).collect()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |span| span.as_secs_f64())
}

fn time(seconds: f64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_later_version_is_read_too() {
        let bytes = br#"{"refresh_token":"r","novelty":{"x":1},"issued_at":1.5}"#;
        let tokens = Tokens::from_bytes(bytes).expect("tokens");
        assert_eq!(
            tokens.refresh_token().as_deref().map(String::as_str),
            Some("r")
        );
        assert!(tokens.access_token.is_none());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tokens = Tokens {
            refresh_token: Some("r".into()),
            access_token: Some("a".into()),
            issued_at: Some(1.25),
            expires_at: Some(2.5),
            seed: Some("s".into()),
        };
        let read = Tokens::from_bytes(&tokens.to_bytes()).expect("tokens");
        assert_eq!(read.access_token.as_deref(), Some("a"));
        assert_eq!(
            (read.issued_at, read.expires_at),
            (tokens.issued_at, tokens.expires_at)
        );
    }

    #[test]
    fn garbage_is_no_record_and_an_empty_refresh_token_none() {
        assert!(Tokens::from_bytes(b"\xff").is_none());
        let tokens = Tokens::from_bytes(br#"{"refresh_token":" "}"#).expect("tokens");
        assert!(tokens.refresh_token().is_none());
        assert!(time(f64::NAN).is_none() && time(1e300).is_none() && time(-1.0).is_none());
    }
}
