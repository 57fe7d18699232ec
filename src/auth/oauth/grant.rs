//! Grants (RFC 6749 section 1.3) and how the client authenticates itself (section 2.3).

use super::jwt::JwtBearer;
use crate::secret::Secret;

/// How a token is got.
#[derive(Clone, Debug)]
pub struct Grant(pub(crate) GrantKind);

#[derive(Clone, Debug)]
pub(crate) enum GrantKind {
    ClientCredentials,
    RefreshToken { initial: Secret },
    AuthorizationCode { redirect_uri: String },
    Password { user: String, password: Secret },
    JwtBearer(Box<JwtBearer>),
}

impl GrantKind {
    /// Whether a refresh token renews it; the others are presented anew each time.
    pub(crate) fn refreshes(&self) -> bool {
        matches!(
            self,
            Self::RefreshToken { .. } | Self::AuthorizationCode { .. }
        )
    }
}

impl Grant {
    /// The application itself is the user (RFC 6749 section 4.4): DigiKey calls it two-legged.
    pub fn client_credentials() -> Self {
        Self(GrantKind::ClientCredentials)
    }

    /// A refresh token that was got elsewhere begins the chain (RFC 6749 section 6). Once the
    /// store has one, the store's is used, since each may be good for one use only. If that one is
    /// refused, and `initial` is by now another than the chain began with, a new chain begins.
    pub fn refresh_token(initial: impl Into<Secret>) -> Self {
        Self(GrantKind::RefreshToken {
            initial: initial.into(),
        })
    }

    /// A person logs in (RFC 6749 section 4.1): DigiKey calls it three-legged. The account renews
    /// what the token store holds; while it holds nothing, requests fail with
    /// [`Recovery::LogIn`](crate::Recovery::LogIn).
    ///
    /// `redirect_uri` is where the server sends the person's browser after the login, letter by
    /// letter as it is registered there. The login begins with
    /// [`Account::authorization_request`](crate::Account::authorization_request).
    pub fn authorization_code(redirect_uri: impl AsRef<str>) -> Self {
        let redirect_uri = redirect_uri.as_ref().to_owned();
        Self(GrantKind::AuthorizationCode { redirect_uri })
    }

    /// A person's name and password (RFC 6749 section 4.3), for servers that offer nothing better.
    /// They are presented anew for each token; a refresh token that comes along is not used.
    pub fn password(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self(GrantKind::Password {
            user: user.into(),
            password: password.into(),
        })
    }

    /// A signed assertion (RFC 7523 section 2.1), a fresh one for each token request: what service
    /// accounts use. The account needs no `client_id` then.
    ///
    /// If the server refuses one and its `Date` is more than a minute off our clock, but no more
    /// than an hour, assertions follow the server's clock until one of them is refused, and one
    /// more is sent at once.
    pub fn jwt_bearer(assertion: JwtBearer) -> Self {
        Self(GrantKind::JwtBearer(Box::new(assertion)))
    }
}

/// How the client proves to the token endpoint who it is (RFC 6749 section 2.3.1).
///
/// It is configured and never probed: a refused attempt may use up a single-use refresh token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuth {
    /// HTTP Basic, id and secret percent-encoded, a space as `%20`.
    #[default]
    Basic,
    /// HTTP Basic, id and secret as they are: against the RFC, but some servers decode nothing.
    BasicRaw,
    /// `client_id` and `client_secret` in the form.
    Body,
}
