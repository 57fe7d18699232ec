//! Assertions (RFC 7523): a signed statement of who asks, in the place of a login.

pub(in crate::auth) mod signature;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::secret::Secret;
use signature::Algorithm;

/// What the assertions of [`Grant::jwt_bearer`](crate::Grant::jwt_bearer) say and how they are
/// signed (RFC 7523 section 3). Each token request gets a fresh one.
///
/// ```
/// use reqwest_tollgate::{Account, Grant, JwtBearer, Secret};
///
/// # let secret = "s3cr3t";
/// let assertion = JwtBearer::hs256("service@project.example", secret).key_id("key-1");
/// let account = Account::builder("sensors", "https://api.sensors.example")
///     .token_url("https://identity.sensors.example/oauth2/token")
///     .grant(Grant::jwt_bearer(assertion))
///     .build()?;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtBearer {
    algorithm: Algorithm,
    key: Secret,
    key_id: Option<String>,
    issuer: String,
    subject: Option<String>,
    audience: Option<String>,
    lifetime: Duration,
    claims: Vec<(String, String)>,
    is_minimal: bool,
}

impl JwtBearer {
    /// See [`lifetime`](Self::lifetime).
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);
    /// See [`lifetime`](Self::lifetime). No assertion is good for longer by our own clock, whatever
    /// the server's says: whoever finds one could use it until then.
    pub const LONGEST_LIFETIME: Duration = Duration::from_secs(86_400);

    /// Signed with a secret that the server knows too (HMAC with SHA-256). `issuer` is the claim
    /// `iss`: who signs.
    pub fn hs256(issuer: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self::new(Algorithm::Hs256, issuer.into(), secret.into())
    }

    /// Signed with an RSA key (PKCS #1 v1.5 with SHA-256): `private_key` is PEM, of PKCS #8 or
    /// PKCS #1. `issuer` is the claim `iss`: who signs.
    #[cfg(feature = "jwt")]
    pub fn rs256(issuer: impl Into<String>, private_key: impl Into<Secret>) -> Self {
        Self::new(Algorithm::Rs256, issuer.into(), private_key.into())
    }

    /// Signed with a key on the curve P-256 (ECDSA with SHA-256): `private_key` is PEM, of PKCS #8
    /// or SEC 1. `issuer` is the claim `iss`: who signs.
    #[cfg(feature = "jwt")]
    pub fn es256(issuer: impl Into<String>, private_key: impl Into<Secret>) -> Self {
        Self::new(Algorithm::Es256, issuer.into(), private_key.into())
    }

    fn new(algorithm: Algorithm, issuer: String, key: Secret) -> Self {
        Self {
            algorithm,
            key,
            key_id: None,
            issuer,
            subject: None,
            audience: None,
            lifetime: Self::DEFAULT_LIFETIME,
            claims: Vec::new(),
            is_minimal: false,
        }
    }

    /// Which of the issuer's keys it is (`kid`, RFC 7515 section 4.1.4); default: not said.
    pub fn key_id(mut self, id: impl Into<String>) -> Self {
        self.key_id = Some(id.into());
        self
    }

    /// For whom the token is asked (`sub`); default: the issuer itself.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// To whom it speaks (`aud`); default: the token URL.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How long an assertion is good (`exp` − `iat`), in whole seconds: at least one, at most a
    /// day ([`LONGEST_LIFETIME`](Self::LONGEST_LIFETIME)); default
    /// [`DEFAULT_LIFETIME`](Self::DEFAULT_LIFETIME). It is not the lifetime of the access token.
    pub fn lifetime(mut self, span: Duration) -> Self {
        self.lifetime = span;
        self
    }

    /// One more claim; it replaces one of the same name.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.claims.push((name.into(), value.into()));
        self
    }

    /// Leaves `sub` and `jti` out, which RFC 7523 section 3 wants or allows and some vendors'
    /// documents do not have; a [`subject`](Self::subject) that was set stays.
    pub fn minimal(mut self) -> Self {
        self.is_minimal = true;
        self
    }

    /// Another issuer.
    pub(crate) fn issued_by(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Another key, of the same kind.
    pub(crate) fn signed_with(mut self, key: impl Into<Secret>) -> Self {
        self.key = key.into();
        self
    }

    /// What is wrong with it: a list of sentences, each with its field.
    pub(crate) fn check(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.issuer.is_empty() {
            problems.push(("assertion.issuer", "is empty".to_owned()));
        }
        if self.lifetime < Duration::from_secs(1) {
            let text = "found less than a second; expected more".to_owned();
            problems.push(("assertion.lifetime", text));
        }
        if self.lifetime > Self::LONGEST_LIFETIME {
            let text = "found more than a day; expected at most that".to_owned();
            problems.push(("assertion.lifetime", text));
        }
        let signed = self.key.read();
        let signed = signed.and_then(|key| signature::sign(self.algorithm, &key, b""));
        if let Err(text) = signed {
            problems.push(("assertion.key", text));
        }
        problems
    }

    /// Tells accounts apart that share a store: all that an assertion says each time.
    pub(in crate::auth) fn identity(&self) -> Vec<&str> {
        let subject = self.subject.as_deref().unwrap_or_default();
        let audience = self.audience.as_deref().unwrap_or_default();
        let claims = self.claims.iter();
        let claims = claims.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        let fixed = [self.issuer.as_str(), subject, audience];
        fixed.into_iter().chain(claims).collect()
    }

    /// A fresh assertion. `id` is its `jti`; `server` is the server's time, as far as we know it,
    /// and `own` ours.
    ///
    /// # Errors
    /// A sentence about the key, never with the key in it.
    pub(in crate::auth) fn assertion(
        &self,
        token_url: &str,
        id: &str,
        server: SystemTime,
        own: SystemTime,
    ) -> Result<Zeroizing<String>, String> {
        let key = self.key.read()?;
        let header = encoded(&self.header());
        let claims = encoded(&self.claims(token_url, id, server, own));
        let input = format!("{header}.{claims}");
        let signature = signature::sign(self.algorithm, &key, input.as_bytes())?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Zeroizing::new(format!("{input}.{signature}")))
    }

    fn header(&self) -> Value {
        let mut header = Map::new();
        header.insert("alg".into(), self.algorithm.name().into());
        header.insert("typ".into(), "JWT".into());
        if let Some(id) = &self.key_id {
            header.insert("kid".into(), id.as_str().into());
        }
        Value::Object(header)
    }

    /// RFC 7523 section 3.
    fn claims(&self, token_url: &str, id: &str, server: SystemTime, own: SystemTime) -> Value {
        let issued_at = seconds(server);
        let latest = seconds(own).saturating_add(Self::LONGEST_LIFETIME.as_secs());
        let expires_at = issued_at.saturating_add(self.lifetime.as_secs());
        let mut claims = json!({
            "iss": self.issuer,
            "aud": self.audience.as_deref().unwrap_or(token_url),
            "iat": issued_at,
            "exp": expires_at.min(latest),
        });
        let by_default = (!self.is_minimal).then_some(self.issuer.as_str());
        if let Some(subject) = self.subject.as_deref().or(by_default) {
            claims["sub"] = subject.into();
        }
        if !self.is_minimal {
            claims["jti"] = id.into();
        }
        for (name, value) in &self.claims {
            claims[name] = value.as_str().into();
        }
        claims
    }
}

/// Claims are shown by name: a value may be secret.
impl fmt::Debug for JwtBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims: Vec<_> = self.claims.iter().map(|(name, _)| name).collect();
        f.debug_struct("JwtBearer")
            .field("algorithm", &self.algorithm)
            .field("key", &self.key)
            .field("key_id", &self.key_id)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .field("claims", &claims)
            .field("is_minimal", &self.is_minimal)
            .finish()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://identity.example/oauth2/token";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn part(assertion: &str, index: usize) -> Value {
        let part = assertion.split('.').nth(index).expect("a part");
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64");
        serde_json::from_slice(&bytes).expect("json")
    }

    #[test]
    fn an_assertion_says_what_the_rfc_asks_for() {
        let bearer = JwtBearer::hs256("me@example", "s3cr3t").key_id("k1");
        let assertion = bearer
            .assertion(URL, "j1", at(1_000), at(1_000))
            .expect("an assertion");
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": "k1"});
        assert_eq!(part(&assertion, 0), header);
        let claims = json!({
            "iss": "me@example", "sub": "me@example", "aud": URL,
            "iat": 1_000, "exp": 4_600, "jti": "j1",
        });
        assert_eq!(part(&assertion, 1), claims);
    }

    #[test]
    fn every_claim_can_be_set() {
        let bearer = JwtBearer::hs256("me", "s3cr3t")
            .subject("you")
            .audience("them")
            .lifetime(Duration::from_secs(60))
            .claim("scope", "all");
        let assertion = bearer
            .assertion(URL, "j1", at(1_000), at(1_000))
            .expect("an assertion");
        assert_eq!(part(&assertion, 0), json!({"alg": "HS256", "typ": "JWT"}));
        let claims = json!({
            "iss": "me", "sub": "you", "aud": "them",
            "iat": 1_000, "exp": 1_060, "jti": "j1", "scope": "all",
        });
        assert_eq!(part(&assertion, 1), claims);
    }

    #[test]
    fn a_minimal_assertion_has_four_claims() {
        let assertion = |bearer: &JwtBearer| bearer.assertion(URL, "j1", at(1), at(1));
        let claims = |bearer: JwtBearer| part(&assertion(&bearer).expect("one"), 1);
        let bearer = JwtBearer::hs256("me", "s3cr3t").minimal();
        let four = json!({"iss": "me", "aud": URL, "iat": 1, "exp": 3_601});
        assert_eq!(claims(bearer.clone()), four);
        assert_eq!(claims(bearer.subject("you"))["sub"], "you");
    }

    #[test]
    fn neither_debug_nor_a_problem_shows_the_key() {
        let bearer = JwtBearer::hs256("", "canary").lifetime(Duration::ZERO);
        assert!(!format!("{bearer:?}").contains("canary"));
        let fields: Vec<_> = bearer.check().iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, ["assertion.issuer", "assertion.lifetime"]);
        let bearer = JwtBearer::hs256("me", "k").claim("password", "canary");
        let shown = format!("{:?}", crate::Grant::jwt_bearer(bearer));
        assert!(
            shown.contains("password") && !shown.contains("canary"),
            "{shown}"
        );
        let missing = JwtBearer::hs256("me", Secret::env("TOLLGATE_NO_SUCH_KEY"));
        assert!(missing.check()[0].1.contains("TOLLGATE_NO_SUCH_KEY"));
    }

    #[test]
    fn no_assertion_is_good_for_more_than_a_day_by_our_own_clock() {
        let day = JwtBearer::LONGEST_LIFETIME;
        let bearer = JwtBearer::hs256("me", "s3cr3t").lifetime(day);
        assert!(bearer.check().is_empty());
        for (server, expected) in [(1_000, 87_400), (4_600, 87_400), (400, 86_800)] {
            let assertion = bearer.assertion(URL, "j1", at(server), at(1_000));
            let claims = part(&assertion.expect("an assertion"), 1);
            assert_eq!(claims["exp"], expected, "{server}");
            assert_eq!(claims["iat"], server);
        }
        let problems = bearer.lifetime(day + Duration::from_secs(1)).check();
        assert_eq!(problems[0].0, "assertion.lifetime");
    }
}
