//! A certificate for this machine that lives as long as this program and is trusted by nobody.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use reqwest_tollgate::{Clock as _, SystemClock};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// All the names that the loopback interface goes by.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The key never leaves the memory of this process.
pub(crate) struct Certificate {
    pub(crate) acceptor: TlsAcceptor,
    /// SHA-256, as browsers show it.
    pub(crate) fingerprint: String,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = parameters()?.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        // The provider by name: with two of them in a build rustls would not choose.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            fingerprint: fingerprint(certificate.der()),
        })
    }
}

/// Valid from yesterday, for clocks that differ, until tomorrow.
fn parameters() -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(NAMES.map(str::to_owned))?;
    let name = "reqwest-tollgate, one login";
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemClock.now().wall;
    parameters.not_before = (now - DAY).into();
    parameters.not_after = (now + DAY).into();
    Ok(parameters)
}

fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(certificate) {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_written_as_browsers_write_it() {
        let text = fingerprint(b"");
        assert!(
            text.starts_with("E3:B0:C4:42:") && text.ends_with(":55"),
            "{text}"
        );
        assert_eq!(text.len(), 32 * 3 - 1);
    }

    #[test]
    fn no_two_logins_share_a_certificate() {
        let (one, two) = (Certificate::new(), Certificate::new());
        let fingerprint = |made: Result<Certificate>| made.expect("a certificate").fingerprint;
        assert_ne!(fingerprint(one), fingerprint(two));
    }
}
