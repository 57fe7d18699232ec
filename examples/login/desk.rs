//! What a visitor of the redirect URI is answered.
//!
//! The address at which a person arrives holds the code of the login. So it is not what their
//! browser keeps: the answer sends them on to a page of its own, and the address with the code
//! never gets into the history (a redirect needs no script; `history.replaceState` would).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode, Uri};
use reqwest_tollgate::{AuthorizationRequest, Clock as _, Error, ErrorKind, Recovery, SystemClock};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::page::Page;

pub(crate) type Answer = Response<Full<Bytes>>;

/// Beside the redirect URI's own query, the name of a page.
const PAGE: &str = "login-page";
/// The name of the page that says how the login ended; the others have numbers.
const LAST: &str = "end";
/// Of refusals, kept for whoever is sent on to them.
const MOST_PAGES: usize = 32;
/// A code that has not left may be sent again (some are good for 10 s only).
const ATTEMPTS: usize = 3;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// What happened at the desk.
pub(crate) enum News {
    /// An address of another login.
    Refused(Error),
    Ended(Result<(), Error>),
    /// Somebody has fetched the page that says how the login ended.
    Seen,
}

pub(crate) struct Desk {
    request: Arc<AuthorizationRequest>,
    /// An address of this login has come. A browser may send it twice, the code is sent once.
    taken: AtomicBool,
    last: watch::Sender<Option<Page>>,
    refusals: Mutex<Vec<Page>>,
    news: UnboundedSender<News>,
}

impl Desk {
    pub(crate) fn new(request: Arc<AuthorizationRequest>) -> (Arc<Self>, UnboundedReceiver<News>) {
        let (news, receiver) = unbounded_channel();
        let desk = Self {
            request,
            taken: AtomicBool::new(false),
            last: watch::Sender::new(None),
            refusals: Mutex::default(),
            news,
        };
        (Arc::new(desk), receiver)
    }

    pub(crate) async fn answer<B>(self: &Arc<Self>, request: &Request<B>) -> Answer {
        let uri = request.uri();
        if uri.path() != self.request.redirect_uri().path() {
            return Page::nothing_here().response();
        }
        if request.method() != Method::GET {
            let mut answer = Page::another_method().response();
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            return answer;
        }
        match page_name(uri) {
            Some(name) => self.page(&name),
            None => {
                let address = uri.path_and_query().map_or("", |address| address.as_str());
                self.arrival(address).await
            }
        }
    }

    pub(crate) fn tell(&self, news: News) {
        let _ = self.news.send(news); // Nobody listens any more: the program is ending.
    }

    async fn arrival(self: &Arc<Self>, address: &str) -> Answer {
        if !self.request.is_answered_by(address) {
            return self.refusal(address).await;
        }
        let mut last = self.last.subscribe();
        if !self.taken.swap(true, Ordering::Relaxed) {
            // A task of its own: the browser may go away meanwhile.
            tokio::spawn(self.clone().end(address.to_owned()));
        }
        let _ = last.wait_for(Option::is_some).await;
        self.send_on(LAST)
    }

    async fn end(self: Arc<Self>, address: String) {
        let ended = exchange(&self.request, &address).await;
        self.last.send_replace(Some(Page::of(&ended)));
        self.tell(News::Ended(ended));
    }

    /// The exchange says why, and sends nothing.
    async fn refusal(&self, address: &str) -> Answer {
        let Err(error) = self.request.exchange(address).await else {
            return Page::nothing_here().response();
        };
        let page = Page::refusal(&error);
        self.tell(News::Refused(error));
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= MOST_PAGES {
            return page.response();
        }
        refusals.push(page);
        self.send_on(&(refusals.len() - 1).to_string())
    }

    fn page(&self, name: &str) -> Answer {
        if name == LAST {
            return match &*self.last.borrow() {
                Some(page) => last(page),
                None => Page::nothing_here().response(),
            };
        }
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let page = name
            .parse()
            .ok()
            .and_then(|number: usize| refusals.get(number));
        page.map_or_else(|| Page::nothing_here().response(), Page::response)
    }

    fn send_on(&self, name: &str) -> Answer {
        let mut to = self.request.redirect_uri().clone();
        to.set_fragment(None);
        to.query_pairs_mut().append_pair(PAGE, name);
        let mut answer = Page::elsewhere().response();
        *answer.status_mut() = StatusCode::SEE_OTHER;
        if let Ok(to) = HeaderValue::from_str(to.as_str()) {
            answer.headers_mut().insert(LOCATION, to);
        }
        answer
    }
}

/// Whether there is nothing more to say to a visitor.
pub(crate) fn is_last(answer: &Answer) -> bool {
    answer.headers().contains_key(CONNECTION)
}

fn last(page: &Page) -> Answer {
    let mut answer = page.response();
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
    answer
}

/// The name of the page that is asked for, unless it is an arrival, which has a `state`.
fn page_name(uri: &Uri) -> Option<String> {
    let pairs = || url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    if pairs().any(|(name, _)| name == "state") {
        return None;
    }
    let (_, name) = pairs().find(|(name, _)| name == PAGE)?;
    Some(name.into_owned())
}

/// Again if the server was not reached.
pub(crate) async fn exchange(request: &AuthorizationRequest, address: &str) -> Result<(), Error> {
    for _ in 1..ATTEMPTS {
        match request.exchange(address).await {
            Err(error) if is_unsent(&error) => SystemClock.sleep(BETWEEN_ATTEMPTS).await,
            ended => return ended,
        }
    }
    request.exchange(address).await
}

fn is_unsent(error: &Error) -> bool {
    error.kind() == ErrorKind::TokenEndpoint && error.recovery() == Recovery::Retry
}
