//! What an account keeps in its token store. Pure.
//!
//! JSON that only this crate reads. Fields that a later version adds are ignored by an earlier one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::auth::OAuthSettings;
use crate::auth::oauth::grant::GrantKind;
use crate::auth::token::{Lifetime, Times, Token, fingerprint};
use crate::clock::Now;

/// Where the writer's clock and the store's tell ages that differ by no more, the older one counts.
const LONGEST_SAVE: Duration = Duration::from_secs(60);
/// Formats above this one are refused; what an older version wrote has none.
const FORMAT: u32 = 1;

/// The tokens of one account. No `Debug`: most of it is secret.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Tokens {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_token: Option<String>,
    /// Seconds since 1970, of the moment before the token request was sent.
    pub(crate) issued_at: Option<f64>,
    /// Seconds since 1970; none if the endpoint did not say it.
    pub(crate) expires_at: Option<f64>,
    /// Fingerprint of the configured refresh token that this chain began with.
    pub(crate) seed: Option<String>,
    /// Seconds since 1970, by the clock of `issued_at`: when the record was handed to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) saved_at: Option<f64>,
    /// Seconds since 1970: when the refresh token ends, if the endpoint said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_expires_at: Option<f64>,
    /// The refresh token is being presented, or was without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) presented: Option<Mark>,
    /// Which presentation brought the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<Parent>,
    /// Grows with each login; none in a record of an older version, of which nothing is known.
    #[serde(default)]
    pub(crate) login: Option<u64>,
    /// Tells this write from all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) write: Option<String>,
    /// The client's id and secret have worked before.
    #[serde(default)]
    pub(crate) worked: bool,
    /// A login proved that the store can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login_pending: Option<LoginPending>,
    /// Fields that a later version has added.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// "This refresh token is being presented": the lock of the refresh chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Fingerprint of the refresh token, in hexadecimal.
    pub(crate) of: String,
    /// Counts the marks of this token, from 1.
    pub(crate) n: u32,
    /// Tells this mark from all others.
    pub(crate) id: String,
    /// The process, for people: its pid.
    pub(crate) holder: String,
    /// Seconds since 1970 by the holder's clock: for back-off and words, never for exclusion.
    pub(crate) at: f64,
    /// Its holder has not said yet that no answer will come.
    pub(crate) open: bool,
    /// For people: which presentation of this token has lost its answer. The process that finds the
    /// token refused may be another than the one that found the mark open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<String>,
}

/// The presentation that brought a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parent {
    /// Fingerprint of the refresh token that was presented, in hexadecimal.
    pub(crate) of: String,
    /// Of its mark.
    pub(crate) n: u32,
}

/// What a login writes before its code leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoginPending {
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) at: f64,
}

/// Why the bytes of a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// They are not what this crate writes.
    Damaged,
    /// A later version wrote them, in a format of its own.
    TooNew,
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
            format: None,
            seed: None,
            saved_at: None,
            refresh_expires_at: None,
            presented: None,
            parent: None,
            login: None,
            write: None,
            worked: false,
            login_pending: None,
            others: Map::new(),
        }
    }

    /// The same chain with what an answer brought: a later version's fields stay.
    pub(crate) fn succeeded_by(&self, mut next: Self) -> Self {
        next.seed.clone_from(&self.seed);
        next.login = self.login;
        next.others.clone_from(&self.others);
        next
    }

    /// # Errors
    /// The bytes are damaged or of a later format. Never to be taken for "no record".
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let tokens: Self = serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged)?;
        match tokens.format {
            Some(format) if format > FORMAT => Err(Unreadable::TooNew),
            _ => Ok(tokens),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// When the refresh token ends, if the endpoint said so.
    pub(crate) fn refresh_expires_at(&self) -> Option<SystemTime> {
        time(self.refresh_expires_at?)
    }

    pub(crate) fn refresh_token(&self) -> Option<Zeroizing<String>> {
        let text = self.refresh_token.as_deref()?.trim();
        Some(Zeroizing::new(text.to_owned())).filter(|text| !text.is_empty())
    }

    /// The access token, if it is worth taking over: still fresh, and not the one just refused.
    /// `age` is how long ago the record was saved, by the store's clock: where it is known, the
    /// writer's clock and ours need not agree.
    pub(crate) fn fresh_token(
        &self,
        generation: u64,
        settings: &OAuthSettings,
        refused: Option<&Token>,
        draw: f64,
        age: Option<Duration>,
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
        let wall = self.issued_by_our_clock(issued_at, age, now).min(now.wall);
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

impl Tokens {
    fn issued_by_our_clock(
        &self,
        issued_at: SystemTime,
        age: Option<Duration>,
        now: Now,
    ) -> SystemTime {
        let kept = self.saved_at.and_then(time);
        let kept = kept.and_then(|saved_at| saved_at.duration_since(issued_at).ok());
        let old = age.zip(kept).map(|(age, kept)| age.saturating_add(kept));
        let Some(by_age) = old.and_then(|old| now.wall.checked_sub(old)) else {
            return issued_at;
        };
        // The store counts from the end of a save, which may have taken its time.
        match by_age.duration_since(issued_at) {
            Ok(span) if span <= LONGEST_SAVE => issued_at,
            _ => by_age,
        }
    }
}

/// Tells refresh tokens apart without keeping one.
pub(crate) fn mark_of(refresh_token: &str) -> String {
    hex(&fingerprint(refresh_token))
}

/// A fingerprint so short that it confirms no guess of a weak secret, and still long enough for the
/// few that one store holds.
pub(in crate::auth) fn short_mark_of(secret: &str) -> String {
    mark_of(secret).chars().take(8).collect()
}

/// The key of an account's quotas in a store: the host, for people, and a digest of who asks there:
/// the client, or the owner of the keys that it shows instead of one. What the account is called
/// counts only where nothing else tells it from others, as where the server counts by address.
pub(crate) fn quota_key(
    account: &str,
    host: &str,
    oauth: Option<&OAuthSettings>,
    owner: Vec<String>,
) -> String {
    let client = oauth.map(client).unwrap_or_default();
    let (kind, parts) = match (client.is_empty(), owner.is_empty()) {
        (false, _) => ("client", client),
        (true, false) => ("keys", owner),
        (true, true) => ("name", vec![account.to_owned()]),
    };
    let mut digest = Sha256::new();
    for part in [kind, host]
        .into_iter()
        .chain(parts.iter().map(String::as_str))
    {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("{host}-{}", hex(&digest.finalize()))
}

/// The client, or where it has no id, in whose name it asks.
fn client(settings: &OAuthSettings) -> Vec<String> {
    match &settings.client_id {
        Some(id) => vec![id.clone()],
        None => {
            let identity = identity(&settings.grant.0).into_iter();
            identity.skip(1).map(str::to_owned).collect()
        }
    }
}

/// The key of an account in a store: its name, for people, and a digest of who asks where for what:
/// two people may log in through one client.
pub(crate) fn key(account: &str, settings: &OAuthSettings) -> String {
    let mut digest = Sha256::new();
    let scope = settings.scope.as_deref().unwrap_or_default();
    let client_id = settings.client_id.as_deref().unwrap_or_default();
    let client = [settings.token_url.as_str(), client_id, scope];
    let mut fields = field_texts(settings);
    // A record without a refresh token costs one token request where it is not found again.
    if !settings.grant.0.refreshes() {
        fields.extend(header_texts(settings));
    }
    let fields = fields.iter().map(|text| text.as_str());
    for part in client
        .into_iter()
        .chain(identity(&settings.grant.0))
        .chain(fields)
    {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("{account}-{}", hex(&digest.finalize()))
}

/// What makes the tokens of one client different: `resource`, `audience`, a tenant. A
/// credential counts by its name alone: a rotated secret must not lose the record.
fn field_texts(settings: &OAuthSettings) -> Vec<Zeroizing<String>> {
    let mut texts = Vec::new();
    for (name, value) in &settings.token_fields {
        texts.push(Zeroizing::new(name.clone()));
        texts.extend(value.literal().filter(|_| !is_secret(name)).cloned());
    }
    texts
}

/// A tenant may be named in a header too. What varies without another token (the name of the
/// program) does not count, nor does a credential.
fn header_texts(settings: &OAuthSettings) -> Vec<Zeroizing<String>> {
    let mut texts = Vec::new();
    for (name, value) in &settings.token_headers {
        let is_left_out = [AUTHORIZATION, COOKIE, USER_AGENT].contains(name);
        if is_left_out || is_secret(name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        texts.extend([name.as_str().to_owned(), value].map(Zeroizing::new));
    }
    texts
}

/// Whether a field of this name holds a credential, which may change without another token.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["secret", "password", "key", "token", "assertion", "code"];
    words.iter().any(|word| name.contains(word))
}

/// Who asks: the application itself, or a person or service in whose name it acts. The access token
/// of the one must never be adopted for the other.
fn identity(grant: &GrantKind) -> Vec<&str> {
    match grant {
        GrantKind::ClientCredentials => vec!["client_credentials"],
        GrantKind::Password { user, .. } => vec!["password", user],
        GrantKind::JwtBearer(assertion) => {
            let mut identity = vec!["jwt_bearer"];
            identity.extend(assertion.identity());
            identity
        }
        // A login, whoever carried it out.
        GrantKind::RefreshToken { .. } | GrantKind::AuthorizationCode { .. } => Vec::new(),
    }
}

/// The first half of a digest: more than enough to tell accounts apart.
fn hex(digest: &[u8]) -> String {
    let half = digest.iter().take(16);
    half.map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |span| span.as_secs_f64())
}

pub(crate) fn time(seconds: f64) -> Option<SystemTime> {
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
    fn fields_of_a_later_version_are_written_back() {
        let bytes = br#"{"refresh_token":"r","novelty":{"x":1}}"#;
        let tokens = Tokens::from_bytes(bytes).expect("tokens");
        let next = tokens.succeeded_by(Tokens::new(None, Some("r2")));
        let written: Value = serde_json::from_slice(&next.to_bytes()).expect("JSON");
        assert_eq!(written["novelty"]["x"], 1);
        assert_eq!(written["refresh_token"], "r2");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut tokens = Tokens::new(None, Some("r"));
        tokens.access_token = Some("a".into());
        (tokens.issued_at, tokens.expires_at) = (Some(1.25), Some(2.5));
        tokens.seed = Some("s".into());
        tokens.login = Some(3);
        tokens.presented = Some(Mark {
            of: mark_of("r"),
            n: 2,
            id: "m".into(),
            holder: "pid 7".into(),
            at: 1.5,
            open: true,
            lost: None,
        });
        let read = Tokens::from_bytes(&tokens.to_bytes()).expect("tokens");
        assert_eq!(read.access_token.as_deref(), Some("a"));
        assert_eq!(
            (read.issued_at, read.expires_at),
            (tokens.issued_at, tokens.expires_at)
        );
        assert_eq!((&read.presented, read.login), (&tokens.presented, Some(3)));
    }

    #[test]
    fn garbage_and_a_later_format_are_errors_and_an_empty_refresh_token_is_none() {
        assert_eq!(Tokens::from_bytes(b"\xff").err(), Some(Unreadable::Damaged));
        let later = br#"{"format":2,"refresh_token":"r"}"#;
        assert_eq!(Tokens::from_bytes(later).err(), Some(Unreadable::TooNew));
        let tokens = Tokens::from_bytes(br#"{"refresh_token":" "}"#).expect("tokens");
        assert!(tokens.refresh_token().is_none());
        assert!(time(f64::NAN).is_none() && time(1e300).is_none() && time(-1.0).is_none());
    }
}
