//! The lifetime matrix: whatever `expires_in` says and whatever lead was asked for, hours of steady
//! traffic cost no more token requests than the bounds allow, and no token is thrown away young.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

use crate::auth::cache::Cache;
use crate::auth::cache::state::Need;
use crate::auth::login::revoke::Revoked;
use crate::auth::oauth::endpoint::{Delivery, Presentation, TokenEndpoint};
use crate::auth::oauth::response::Reply;
use crate::auth::testing::{LIFETIMES, Log, PATIENT, SECOND, YEAR, clock, oauth, settings};
use crate::auth::{Grant, OAuthSettings};
use crate::clock::{BoxFuture, Moment};

const HOUR: Duration = Duration::from_secs(3_600);
const LATENCY: Duration = Duration::from_millis(10);
/// The least that is simulated, in time and in tokens.
const LEAST_SPAN: Duration = HOUR;
const LEAST_TOKENS: u32 = 20;
const REQUESTS_PER_LIFETIME: u32 = 20;
const LONGEST_STEP: Duration = Duration::from_secs(100);
const SHORTEST_STEP: Duration = Duration::from_millis(50);

const LEADS: [Duration; 5] = [
    Duration::ZERO,
    SECOND,
    Duration::from_secs(30),
    Duration::from_secs(300),
    HOUR,
];

/// Issues tokens of one lifetime, and writes down when each was asked for.
#[derive(Clone)]
struct Issuer {
    expires_in: &'static str,
    asked: Arc<Mutex<Vec<Moment>>>,
}

impl TokenEndpoint for Issuer {
    fn request<'a>(&'a self, _: Presentation<'a>) -> BoxFuture<'a, Delivery> {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push(clock().now().moment);
        let body = format!(
            r#"{{"access_token":"t{}"{}}}"#,
            asked.len(),
            self.expires_in
        );
        Box::pin(async move {
            clock().sleep(LATENCY).await;
            Delivery::Answered {
                reply: Reply {
                    status: StatusCode::OK,
                    headers: HeaderMap::new(),
                    body: Zeroizing::new(body.into_bytes()),
                },
                secrets: Vec::new(),
            }
        })
    }

    fn revoke<'a>(&'a self, _: Revoked<'a>) -> BoxFuture<'a, Delivery> {
        unreachable!("nobody revokes here")
    }
}

/// A cell of the matrix.
#[derive(Debug)]
struct Cell {
    expires_in: &'static str,
    stated: Option<Duration>,
    lead: Duration,
    fallback: Option<Duration>,
}

/// What its traffic came to.
struct Ran {
    asked: Vec<Moment>,
    span: Duration,
    waits: usize,
    spent: usize,
}

impl Cell {
    fn lifetime(&self) -> Duration {
        let usual = self.fallback.unwrap_or(Duration::from_secs(300));
        self.stated.unwrap_or(usual)
    }

    /// Between two requests: shorter than the usual lead, but for tokens that live a year.
    fn step(&self) -> Duration {
        let step = self.lifetime() / REQUESTS_PER_LIFETIME;
        match self.lifetime() < YEAR {
            true => step.clamp(SHORTEST_STEP, LONGEST_STEP),
            false => step,
        }
    }

    async fn run(&self) -> Ran {
        let issuer = Issuer {
            expires_in: self.expires_in,
            asked: Arc::default(),
        };
        let oauth = OAuthSettings {
            refresh_lead: self.lead,
            fallback_lifetime: self.fallback,
            ..oauth(Grant::client_credentials())
        };
        let settings = settings(None, &Log::default());
        let cache = Cache::new(&settings, Arc::new(oauth), Box::new(issuer.clone()));
        let span = LEAST_SPAN.max(self.lifetime() * LEAST_TOKENS);
        let step = self.step();
        let clock = clock();
        let begin = clock.now().moment;
        let (mut waits, mut spent) = (0, 0);
        while clock.now().moment - begin < span {
            let ready = cache.ready(clock.now());
            waits += usize::from(ready.is_none());
            let token = match ready {
                Some(token) => token,
                None => cache.token(Need::Usable, PATIENT).await.expect("a token"),
            };
            spent += usize::from(token.times().is_expired(clock.now()));
            clock.sleep(step).await;
        }
        let asked = issuer.asked.lock().expect("no panic").clone();
        Ran {
            asked,
            span,
            waits,
            spent,
        }
    }
}

fn cells() -> Vec<Cell> {
    let fallbacks = [None, Some(Duration::from_secs(600))];
    let mut cells = Vec::new();
    for (expires_in, stated) in LIFETIMES {
        for lead in LEADS {
            for fallback in fallbacks {
                // Where the answer says how long, the fallback is not looked at.
                if stated.is_none() || fallback.is_none() {
                    cells.push(Cell {
                        expires_in,
                        stated,
                        lead,
                        fallback,
                    });
                }
            }
        }
    }
    cells
}

/// In any time t there are at most three requests and one per second.
fn keeps_the_bound(asked: &[Moment]) -> bool {
    let mut starts = asked.iter().enumerate();
    starts.all(|(first, start)| {
        let later = asked[first..].iter().enumerate();
        // Further apart than this they cannot come near it: the first ones are the closest.
        later.take(64).all(|(more, at)| {
            let allowed = 3 + (*at - *start).as_secs();
            (more as u64) < allowed
        })
    })
}

fn stays_within_the_bound(cell: &Cell, ran: &Ran) {
    assert!(keeps_the_bound(&ran.asked), "{cell:?}");
    let most = 3 + ran.span.as_secs();
    assert!(ran.asked.len() as u64 <= most, "{cell:?}");
    assert!(ran.asked.len() >= 2, "{cell:?}: none was renewed");
}

fn is_fresh_for_most_of_its_life(cell: &Cell, ran: &Ran) {
    let lifetime = cell.lifetime();
    let margin = Duration::from_secs(30).min(lifetime / 10);
    // A lead is spread by a fifth, and a quarter of the lifetime is the longest: a day's token is
    // not renewed hours before its end, and one of 300 s not at its beginning.
    let longest = cell.lead.min(lifetime / 4).max(margin).mul_f64(1.2);
    for (one, next) in ran.asked.iter().zip(&ran.asked[1..]) {
        assert!(*next - *one >= lifetime - longest, "{cell:?}");
    }
    let lifetimes = ran.span.as_secs_f64() / lifetime.as_secs_f64();
    let per_lifetime = ran.asked.len() as f64 / lifetimes;
    assert!(per_lifetime <= 1.5, "{cell:?}: {per_lifetime}");
}

#[tokio::test(start_paused = true)]
async fn whatever_lifetime_and_lead_requests_keep_their_bound_and_tokens_are_fresh_most_of_the_time()
 {
    for cell in cells() {
        let ran = cell.run().await;
        stays_within_the_bound(&cell, &ran);
        is_fresh_for_most_of_its_life(&cell, &ran);
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_usual_lead_nobody_waits_but_the_first_and_no_spent_token_leaves() {
    for cell in cells() {
        // A second's token is over before the launch bucket allows many, and a year's is not looked
        // at often enough.
        let is_usual = cell.lead >= Duration::from_secs(300);
        if is_usual && cell.lifetime() > SECOND && cell.lifetime() < YEAR {
            let ran = cell.run().await;
            assert_eq!((ran.waits, ran.spent), (1, 0), "{cell:?}");
        }
    }
}
