//! The form of a token request: its fields and headers, and which of them are secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::endpoint::Presentation;

/// RFC 7523 section 2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A token request in the making.
pub(in crate::auth) struct Form {
    headers: HeaderMap,
    fields: Serializer<'static, String>,
    pub(in crate::auth) secrets: Vec<Zeroizing<String>>,
}

/// One that is ready to be sent.
pub(in crate::auth) struct Ready {
    pub(in crate::auth) headers: HeaderMap,
    pub(in crate::auth) body: String,
    pub(in crate::auth) secrets: Vec<Zeroizing<String>>,
}

impl Form {
    pub(in crate::auth) fn new(extra: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        headers.extend(extra.clone());
        Self {
            headers,
            fields: Serializer::new(String::new()),
            secrets: Vec::new(),
        }
    }

    /// The grant (RFC 6749 section 4, RFC 7636 section 4.5).
    pub(in crate::auth) fn present(&mut self, presentation: Presentation<'_>) {
        match presentation {
            Presentation::ClientCredentials => self.field("grant_type", "client_credentials"),
            Presentation::RefreshToken(token) => {
                self.field("grant_type", "refresh_token");
                self.copied("refresh_token", token);
            }
            Presentation::AuthorizationCode {
                code,
                redirect_uri,
                verifier,
            } => {
                self.field("grant_type", "authorization_code");
                self.copied("code", code);
                self.field("redirect_uri", redirect_uri);
                if let Some(verifier) = verifier {
                    self.copied("code_verifier", verifier);
                }
            }
            Presentation::Password { user, password } => {
                self.field("grant_type", "password");
                self.field("username", user);
                self.copied("password", password);
            }
            Presentation::Assertion(assertion) => {
                self.field("grant_type", JWT_BEARER);
                self.copied("assertion", assertion);
            }
        }
    }

    fn copied(&mut self, name: &str, secret: &str) {
        self.secret_field(name, Zeroizing::new(secret.to_owned()));
    }

    pub(in crate::auth) fn field(&mut self, name: &str, value: &str) {
        self.fields.append_pair(name, value);
    }

    pub(super) fn secret_field(&mut self, name: &str, value: Zeroizing<String>) {
        self.field(name, &value);
        // A server may quote the form as it came.
        let encoded: String = byte_serialize(value.as_bytes()).collect();
        self.secrets.push(Zeroizing::new(encoded));
        self.secrets.push(value);
    }

    pub(in crate::auth) fn basic(&mut self, id: &str, secret: &str) -> Result<(), String> {
        let pair = Zeroizing::new(format!("{id}:{secret}"));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        let text = Zeroizing::new(format!("Basic {}", encoded.as_str()));
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| "the client secret cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        self.secrets.push(encoded);
        Ok(())
    }

    pub(in crate::auth) fn finish(mut self) -> Ready {
        Ready {
            headers: self.headers,
            body: self.fields.finish(),
            secrets: self.secrets,
        }
    }
}
