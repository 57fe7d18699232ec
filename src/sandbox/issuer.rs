//! The tokens that the sandbox has issued, and which of them are still good.
//!
//! Pure: times are the sandbox's own, given as arguments. Every login begins a *family* of refresh
//! tokens. With rotation a refresh token is good for one use, which brings its successor; one that
//! comes back spent may be stolen, so the whole family ends (RFC 9700 section 4.14.2). The access
//! tokens that the family has brought live on until they expire.

use std::collections::HashMap;
use std::time::Duration;

/// Above so many, expired access tokens are forgotten.
const ACCESS_TOKENS_KEPT: usize = 4096;

pub(super) struct Issuer {
    rules: Rules,
    /// Which family a refresh token belongs to, and when it was spent.
    refresh: HashMap<String, Refresh>,
    /// Whether a family has ended, by its number.
    ended: Vec<bool>,
    /// When an access token expires.
    access: HashMap<String, Duration>,
    random: fastrand::Rng,
}

/// How tokens are issued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) lifetime: Duration,
    pub(super) rotation: bool,
    pub(super) grace: Duration,
}

struct Refresh {
    family: usize,
    spent_at: Option<Duration>,
}

/// A successful token request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) access: String,
    /// The successor of the refresh token that was presented.
    pub(super) refresh: Option<String>,
}

/// Why a refresh token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshRefused {
    /// Never issued, or its family had ended before.
    Unknown,
    /// It was spent before: its family ends now.
    Reused,
}

/// What an access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    Expired,
    /// Never issued, or revoked.
    Unknown,
}

impl Issuer {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            refresh: HashMap::new(),
            ended: Vec::new(),
            access: HashMap::new(),
            // Not from the sandbox's seed: a token of one sandbox must mean nothing to another.
            random: fastrand::Rng::new(),
        }
    }

    /// Issues an access token for the client itself.
    pub(super) fn client_credentials(&mut self, now: Duration) -> Issued {
        Issued {
            access: self.new_access(now),
            refresh: None,
        }
    }

    /// Begins a family, as a person's login would.
    pub(super) fn log_in(&mut self) -> String {
        self.ended.push(false);
        self.new_refresh(self.ended.len() - 1)
    }

    /// Issues an access token for a refresh token, which is thereby spent.
    pub(super) fn refresh(&mut self, token: &str, now: Duration) -> Result<Issued, RefreshRefused> {
        let family = self.spend(token, now)?;
        let successor = self.rules.rotation.then(|| self.new_refresh(family));
        Ok(Issued {
            access: self.new_access(now),
            refresh: successor,
        })
    }

    fn spend(&mut self, token: &str, now: Duration) -> Result<usize, RefreshRefused> {
        let refresh = self.refresh.get_mut(token).ok_or(RefreshRefused::Unknown)?;
        let family = refresh.family;
        if self.ended[family] {
            return Err(RefreshRefused::Unknown);
        }
        let grace = self.rules.grace;
        if refresh
            .spent_at
            .is_some_and(|spent| now.saturating_sub(spent) >= grace)
        {
            self.ended[family] = true;
            return Err(RefreshRefused::Reused);
        }
        if self.rules.rotation {
            refresh.spent_at.get_or_insert(now);
        }
        Ok(family)
    }

    /// What an access token is worth.
    pub(super) fn worth(&self, access: &str, now: Duration) -> Worth {
        match self.access.get(access) {
            None => Worth::Unknown,
            Some(expires) if now >= *expires => Worth::Expired,
            Some(_) => Worth::Good,
        }
    }

    /// No access token issued so far is good any more.
    pub(super) fn revoke_access_tokens(&mut self) {
        self.access.clear();
    }

    /// No refresh token issued so far is good any more.
    pub(super) fn revoke_refresh_tokens(&mut self) {
        self.ended.fill(true);
    }

    fn new_access(&mut self, now: Duration) -> String {
        if self.access.len() >= ACCESS_TOKENS_KEPT {
            self.access.retain(|_, expires| now < *expires);
        }
        let token = self.new_token("at");
        let expires = now.saturating_add(self.rules.lifetime);
        self.access.insert(token.clone(), expires);
        token
    }

    fn new_refresh(&mut self, family: usize) -> String {
        let token = self.new_token("rt");
        let refresh = Refresh {
            family,
            spent_at: None,
        };
        self.refresh.insert(token.clone(), refresh);
        token
    }

    fn new_token(&mut self, kind: &str) -> String {
        format!("sandbox-{kind}-{:032x}", self.random.u128(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(10);

    fn issuer(rotation: bool, grace: Duration) -> Issuer {
        Issuer::new(Rules {
            lifetime: LIFETIME,
            rotation,
            grace,
        })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn successor(issued: Result<Issued, RefreshRefused>) -> String {
        issued.expect("issued").refresh.expect("a successor")
    }

    #[test]
    fn an_access_token_is_good_until_its_lifetime_is_over() {
        let mut issuer = issuer(true, Duration::ZERO);
        let token = issuer.client_credentials(seconds(5)).access;
        assert_eq!(issuer.worth(&token, seconds(14)), Worth::Good);
        assert_eq!(issuer.worth(&token, seconds(15)), Worth::Expired);
        assert_eq!(issuer.worth("made up", seconds(5)), Worth::Unknown);
    }

    #[test]
    fn a_spent_refresh_token_that_comes_back_ends_its_family() {
        let mut issuer = issuer(true, Duration::ZERO);
        let first = issuer.log_in();
        let second = successor(issuer.refresh(&first, seconds(1)));
        assert_eq!(
            issuer.refresh(&first, seconds(1)),
            Err(RefreshRefused::Reused)
        );
        assert_eq!(
            issuer.refresh(&second, seconds(1)),
            Err(RefreshRefused::Unknown)
        );
    }

    #[test]
    fn another_login_is_not_touched_by_the_end_of_a_family() {
        let mut issuer = issuer(true, Duration::ZERO);
        let (one, other) = (issuer.log_in(), issuer.log_in());
        successor(issuer.refresh(&one, seconds(1)));
        issuer.refresh(&one, seconds(1)).expect_err("reused");
        successor(issuer.refresh(&other, seconds(1)));
    }

    #[test]
    fn within_the_grace_period_a_spent_refresh_token_is_still_taken() {
        let mut issuer = issuer(true, seconds(2));
        let first = issuer.log_in();
        successor(issuer.refresh(&first, seconds(1)));
        let second = successor(issuer.refresh(&first, seconds(2)));
        successor(issuer.refresh(&second, seconds(2)));
        assert_eq!(
            issuer.refresh(&first, seconds(3)),
            Err(RefreshRefused::Reused)
        );
    }

    #[test]
    fn without_rotation_the_refresh_token_stays_good_and_none_comes_back() {
        let mut issuer = issuer(false, Duration::ZERO);
        let token = issuer.log_in();
        for second in 0..3 {
            let issued = issuer.refresh(&token, seconds(second));
            assert_eq!(issued.expect("issued").refresh, None);
        }
    }

    #[test]
    fn revoking_ends_what_was_issued_and_not_what_comes_after() {
        let mut issuer = issuer(true, Duration::ZERO);
        let (access, refresh) = (
            issuer.client_credentials(seconds(0)).access,
            issuer.log_in(),
        );
        issuer.revoke_access_tokens();
        issuer.revoke_refresh_tokens();
        assert_eq!(issuer.worth(&access, seconds(0)), Worth::Unknown);
        issuer.refresh(&refresh, seconds(0)).expect_err("revoked");

        let (access, refresh) = (
            issuer.client_credentials(seconds(0)).access,
            issuer.log_in(),
        );
        assert_eq!(issuer.worth(&access, seconds(0)), Worth::Good);
        issuer.refresh(&refresh, seconds(0)).expect("good");
    }

    #[test]
    fn expired_access_tokens_do_not_pile_up() {
        let mut issuer = issuer(true, Duration::ZERO);
        for _ in 0..ACCESS_TOKENS_KEPT {
            issuer.client_credentials(seconds(0));
        }
        issuer.client_credentials(seconds(11));
        assert_eq!(issuer.access.len(), 1);
    }
}
