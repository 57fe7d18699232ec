//! The token endpoint as OAuth 2.0 has it (RFC 6749): what is asked, what is answered.

pub(crate) mod endpoint;
pub(crate) mod grant;
pub(super) mod jwt;
pub(super) mod refusal_text;
pub(super) mod request;
pub(super) mod response;
pub(super) mod transport;
