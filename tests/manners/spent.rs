//! Quotas that are spent, in the vendor's own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use reqwest_tollgate::sandbox::{Enforcement, Fault, Sandbox};
use reqwest_tollgate::{Error, ErrorKind, Event, Recovery, RequestOptions};
use tokio::sync::watch;

use crate::common::{Events, seconds};
use crate::vendors::Vendor;
use crate::{Scene, for_each, manners};

const DAY: u64 = 24 * 60 * 60;
/// As many as any vendor has words for it.
const WAYS: usize = 3;

#[tokio::test]
async fn too_fast_is_understood_in_each_of_the_vendors_words_and_nobody_sees_it() {
    // Of those without words of their own nobody knows how they say it, so it is HTTP's own 429.
    for_each(
        |_| true,
        |vendor| async move {
            let scene = Scene::new(vendor, Sandbox::builder()).await;
            for nth in 1..=WAYS {
                scene.sandbox.inject(Fault::RateLimited(1));
                // The refused one goes again by itself, the others wait behind it.
                assert_eq!(scene.send_all(6).await, [200; 6], "{}", vendor.name);
                let counters = scene.sandbox.counters();
                assert_eq!(counters.requests as usize, 7 * nth, "{}", vendor.name);
                let rejected = count(&scene.events);
                assert_eq!(rejected, nth, "{}: the sandbox refused {nth}", vendor.name);
            }
            assert!(
                scene.sandbox.counters().token_requests <= 1,
                "{}",
                vendor.name
            );
        },
    )
    .await;
}

fn count(events: &Events) -> usize {
    events.count(|event| matches!(event, Event::QuotaRejected { .. }))
}

#[tokio::test]
async fn nobody_leaves_before_the_pause_is_over() {
    for_each(
        |vendor| manners(vendor).knows_a_limit(),
        |vendor| async move {
            let (told, mut until) = watch::channel(None);
            let early = Arc::new(AtomicUsize::new(0));
            let counted = early.clone();
            let observer = move |_: &str, event: &Event| match event {
                // The refused one's own answer has been told before this.
                Event::QuotaRejected { until, .. } => {
                    told.send_modify(|pause| *pause = Some(*until))
                }
                Event::Answered { elapsed, .. } => {
                    let left = SystemTime::now() - *elapsed;
                    // The two clocks may differ by a moment.
                    let is_early = |until| left + Duration::from_millis(20) < until;
                    counted.fetch_add(usize::from(told.borrow().is_some_and(is_early)), Relaxed);
                }
                _ => {}
            };
            let account = (vendor.account)([Sandbox::CLIENT_SECRET, Sandbox::KEY]);
            let account = account.observer(observer);
            let scene = Scene::with(vendor, Sandbox::builder(), account).await;
            assert_eq!(scene.send_all(1).await, [200]);
            scene.sandbox.inject(Fault::RateLimited(1));
            let others = async {
                let until = until.wait_for(Option::is_some).await.unwrap().unwrap();
                assert!(until > SystemTime::now(), "{}: no pause", vendor.name);
                scene.send_all(10).await
            };
            let (refused, others) = tokio::join!(scene.send_all(1), others);
            assert_eq!((refused, others), (vec![200], vec![200; 10]));
            assert_eq!(early.load(Relaxed), 0, "{}", vendor.name);
            let sent = scene.sandbox.counters().requests;
            assert_eq!(sent, 1 + 2 + 10, "{}", vendor.name);
        },
    )
    .await;
}

#[tokio::test]
async fn a_lower_limit_than_configured_is_found_out_and_kept() {
    // DigiKey's refusal has the minute's limit in its headers: four a minute, and nobody waits so
    // long.
    for_each(
        |vendor| manners(vendor).knows_a_limit() && vendor.name != "digikey",
        |vendor| async move {
            let builder = Sandbox::builder()
                .window("4/250ms".parse().unwrap())
                // What some tell in headers is of the day.
                .window("100000/day".parse().unwrap())
                .enforcement(Enforcement::SlidingLog);
            let scene = Scene::new(vendor, builder).await;
            for _ in 0..8 {
                assert_eq!(scene.send_all(1).await, [200], "{}", vendor.name);
            }
            let counters = scene.sandbox.counters();
            assert_eq!(scene.sandbox.accepted_at().len(), 8, "{}", vendor.name);
            assert!(counters.rejected_429 <= 4, "{}: {counters:?}", vendor.name);
            assert_eq!(count(&scene.events) as u64, counters.rejected_429);
        },
    )
    .await;
}

/// How long a spent day is told or taken to last, at least and at most, in seconds.
fn rest(vendor: &Vendor) -> (u64, u64) {
    match vendor.name {
        // They tell it: the window of the sandbox is a day. A day by our own count is 43 s longer,
        // for clocks that run at different speeds.
        "sourcengine" | "te" => (DAY - 10, DAY + 60),
        // It is known to end at midnight.
        "digikey" => (to_midnight() - 10, to_midnight() + 10),
        // The end of a month.
        "nexar" => (1, 31 * DAY),
        // Nobody knows when it ends: an hour, and then one request goes to see.
        _ => (3590, 3610),
    }
}

#[tokio::test]
async fn a_spent_day_fails_at_once_with_its_end_and_nothing_is_sent_until_then() {
    for_each(
        |vendor| manners(vendor).knows_a_day(),
        |vendor| async move {
            let builder = Sandbox::builder()
                .window("1000/100ms".parse().unwrap())
                .window("2/day".parse().unwrap())
                .enforcement(Enforcement::SlidingLog);
            let account = (vendor.account)([Sandbox::CLIENT_SECRET, Sandbox::KEY]);
            let account = account.options(RequestOptions::new().max_wait(seconds(1)));
            let scene = Scene::with(vendor, builder, account).await;
            assert_eq!(scene.send_all(1).await, [200]);
            assert_eq!(scene.send_all(1).await, [200]);
            for _ in 0..3 {
                let found = until(&scene).await;
                let (least, most) = rest(vendor);
                let is_right = found >= seconds(least) && found <= seconds(most);
                assert!(is_right, "{}: {found:?}", vendor.name);
            }
            let counters = scene.sandbox.counters();
            // Where a message tells no time the limiter looks at it once; nobody after that.
            assert_eq!(
                counters.rejected_for_the_day,
                refusals(vendor),
                "{}",
                vendor.name
            );
            assert!(counters.token_requests <= 1, "{}", vendor.name);
        },
    )
    .await;
}

fn to_midnight() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    DAY - now.unwrap().as_secs() % DAY
}

/// Who tells with each answer how many are left is not asked once there are none.
fn refusals(vendor: &Vendor) -> u64 {
    match vendor.name {
        "digikey" | "sourcengine" | "te" => 0,
        _ => 1,
    }
}

async fn until(scene: &Scene) -> Duration {
    let error = match scene.send().await {
        Ok(answer) => panic!("{}: {:?}", scene.vendor.name, answer.status()),
        Err(error) => error,
    };
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::QuotaExceeded, "{error}");
    let Recovery::WaitUntil(until) = error.recovery() else {
        panic!("{}: {:?}", scene.vendor.name, error.recovery());
    };
    until.duration_since(SystemTime::now()).unwrap()
}

/// Where no header told beforehand: the words alone.
#[tokio::test]
async fn a_spent_day_is_understood_in_each_of_the_vendors_words() {
    for_each(
        |vendor| manners(vendor).knows_a_day(),
        |vendor| async move {
            for words in 0..WAYS {
                let account = (vendor.account)([Sandbox::CLIENT_SECRET, Sandbox::KEY]);
                let account = account.options(RequestOptions::new().max_wait(seconds(1)));
                let scene = Scene::with(vendor, Sandbox::builder(), account).await;
                spend_words(&scene, words).await;
                scene.sandbox.inject(Fault::QuotaSpent(1));
                let found = until(&scene).await;
                let an_hour_or_so = found > seconds(3590) && found <= seconds(31 * DAY);
                assert!(an_hour_or_so, "{} {words}: {found:?}", vendor.name);
            }
        },
    )
    .await;
}

/// Past the limiter, so that the vendor comes to its next words.
async fn spend_words(scene: &Scene, words: usize) {
    scene.sandbox.inject(Fault::QuotaSpent(words as u64));
    let auth_alone = reqwest_middleware::ClientBuilder::new(crate::POOL.clone());
    let auth_alone = auth_alone.with(scene.account.auth()).build();
    for _ in 0..words {
        let mut request = scene.request_to(scene.sandbox.url()).build().unwrap();
        let mut plain = auth_alone.request(request.method().clone(), request.url().clone());
        plain = plain.headers(request.headers().clone());
        if let Some(body) = request.body_mut().take() {
            plain = plain.body(body);
        }
        plain.send().await.unwrap();
    }
}
