//! A distributor that the crate does not know: its own way to sign, its own headers for what is
//! left, and its own words for "too many requests". No preset, no token endpoint; and no network,
//! since the distributor runs in this process.
//!
//! ```sh
//! cargo run --example custom_distributor
//! ```
//!
//! Acme wants a key in a header, and a signature over method, path and time. It allows five
//! requests in half a second, and says in `X-Acme-Left` and `X-Acme-Ends` what is left for how many
//! milliseconds; who asks for more gets a 403 that speaks of a coffee break. Another process with
//! the same key has just used three of them, so the account has to be told once.

#![allow(clippy::disallowed_methods, clippy::print_stdout)] // It is a program, and plays a server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use http::HeaderValue;
use httpmock::{HttpMockRequest, HttpMockResponse, MockServer};
use reqwest_tollgate::signing::{Key, hex, hmac_sha256};
use reqwest_tollgate::{
    Account, Attempt, BoxError, Event, ResetUnit, Rule, Secret, Signer, Verdict, Window,
};

const KEY: &str = "my-key";
const SECRET: &str = "my-secret";
const LIMIT: u64 = 5;
const WINDOW: Duration = Duration::from_millis(500);
const PARTS: [&str; 12] = [
    "LM358", "NE555", "BC547", "1N4148", "2N3904", "LM317", "TL072", "L7805", "AMS1117", "CD4017",
    "74HC595", "IRF540N",
];

/// `X-Acme-Signature`: HMAC-SHA-256 of `METHOD path time`, in hexadecimal.
struct AcmeSignature {
    secret: Key,
}

impl Signer for AcmeSignature {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<(), BoxError> {
        let time = attempt.unix_seconds();
        let path = attempt.request.url().path();
        let message = message(attempt.request.method().as_str(), path, &time.to_string());
        let signature = hex(&hmac_sha256(self.secret.expose()?.as_bytes(), &message));
        let headers = attempt.request.headers_mut();
        headers.insert("x-acme-time", HeaderValue::from(time));
        headers.insert("x-acme-signature", HeaderValue::try_from(signature)?);
        Ok(())
    }
}

fn message(method: &str, path: &str, time: &str) -> Vec<u8> {
    format!("{method} {path} {time}").into_bytes()
}

/// All that has to be said about the distributor.
fn account(url: &str) -> Result<Account> {
    let window = Window::new(LIMIT, WINDOW)
        .remaining_header("X-Acme-Left")
        .reset_header("X-Acme-Ends")
        .reset_unit(ResetUnit::Milliseconds);
    let account = Account::builder("acme", url)
        .header("X-Acme-Key", KEY)
        .signer(AcmeSignature {
            // `Secret::env("ACME_SECRET")` outside of an example.
            secret: Key::new(Secret::from(SECRET)),
        })
        .window(window)
        .rule(Rule::new(403, Verdict::RateExceeded).body("coffee break"))
        .observer(|_: &str, event: &Event| tell(event));
    Ok(account.build()?)
}

fn tell(event: &Event) {
    match event {
        Event::QuotaRejected { status, until, .. } => {
            let pause = until.duration_since(SystemTime::now()).unwrap_or_default();
            println!("  {status} is a full quota here: nobody leaves for {pause:.0?}");
        }
        Event::QuotaReopened { .. } => println!("  one asked, and the quota is open again"),
        _ => {}
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let acme = Arc::new(Mutex::new(Acme::begin(3)));
    let server = serve(acme.clone()).await;
    let client = account(&server.base_url())?.client()?;

    println!(
        "{} parts at once, {LIMIT} requests per {WINDOW:?}:",
        PARTS.len()
    );
    let begin = Instant::now();
    let asked = PARTS.map(|part| client.get(server.url(format!("/parts/{part}"))).send());
    for answer in join_all(asked).await {
        println!("  {}", answer?.error_for_status()?.text().await?);
    }

    let acme = acme.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{seconds:.1} s, {} answered, {} rejected",
        acme.answered, acme.rejected
    );
    ensure!(acme.forged == 0, "a signature was wrong");
    Ok(())
}

/// The distributor: it checks each signature by itself, and counts in fixed windows.
struct Acme {
    window_began: Instant,
    used: u64,
    answered: u64,
    rejected: u64,
    forged: u64,
}

impl Acme {
    fn begin(used: u64) -> Self {
        Self {
            window_began: Instant::now(),
            used,
            answered: 0,
            rejected: 0,
            forged: 0,
        }
    }

    fn answer(&mut self, request: &http::Request<String>) -> http::Response<String> {
        if !is_signed(request) {
            self.forged += 1;
            return answer(401, "who are you?".to_owned());
        }
        if self.window_began.elapsed() >= WINDOW {
            (self.window_began, self.used) = (Instant::now(), 0);
        }
        if self.used == LIMIT {
            self.rejected += 1;
            return self.with_quota(answer(403, "we are on a coffee break".to_owned()));
        }
        (self.used, self.answered) = (self.used + 1, self.answered + 1);
        let part = request.uri().path().trim_start_matches("/parts/");
        self.with_quota(answer(200, format!("{part}: in stock")))
    }

    fn with_quota(&self, mut answer: http::Response<String>) -> http::Response<String> {
        let left = WINDOW.saturating_sub(self.window_began.elapsed());
        let headers = answer.headers_mut();
        headers.insert("x-acme-left", HeaderValue::from(LIMIT - self.used));
        let milliseconds = u64::try_from(left.as_millis()).unwrap_or_default() + 1;
        headers.insert("x-acme-ends", HeaderValue::from(milliseconds));
        answer
    }
}

fn answer(status: u16, body: String) -> http::Response<String> {
    let mut answer = http::Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

fn is_signed(request: &http::Request<String>) -> bool {
    const PATIENCE: u64 = 60;
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let time = header("x-acme-time");
    let message = message(request.method().as_str(), request.uri().path(), time);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let is_recent = time
        .parse()
        .is_ok_and(|time: u64| now.abs_diff(time) < PATIENCE);
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), &message));
    header("x-acme-key") == KEY && header("x-acme-signature") == signature && is_recent
}

async fn serve(acme: Arc<Mutex<Acme>>) -> MockServer {
    let server = MockServer::start_async().await;
    let answers = move |request: &HttpMockRequest| -> HttpMockResponse {
        let request = http::Request::<String>::from(request);
        let mut acme = acme.lock().unwrap_or_else(PoisonError::into_inner);
        acme.answer(&request).into()
    };
    let rule = server.mock_async(|when, then| {
        when.path_prefix("/parts/");
        then.respond_with(answers);
    });
    rule.await;
    server
}
