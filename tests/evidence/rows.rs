//! One header must never stop a crawl: what six independent trials met, row by row, and what a
//! hostile server may say first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest_tollgate::{Account, Event, PausedClock, Quota, RequestOptions, Window};
use tokio::time::{Instant, sleep, timeout};

type Lines = &'static [(&'static str, &'static str)];

const HOUR: Duration = Duration::from_secs(3_600);

fn headers(lines: Lines) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    lines.iter().map(pair).collect()
}

fn account(windows: &[Window]) -> Account {
    observed(windows).0
}

type Seen = Arc<Mutex<Vec<String>>>;

/// With the names of what it reports of what it hears.
fn observed(windows: &[Window]) -> (Account, Seen) {
    let seen = Seen::default();
    let of = seen.clone();
    let observer = move |_: &str, event: &Event| {
        let text = match event {
            Event::LimitDiffers { told, adopted, .. } => format!("limit {told}, {adopted}"),
            Event::WindowLearned { limit, names, .. } => format!("learned {limit:?} by {names}"),
            Event::WindowForgotten { limit, .. } => format!("forgotten {limit:?}"),
            Event::HeadersDisbelieved { names, .. } => format!("disbelieved {names}"),
            Event::PauseCapped { told, until, .. } => {
                let shorter = told.duration_since(*until).unwrap_or_default();
                format!("capped by {} s", shorter.as_secs())
            }
            _ => return,
        };
        of.lock().unwrap().push(text);
    };
    let mut account = Account::builder("acme", "https://api.acme.example").clock(
        PausedClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_547_200)),
    );
    for window in windows {
        account = account.window(window.clone());
    }
    (account.observer(observer).build().unwrap(), seen)
}

fn windows(texts: &[&str]) -> Vec<Window> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Answers each request 1 ms after it came, until so many were answered, and says when each was.
async fn crawl(
    account: &Account,
    workers: usize,
    requests: usize,
    script: impl Fn(usize) -> (u16, Lines) + Send + Sync + 'static,
) -> Vec<Duration> {
    let (script, next) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    let (start, answered) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (account, script) = (account.clone(), script.clone());
        let (next, answered) = (next.clone(), answered.clone());
        all.spawn(async move {
            let options = RequestOptions::new().max_wait(Duration::from_secs(40 * 86_400));
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return;
                }
                let permit = account.permit("/", &options).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                let (status, lines) = script(number);
                let status = StatusCode::from_u16(status).unwrap();
                let _ = permit.answered(status, &headers(lines));
                answered.lock().unwrap().push(start.elapsed());
            }
        });
    }
    // What is not answered by then never is.
    let _ = timeout(Duration::from_secs(30 * 86_400), all.join_all()).await;
    let mut answered = answered.lock().unwrap().clone();
    answered.sort();
    answered
}

/// All are answered, the last of them in so many seconds.
async fn all_are_answered(
    windows: &[Window],
    within: u64,
    script: impl Fn(usize) -> (u16, Lines) + Copy + Send + Sync + 'static,
) {
    for workers in [4, 32] {
        let answered = crawl(&account(windows), workers, 60, script).await;
        let last = answered.last().copied().unwrap_or_default();
        let configured: Vec<_> = windows.iter().map(Window::to_string).collect();
        assert_eq!(answered.len(), 60, "{configured:?}, {:?}", script(0));
        assert!(
            last <= Duration::from_secs(within),
            "{configured:?}, {:?}, {workers} workers: {last:?}",
            script(0)
        );
    }
}

/// What a gateway tells that counts 20 in 2 s, in each dialect.
const GATEWAY: [Lines; 6] = [
    &[("x-ratelimit-limit", "20")],
    &[("x-ratelimit-limit", "20"), ("x-ratelimit-remaining", "19")],
    FASTIFY,
    &[
        ("ratelimit-limit", "20"),
        ("ratelimit-remaining", "19"),
        ("ratelimit-reset", "2"),
    ],
    &[("ratelimit", "limit=20, remaining=19, reset=2")],
    &[
        ("ratelimit", "\"default\";r=19;t=2"),
        ("ratelimit-policy", "\"default\";q=20;w=2"),
    ],
];
const FASTIFY: Lines = &[
    ("x-ratelimit-limit", "20"),
    ("x-ratelimit-remaining", "19"),
    ("x-ratelimit-reset", "2"),
];

#[tokio::test(start_paused = true)]
async fn a_gateways_limit_stops_no_day_and_no_hour() {
    for window in ["10000/day", "10000/utc-day", "36000/h"] {
        for lines in GATEWAY {
            all_are_answered(&windows(&[window]), 10, move |_| (200, lines)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateways_limit_stops_no_day_beside_windows_near_it() {
    for near in ["25/2s", "15/2s", "100/min", "20/2s"] {
        let seconds = if near == "100/min" { 60 } else { 10 };
        for lines in GATEWAY {
            let both = windows(&[near, "10000/day"]);
            all_are_answered(&both, seconds, move |_| (200, lines)).await;
        }
        // Named, a lower limit is proof: 20 a minute it is then.
        if near == "100/min" {
            continue;
        }
        let [near, day] = [near, "10000/day"].map(|text| text.parse::<Window>().unwrap());
        let near = near
            .limit_header("x-ratelimit-limit")
            .remaining_header("x-ratelimit-remaining")
            .reset_header("x-ratelimit-reset");
        all_are_answered(&[near, day], seconds, |_| (200, FASTIFY)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_is_not_the_gateways_two_seconds() {
    for lines in GATEWAY {
        all_are_answered(&windows(&["600/min"]), 10, move |_| (200, lines)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_told_once_and_never_again_is_tested_once() {
    let once = |number| match number {
        0 => (200, [("x-ratelimit-limit", "10")].as_slice()),
        _ => (200, [].as_slice()),
    };
    all_are_answered(&windows(&["1000/utc-day"]), 10, once).await;
}

#[tokio::test(start_paused = true)]
async fn a_day_goes_on_when_another_path_tells_an_hour() {
    const DAY: Lines = &[
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4000"),
    ];
    const OTHER: Lines = &[
        ("x-ratelimit-limit", "30"),
        ("x-ratelimit-remaining", "29"),
        ("x-ratelimit-reset", "3600"),
    ];
    let account = account(&windows(&["5000/day"]));
    let script = |number| (200, if number == 200 { OTHER } else { DAY });
    let answered = crawl(&account, 32, 400, script).await;
    assert_eq!(answered.len(), 400);
    assert!(
        answered[399] < Duration::from_secs(10),
        "{:?}",
        answered[399]
    );
}

#[tokio::test(start_paused = true)]
async fn a_far_reset_of_another_window_does_not_halve_the_rate() {
    const FAR: Lines = &[
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "100"),
        ("x-ratelimit-reset", "1800"),
    ];
    all_are_answered(&windows(&["10/s"]), 6, |_| (200, FAR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_constant_zero_is_void_after_three_lies() {
    const LIAR: Lines = &[
        ("x-ratelimit-limit", "20"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "3600"),
    ];
    all_are_answered(&[], 600, |_| (200, LIAR)).await;
    all_are_answered(&windows(&["10000/day"]), 600, |_| (200, LIAR)).await;
}

/// What a run reports of what it heard.
async fn reported(
    windows: &[Window],
    requests: usize,
    script: impl Fn(usize) -> (u16, Lines) + Send + Sync + 'static,
) -> Vec<String> {
    let (account, seen) = observed(windows);
    crawl(&account, 4, requests, script).await;
    let seen = seen.lock().unwrap();
    seen.clone()
}

#[tokio::test(start_paused = true)]
async fn each_change_of_mind_is_reported_once() {
    let day = windows(&["10000/day"]);
    let gateway = reported(&day, 200, |_| (200, FASTIFY)).await;
    assert_eq!(gateway, ["learned Some(20) by X-RateLimit-*"]);
    let alone = reported(&day, 200, |_| (200, GATEWAY[0])).await;
    assert_eq!(alone, ["limit 20, false"]);
    let hour = [("retry-after", "90000")].as_slice();
    let capped = reported(&day, 2, move |number| match number {
        0 => (429, hour),
        _ => (200, [].as_slice()),
    });
    assert_eq!(capped.await, ["capped by 86400 s"]);
    let named: Window = "100/min".parse().unwrap();
    let named = [named.limit_header("x-ratelimit-limit")];
    let lower = reported(&named, 30, |_| {
        (200, [("x-ratelimit-limit", "20")].as_slice())
    })
    .await;
    assert_eq!(lower, ["limit 20, true"]);
}

#[tokio::test(start_paused = true)]
async fn a_learned_window_is_shown_until_it_is_not_told_any_more() {
    let (account, seen) = observed(&[]);
    let script = |number| (200, if number < 5 { FASTIFY } else { [].as_slice() });
    crawl(&account, 1, 5, script).await;
    let quotas = account.quotas();
    let window = &quotas[0].windows()[0];
    assert!(window.learned);
    assert_eq!(
        (window.limit, window.remaining, window.length),
        (20, 19, None)
    );
    sleep(Duration::from_secs(10)).await;
    crawl(&account, 1, 30, |_| (200, [].as_slice())).await;
    assert!(account.quotas()[0].windows().is_empty());
    let seen = seen.lock().unwrap();
    assert_eq!(
        *seen,
        ["learned Some(20) by X-RateLimit-*", "forgotten Some(20)"]
    );
}

/// What a server may say first, that never meant it.
const HOSTILE: &[(u16, Lines)] = &[
    (429, &[("retry-after", "99999999")]),
    (429, &[("retry-after", "9999999999")]),
    (429, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]),
    (429, &[("retry-after", "60000")]),
    (503, &[("retry-after", "99999999")]),
    (
        429,
        &[
            ("retry-after", "1e9"),
            ("x-ratelimit-reset", "253402300799"),
        ],
    ),
    (
        429,
        &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "99999999"),
        ],
    ),
    (
        200,
        &[("x-ratelimit-limit", "0"), ("x-ratelimit-remaining", "0")],
    ),
    (
        200,
        &[("x-ratelimit-limit", "-1"), ("x-ratelimit-remaining", "0")],
    ),
    (200, &[("x-ratelimit-limit", "1")]),
    (200, &[("x-ratelimit-limit", "18446744073709551616")]),
    (
        200,
        &[
            ("x-ratelimit-limit", "1"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "86400"),
        ],
    ),
    (
        200,
        &[
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1000000000"),
        ],
    ),
    (
        200,
        &[
            ("x-ratelimit-limit", "1000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "86400"),
        ],
    ),
    (
        200,
        &[
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "0"),
        ],
    ),
    (
        200,
        &[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "253402300799"),
        ],
    ),
    (
        200,
        &[
            ("ratelimit", "\"a\";r=0;t=31536000"),
            ("ratelimit-policy", "\"a\";q=1;w=31536000"),
        ],
    ),
    (
        200,
        &[
            ("ratelimit", "limit=10, remaining=0, reset=99999999"),
            ("x-ratelimit-limit", "1000"),
            ("x-ratelimit-remaining", "999"),
        ],
    ),
    (
        404,
        &[
            ("x-ratelimit-limit", "5"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "86400"),
        ],
    ),
];

#[tokio::test(start_paused = true)]
async fn no_first_answer_stops_an_honest_server_beyond_the_longest_window_or_an_hour() {
    for configured in [
        [].as_slice(),
        &["10/s"],
        &["1000/day"],
        &["10/s", "1000/day"],
    ] {
        let configured = windows(configured);
        let longest = configured.iter().map(Window::length).max().unwrap_or(HOUR);
        let most = longest.min(HOUR) + Duration::from_secs(1);
        for (status, lines) in HOSTILE {
            let account = account(&configured);
            let script = |number| {
                if number == 0 {
                    (*status, *lines)
                } else {
                    (200, [].as_slice())
                }
            };
            let answered = crawl(&account, 1, 3, script).await;
            assert_eq!(answered.len(), 3, "{status} {lines:?}");
            let waited = answered[1] - answered[0];
            assert!(waited <= most, "{status} {lines:?}: {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_told_survives_reopening() {
    for (status, lines) in HOSTILE {
        let account = account(&windows(&["1000/day"]));
        crawl(&account, 1, 1, move |_| (*status, *lines)).await;
        account.reopen(Quota::DEFAULT).unwrap();
        let answered = crawl(&account, 1, 1, |_| (200, [].as_slice())).await;
        assert_eq!(answered, [Duration::from_millis(1)], "{status} {lines:?}");
    }
}
