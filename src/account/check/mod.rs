//! What a builder's settings have to be before an account is made of them, and what is wrong with
//! them otherwise. All problems are found at once.

pub(super) mod headers;
pub(super) mod oauth;
pub(crate) mod problems;
pub(crate) mod quotas;
pub(super) mod unused;
pub(crate) mod urls;
