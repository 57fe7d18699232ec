//! The manners of a vendor at the wire: what it wants to see, and in which words it refuses.

mod credential;
mod keys;
mod oauth;
mod signatures;
mod signed;
mod token;
mod words;

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request};

use self::credential::Place;
use self::token::TokenWay;
use self::words::Words;
use crate::error::Error;

pub(super) use self::credential::{Gap, Known};
pub(super) use self::words::Moment;

/// How a vendor behaves at the wire, for [`SandboxBuilder::manners`]: which credential it wants and
/// where, where its token endpoint is and what that asks for, and its own way to say "key refused",
/// "too fast" and "spent for today".
///
/// Everything is written down here by itself, from the vendors' pages and what was observed of
/// them, and nothing is taken from [`distributors`](crate::distributors): a slip in a preset is one
/// that these manners do not share. Where several ways were seen (Mouser refuses with 403, 429 and
/// 200), the sandbox takes them in turn. Where a vendor's way is not known it is HTTP's own, 401 or
/// 429 without a word; where nobody knows of a limit, the manners have no words for one, and it is
/// HTTP's own too.
///
/// A customer of the sandbox has [`CLIENT_ID`] for what is like a name (a client's id, a login, a
/// company), [`CLIENT_SECRET`] for what is secret, and [`KEY`] for a third thing beside the two.
///
/// [`SandboxBuilder::manners`]: super::SandboxBuilder::manners
/// [`CLIENT_ID`]: super::Sandbox::CLIENT_ID
/// [`CLIENT_SECRET`]: super::Sandbox::CLIENT_SECRET
/// [`KEY`]: super::Sandbox::KEY
///
/// ```
/// use reqwest_tollgate::sandbox::Manners;
///
/// let mouser = Manners::of("mouser")?;
/// assert_eq!(mouser.host(), "api.mouser.com");
/// assert!(Manners::all().count() > 20);
/// # Ok::<(), reqwest_tollgate::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Manners(&'static Vendor);

/// The whole of it, as data.
struct Vendor {
    name: &'static str,
    /// Where the API really is.
    host: &'static str,
    /// What a request has to carry.
    places: &'static [Place],
    token: Option<TokenWay>,
    call: Call,
    /// What the paths of the API begin with.
    paths: &'static [&'static str],
    /// On every answer that is no refusal.
    always: &'static [(&'static str, &'static str)],
    /// The token is refused, or the only key.
    refused: &'static [Words],
    /// What stands beside the token is refused.
    other: &'static [Words],
    /// The shortest window is spent.
    rate: &'static [Words],
    /// The longest one is.
    spent: &'static [Words],
}

/// A request as the vendor's customers make it.
#[derive(Clone, Copy)]
struct Call {
    /// `{part}` stands for a part number.
    path: &'static str,
    /// Its media type and its text; with one it is a POST.
    body: Option<(&'static str, &'static str)>,
}

impl Call {
    const fn get(path: &'static str) -> Self {
        Self { path, body: None }
    }

    const fn post(path: &'static str, media_type: &'static str, body: &'static str) -> Self {
        Self {
            path,
            body: Some((media_type, body)),
        }
    }
}

/// Which of its words the vendor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Occasion {
    Refused,
    Other,
    Rate,
    Spent,
}

fn vendors() -> impl Iterator<Item = &'static Vendor> {
    let all = keys::VENDORS.iter().chain(oauth::VENDORS);
    all.chain(signed::VENDORS)
}

impl Manners {
    /// Those of the vendor, by the name of its module in [`distributors`](crate::distributors);
    /// `element14_contract` is element14 for a customer with a contract. Those that sign by SHA-1
    /// (it, `lcsc` and `tme_v1`) need the feature `signing`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config), with the names that there are.
    pub fn of(vendor: &str) -> Result<Self, Error> {
        let found = Self::all().find(|manners| manners.name() == vendor);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::all().map(|manners| manners.name()).collect();
            let names = names.join(", ");
            Error::config(format!("there are no manners of {vendor:?}, only: {names}"))
        })
    }

    /// Everybody's.
    pub fn all() -> impl Iterator<Item = Self> {
        vendors().map(Self)
    }

    /// Whose they are.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The host of the vendor's API, where the sandbox is not: for a test that a preset knows it.
    pub fn host(&self) -> &'static str {
        self.0.host
    }

    /// The URL of the vendor's real token endpoint, if it has one.
    pub fn token_endpoint(&self) -> Option<String> {
        let token = self.0.token.as_ref()?;
        let host = token.host.unwrap_or(self.0.host);
        Some(format!("https://{host}{}", token.path))
    }

    /// How long a token of the vendor lives, if it has tokens.
    pub fn token_lifetime(&self) -> Option<Duration> {
        let token = self.0.token.as_ref()?;
        Some(Duration::from_secs(token.lifetime))
    }

    /// How a request of a customer's begins.
    pub fn method(&self) -> Method {
        match self.0.call.body {
            Some(_) => Method::POST,
            None => Method::GET,
        }
    }

    /// The path and query that ask about a part, whose number stands for `{part}`; without any
    /// credential.
    pub fn path(&self) -> &'static str {
        self.0.call.path
    }

    /// The media type and the text of the body that asks about a part, likewise; none for a GET.
    pub fn body(&self) -> Option<(&'static str, &'static str)> {
        self.0.call.body
    }

    /// Whether the vendor has words of its own for this: what the default is, HTTP says.
    pub fn knows_a_limit(&self) -> bool {
        !self.0.rate.is_empty()
    }

    /// The same for the longest of the windows.
    pub fn knows_a_day(&self) -> bool {
        !self.0.spent.is_empty()
    }

    pub(super) fn token_path(&self) -> Option<&'static str> {
        self.0.token.as_ref().map(|token| token.path)
    }

    /// What is wrong with a token request; none if nothing is.
    pub(super) fn token_request_refused(
        &self,
        request: &Request<Bytes>,
        known: &Known,
        now: SystemTime,
    ) -> Option<&'static str> {
        let token = self.0.token.as_ref()?;
        token.refused(request, known, now)
    }

    /// Whether a refresh token comes along with each token.
    pub(super) fn refresh_token_comes_along(&self) -> bool {
        self.0.token.as_ref().is_some_and(|token| token.refreshes)
    }

    /// Whether the API has such a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.paths.iter().any(|prefix| path.starts_with(prefix))
    }

    /// What is wrong with the credential; none if nothing is.
    pub(super) fn gap(
        &self,
        request: &Request<Bytes>,
        known: &Known,
        nonces: &mut HashSet<String>,
        is_good: &dyn Fn(&str) -> bool,
        now: SystemTime,
    ) -> Option<Gap> {
        credential::gap(self.0.places, request, known, nonces, is_good, now)
    }

    /// The nth refusal of its kind, in the vendor's words.
    pub(super) fn answer(
        &self,
        occasion: Occasion,
        nth: usize,
        moment: &Moment,
    ) -> super::answer::Answer {
        let vendor = self.0;
        let (own, https) = match occasion {
            Occasion::Refused => (vendor.refused, &words::UNAUTHORIZED),
            Occasion::Other if vendor.other.is_empty() => (vendor.refused, &words::UNAUTHORIZED),
            Occasion::Other => (vendor.other, &words::UNAUTHORIZED),
            Occasion::Rate => (vendor.rate, &words::TOO_MANY),
            Occasion::Spent if vendor.spent.is_empty() => (vendor.rate, &words::TOO_MANY),
            Occasion::Spent => (vendor.spent, &words::TOO_MANY),
        };
        let words = match own.len() {
            0 => https,
            count => &own[nth % count],
        };
        words.answer(moment)
    }

    /// What every answer has.
    pub(super) fn headers(&self, moment: &Moment) -> http::HeaderMap {
        words::headers(self.0.always, moment)
    }
}

impl PartialEq for Manners {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Manners {}

impl fmt::Debug for Manners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Manners").field(&self.name()).finish()
    }
}

#[cfg(test)]
mod tests;
