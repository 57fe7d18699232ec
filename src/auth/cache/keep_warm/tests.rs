use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::auth::cache::Cache;
use crate::auth::testing::*;
use crate::auth::{Grant, OAuthSettings};
use crate::clock::BoxFuture;
use crate::observe::event::RejectionVerdict;

/// A wall clock that can be set.
#[derive(Clone, Default)]
struct Settable(Arc<AtomicU64>);

impl Clock for Settable {
    fn now(&self) -> Now {
        let now = clock().now();
        let wall = now.wall + Duration::from_secs(self.0.load(Ordering::Relaxed));
        Now { wall, ..now }
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        clock().sleep(span)
    }
}

fn account(script: &Script, wall: &Settable, log: &Log) -> Cache {
    let oauth = OAuthSettings {
        keep_warm: true,
        ..oauth(Grant::client_credentials())
    };
    let mut settings = settings(None, log);
    settings.clock = Arc::new(wall.clone());
    Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()))
}

fn warm(script: &Script) -> Cache {
    account(script, &Settable::default(), &Log::default())
}

fn now(cache: &Cache) -> Now {
    cache.shared.clock.now()
}

async fn ask(cache: &Cache) -> Result<u64, crate::error::Error> {
    let token = match cache.ready(now(cache)) {
        Some(token) => token,
        None => cache.token(Need::Usable, IMPATIENT).await?,
    };
    Ok(token.generation())
}

async fn pass(span: Duration) {
    clock().sleep(span).await;
}

/// The tasks of the test's runtime, once those that can have ended.
async fn tasks() -> usize {
    pass(Duration::from_millis(1)).await;
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn the_first_request_after_a_long_pause_finds_a_fresh_token() {
    let script = Script::default();
    let cache = warm(&script);
    ask(&cache).await.expect("a token");
    pass(24 * 3_600 * SECOND).await;
    let is_stale = || {
        let token = cache.ready(now(&cache)).expect("no waiting");
        token.times().is_stale(now(&cache))
    };
    // One day in some hundreds ends in the very moment in which a token is being renewed.
    if is_stale() {
        pass(SECOND).await;
    }
    assert!(!is_stale());
    // Tokens of 600 s are stale after 420 to 450 s; a nap is a minute at most, but ends in time.
    let (least, most) = (86_400 / 452, 86_400 / 420 + 1);
    assert!(
        (least..=most).contains(&script.requests()),
        "{}",
        script.requests()
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_keeps_warm_what_was_not_asked_to_be() {
    let script = Script::default();
    let oauth = oauth(Grant::client_credentials());
    let settings = settings(None, &Log::default());
    let cold = Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()));
    ask(&cold).await.expect("a token");
    pass(24 * 3_600 * SECOND).await;
    assert_eq!((script.requests(), tasks().await), (1, 0));
    let unasked = warm(&script);
    pass(24 * 3_600 * SECOND).await;
    assert_eq!((script.requests(), tasks().await), (1, 0));
    drop(unasked);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_task_and_it_ends_with_the_account() {
    let script = Script::default();
    let cache = warm(&script);
    for _ in 0..100 {
        ask(&cache).await.expect("a token");
    }
    assert_eq!(tasks().await, 1);
    let weak = Arc::downgrade(&cache.shared);
    drop(cache);
    assert_eq!(weak.strong_count(), 0, "it is held weakly");
    assert_eq!(tasks().await, 0, "and ends at once, not after its nap");
    pass(3_600 * SECOND).await;
    assert_eq!(script.requests(), 1);
}

#[test]
fn it_begins_again_after_its_runtime_has_ended() {
    let script = Script::default();
    let cache = paused_runtime().block_on(async {
        let cache = warm(&script);
        ask(&cache).await.expect("a token");
        cache
    });
    assert!(!cache.shared.warmth.running.load(Ordering::Relaxed));
    paused_runtime().block_on(async {
        let before = script.requests();
        ask(&cache).await.expect("a token");
        pass(3_600 * SECOND).await;
        assert!(script.requests() >= before + 7, "{}", script.requests());
    });
}

#[tokio::test(start_paused = true)]
async fn a_latched_renewal_is_probed_no_more_often_than_the_latch_says() {
    let mut acts = vec![issue("a")];
    acts.extend((0..100).map(|_| refuse(401, "invalid_client")));
    let script = Script::of(acts);
    let cache = warm(&script);
    ask(&cache).await.expect("a token");
    pass(10 * 3_600 * SECOND).await;
    // After 1, 2, 4, 8 and then 15 minutes each, a quarter less by jitter.
    let requests = script.requests();
    assert!(
        (35..=1 + 5 + 36_000 / 675).contains(&requests),
        "{requests}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_needed_is_not_asked_for_again_and_again() {
    let mut acts = vec![rotate("a", "r2")];
    acts.extend((0..100).map(|_| refuse(400, "invalid_grant")));
    let script = Script::of(acts);
    let oauth = OAuthSettings {
        keep_warm: true,
        ..with_store(
            Grant::refresh_token("r1"),
            crate::stores::MemoryStore::new(),
        )
    };
    let log = Log::default();
    let settings = settings(None, &log);
    let cache = Cache::new(&settings, Arc::new(oauth), Box::new(script.clone()));
    ask(&cache).await.expect("a token");
    pass(10 * 3_600 * SECOND).await;
    assert_eq!(script.requests(), 2, "the store is read, and nothing asked");
    assert_eq!(log.count("TokenFailed"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_is_asked_as_back_off_says_and_not_by_every_nap() {
    let mut acts = vec![issue("a")];
    acts.extend((0..200).map(|_| refuse(503, "x")));
    let script = Script::of(acts);
    let cache = warm(&script);
    ask(&cache).await.expect("a token");
    pass(3_600 * SECOND).await;
    // An eighth of what is left, then 0.5 s doubled to a minute, a quarter less by jitter.
    let requests = script.requests();
    assert!((45..=1 + 30 + 3_150 / 45).contains(&requests), "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_ahead_is_noticed_within_a_minute() {
    let (script, wall) = (Script::default(), Settable::default());
    let cache = account(&script, &wall, &Log::default());
    ask(&cache).await.expect("a token");
    pass(SECOND).await;
    wall.0.store(8 * 3_600, Ordering::Relaxed);
    pass(LONGEST_NAP + 2 * SECOND).await;
    assert_eq!(script.requests(), 2);
    assert_eq!(cache.ready(now(&cache)).expect("fresh").generation(), 2);
    // Set back, the monotonic clock alone ends the token.
    wall.0.store(0, Ordering::Relaxed);
    pass(460 * SECOND).await;
    assert_eq!(script.requests(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_token_is_replaced_at_once_and_a_revoked_one_is_not() {
    let script = Script::default();
    let log = Log::default();
    let cache = account(&script, &Settable::default(), &log);
    ask(&cache).await.expect("a token");
    pass(SECOND).await;
    cache.invalidate();
    pass(2 * SECOND).await;
    assert_eq!(script.requests(), 2);
    assert_eq!(log.count("TokenRequested { reason: Manual }"), 1);
    cache.revoke().await.expect("revoked");
    pass(3_600 * SECOND).await;
    assert_eq!(script.requests(), 3, "the revocation was the last");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Keep-warm is one caller more: no mixture of answers, refusals and pauses makes it ask more
    /// often than A7 allows.
    #[test]
    fn a_warm_account_keeps_to_the_bound_of_all_accounts(
        acts in prop::collection::vec((0..7_u8, 0..900_u64), 1..40),
        steps in prop::collection::vec((0..4_u8, 0..400_u64), 1..30),
    ) {
        let (requests, span) = paused_runtime().block_on(async {
            let script = Script::of(acts.iter().map(|(act, lifetime)| match act {
                0 => Act::Lost,
                1 => Act::NotSent,
                2 => refuse(503, "x"),
                3 => refuse(401, "invalid_client"),
                _ => {
                    let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
                    Act::Answer(200, body)
                }
            }));
            let wall = Settable::default();
            let cache = account(&script, &wall, &Log::default());
            let start = clock().now().moment;
            for (what, seconds) in steps {
                match what {
                    0 => drop(ask(&cache).await),
                    1 => cache.invalidate(),
                    2 => drop(wall.0.swap(seconds * 60, Ordering::Relaxed)),
                    _ => {
                        if let Ok(token) = cache.token(Need::Usable, IMPATIENT).await {
                            let verdict = cache.refused(&token, true);
                            assert_ne!(verdict, RejectionVerdict::NotTheToken);
                        }
                    }
                }
                pass(Duration::from_secs(seconds)).await;
            }
            (script.requests() as u64, clock().now().moment - start)
        });
        prop_assert!(requests <= 3 + span.as_secs(), "{requests} in {span:?}");
    }
}

#[test]
fn a_token_is_fresh_until_the_first_of_both_clocks_says_otherwise() {
    use crate::auth::token::{Lifetime, Times};
    let at = |moment: u64, wall: u64| Now {
        moment: crate::clock::Moment::after_start(Duration::from_secs(1_000 + moment)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(9_000 + wall),
    };
    let lifetime = Lifetime::Stated(100 * SECOND);
    let times = Times::new(at(0, 0), lifetime, 300 * SECOND, 0.0);
    assert_eq!(times.fresh_for(at(10, 10)), 65 * SECOND);
    assert_eq!(times.fresh_for(at(10, 70)), 5 * SECOND);
    assert_eq!(times.fresh_for(at(70, 0)), 5 * SECOND);
    assert_eq!(times.fresh_for(at(10, 90)), Duration::ZERO);
}
