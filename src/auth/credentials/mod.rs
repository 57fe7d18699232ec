//! What an account puts on its requests, beside or instead of a token: keys, then the signature.

pub(crate) mod keys;
pub(super) mod redacted;
pub(crate) mod scheme;
pub(crate) mod signer;
pub(super) mod url_redaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response};

use super::cache::bucket::Bucket;
use super::challenge::{self, Standing};
use super::token::{Evidence, Token};
use crate::clock::{Clock, Moment, Now};
use crate::error::{Error, ErrorKind, Recovery};
use keys::{KeyPlaces, Keys};
use signer::{Attempt, Signer};
use url_redaction::Disguise;

/// Refused keys are read again at most this often.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// An account's credentials, but for its token.
pub(crate) struct Credentials {
    keys: ArcSwap<Keys>,
    places: KeyPlaces,
    signer: Option<Arc<dyn Signer>>,
    /// By this signer or a preset's, whose secrets can change but not whether it signs.
    is_signed: bool,
    /// Whether what it puts on is still there after a redirect to another origin.
    outlive_redirects: bool,
    /// What requests without a token found out about the keys.
    evidence: Evidence,
    retries: Mutex<Bucket>,
    /// When the keys were last read again.
    read_again: Mutex<Option<Moment>>,
}

/// What a request had put on.
pub(super) struct Worn {
    /// Which keys, to tell whether newer ones came since; only where they can change.
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) disguise: Option<Box<Disguise>>,
}

impl Worn {
    /// The result as the caller gets it.
    pub(super) fn hide(
        &self,
        result: reqwest_middleware::Result<Response>,
    ) -> reqwest_middleware::Result<Response> {
        match &self.disguise {
            Some(disguise) => disguise.hide(result),
            None => result,
        }
    }
}

impl Credentials {
    pub(crate) fn new(keys: Keys, places: KeyPlaces, signer: Option<Arc<dyn Signer>>) -> Self {
        let is_signed = signer.is_some() || keys.signature.signer.is_some();
        Self {
            is_signed,
            outlive_redirects: is_signed || keys.outlive_redirects(),
            keys: ArcSwap::from_pointee(keys),
            places,
            signer,
            evidence: Evidence::default(),
            retries: Mutex::new(challenge::retries()),
            read_again: Mutex::new(None),
        }
    }

    /// Whether another attempt needs other credentials than the one before.
    pub(super) fn differ_by_attempt(&self) -> bool {
        self.is_signed || self.can_change()
    }

    pub(super) fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// Whether a client that follows redirects to other origins takes any of it there.
    pub(super) fn outlive_redirects(&self) -> bool {
        self.outlive_redirects
    }

    /// Whether reading the keys again could give others.
    pub(super) fn can_change(&self) -> bool {
        self.places.have_references()
    }

    /// Puts everything on that the caller did not bring.
    ///
    /// # Errors
    /// The signer failed.
    pub(super) fn put(
        &self,
        request: &mut Request,
        token: Option<&Token>,
        clock: &dyn Clock,
    ) -> Result<Worn, Error> {
        let keys = self.keys.load();
        // The account's own signer goes before the preset's.
        let signer = self.signer.as_ref().or(keys.signature.signer.as_ref());
        let changes_url = signer.is_some() || !keys.query.is_empty();
        let shown = changes_url.then(|| request.url().clone());
        let brings_own = request.headers().contains_key(AUTHORIZATION);
        keys.put(request);
        if let Some(token) = token {
            let header = token.header().clone();
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        if let Some(signer) = signer.filter(|_| !brings_own) {
            sign(&**signer, request, clock.now())?;
        }
        Ok(Worn {
            disguise: shown.and_then(|shown| Disguise::new(shown, request.url())),
            keys: self.can_change().then(|| Arc::clone(&keys)),
        })
    }

    /// Whether nothing is put on but a token.
    pub(super) fn are_none(&self) -> bool {
        self.signer.is_none() && self.keys.load().are_none()
    }

    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What is known of the keys that the API refused to a request.
    pub(super) fn standing(&self, now: Moment) -> Standing {
        match &self.evidence {
            evidence if evidence.exonerates(now) => Standing::Exonerated,
            evidence if evidence.works(now) => Standing::Works,
            _ => Standing::Unproved,
        }
    }

    /// Takes a retry with the same keys from the budget; false: none is left.
    pub(super) fn take_retry(&self, now: Moment) -> bool {
        self.lock_retries().take(now)
    }

    /// The retry was not refused: it goes back.
    pub(super) fn return_retry(&self) {
        self.lock_retries().refund();
    }

    fn lock_retries(&self) -> MutexGuard<'_, Bucket> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are newer keys than those.
    pub(super) fn are_newer_than(&self, worn: &Keys) -> bool {
        *worn != **self.keys.load()
    }

    /// Reads the keys again where they are kept, unless that was done just now. What cannot be read
    /// stays as it is. It blocks.
    pub(super) fn read_again(&self, now: Moment) {
        let mut last = self
            .read_again
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now < last + READ_AGAIN) {
            return;
        }
        *last = Some(now);
        if let Ok(keys) = self.places.read() {
            self.keys.store(Arc::new(keys));
        }
    }
}

fn sign(signer: &dyn Signer, request: &mut Request, now: Now) -> Result<(), Error> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| {
        let text = "the system gives no random bytes";
        Error::new(ErrorKind::Signature, Recovery::Retry, text)
    })?;
    let mut attempt = Attempt::new(request, now.wall, nonce);
    signer.sign(&mut attempt).map_err(|error| {
        let text = format!("the request could not be signed: {error}");
        Error::new(ErrorKind::Signature, Recovery::Reconfigure, text).with_source(error)
    })
}
