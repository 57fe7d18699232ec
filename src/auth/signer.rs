//! Request signing: the hook for vendors that want no token but a signature.
//!
//! A signature holds for one attempt: it covers a time, a nonce, often the body, and a server may
//! refuse the second request with the same nonce. So the signer is asked for every attempt, replays
//! after a 401 or a 429 included, after everything else is on the request.

use std::time::SystemTime;

use reqwest::Request;

use crate::error::BoxError;

/// Signs every attempt of a request to the account's origins.
///
/// It may change headers, query, path and body. What it adds to the URL does not show in the
/// response's URL nor in errors: the caller sees the URL that it asked for.
///
/// It must not block, and must not keep the request. What always holds: the attempt carries all of
/// the account's other headers and query keys, no attempt is signed twice, and none is sent if the
/// signer fails. A request with an `Authorization` header of its own is not signed.
///
/// ```
/// use reqwest_tollgate::{Account, Attempt, BoxError, Signer};
///
/// struct Stamp;
///
/// impl Signer for Stamp {
///     fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
///         let length = attempt.body()?.len().to_string();
///         attempt.request.headers_mut().insert("x-length", length.parse()?);
///         Ok(())
///     }
/// }
///
/// let account = Account::builder("acme", "https://api.acme.example").signer(Stamp).build()?;
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
pub trait Signer: Send + Sync + 'static {
    /// Signs one attempt.
    ///
    /// # Errors
    /// Whatever keeps it from signing; the caller gets an
    /// [`ErrorKind::Signature`](crate::ErrorKind::Signature) with it as source, and nothing is
    /// sent. It must not hold a secret.
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError>;
}

/// One attempt of a request, about to leave.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// The request, with everything on it but the signature.
    pub request: &'a mut Request,
    /// The account's clock.
    pub now: SystemTime,
    /// Random bytes of this attempt alone, from the operating system.
    pub nonce: [u8; 16],
}

impl<'a> Attempt<'a> {
    /// An attempt, for tests of a signer.
    pub fn new(request: &'a mut Request, now: SystemTime, nonce: [u8; 16]) -> Self {
        Self {
            request,
            now,
            nonce,
        }
    }

    /// The body's bytes; empty where there is none.
    ///
    /// # Errors
    /// The body is a stream, whose bytes nobody knows before they are sent.
    pub fn body(&self) -> Result<&[u8], BoxError> {
        match self.request.body() {
            None => Ok(&[]),
            Some(body) => body
                .as_bytes()
                .ok_or_else(|| "the body is a stream; a signature needs its bytes".into()),
        }
    }
}
